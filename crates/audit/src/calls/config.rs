use baluarte_kernel::{ByteSize, Findings, Period};
use serde::{Deserialize, Serialize};

/// `[audit.calls]`: the calls of routes with `audit = "all"` or `"writes"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CallsConfig {
    /// Recorded calls are written so often, or earlier when many wait. What a crash can lose.
    pub every: Period,
    /// What may wait in memory on each core while the database does not keep up; a call more is lost, and an entry says how many were.
    pub buffer: ByteSize,
    /// Addresses and user agents of calls older than this are erased; the calls stay. A month is what the law gives for erasing a person.
    pub keep_addresses: Period,
}

impl Default for CallsConfig {
    fn default() -> Self {
        Self { every: Period::from_secs(1), buffer: ByteSize::from_bytes(8 << 20), keep_addresses: Period::from_secs(30 * 86_400) }
    }
}

impl CallsConfig {
    pub fn validate(&self, findings: &mut Findings) {
        if self.every < Period::from_millis(10) || self.every > Period::from_secs(60) {
            findings.add("audit.calls.every", "is between 10ms and 1m");
        }
        if self.buffer < ByteSize::from_bytes(1 << 12) || self.buffer > ByteSize::from_bytes(1 << 30) {
            findings.add("audit.calls.buffer", "is between 4KB and 1GB");
        }
        if self.keep_addresses < Period::from_secs(3_600) {
            findings.add("audit.calls.keep_addresses", "is at least one hour");
        }
    }
}
