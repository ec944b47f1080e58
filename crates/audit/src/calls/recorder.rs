//! Empties the lanes, seals what was in them, writes it: off the request's path, on the control plane.

use std::{sync::Arc, time::Duration};

use baluarte_db::{Db, DbError};
use baluarte_kernel::{Clock, Ctx};
use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Calls,
    actions::{CALLS_LOST, CALLS_RECORDED},
    batch::{Sealed, seal},
    lane::{Gap, Taken},
};
use crate::{Audit, Entry, store};

/// Between attempts while the database is away.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// Writes recorded calls until it is told to stop, and then what is left.
pub struct Recorder {
    calls: Calls,
    audit: Audit,
    db: Db,
    clock: Clock,
    every: Duration,
    taken: Taken,
    unwritten: Unwritten,
}

/// Told of when it is dropped with something in it.
#[derive(Default)]
struct Unwritten {
    batches: std::collections::VecDeque<Arc<Sealed>>,
    gaps: Vec<Gap>,
}

impl Recorder {
    pub fn new(calls: Calls, audit: Audit, db: Db, clock: Clock, every: Duration) -> Self {
        Self { calls, audit, db, clock, every, taken: Taken::default(), unwritten: Unwritten::default() }
    }

    /// Resolves once `stop` is cancelled and everything that was recorded before is written; the caller bounds the wait.
    pub async fn run(mut self, stop: CancellationToken) {
        let bells = Arc::clone(&self.calls.0.bells);
        while stop.run_until_cancelled(bells.some.notified()).await.is_some() {
            tokio::select! {
                () = sleep(self.every) => {}
                () = bells.many.notified() => {}
                () = stop.cancelled() => {}
            }
            bells.answer();
            self.write_all().await;
        }
        self.write_all().await;
    }

    /// Everything that waits now; while the database is away this does not return, and the lanes fill up to their bound.
    async fn write_all(&mut self) {
        let mut frames = Vec::new();
        for lane in self.calls.0.lanes() {
            self.unwritten.gaps.extend(self.taken.from(&lane, &mut frames));
        }
        // Hashing and packing would hold up a thread that others share.
        let sealed = spawn_blocking(move || {
            let mut at = 0;
            std::iter::from_fn(|| seal(&frames, &mut at)).map(Arc::new).collect::<Vec<_>>()
        });
        match sealed.await {
            Ok(sealed) => self.unwritten.batches.extend(sealed),
            // Only when the runtime is going away.
            Err(err) => tracing::error!(target: "audit", error = %err, "recorded calls could not be sealed and are lost"),
        }
        while let Some(batch) = self.unwritten.batches.front().cloned() {
            self.write_until_done(&batch).await;
            self.unwritten.batches.pop_front();
            self.unwritten.gaps.clear();
            self.calls.0.stats.recorded.add(batch.calls as u64);
            self.calls.0.stats.batches.add(1);
        }
    }

    async fn write_until_done(&self, batch: &Sealed) {
        let (mut pause, mut told) = (FIRST_PAUSE, false);
        while let Err(err) = self.write(batch).await {
            self.calls.0.stats.failures.add(1);
            if !told {
                tracing::error!(
                    target: "audit", error = &err as &dyn std::error::Error, calls = batch.calls,
                    "recorded calls cannot be written; they are kept in memory as far as audit.calls.buffer allows"
                );
                told = true;
            }
            sleep(pause).await;
            pause = (2 * pause).min(LAST_PAUSE);
        }
        if told {
            tracing::info!(target: "audit", "recorded calls are written again");
        }
    }

    /// The batch, its link, and a link for each gap before it, at once. Doing it again does no harm.
    async fn write(&self, batch: &Sealed) -> Result<(), DbError> {
        let tx = self.db.begin().await?;
        if !store::calls::insert_batch(&tx, batch).await? {
            return tx.rollback().await;
        }
        let ctx = Ctx::system(self.clock.clone());
        for gap in &self.unwritten.gaps {
            let entry = Entry::new(&CALLS_LOST, "calls").failure().detail("calls", gap.count).detail("core", gap.core);
            self.audit.record(&ctx, &tx, entry.detail("first_at", gap.first_at).detail("last_at", gap.last_at));
        }
        let entry = Entry::new(&CALLS_RECORDED, "calls").of(batch.id).batch();
        let entry = entry.detail("calls", batch.calls).detail("first_at", batch.first_at).detail("last_at", batch.last_at);
        self.audit.record(&ctx, &tx, entry.detail("private_root", batch.private_root).detail("root", batch.root));
        tx.commit().await
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        let calls: usize = self.batches.iter().map(|batch| batch.calls).sum();
        let lost: u64 = self.gaps.iter().map(|gap| gap.count).sum();
        if calls > 0 || lost > 0 {
            tracing::error!(target: "audit", calls, lost, "stopped before all recorded calls were written: the database was away");
        }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}
