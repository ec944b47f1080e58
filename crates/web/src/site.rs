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

/// Brand and addresses. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Site {
    pub brand: Arc<str>,
    /// Empty, or where people get help.
    pub support: Arc<str>,
    /// Where our own pages and their style live: empty for the same host, else the origin of `server.own_host`.
    pub origin: Arc<str>,
}

impl Site {
    pub fn new(config: &WebConfig, origin: &str) -> Self {
        Self { brand: config.brand.trim().into(), support: config.support.as_str().into(), origin: origin.into() }
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new(&WebConfig::default(), "")
    }
}
