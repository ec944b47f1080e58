use baluarte_kernel::{Findings, Period};
use serde::{Deserialize, Serialize};

/// `[webhooks]`
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebhooksConfig {
    /// Attempts for one event, over about four days with the default.
    pub max_attempts: u32,
    /// An endpoint that has answered nothing well for so long is disabled.
    pub disable_after: Period,
    /// How long events and their deliveries are kept, and can be sent again.
    pub keep: Period,
    /// Endpoints there may be.
    pub max_endpoints: u32,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self { max_attempts: 20, disable_after: Period::from_secs(5 * 86_400), keep: Period::from_secs(30 * 86_400), max_endpoints: 50 }
    }
}

impl WebhooksConfig {
    pub fn validate(&self, findings: &mut Findings) {
        if !(1..=100).contains(&self.max_attempts) {
            findings.add("webhooks.max_attempts", format!("found {}, allowed is 1 to 100", self.max_attempts));
        }
        if !(1..=1_000).contains(&self.max_endpoints) {
            findings.add("webhooks.max_endpoints", format!("found {}, allowed is 1 to 1000", self.max_endpoints));
        }
        if self.disable_after < Period::from_secs(3_600) {
            findings.add("webhooks.disable_after", format!("found {}, expected at least 1h: a restart is not the end", self.disable_after));
        }
    }
}
