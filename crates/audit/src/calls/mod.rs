//! The gateway's calls in the audit log: recorded on the data plane into bounded buffers, sealed here into batches, each of which is
//! one link of the chain. See docs/audit-calls.md.

pub mod actions;
pub(crate) mod batch;
pub(crate) mod call;
pub(crate) mod check;
mod config;
mod lane;
pub(crate) mod merkle;
mod recorder;
mod search;
mod upkeep;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use baluarte_telemetry::metrics::{Counter, Metrics};

pub use call::Call;
pub use config::CallsConfig;
pub use lane::Lane;
pub use recorder::Recorder;
pub use search::{BatchExport, CallExport, CallFilter, CallProof, RecordedCall};

use lane::Bells;

/// The data plane's side: one [`Lane`] for each core. Cheap to clone.
#[derive(Clone)]
pub struct Calls(Arc<Shared>);

pub(crate) struct Shared {
    lanes: Mutex<Vec<Arc<Lane>>>,
    bells: Arc<Bells>,
    /// Of one lane, in bytes.
    limit: usize,
    pub(crate) stats: Stats,
}

/// What there is to count.
#[derive(Default)]
pub(crate) struct Stats {
    pub(crate) recorded: Counter,
    pub(crate) lost: Counter,
    pub(crate) batches: Counter,
    pub(crate) failures: Counter,
}

impl Calls {
    pub fn new(config: &CallsConfig) -> Self {
        let limit = usize::try_from(config.buffer.get()).unwrap_or(usize::MAX);
        Self(Arc::new(Shared { lanes: Mutex::default(), bells: Arc::default(), limit, stats: Stats::default() }))
    }

    /// Shows the counts in `/metrics`. Call it once.
    pub fn report(&self, metrics: &Metrics) {
        let counter = |name, help| metrics.counter(name, help, &[]);
        let shown = Stats {
            recorded: counter("baluarte_audit_calls_recorded_total", "Calls that are in the audit log."),
            lost: counter(
                "baluarte_audit_calls_lost_total",
                "Calls that were not recorded because too many waited; an entry tells of them.",
            ),
            batches: counter("baluarte_audit_calls_batches_total", "Batches of calls that became a link of the chain."),
            failures: counter(
                "baluarte_audit_calls_write_failures_total",
                "Attempts to write recorded calls that failed and were repeated.",
            ),
        };
        let waiting = metrics.gauge("baluarte_audit_calls_waiting_bytes", "Recorded calls that the recorder has not taken yet.", &[]);
        let shared = Arc::clone(&self.0);
        let update = move || {
            let held: usize = shared.lanes().iter().map(|lane| lane.held()).sum();
            waiting.set(i64::try_from(held).unwrap_or(i64::MAX));
            for (shown, counted) in shown.all().into_iter().zip(shared.stats.all()) {
                shown.add(counted.get().saturating_sub(shown.get()));
            }
        };
        update();
        metrics.on_scrape(update);
    }

    /// This core's buffer. Make one for each core, and only once.
    pub fn open_lane(&self, core: usize) -> Arc<Lane> {
        let lane = Arc::new(Lane::new(core, self.0.limit, Arc::clone(&self.0.bells), self.0.stats.lost.clone()));
        self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&lane));
        lane
    }
}

impl Stats {
    fn all(&self) -> [&Counter; 4] {
        [&self.recorded, &self.lost, &self.batches, &self.failures]
    }
}

impl Shared {
    fn lanes(&self) -> Vec<Arc<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Calls")
    }
}
