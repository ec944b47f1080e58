//! Whom we call: the apps that the operator named, and everybody else on the public internet.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use baluarte_outbound::SigningKey;
use baluarte_secrets::Secrets;
use url::Url;

use super::{
    config::{EndpointConfig, origin_only},
    request::Target,
};

/// How long a call to somebody without an entry may take, and how many at once.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONCURRENCY: usize = 8;

/// Cheap to clone.
#[derive(Clone)]
pub struct Endpoints(Arc<Inner>);

struct Inner {
    secrets: Secrets,
    by_name: BTreeMap<String, Endpoint>,
    /// Names; the longest path first.
    by_origin: HashMap<String, Vec<String>>,
}

struct Endpoint {
    /// Never empty.
    origins: Vec<String>,
    path: String,
    keys: Vec<SigningKey>,
    timeout: Duration,
    concurrency: usize,
}

/// Where one call goes and how.
#[derive(Debug, Clone)]
pub struct Destination {
    pub url: String,
    /// Scheme, host and port: what concurrency and the breaker are about.
    pub origin: String,
    /// The operator chose the address, so it may be private.
    pub trusted: bool,
    pub keys: Vec<SigningKey>,
    pub timeout: Duration,
    pub concurrency: usize,
}

/// Why a target leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDestination {
    #[error("there is no endpoint {0:?} in [jobs.endpoints]")]
    UnknownEndpoint(String),
    #[error("only paths under {0:?} may be called at this endpoint")]
    PathNotAllowed(String),
    #[error("not an http or https address")]
    BadUrl,
}

impl Endpoints {
    /// `upstreams`: the servers of the gateway's upstreams, by name. The configuration has been validated.
    pub fn new(configured: &BTreeMap<String, EndpointConfig>, upstreams: &BTreeMap<String, Vec<String>>, secrets: Secrets) -> Self {
        let mut by_origin: HashMap<String, Vec<String>> = HashMap::new();
        let mut by_name = BTreeMap::new();
        for (name, config) in configured {
            let own = std::slice::from_ref(&config.url);
            let servers = upstreams.get(&config.upstream).map_or(own, Vec::as_slice);
            let origins: Vec<String> = servers.iter().filter_map(|server| origin_only(server)).collect();
            if origins.is_empty() {
                continue;
            }
            let mut keys: Vec<SigningKey> = config.secrets.iter().filter_map(|secret| secret.expose().parse().ok()).collect();
            if keys.is_empty() {
                keys.push(derived(&secrets, "endpoint", name));
            }
            for origin in &origins {
                by_origin.entry(origin.clone()).or_default().push(name.clone());
            }
            let (timeout, concurrency) = (config.timeout.get(), config.concurrency as usize);
            by_name.insert(name.clone(), Endpoint { origins, path: config.path.clone(), keys, timeout, concurrency });
        }
        for names in by_origin.values_mut() {
            names.sort_by_key(|name| std::cmp::Reverse(by_name.get(name).map_or(0, |endpoint| endpoint.path.len())));
        }
        Self(Arc::new(Inner { secrets, by_name, by_origin }))
    }

    /// Where the `attempt`-th call for this target goes: an endpoint with several servers takes them in turn.
    pub fn resolve(&self, target: &Target, attempt: u32) -> Result<Destination, NoDestination> {
        match target {
            Target::Endpoint { endpoint: name, path } => {
                let endpoint = self.0.by_name.get(name).ok_or_else(|| NoDestination::UnknownEndpoint(name.clone()))?;
                let server = &endpoint.origins[attempt.saturating_sub(1) as usize % endpoint.origins.len()];
                // Parsed, so that `..` in any spelling is gone before the path is looked at.
                let url = Url::parse(&format!("{server}{path}")).map_err(|_| NoDestination::BadUrl)?;
                if !under(&endpoint.path, url.path()) || url.origin().ascii_serialization() != *server {
                    return Err(NoDestination::PathNotAllowed(endpoint.path.clone()));
                }
                Ok(endpoint.at(url.into(), server.clone()))
            }
            Target::Url { url } => {
                let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or(NoDestination::BadUrl)?;
                let origin = parsed.origin().ascii_serialization();
                let named = self.0.by_origin.get(&origin).into_iter().flatten().filter_map(|name| self.0.by_name.get(name));
                if let Some(endpoint) = named.into_iter().find(|endpoint| under(&endpoint.path, parsed.path())) {
                    return Ok(endpoint.at(parsed.into(), origin));
                }
                let keys = vec![derived(&self.0.secrets, "origin", &origin)];
                Ok(Destination { url: parsed.into(), origin, trusted: false, keys, timeout: TIMEOUT, concurrency: CONCURRENCY })
            }
        }
    }

    /// The newest secret that requests to an endpoint, by name, or to any other address are signed with.
    pub fn signing_key(&self, name_or_url: &str) -> Result<SigningKey, NoDestination> {
        if let Some(endpoint) = self.0.by_name.get(name_or_url) {
            return Ok(endpoint.keys[0].clone());
        }
        if !name_or_url.contains("://") {
            return Err(NoDestination::UnknownEndpoint(name_or_url.to_owned()));
        }
        self.resolve(&Target::Url { url: name_or_url.to_owned() }, 1).map(|destination| destination.keys[0].clone())
    }
}

impl Endpoint {
    fn at(&self, url: String, origin: String) -> Destination {
        Destination { url, origin, trusted: true, keys: self.keys.clone(), timeout: self.timeout, concurrency: self.concurrency }
    }
}

