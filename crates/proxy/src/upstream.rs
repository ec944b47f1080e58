//! An upstream as all cores see it: what the operator configured, and which of its servers are in good health.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::{HeaderValue, Uri, uri::Authority};

use crate::{gate::Gate, tls::TlsClient};

/// Consecutive failures after which a server gets no requests for a while.
const FAILURES_TO_EJECT: u32 = 3;
/// The first time out; it doubles with every further failure.
const FIRST_EJECTION: Duration = Duration::from_secs(2);
const LONGEST_EJECTION: Duration = Duration::from_secs(60);

/// `http://host:port` or `https://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    pub tls: bool,
    /// Without brackets, for IPv6, too.
    pub host: String,
    pub port: u16,
    /// As it stands in a `Host` header.
    pub authority: HeaderValue,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found {0:?}, expected http://HOST:PORT or https://HOST:PORT without a path")]
pub struct BadAddress(String);

impl FromStr for ServerAddress {
    type Err = BadAddress;
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad()),
        };
        let authority: &Authority = uri.authority().ok_or_else(bad)?;
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() || text.contains('#') {
            return Err(bad());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let default = if tls { 443 } else { 80 };
        let port = match authority.port() {
            Some(port) => port.as_str().parse().map_err(|_| bad())?,
            // A port that is no number from 0 to 65535.
            None if authority.as_str() != authority.host() => return Err(bad()),
            None => default,
        };
        if host.is_empty() || port == 0 {
            return Err(bad());
        }
        let authority = HeaderValue::from_str(authority.as_str()).map_err(|_| bad())?;
        Ok(Self { tls, host, port, authority })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// What to know about an upstream before using it.
#[derive(Debug, Clone)]
pub struct UpstreamSpec {
    pub name: String,
    /// At least one.
    pub servers: Vec<ServerAddress>,
    /// Sent as `Host`; `None`: what the client asked for.
    pub host: Option<HeaderValue>,
    /// For `https` servers.
    pub tls: Option<TlsClient>,
    /// For the head of an answer, counted from when the request has been sent.
    pub timeout: Duration,
    pub connect_timeout: Duration,
    /// The longest silence within a body.
    pub idle_timeout: Duration,
    /// The longest silence of an upgraded connection and of an event stream.
    pub tunnel_idle_timeout: Duration,
    /// How long an unused connection is kept.
    pub keep_alive: Duration,
    /// Unused connections kept per core and server.
    pub max_idle: usize,
    pub max_connections: usize,
    pub max_waiting: usize,
    /// Repetitions of a repeatable request after a connection failed before any answer.
    pub retries: u32,
}

impl UpstreamSpec {
    pub fn new(name: impl Into<String>, servers: Vec<ServerAddress>) -> Self {
        Self {
            name: name.into(),
            servers,
            host: None,
            tls: None,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            tunnel_idle_timeout: Duration::from_secs(3_600),
            keep_alive: Duration::from_secs(60),
            max_idle: 1_024,
            max_connections: 4_096,
            max_waiting: 1_024,
            retries: 1,
        }
    }
}

/// Shared by all cores; all of its state is atomics.
#[derive(Debug)]
pub struct Upstream {
    pub spec: UpstreamSpec,
    pub(crate) servers: Vec<Server>,
    pub(crate) gate: Gate,
    tunnels: AtomicUsize,
    epoch: Instant,
}

/// How one server has been doing.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    failures: AtomicU32,
    /// Milliseconds since the upstream's epoch; 0: not ejected.
    ejected_until: AtomicU64,
    /// What the active check last found.
    answers_checks: AtomicBool,
}

impl Upstream {
    pub fn new(spec: UpstreamSpec) -> Arc<Self> {
        let servers = spec
            .servers
            .iter()
            .map(|address| Server {
                name: address.to_string(),
                failures: AtomicU32::new(0),
                ejected_until: AtomicU64::new(0),
                answers_checks: AtomicBool::new(true),
            })
            .collect();
        let gate = Gate::new(spec.max_connections, spec.max_waiting);
        Arc::new(Self { spec, servers, gate, tunnels: AtomicUsize::new(0), epoch: Instant::now() })
    }

    /// Requests under way, over all cores.
    pub fn in_flight(&self) -> usize {
        self.gate.inside()
    }

    /// Requests waiting for a place.
    pub fn waiting(&self) -> usize {
        self.gate.waiting()
    }

