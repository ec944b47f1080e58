//! The section `[telemetry]`.

use baluarte_kernel::Findings;
use serde::{Deserialize, Serialize};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// JSON in production, text in development.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Logs.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or per part: `"info,gateway=debug"`. Also `LOG_LEVEL`.
    pub log_level: String,
    /// `auto` (JSON in production, text in development), `json` or `text`.
    pub log_format: LogFormat,
    /// A file that gets the same lines as standard output; empty: none. At 10 MB it becomes `FILE.1`, and that `FILE.2`: three files at most.
    pub log_file: String,
    /// One line per request answered. Needs a level of `info` or lower for the target `access`.
    pub access_log: bool,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { log_level: "info".to_owned(), log_format: LogFormat::Auto, log_file: String::new(), access_log: true }
    }
}

impl TelemetryConfig {
    pub fn validate(&self, findings: &mut Findings) {
        if let Err(err) = crate::log::filter(&self.log_level) {
            findings.add(
                "telemetry.log_level",
                format!("{:?} is not a level ({err}); write error, warn, info, debug or trace, or \"info,gateway=debug\"", self.log_level),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_level_is_a_finding_and_not_silence() {
        let valid = |level: &str| {
            let mut findings = Findings::default();
            TelemetryConfig { log_level: level.to_owned(), ..TelemetryConfig::default() }.validate(&mut findings);
            findings.into_vec().is_empty()
        };
        for level in ["info", "DEBUG", "off", "warn,gateway=debug"] {
            assert!(valid(level), "{level}");
        }
        for level in ["loud", "inof", "verbose,gateway=debug", "gateway=loud"] {
            assert!(!valid(level), "{level}");
        }
    }
}
