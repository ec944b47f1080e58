//! Which requests are Baluarte's own, and which belong to the gateway's routes.

/// Paths that answer before any route of the gateway on the same host. A slash at the end takes everything beneath;
/// without one, the path itself and what is beneath it.
const OWN: [&str; 12] = [
    "/api/v1/",
    "/auth/",
    "/ws",
    "/docs",
    "/openapi.json",
    "/console",
    "/status",
    "/problems/",
    "/.well-known/",
    "/healthz",
    "/readyz",
    "/health",
];

/// The messages that would have been sent, and what all messages look like: own only where they are shown.
const OUTBOX: [&str; 2] = ["/dev/outbox", "/dev/messages"];

/// The line between Baluarte's own surface and the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Surface {
    /// Empty: own pages answer on every host.
    own_host: String,
    outbox: bool,
}

impl Surface {
    pub(crate) fn new(own_host: &str, outbox: bool) -> Self {
        Self { own_host: own_host.trim().to_ascii_lowercase(), outbox }
    }

    /// `host`: as in `RequestMeta`, lower case, perhaps with a port.
    pub(crate) fn is_own(&self, host: &str, path: &str) -> bool {
        if self.own_host.is_empty() {
            return OWN.iter().any(|own| covers(own, path)) || (self.outbox && OUTBOX.iter().any(|own| covers(own, path)));
        }
        host == self.own_host || (!self.own_host.contains(':') && without_port(host) == self.own_host)
    }
}

fn covers(own: &str, path: &str) -> bool {
    match path.strip_prefix(own) {
        Some(rest) => own.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_paths_end_at_whole_segments() {
        let surface = Surface::new("", false);
        for path in
            ["/healthz", "/health", "/health/deep", "/api/v1/users/me", "/auth/login", "/ws", "/docs/index.html", "/.well-known/jwks.json"]
        {
            assert!(surface.is_own("shop.example.com", path), "{path}");
        }
        for path in ["/", "/healthzz", "/api/v2/x", "/api/v1", "/authors", "/documents", "/wsx", "/statuses", "/dev/outbox"] {
            assert!(!surface.is_own("shop.example.com", path), "{path}");
        }
    }

    #[test]
    fn the_outbox_is_ours_only_where_it_is_shown() {
        assert!(Surface::new("", true).is_own("localhost", "/dev/outbox"));
        assert!(!Surface::new("", true).is_own("localhost", "/dev/outboxes"));
    }

    #[test]
    fn with_an_own_host_every_other_host_belongs_to_the_gateway() {
        let surface = Surface::new("ID.example.com", false);
        assert!(surface.is_own("id.example.com", "/anything"));
        assert!(surface.is_own("id.example.com:8443", "/auth/login"));
        assert!(!surface.is_own("shop.example.com", "/auth/login"));
    }
}