    /// Upgraded connections that are open.
    pub fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::Relaxed)
    }

    /// Servers that would get requests now.
    pub fn available(&self) -> usize {
        (0..self.servers.len()).filter(|server| self.out_for(*server).is_none()).count()
    }

    pub(crate) fn open_tunnel(self: &Arc<Self>) -> Option<Tunnel> {
        let open = self.tunnels.fetch_add(1, Ordering::Relaxed);
        let tunnel = Tunnel { upstream: Arc::clone(self) };
        (open < self.spec.max_connections).then_some(tunnel)
    }

    /// `None`: take it. Otherwise how bad a choice it is: milliseconds until it may be tried again.
    pub(crate) fn out_for(&self, server: usize) -> Option<u64> {
        let server = &self.servers[server];
        if !server.answers_checks.load(Ordering::Relaxed) {
            return Some(u64::MAX);
        }
        match server.ejected_until.load(Ordering::Relaxed) {
            0 => None,
            until => until.checked_sub(self.now()).filter(|left| *left > 0),
        }
    }

    pub(crate) fn succeeded(&self, server: usize) {
        let server = &self.servers[server];
        // Reads only, while all is well: the line stays shared between the cores.
        if server.failures.load(Ordering::Relaxed) != 0 {
            server.failures.store(0, Ordering::Relaxed);
            if server.ejected_until.swap(0, Ordering::Relaxed) != 0 {
                tracing::info!(target: "proxy", upstream = %self.spec.name, server = %server.name, "upstream server is back");
            }
        }
    }

    pub(crate) fn failed(&self, index: usize) {
        let server = &self.servers[index];
        let failures = server.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        // A failure of a request that began before the ejection must not prolong it.
        if failures < FAILURES_TO_EJECT || self.out_for(index).is_some() {
            return;
        }
        let doublings = (failures - FAILURES_TO_EJECT).min(10);
        let out = FIRST_EJECTION.saturating_mul(1 << doublings).min(LONGEST_EJECTION);
        server.ejected_until.store(self.now() + millis(out), Ordering::Relaxed);
        tracing::warn!(target: "proxy", upstream = %self.spec.name, server = %server.name, failures, seconds = out.as_secs(), "upstream server fails: it rests");
    }

    pub(crate) fn checked(&self, server: usize, healthy: bool) {
        let server = &self.servers[server];
        if server.answers_checks.swap(healthy, Ordering::Relaxed) != healthy {
            if healthy {
                tracing::info!(target: "proxy", upstream = %self.spec.name, server = %server.name, "upstream server passes its health check again");
            } else {
                tracing::warn!(target: "proxy", upstream = %self.spec.name, server = %server.name, "upstream server fails its health check");
            }
        }
    }

    fn now(&self) -> u64 {
        millis(self.epoch.elapsed())
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A place among the upgraded connections; given back when dropped.
pub(crate) struct Tunnel {
    upstream: Arc<Upstream>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.upstream.tunnels.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_servers() -> Arc<Upstream> {
        let address: ServerAddress = "http://127.0.0.1:1".parse().unwrap();
        Upstream::new(UpstreamSpec::new("shop", vec![address.clone(), address]))
    }

    #[test]
    fn an_address_has_a_scheme_a_host_and_nothing_else() {
        let good: ServerAddress = "https://[::1]:8443/".parse().unwrap();
        assert_eq!((good.tls, good.host.as_str(), good.port), (true, "::1", 8443));
        assert_eq!(good.to_string(), "https://[::1]:8443");
        assert_eq!("http://app".parse::<ServerAddress>().unwrap().port, 80);
        for bad in [
            "",
            "app:80",
            "ftp://app",
            "http://",
            "http://app/base",
            "http://app?x",
            "http://u:p@app",
            "http://app:0",
            "http://app:99999",
            "http://app:",
            "/x",
        ] {
            assert!(bad.parse::<ServerAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_server_that_keeps_failing_rests_and_one_success_clears_it() {
        let upstream = two_servers();
        upstream.failed(0);
        upstream.failed(0);
        assert_eq!(upstream.out_for(0), None);
        upstream.failed(0);
        assert!(upstream.out_for(0).is_some_and(|ms| ms <= 2_000));
        assert_eq!(upstream.out_for(1), None);
        upstream.succeeded(0);
        assert_eq!(upstream.out_for(0), None);
    }

    #[test]
    fn a_server_that_fails_its_check_is_the_last_choice() {
        let upstream = two_servers();
        upstream.checked(1, false);
        assert_eq!(upstream.out_for(1), Some(u64::MAX));
        assert_eq!(upstream.available(), 1);
        upstream.checked(1, true);
        assert_eq!(upstream.available(), 2);
    }
}
