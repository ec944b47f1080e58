//! What every page needs to know about the installation it belongs to.

use std::sync::Arc;

use baluarte_kernel::Findings;
use serde::{Deserialize, Serialize};

/// `[web]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// The product's name on sign-in, account and error pages.
    pub brand: String,
    /// Where people get help: `mailto:help@example.com` or an https address. Shown on error pages when set.
    pub support: String,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self { brand: "Baluarte".to_owned(), support: String::new() }
    }
}

impl WebConfig {
    pub fn validate(&self, findings: &mut Findings) {
        let length = self.brand.trim().chars().count();
        if !(1..=40).contains(&length) {
            findings.add("web.brand", format!("found {:?}, allowed is a name of 1 to 40 characters", self.brand));
        }
        if !self.support.is_empty() && !["mailto:", "https://", "http://"].iter().any(|scheme| self.support.starts_with(scheme)) {
            findings.add("web.support", format!("found {:?}, allowed is an address that begins with mailto: or https://", self.support));
        }
    }
}

/// Brand and addresses; the server puts it into the extensions of every request. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Site {
    pub brand: Arc<str>,
    /// Empty, or where people get help.
    pub support: Arc<str>,
    /// The origin that people reach us under (`https://shop.example`): forms from elsewhere are refused.
    pub own_origin: Arc<str>,
    /// In front of the addresses of style and images: empty where pages and files share a host.
    pub assets_origin: Arc<str>,
}

impl Site {
    pub fn new(config: &WebConfig, public_url: &str) -> Self {
        Self {
            brand: config.brand.trim().into(),
            support: config.support.as_str().into(),
            own_origin: origin(public_url).into(),
            assets_origin: "".into(),
        }
    }

    /// For error pages on the gateway's hosts when our own pages answer only on `server.own_host`.
    #[must_use]
    pub fn with_assets_at(mut self, origin: &str) -> Self {
        self.assets_origin = origin.into();
        self
    }
}

/// `https://shop.example/path` → `https://shop.example`.
fn origin(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find('/').map_or(url.len(), |at| authority + at);
    &url[..end]
}

impl Default for Site {
    fn default() -> Self {
        Self::new(&WebConfig::default(), "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_compared_with_the_origin_of_the_public_url() {
        for url in ["https://shop.example:8443", "https://shop.example:8443/", "https://shop.example:8443/a/b"] {
            assert_eq!(&*Site::new(&WebConfig::default(), url).own_origin, "https://shop.example:8443");
        }
        assert_eq!(&*Site::default().own_origin, "");
    }
}
