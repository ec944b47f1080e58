//! What was decided, counted without one core disturbing another.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use baluarte_telemetry::{Metrics, metrics::Counter};

use crate::{config::OnStoreFailure, limits::Limits};

/// Decisions of one limit since the process began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitStats {
    pub name: String,
    pub allowed: u64,
    pub limited: u64,
    /// Decided while Redis was away, by the limit's policy. With `local` they are counted as allowed or limited too,
    /// with `open` as allowed, with `closed` as neither.
    pub store_failures: u64,
    pub on_store_failure: OnStoreFailure,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Counted {
    Allowed,
    Limited,
    StoreFailure,
}

const LANES: usize = 8;

/// Each count spread over several cache lines by the subject's digest, which is random.
#[derive(Debug, Default)]
pub(crate) struct Counters([Lane; LANES]);

#[derive(Debug, Default)]
#[repr(align(64))]
struct Lane {
    allowed: AtomicU64,
    limited: AtomicU64,
    store_failures: AtomicU64,
}

impl Counters {
    pub(crate) fn add(&self, what: Counted, digest: u128) {
        let lane = &self.0[digest as usize % LANES];
        let count = match what {
            Counted::Allowed => &lane.allowed,
            Counted::Limited => &lane.limited,
            Counted::StoreFailure => &lane.store_failures,
        };
        count.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self, name: &str, on_store_failure: OnStoreFailure) -> LimitStats {
        let sum = |count: fn(&Lane) -> &AtomicU64| self.0.iter().map(|lane| count(lane).load(Relaxed)).sum();
        LimitStats {
            name: name.to_owned(),
            allowed: sum(|lane| &lane.allowed),
            limited: sum(|lane| &lane.limited),
            store_failures: sum(|lane| &lane.store_failures),
            on_store_failure,
        }
    }
}

impl Limits {
    /// Shows the counts in `/metrics`: `baluarte_limits_decisions_total` and `baluarte_limits_store_failures_total`. Call it once.
    pub fn report(&self, metrics: &Metrics) {
        let series: Mutex<Vec<Series>> = Mutex::default();
        let (limits, registry) = (self.clone(), metrics.clone());
        let update = move || {
            // A panic in here leaves numbers that the next reading corrects.
            let mut series = series.lock().unwrap_or_else(PoisonError::into_inner);
            for (at, stats) in limits.snapshot().into_iter().enumerate() {
                // A reload adds limits behind those that are there.
                if series.len() == at {
                    series.push(Series::new(&registry, &stats));
                }
                series[at].update(&registry, stats);
            }
        };
        // All series are there from the start, at zero.
        update();
        metrics.on_scrape(update);
    }
}

/// One limit in `/metrics`.
struct Series {
    /// As it was when last shown.
    shown: LimitStats,
    allowed: Counter,
    limited: Counter,
    store_failures: Counter,
}

impl Series {
    fn new(metrics: &Metrics, stats: &LimitStats) -> Self {
        let decisions = |decision| {
            let labels: &[(&str, &str)] = &[("limit", &stats.name), ("decision", decision)];
            metrics.counter("baluarte_limits_decisions_total", "Requests a limit allowed or refused.", labels)
        };
        let shown = LimitStats { allowed: 0, limited: 0, store_failures: 0, ..stats.clone() };
        Self { shown, allowed: decisions("allowed"), limited: decisions("limited"), store_failures: store_failures(metrics, stats) }
    }

    fn update(&mut self, metrics: &Metrics, stats: LimitStats) {
        if stats.on_store_failure != self.shown.on_store_failure {
            self.store_failures = store_failures(metrics, &stats);
        }
        self.allowed.add(stats.allowed.saturating_sub(self.shown.allowed));
        self.limited.add(stats.limited.saturating_sub(self.shown.limited));
        self.store_failures.add(stats.store_failures.saturating_sub(self.shown.store_failures));
        self.shown = stats;
    }
}

fn store_failures(metrics: &Metrics, stats: &LimitStats) -> Counter {
    let labels: &[(&str, &str)] = &[("limit", &stats.name), ("policy", stats.on_store_failure.as_str())];
    let help = "Requests judged by a limit's failure policy because Redis was away.";
    metrics.counter("baluarte_limits_store_failures_total", help, labels)
}
