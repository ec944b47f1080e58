//! `[cluster]`: whether there are other replicas to talk to.

use baluarte_kernel::{Findings, Secret};
use serde::{Deserialize, Serialize};

/// `[cluster]`
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterConfig {
    /// `redis://…` or `rediss://…` (TLS): for several replicas on PostgreSQL. Empty: this process is alone.
    pub redis_url: Secret,
    /// In front of every key, so that several installations may share one Redis.
    pub redis_prefix: String,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self { redis_url: Secret::default(), redis_prefix: "baluarte:".to_owned() }
    }
}

/// The longest prefix: it stands in front of every key and is paid for in Redis' memory each time.
const MAX_PREFIX: usize = 64;

impl ClusterConfig {
    /// The form of the address and of the prefix; nothing is contacted.
    pub fn validate(&self, findings: &mut Findings) {
        if !self.redis_url.is_empty()
            && let Err(problem) = client_info(&self.redis_url)
        {
            findings.add("cluster.redis_url", problem);
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'-' | b'.' | b'/');
        if self.redis_prefix.len() > MAX_PREFIX || !self.redis_prefix.bytes().all(plain) {
            findings.add(
                "cluster.redis_prefix",
                format!("found {:?}, expected at most {MAX_PREFIX} letters, digits or any of : _ - . /", self.redis_prefix),
            );
        }
    }
}

/// Reads the address. The error says what is expected and never repeats the address: it may hold a password.
pub(crate) fn client_info(url: &Secret) -> Result<redis::ConnectionInfo, String> {
    use redis::IntoConnectionInfo as _;
    const FORM: &str = "expected redis://[user:password@]host[:port][/database], or rediss:// for TLS";
    let text = url.expose();
    if !(text.starts_with("redis://") || text.starts_with("rediss://")) {
        return Err(FORM.to_owned());
    }
    // `#insecure` would switch certificate checks off; nobody should get there by copying a line from the internet.
    if text.contains('#') {
        return Err(format!("{FORM}; found a # (write %23 when it is part of the password)"));
    }
    text.into_connection_info().map_err(|_| FORM.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(url: &str, prefix: &str) -> Vec<String> {
        let mut findings = Findings::default();
        ClusterConfig { redis_url: Secret::new(url), redis_prefix: prefix.to_owned() }.validate(&mut findings);
        findings.into_vec().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_of_redis_with_and_without_tls_are_accepted() {
        for url in ["", "redis://127.0.0.1", "redis://:secret@cache.internal:6380/2", "rediss://user:p%23w@cache.example:6380"] {
            assert_eq!(findings(url, "baluarte:"), Vec::<String>::new(), "{url}");
        }
    }

    #[test]
    fn a_wrong_address_is_named_without_being_repeated() {
        for url in ["localhost:6379", "http://:hunter2@cache", "redis://:hunter2@:port", "rediss://:hunter2@cache/#insecure", "redis://h/x"]
        {
            let found = findings(url, "baluarte:").join("\n");
            assert!(found.starts_with("cluster.redis_url: expected redis://"), "{url}: {found}");
            assert!(!found.contains("hunter2"), "{found}");
        }
    }

    #[test]
    fn a_prefix_with_spaces_or_patterns_is_refused() {
        for prefix in ["a b", "*", "ä", &"x".repeat(65)] {
            assert_eq!(findings("", prefix).len(), 1, "{prefix}");
        }
    }
}
