//! The section `[edge]`: what a client may send, how much of it, and how slowly.

use baluarte_kernel::{ByteSize, Findings, Period};
use serde::{Deserialize, Serialize};

/// How HTTP comes in. The defaults suit nearly everybody.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EdgeConfig {
    /// Threads that read requests and write answers; 0: one per processor.
    pub cores: usize,
    /// Connections at a time, all clients together; more are closed at once.
    pub max_connections: usize,
    /// Connections at a time of one client address (IPv6: of one /64 network). Trusted proxies are not counted.
    pub max_connections_per_client: usize,
    /// For a request's head, from its first byte to the empty line (and for the first byte of a connection).
    pub header_timeout: Period,
    /// How long a connection may stay open between requests.
    pub idle_timeout: Period,
    /// How long a client may pause in the middle of a request's body.
    pub body_timeout: Period,
    /// The least that a body must bring per second, on average, after `body_timeout` has passed once; `"0"`: anything.
    pub body_min_rate: ByteSize,
    /// How long a client may leave an answer unread.
    pub write_timeout: Period,
    /// The longest request target (path and query).
    pub max_target: ByteSize,
    /// The longest head: request line and all headers.
    pub max_head: ByteSize,
    /// The most headers of a request.
    pub max_headers: usize,
    /// HTTP/2: requests at a time on one connection.
    pub max_streams: u32,
    /// Headers whose name contains `_` look like others (`Remote_User`) to many applications. `false` removes them.
    pub underscore_headers: bool,
    /// The header of this name, on every answer over HTTPS; `""`: none. For a whole host: what one page says replaces what another said.
    pub strict_transport_security: String,
    pub tls: TlsConfig,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            cores: 0,
            max_connections: 20_000,
            max_connections_per_client: 2_000,
            header_timeout: Period::from_secs(10),
            idle_timeout: Period::from_secs(75),
            body_timeout: Period::from_secs(10),
            body_min_rate: ByteSize::from_bytes(256),
            write_timeout: Period::from_secs(10),
            max_target: ByteSize::from_bytes(8 * 1024),
            max_head: ByteSize::from_bytes(32 * 1024),
            max_headers: 100,
            max_streams: 128,
            underscore_headers: false,
            // A year. Subdomains are not ours to decide about.
            strict_transport_security: "max-age=31536000".to_owned(),
            tls: TlsConfig::default(),
        }
    }
}

/// Where certificates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    #[default]
    Off,
    SelfSigned,
    Files,
    Acme,
}

/// HTTPS. Only `mode = "off"` works in this release: put a TLS terminator in front and name it in `server.trusted_proxies`.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// `off`, `self-signed`, `files` or `acme`.
    pub mode: TlsMode,
    /// With `files`: the certificate chain (PEM), read again when it changes.
    pub certificate: String,
    /// With `files`: its private key (PEM).
    pub key: String,
    /// With `acme`: the names on the certificate.
    pub domains: Vec<String>,
    /// With `acme`: an e-mail address for the authority.
    pub contact: String,
    /// With `acme`: the authority's directory; empty: Let's Encrypt.
    pub directory: String,
    /// Where plain HTTP is answered when TLS is on.
    pub http_listen: String,
    /// Where HTTPS is answered.
    pub https_listen: String,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            mode: TlsMode::Off,
            certificate: String::new(),
            key: String::new(),
            domains: Vec::new(),
            contact: String::new(),
            directory: String::new(),
            http_listen: "0.0.0.0:80".to_owned(),
            https_listen: "0.0.0.0:443".to_owned(),
        }
    }
}

impl EdgeConfig {
    pub fn validate(&self, findings: &mut Findings) {
        if self.tls.mode != TlsMode::Off {
            findings.add(
                "edge.tls.mode",
                "only \"off\" is possible in this release, HTTPS comes with the next; until then put a TLS terminator in front and name its address in server.trusted_proxies",
            );
        }
        if let Err(problem) = check_transport_security(&self.strict_transport_security) {
            let found = &self.strict_transport_security;
            findings.add("edge.strict_transport_security", format!("found {found:?}, {problem}"));
        }
        if self.cores > 1_024 {
            findings
                .add("edge.cores", format!("{} threads are more than any machine has processors; 0 means one per processor", self.cores));
        }
        for (key, value, least) in [
            ("edge.max_connections", self.max_connections as u64, 16),
            ("edge.max_connections_per_client", self.max_connections_per_client as u64, 1),
            ("edge.max_headers", self.max_headers as u64, 16),
            ("edge.max_streams", u64::from(self.max_streams), 1),
            ("edge.max_target", self.max_target.get(), 256),
            ("edge.max_head", self.max_head.get(), 2_048),
        ] {
            if value < least {
                findings.add(key, format!("found {value}, too little to serve anybody; expected at least {least}"));
            }
        }
        if self.max_headers > 1_000 {
            findings.add("edge.max_headers", format!("found {}, more than any client sends; expected at most 1000", self.max_headers));
        }
        if self.max_head.get() > 1 << 18 {
            findings.add("edge.max_head", format!("found {}, more than any client sends; expected at most 256KiB", self.max_head));
        }
        if self.max_target.get() >= self.max_head.get() {
            findings
                .add("edge.max_target", format!("{} leaves no room for headers within edge.max_head ({})", self.max_target, self.max_head));
        }
    }
}

/// RFC 6797; and what browsers' preload lists ask for, since the word is a promise that takes months to take back.
fn check_transport_security(text: &str) -> Result<(), &'static str> {
    const EXPECTED: &str = "expected \"max-age=SECONDS\", perhaps with \"; includeSubDomains\" and \"; preload\", or \"\"";
    if text.is_empty() {
        return Ok(());
    }
    let (mut seconds, mut subdomains, mut preload) = (None, false, false);
    for directive in text.split(';').map(|directive| directive.trim().to_ascii_lowercase()) {
        match directive.split_once('=') {
            Some(("max-age", value)) if seconds.is_none() => seconds = Some(value.parse::<u64>().map_err(|_| EXPECTED)?),
            None if directive == "includesubdomains" => subdomains = true,
            None if directive == "preload" => preload = true,
            _ => return Err(EXPECTED),
        }
    }
    match seconds {
        None => Err(EXPECTED),
        Some(seconds) if preload && (seconds < 31_536_000 || !subdomains) => {
            Err("but preload lists take only a max-age of at least 31536000 with includeSubDomains")
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::check_transport_security;

    #[test]
    fn transport_security_is_a_span_and_preload_keeps_its_promises() {
        let long = "max-age=63072000";
        for good in ["", "max-age=0", long, &format!("{long}; includeSubDomains"), &format!("{long}; includeSubDomains; preload")] {
            assert_eq!(check_transport_security(good), Ok(()), "{good}");
        }
        for bad in [
            "1y",
            "max-age",
            "max-age=1y",
            "includeSubDomains",
            &format!("{long}; preload"),
            "max-age=1; includeSubDomains; preload",
            "max-age=1\r\nx: y",
        ] {
            assert!(check_transport_security(bad).is_err(), "{bad}");
        }
    }
}
