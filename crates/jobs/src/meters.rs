//! What `/metrics` tells of jobs.

use std::{collections::HashMap, time::Duration};

use baluarte_telemetry::{
    Metrics,
    metrics::{Counter, Gauge, Histogram},
};

use crate::store::{claim::Ending, upkeep::Tally};

/// Of one worker.
pub(crate) struct WorkMeters {
    metrics: Metrics,
    kinds: HashMap<String, KindMeters>,
    waited: Histogram,
    pub(crate) running: Gauge,
}

struct KindMeters {
    /// By outcome.
    outcomes: [Counter; 5],
    took: Histogram,
}

const OUTCOMES: [&str; 5] = ["done", "retried", "snoozed", "dead", "canceled"];

impl WorkMeters {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            kinds: HashMap::new(),
            waited: metrics.histogram("baluarte_jobs_wait_seconds", "From when a job was due until it was begun.", &[]),
            running: metrics.gauge("baluarte_jobs_running", "Jobs that this process runs.", &[]),
            metrics,
        }
    }

    pub(crate) fn begun(&self, waited: Duration) {
        self.waited.observe(waited);
    }

    pub(crate) fn ended(&mut self, kind: &str, ending: &Ending, took: Duration) {
        // Kinds are those of the program: there are few.
        if !self.kinds.contains_key(kind) {
            let meters = KindMeters {
                outcomes: OUTCOMES.map(|outcome| {
                    let labels = [("kind", kind), ("outcome", outcome)];
                    self.metrics.counter("baluarte_jobs_runs_total", "Runs of jobs by how they ended.", &labels)
                }),
                took: self.metrics.histogram("baluarte_jobs_run_seconds", "How long runs of jobs took.", &[("kind", kind)]),
            };
            self.kinds.insert(kind.to_owned(), meters);
        }
        let Some(meters) = self.kinds.get(kind) else { return };
        let outcome = match ending {
            Ending::Done => 0,
            Ending::Retry { counts: true, .. } => 1,
            Ending::Retry { counts: false, .. } => 2,
            Ending::Dead { .. } => 3,
            Ending::Canceled { .. } => 4,
        };
        meters.outcomes[outcome].add(1);
        meters.took.observe(took);
    }
}

/// Of the queue as a whole, as this process sees it.
pub(crate) struct QueueMeters {
    metrics: Metrics,
    /// By kind and state.
    jobs: HashMap<(String, String), (Gauge, Gauge)>,
    pub(crate) workers: Gauge,
    pub(crate) workers_lost: Counter,
    pub(crate) rescued: Counter,
    pub(crate) pruned: Counter,
}

impl QueueMeters {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            jobs: HashMap::new(),
            workers: metrics.gauge("baluarte_jobs_workers", "Workers that are alive, of all replicas.", &[]),
            workers_lost: metrics.counter("baluarte_jobs_workers_lost_total", "Workers that fell silent, noticed by this process.", &[]),
            rescued: metrics.counter("baluarte_jobs_rescued_total", "Jobs of lost workers that went back to the queue.", &[]),
            pruned: metrics.counter("baluarte_jobs_pruned_total", "Finished jobs that were deleted.", &[]),
            metrics,
        }
    }

    pub(crate) fn set(&mut self, tally: &[Tally], age: impl Fn(&Tally) -> Duration) {
        for (jobs, oldest) in self.jobs.values() {
            jobs.set(0);
            oldest.set(0);
        }
        for one in tally {
            let (jobs, oldest) = self.jobs.entry((one.kind.clone(), one.state.clone())).or_insert_with(|| {
                let labels = [("kind", one.kind.as_str()), ("state", one.state.as_str())];
                let jobs = self.metrics.gauge("baluarte_jobs_count", "Jobs in the queue by kind and state, done ones left out.", &labels);
                let oldest = self.metrics.gauge(
                    "baluarte_jobs_oldest_seconds",
                    "How long the first of them has been due, running or over.",
                    &labels,
                );
                (jobs, oldest)
            });
            jobs.set(i64::from(one.jobs));
            oldest.set(i64::try_from(age(one).as_secs()).unwrap_or(i64::MAX));
        }
    }
}
