//! Forwarding to an app.

use std::{sync::Arc, time::Duration};

use http::{Uri, uri::PathAndQuery};

use crate::path;

#[derive(Debug)]
pub(crate) struct ToUpstream {
    /// Place in the snapshot's list of upstreams.
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
    /// Segments of the path that are not forwarded.
    pub(crate) strip: usize,
    /// Put before what is left of the path; no slash at the end.
    pub(crate) rewrite: String,
    pub(crate) timeout: Option<Duration>,
}

impl ToUpstream {
    /// What the upstream is asked for; `None`: the same as the client asked for.
    pub(crate) fn target(&self, uri: &Uri) -> Option<PathAndQuery> {
        if self.strip == 0 && self.rewrite.is_empty() {
            return None;
        }
        let rest = path::behind(uri.path(), self.strip);
        let mut target = String::with_capacity(self.rewrite.len() + rest.len() + uri.query().map_or(0, str::len) + 2);
        target.push_str(&self.rewrite);
        target.push_str(rest);
        if target.is_empty() {
            target.push('/');
        }
        if let Some(query) = uri.query() {
            target.push('?');
            target.push_str(query);
        }
        // Made of pieces of a valid target: it is one.
        PathAndQuery::from_maybe_shared(target).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(strip: usize, rewrite: &str, uri: &str) -> Option<String> {
        let to = ToUpstream { index: 0, name: Arc::from("shop"), strip, rewrite: rewrite.to_owned(), timeout: None };
        to.target(&uri.parse().unwrap()).map(|target| target.to_string())
    }

    #[test]
    fn the_original_bytes_go_on_without_the_routes_own_part() {
        assert_eq!(target(0, "", "/a%20b?c=%2F"), None);
        assert_eq!(target(1, "", "/shop/a%20b?c=%2F").as_deref(), Some("/a%20b?c=%2F"));
        assert_eq!(target(1, "", "/shop").as_deref(), Some("/"));
        assert_eq!(target(1, "", "/shop?x").as_deref(), Some("/?x"));
        assert_eq!(target(1, "/api/v2", "/shop/x").as_deref(), Some("/api/v2/x"));
        assert_eq!(target(1, "/api/v2", "/shop").as_deref(), Some("/api/v2"));
        assert_eq!(target(0, "/base", "/x").as_deref(), Some("/base/x"));
    }
}
