//! `[gateway]`: what the operator writes. Checked as a whole in [`validate`](GatewayConfig::validate), compiled in `table`.

mod headers;
mod validate;

use std::collections::BTreeMap;

use baluarte_kernel::{ByteSize, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use headers::{HeadersConfig, Preset};
pub use validate::KnownNames;

use crate::calls::Audited;

/// `[gateway]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Apps that requests are forwarded to, by name.
    pub upstreams: BTreeMap<String, UpstreamConfig>,
    /// What answers which request. The most specific host wins, then the longest path.
    pub routes: Vec<RouteConfig>,
    /// Sets of headers for browsers, by the name that routes use. `standard`, `strict`, `bootstrap` and `none` exist; a section changes only what it names.
    pub headers: BTreeMap<String, HeadersConfig>,
}

/// `[gateway.upstreams.NAME]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamConfig {
    /// One or several addresses of the same app: `http://127.0.0.1:9000` or `https://api.example.com`. The least busy one is used.
    pub servers: Vec<String>,
    /// The `Host` sent to the upstream. Empty: the one the client asked for, so that the app's links stay right.
    pub host: String,
    /// A path that is asked regularly; a server that does not answer it with 2xx or 3xx gets no requests until it does again.
    pub health: Option<HealthConfig>,
    /// How long the head of an answer may take.
    pub timeout: Period,
    /// How long connecting to a server (and its TLS handshake) may take.
    pub connect_timeout: Period,
    /// The longest silence within a body, in either direction.
    pub idle_timeout: Period,
    /// The longest silence of an upgraded connection (WebSocket), in both directions together.
    pub tunnel_idle_timeout: Period,
    /// How long an unused connection is kept for the next request.
    pub keep_alive: Period,
    /// Requests under way at once, over all servers. Upgraded connections are counted apart, against the same number.
    pub max_connections: u32,
    /// Requests that may wait for one of those places; more get 503.
    pub max_waiting: u32,
    /// How often a repeatable request is tried again when a connection fails before any answer: 0, 1 or 2.
    pub retries: u8,
    /// A PEM file with the certificate authority of an `https` upstream. Empty: the authorities the system trusts.
    pub ca: String,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            host: String::new(),
            health: None,
            timeout: Period::from_secs(30),
            connect_timeout: Period::from_secs(5),
            idle_timeout: Period::from_secs(60),
            tunnel_idle_timeout: Period::from_secs(3_600),
            keep_alive: Period::from_secs(60),
            max_connections: 4_096,
            max_waiting: 1_024,
            retries: 1,
            ca: String::new(),
        }
    }
}

/// `health = { path = "/healthz", every = "10s" }`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    /// Asked with `GET`.
    pub path: String,
    /// How often.
    #[serde(default = "every_ten_seconds")]
    pub every: Period,
}

fn every_ten_seconds() -> Period {
    Period::from_secs(10)
}

/// `[[gateway.routes]]`: exactly one of `upstream`, `directory`, `redirect` and `respond`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteConfig {
    /// A name for logs and limits. Empty: host and path.
    pub name: String,
    /// `shop.example.com`, `*.example.com` (one or more labels), or empty: every host.
    pub host: String,
    /// The beginning of the path, whole segments: `/shop` takes `/shop` and `/shop/cart`, not `/shopping`.
    pub path: String,
    /// Only requests that came over `http` or `https`. Empty: both.
    pub scheme: String,
    /// Only these methods; others get 405. Empty: all. `GET` includes `HEAD`.
    pub methods: Vec<String>,
    /// Forward to this upstream.
    pub upstream: String,
    /// Serve the files of this directory.
    pub directory: String,
    /// Send the client there. May contain `{scheme}`, `{host}`, `{path}`, `{rest}` (the path after the route's) and `{query}` (with its `?`).
    pub redirect: String,
    /// 301, 302, 303, 307 or 308.
    pub redirect_status: u16,
    /// Answer this.
    pub respond: Option<RespondConfig>,
    /// Forward or look up the path without the route's own part.
    pub strip_prefix: bool,
    /// Put this before the (stripped) path that is forwarded: `/api/v2`. Upstreams only.
    pub rewrite: String,
    /// `public`, `signed-in`, `role:NAME`, `plan:NAME` (that plan or a higher one) or `scope:NAME`.
    pub access: String,
    /// Whoever last showed who they are (by signing in or confirming, with the second factor where there is one) longer ago is asked
    /// again: `"10m"`. Not on public routes; API keys never pass.
    pub max_age: Option<Period>,
    /// The limits that count requests of this route; `[]`: none.
    pub limits: Vec<String>,
    /// The set of headers that tells browsers what the answers' pages may do: `standard`, `strict`, `bootstrap`, `none`, or one of
    /// `[gateway.headers.NAME]`. The app's own headers win.
    pub headers: String,
    /// How long browsers may keep a directory's files (`"1y"`, `"30d"`). Empty: they ask again each time.
    pub cache: String,
    /// The file a directory answers with when a page does not exist: `index.html` for single-page apps. Empty: 404.
    pub fallback: String,
    /// Replaces the upstream's `timeout` on this route.
    pub timeout: Option<Period>,
    /// Replaces `server.body_limit` on this route.
    pub body_limit: Option<ByteSize>,
    /// Forward the client's own `Authorization` or session cookie of Baluarte, too. The upstream can then act as that user.
    pub forward_credentials: bool,
    /// Which calls go into the audit log: `all`, `writes` (every method but GET, HEAD, OPTIONS and TRACE) or `none`. Refused ones, too.
    pub audit: Audited,
}

impl GatewayConfig {
    /// The scopes that routes ask of API keys.
    pub fn scopes(&self) -> Vec<String> {
        let asked = self.routes.iter().filter_map(|route| route.access.parse::<crate::access::Access>().ok());
        let mut scopes: Vec<String> = asked.filter_map(|access| access.scope().map(str::to_owned)).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }
}

impl Default for RouteConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            host: String::new(),
            path: "/".to_owned(),
            scheme: String::new(),
            methods: Vec::new(),
            upstream: String::new(),
            directory: String::new(),
            redirect: String::new(),
            redirect_status: 308,
            respond: None,
            strip_prefix: false,
            rewrite: String::new(),
            access: "public".to_owned(),
            max_age: None,
            limits: vec!["general".to_owned()],
            headers: "standard".to_owned(),
            cache: String::new(),
            fallback: String::new(),
            timeout: None,
            body_limit: None,
            forward_credentials: false,
            audit: Audited::default(),
        }
    }
}

/// `respond = { status = 200, body = "…" }`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RespondConfig {
    pub status: u16,
    pub body: String,
    pub content_type: String,
}

impl Default for RespondConfig {
    fn default() -> Self {
        Self { status: 200, body: String::new(), content_type: "text/plain; charset=utf-8".to_owned() }
    }
}
