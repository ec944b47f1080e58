//! `[server]` and `[secrets]`.

use baluarte_edge::ProxyProtocol;
use baluarte_kernel::{ByteSize, Findings, Period, Secret};
use serde::{Deserialize, Serialize};

use super::values::{ListenAddr, Network, PublicUrl};

/// `[server]`
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Where to listen. The environment variable PORT means `0.0.0.0:$PORT`.
    pub listen: ListenAddr,
    /// Where people reach this server; links in messages are built from it. Follows `listen` when it is not set.
    pub public_url: PublicUrl,
    /// Networks (CIDR) of the proxies in front, whose `X-Forwarded-*` is believed. Default: nobody's.
    pub trusted_proxies: Vec<Network>,
    /// The PROXY protocol, version 1 or 2, with which TCP load balancers (HAProxy's `send-proxy`, AWS NLB) tell the client's address:
    /// `off`, `optional` or `required`. Only `trusted_proxies` are believed; with `required` nobody else may connect.
    pub proxy_protocol: ProxyProtocol,
    /// If set, Baluarte's own pages and API answer on this host only, and the gateway has every other host to itself.
    pub own_host: String,
    /// How long a request may take, its body included.
    pub request_timeout: Period,
    /// The largest request body; a route of the gateway may set its own.
    pub body_limit: ByteSize,
    /// Where `GET /metrics` answers, and nothing else does. Empty: nowhere.
    pub metrics_listen: String,
    /// How long requests under way may take to finish when the server stops.
    pub shutdown_grace: Period,
    /// Send cookies with `Secure` and the `__Host-` prefix; follows `public_url` when it is not set.
    pub secure_cookies: Option<bool>,
    /// Let production run with an http `public_url` (a laboratory, a private network).
    pub allow_insecure: bool,
    /// Own-surface requests worked on at a time; more are answered with 503.
    pub max_in_flight: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "literals that the tests of these types cover")]
        Self {
            listen: "127.0.0.1:8080".parse().expect("a literal address"),
            public_url: "http://127.0.0.1:8080".parse().expect("a literal URL"),
            trusted_proxies: Vec::new(),
            proxy_protocol: ProxyProtocol::Off,
            own_host: String::new(),
            request_timeout: Period::from_secs(60),
            body_limit: ByteSize::from_bytes(10 << 20),
            metrics_listen: "127.0.0.1:9090".to_owned(),
            shutdown_grace: Period::from_secs(30),
            secure_cookies: None,
            allow_insecure: false,
            max_in_flight: 512,
        }
    }
}

impl ServerConfig {
    pub fn validate(&self, findings: &mut Findings) {
        if !self.metrics_listen.is_empty() && self.metrics_listen.parse::<ListenAddr>().is_err() {
            findings.add(
                "server.metrics_listen",
                format!("found {:?}, expected an address and a port such as \"127.0.0.1:9090\", or nothing", self.metrics_listen),
            );
        }
        if self.own_host.contains(['/', ' ']) {
            findings.add("server.own_host", format!("found {:?}, expected a host name such as \"id.example.com\"", self.own_host));
        }
        if self.proxy_protocol != ProxyProtocol::Off && self.trusted_proxies.is_empty() {
            findings.add(
                "server.proxy_protocol",
                "is believed from server.trusted_proxies only, and that is empty; name the load balancer there",
            );
        }
        if self.max_in_flight == 0 {
            findings.add("server.max_in_flight", "found 0, expected at least 1");
        }
        if self.secure_cookies == Some(true) && !self.public_url.is_https() {
            findings.add("server.secure_cookies", "browsers return such cookies over https only, and public_url is http");
        }
    }

    pub fn metrics_addr(&self) -> Option<std::net::SocketAddr> {
        self.metrics_listen.parse::<ListenAddr>().ok().map(|addr| addr.0)
    }

    pub fn secure_cookies(&self) -> bool {
        self.secure_cookies.unwrap_or_else(|| self.public_url.is_https())
    }
}

/// `[secrets]`: better given as SECRET_KEY and SECURITY_PASSWORD_SALT than in the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecretsConfig {
    /// SECRET_KEY: all other keys are derived from it. At least 32 bytes in production; `baluarte secret generate` makes one.
    pub secret_key: Secret,
    /// SECURITY_PASSWORD_SALT: mixed into the hashes of reset tokens.
    pub password_salt: Secret,
}
