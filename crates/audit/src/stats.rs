//! What `/metrics` shows.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use baluarte_telemetry::Metrics;

use crate::Audit;

impl Audit {
    /// Shows the counts in `/metrics`. Call it once.
    pub fn report(&self, metrics: &Metrics) {
        let recorded = metrics.counter("baluarte_audit_entries_total", "Entries that were recorded.", &[]);
        let left_out = metrics.counter(
            "baluarte_audit_left_out_total",
            "Entries that were counted instead of kept, because there were too many.",
            &[],
        );
        let failures = metrics.counter("baluarte_audit_anchor_failures_total", "Times that checkpoints did not arrive at an anchor.", &[]);
        let holds =
            metrics.gauge("baluarte_audit_chain_holds", "1 unless the last check of the chain by this replica found it broken.", &[]);
        let counts = Arc::clone(&self.inner.counts);
        let update = move || {
            let total = |counter: &baluarte_telemetry::metrics::Counter, now: u64| counter.add(now.saturating_sub(counter.get()));
            total(&recorded, counts.recorded.load(Relaxed));
            total(&left_out, counts.left_out.load(Relaxed));
            total(&failures, counts.anchor_failures.load(Relaxed));
            holds.set(i64::from(!counts.broken.load(Relaxed)));
        };
        update();
        metrics.on_scrape(update);
    }
}
