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
    /// `own_origin` is the origin of the public URL, without a slash at the end.
    pub fn new(config: &WebConfig, own_origin: &str) -> Self {
        Self {
            brand: config.brand.trim().into(),
            support: config.support.as_str().into(),
            own_origin: own_origin.into(),
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

impl Default for Site {
    fn default() -> Self {
        Self::new(&WebConfig::default(), "")
    }
}
