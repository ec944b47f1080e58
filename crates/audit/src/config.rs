use std::{collections::BTreeMap, path::Path};

use baluarte_kernel::{Findings, Period, Secret};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::CallsConfig;

/// `[audit]`
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// A signed checkpoint is made after so many entries, and …
    pub checkpoint_entries: u32,
    /// … so long after the last one, if there are new entries.
    pub checkpoint_every: Period,
    /// Entries older than this are removed, provably. Not set: they are kept for ever.
    pub keep: Option<Period>,
    /// How often the whole chain is checked while serving.
    pub verify_every: Period,
    /// How long one key signs checkpoints.
    pub key_rotation: Period,
    /// Places outside the database that each checkpoint is sent to, so that removing the newest entries is noticed.
    pub anchors: BTreeMap<String, AnchorConfig>,
    /// How the gateway's calls are recorded; which of them are is said by each route.
    pub calls: CallsConfig,
}

/// `[audit.anchors.NAME]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnchorConfig {
    /// `file`: a line is appended for each checkpoint. `webhook`: a POST. `email`: a mail to `to`.
    pub kind: AnchorKind,
    /// `file`: where; best on another disk, or one that only lets itself be appended to.
    pub path: String,
    /// `webhook`: where to; public addresses only.
    pub url: String,
    /// `webhook`: signs the request as Standard Webhooks says (`whsec_…`).
    pub secret: Secret,
    /// `email`: whom to.
    pub to: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AnchorKind {
    #[default]
    File,
    Webhook,
    Email,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            checkpoint_entries: 1_000,
            checkpoint_every: Period::from_secs(3_600),
            keep: None,
            verify_every: Period::from_secs(86_400),
            key_rotation: Period::from_secs(365 * 86_400),
            anchors: BTreeMap::new(),
            calls: CallsConfig::default(),
        }
    }
}

impl AuditConfig {
    pub fn validate(&self, findings: &mut Findings) {
        if self.checkpoint_entries == 0 {
            findings.add("audit.checkpoint_entries", "is at least 1");
        }
        if self.keep.is_some_and(|keep| keep < Period::from_secs(86_400)) {
            findings.add("audit.keep", "is at least one day; leave it out to keep entries for ever");
        }
        if self.key_rotation < Period::from_secs(86_400) {
            findings.add("audit.key_rotation", "is at least one day");
        }
        self.calls.validate(findings);
        for (name, anchor) in &self.anchors {
            anchor.validate(&format!("audit.anchors.{name}"), findings);
        }
    }
}

impl AnchorConfig {
    fn validate(&self, key: &str, findings: &mut Findings) {
        match self.kind {
            AnchorKind::File if !Path::new(&self.path).is_absolute() => {
                findings.add(format!("{key}.path"), "is an absolute path, such as /var/lib/anchors/baluarte.jsonl");
            }
            AnchorKind::Webhook => {
                if !Url::parse(&self.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
                    findings.add(format!("{key}.url"), "is an address such as https://example.com/anchors");
                }
                if !self.secret.is_empty() && self.secret.expose().parse::<baluarte_outbound::SigningKey>().is_err() {
                    findings.add(format!("{key}.secret"), "is whsec_ and 24 to 64 bytes in base64, as Standard Webhooks says");
                }
            }
            AnchorKind::Email if !self.to.contains('@') => {
                findings.add(format!("{key}.to"), "is an e-mail address");
            }
            AnchorKind::File | AnchorKind::Email => {}
        }
    }
}