/// `/hooks` covers itself and what is below it, not `/hooksmith`. What would be read differently by whoever decodes
/// slashes is not below anything, and neither is what is the folder above to servers that know parameters in paths (`..;x`).
fn under(prefix: &str, path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    if prefix != "/" && (lower.contains("%2f") || lower.contains("%5c") || lower.contains("%2e") || lower.contains("%25")) {
        return false;
    }
    if prefix != "/" && path.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | ".."))) {
        return false;
    }
    match path.strip_prefix(prefix) {
        Some(rest) => prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

/// Nothing to store and nothing to exchange between replicas: whoever has SECRET_KEY can say what it is.
fn derived(secrets: &Secrets, what: &str, name: &str) -> SigningKey {
    let bytes = secrets.keyed_hash("jobs.signing_key", format!("{what}:{name}").as_bytes());
    SigningKey::from_bytes(&bytes).expect("32 bytes are between 24 and 64")
}

#[cfg(test)]
mod tests {
    use baluarte_kernel::Secret;

    use super::*;

    fn endpoints() -> Endpoints {
        let configured = serde_json::json!({
            "app": { "url": "http://10.0.0.5:9000", "path": "/hooks/", "concurrency": 2, "timeout": "3s" },
            "deep": { "url": "http://10.0.0.5:9000", "path": "/hooks/deep", "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] },
            "shop": { "upstream": "shop" },
        });
        let upstreams = BTreeMap::from([("shop".to_owned(), vec!["http://10.0.0.6:1".to_owned(), "http://10.0.0.7:2".to_owned()])]);
        let secrets = Secrets::new(&Secret::new("k"), &Secret::new("s"));
        Endpoints::new(&serde_json::from_value(configured).unwrap(), &upstreams, secrets)
    }

    fn url(url: &str) -> Target {
        Target::Url { url: url.to_owned() }
    }

    fn at(endpoint: &str, path: &str) -> Target {
        Target::Endpoint { endpoint: endpoint.to_owned(), path: path.to_owned() }
    }

    #[test]
    fn only_what_the_operator_named_is_trusted() {
        let endpoints = endpoints();
        for (target, trusted) in [
            ("http://10.0.0.5:9000/hooks/x", true),
            ("http://10.0.0.5:9000/hooks/x?y=1", true),
            ("http://10.0.0.5:9000/admin", false),
            ("http://10.0.0.5:9000/hooks/../admin", false),
            ("http://10.0.0.5:9000/hooks/%2e%2e/admin", false),
            ("http://10.0.0.5:9000/hooks/..%2fadmin", false),
            ("http://10.0.0.5:9000/hooks%2f..%2fadmin", false),
            ("http://10.0.0.5:9000/hooks/..;/admin", false),
            ("http://10.0.0.5:9000/hooks/..;x=1/admin", false),
            ("http://10.0.0.5:9000/hooks/x;v=1", true),
            ("http://10.0.0.5:9001/hooks/x", false),
            ("https://10.0.0.5:9000/hooks/x", false),
            ("http://10.0.0.5:9000@evil.example/hooks/x", false),
            ("https://shop.example/", false),
        ] {
            assert_eq!(endpoints.resolve(&url(target), 1).unwrap().trusted, trusted, "{target}");
        }
        for path in ["/admin", "/hooks/../admin", "/hooks/%2e%2e/admin", "/hooks/..%2f..%2fadmin", "/hooksmith"] {
            assert_eq!(endpoints.resolve(&at("app", path), 1).unwrap_err(), NoDestination::PathNotAllowed("/hooks/".into()), "{path}");
        }
        assert!(matches!(endpoints.resolve(&at("app", "@evil.example/hooks/"), 1), Err(NoDestination::PathNotAllowed(_))));
        assert_eq!(endpoints.resolve(&at("nobody", "/"), 1).unwrap_err(), NoDestination::UnknownEndpoint("nobody".into()));
    }

    #[test]
    fn the_endpoint_with_the_longest_path_counts_and_servers_take_turns() {
        let endpoints = endpoints();
        let deep = endpoints.resolve(&url("http://10.0.0.5:9000/hooks/deep/er"), 1).unwrap();
        assert_eq!(deep.keys[0].to_secret().expose(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let app = endpoints.resolve(&url("http://10.0.0.5:9000/hooks/deeper"), 1).unwrap();
        assert_eq!((app.concurrency, app.timeout), (2, Duration::from_secs(3)));
        let called: Vec<_> = (1..=3).map(|n| endpoints.resolve(&at("shop", "/a?b=1"), n).unwrap().url).collect();
        assert_eq!(called, ["http://10.0.0.6:1/a?b=1", "http://10.0.0.7:2/a?b=1", "http://10.0.0.6:1/a?b=1"]);
    }

    #[test]
    fn without_a_secret_each_endpoint_and_each_place_has_one_of_its_own() {
        let endpoints = endpoints();
        let key = |of: &str| endpoints.signing_key(of).unwrap();
        assert_eq!(key("app"), endpoints.resolve(&at("app", "/hooks/x"), 1).unwrap().keys[0]);
        assert_eq!(key("https://a.example/x"), key("https://a.example:443/y"));
        assert_ne!(key("https://a.example"), key("https://b.example"));
        assert_ne!(key("app"), key("shop"));
        assert!(endpoints.signing_key("nobody").is_err());
    }
}
