//! What was decided, counted without one core disturbing another.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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
        let series = |stats: &LimitStats| {
            let decisions = |decision| {
                let labels: &[(&str, &str)] = &[("limit", &stats.name), ("decision", decision)];
                metrics.counter("baluarte_limits_decisions_total", "Requests a limit allowed or refused.", labels)
            };
            let labels: &[(&str, &str)] = &[("limit", &stats.name), ("policy", stats.on_store_failure.as_str())];
            let failures = "Requests judged by a limit's failure policy because Redis was away.";
            [decisions("allowed"), decisions("limited"), metrics.counter("baluarte_limits_store_failures_total", failures, labels)]
        };
        let series: Vec<[Counter; 3]> = self.snapshot().iter().map(series).collect();
        let limits = self.clone();
        metrics.on_scrape(move || {
            for (counters, stats) in series.iter().zip(limits.snapshot()) {
                for (counter, count) in counters.iter().zip([stats.allowed, stats.limited, stats.store_failures]) {
                    counter.add(count.saturating_sub(counter.get()));
                }
            }
        });
    }
}
