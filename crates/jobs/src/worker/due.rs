//! Jobs without a worker, for tests: it is certain what happens when.

use std::sync::Arc;

use baluarte_db::DbError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::lanes::Lanes;
use crate::{
    Jobs,
    registry::Registry,
    schedule::Agenda,
    store::{
        claim::{self, Taker},
        workers,
    },
};

impl Jobs {
    /// Starts the schedules that are due, as a worker does that has just begun. For tests.
    pub async fn start_schedules_for_tests(&self, registry: &Registry) -> Result<(), DbError> {
        Agenda::forget_others(self, &registry.schedules).await?;
        Agenda::open(self, &registry.schedules).await?.start_due(self).await
    }

    /// Runs every job that is due, those enqueued meanwhile included, one after the
    /// other in the order of the queue; returns their kinds. For tests: without a worker it is certain what happens when.
    pub async fn run_due_for_tests(&self, registry: &Registry) -> Result<Vec<String>, DbError> {
        let inner = &self.inner;
        let (runner, lanes) = (self.runner(registry.clone()), Lanes::of(registry));
        let id = format!("wrk_test_{:016x}", rand::random::<u64>());
        workers::register(&inner.db, &id, "test", 1, inner.clock.now()).await?;
        let taker = || Taker { worker: &id, now: inner.clock.now() };
        let mut kinds = Vec::new();
        loop {
            let tx = inner.db.begin().await?;
            claim::promote(&tx, &inner.db, inner.clock.now()).await?;
            let mut next = None;
            claim::prepare(&tx, &inner.db).await?;
            for lane in lanes.all() {
                next = claim::claim(&tx, &inner.db, taker(), lane.name, &lane.kinds, 1).await?.pop();
                if next.is_some() {
                    break;
                }
            }
            tx.commit().await?;
            let Some(job) = next else { break };
            kinds.push(job.kind.clone());
            let (sender, _reports) = mpsc::channel(1);
            let ended = Arc::clone(&runner).run(job, 0, CancellationToken::new(), sender).await;
            let tx = inner.db.begin().await?;
            claim::finish(&tx, &inner.db, taker(), &[ended]).await?;
            tx.commit().await?;
        }
        let tx = inner.db.begin().await?;
        workers::leave(&tx, &id).await?;
        tx.commit().await?;
        Ok(kinds)
    }
}
