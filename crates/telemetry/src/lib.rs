#![doc = include_str!("../README.md")]

mod access;
mod config;
mod exporter;
mod file;
mod lines;
mod log;
pub mod metrics;
mod process;

use std::sync::Arc;

pub use access::{AccessLog, AccessNote, AccessRecord, Surface, Witness};
pub use config::{LogFormat, TelemetryConfig};
pub use exporter::serve_metrics;
pub use log::{InitError, init};
pub use metrics::Metrics;

use lines::{Lines, Style};
use log::Level;

/// What every part of the process reports to. Cheap to clone.
#[derive(Clone)]
pub struct Telemetry {
    /// The numbers behind `GET /metrics`.
    pub metrics: Metrics,
    lines: Arc<Lines>,
    style: Style,
    access_log: bool,
    level: Option<Level>,
}

impl Telemetry {
    /// For tests: numbers are kept, log lines go nowhere, the process's own logging is left alone.
    pub fn silent() -> Self {
        let metrics = Metrics::default();
        Self {
            lines: Arc::new(Lines::start(Box::new(std::io::sink()), &metrics)),
            metrics,
            style: Style::Json,
            access_log: false,
            level: None,
        }
    }

    /// For tests: writes JSON lines, the access log included, to `out`.
    pub fn writing_to(out: Box<dyn std::io::Write + Send>) -> Self {
        let metrics = Metrics::default();
        Self { lines: Arc::new(Lines::start(out, &metrics)), metrics, style: Style::Json, access_log: true, level: None }
    }

    /// One core's access log. Make one per core: each has a buffer of its own.
    pub fn access_log(&self) -> AccessLog {
        AccessLog::new(self.access_log.then(|| self.lines.lane()), self.style)
    }

    /// From now on logs at this `log_level`, which has been validated. Whether there is an access log stays as it was.
    pub fn set_level(&self, log_level: &str) -> Result<(), InitError> {
        self.level.as_ref().map_or(Ok(()), |level| level.set(log_level))
    }

    /// Writes out what is still in memory; the last thing before the process ends. Waits at most two seconds.
    pub fn flush(&self) {
        self.lines.flush();
    }
}
