//! The loop that takes jobs, runs them and writes down what became of them.

use std::{sync::Arc, time::Duration};

use baluarte_db::DbError;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{Jobs, TOPIC, attempt::Runner, registry::Registry, store::queue};

/// A wake-up may get lost; looking now and then makes up for it.
const POLL: Duration = Duration::from_secs(1);

impl Jobs {
    /// Does jobs until told to stop.
    pub async fn work(self, registry: Registry, stopping: CancellationToken) {
        let mut hints = self.inner.backplane.subscribe(TOPIC);
        let runner = self.runner(registry);
        let worker = format!("wrk_{:016x}", rand::random::<u64>());
        let (sender, mut ended) = mpsc::unbounded_channel();
        let mut running = JoinSet::new();
        while !stopping.is_cancelled() {
            match self.turn(&runner, &worker, &mut ended, usize::MAX).await {
                Ok(claimed) => {
                    for job in claimed {
                        let (sender, run) = (sender.clone(), Arc::clone(&runner).run(job, CancellationToken::new()));
                        running.spawn(async move { drop(sender.send(run.await)) });
                    }
                }
                Err(err) => tracing::warn!(target: "jobs", error = %err, "jobs cannot be taken for now"),
            }
            while running.try_join_next().is_some() {}
            tokio::select! {
                () = stopping.cancelled() => {}
                () = self.inner.wake.notified() => {}
                _ = hints.next() => {}
                Some(_) = running.join_next() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
        running.shutdown().await;
        if let Err(err) = self.put_down(&worker, &mut ended).await {
            tracing::warn!(target: "jobs", error = %err, "unfinished jobs could not be given back");
        }
    }

    /// What ended is written down, the rest goes back to the queue.
    async fn put_down(&self, worker: &str, ended: &mut mpsc::UnboundedReceiver<queue::Ended>) -> Result<(), DbError> {
        let endings: Vec<_> = std::iter::from_fn(|| ended.try_recv().ok()).collect();
        let tx = self.inner.db.begin().await?;
        queue::finish(&tx, worker, &endings, self.inner.clock.now()).await?;
        queue::give_back(&tx, worker).await?;
        tx.commit().await
    }

    /// Runs everything that is due, jobs enqueued meanwhile included, one after the other in the order of the queue, and
    /// returns the kinds. For tests: without any worker it is certain what happens when.
    pub async fn run_due_for_tests(&self, registry: &Registry) -> Result<Vec<String>, DbError> {
        let runner = self.runner(registry.clone());
        let (sender, mut ended) = mpsc::unbounded_channel();
        let mut kinds = Vec::new();
        loop {
            let claimed = self.turn(&runner, "wrk_test", &mut ended, 1).await?;
            if claimed.is_empty() {
                return Ok(kinds);
            }
            for job in claimed {
                kinds.push(job.kind.clone());
                drop(sender.send(Arc::clone(&runner).run(job, CancellationToken::new()).await));
            }
        }
    }

    /// In one commit: what became of the runs that ended, and the next ones.
    async fn turn(
        &self,
        runner: &Runner,
        worker: &str,
        ended: &mut mpsc::UnboundedReceiver<queue::Ended>,
        limit: usize,
    ) -> Result<Vec<queue::Claimed>, DbError> {
        let endings: Vec<_> = std::iter::from_fn(|| ended.try_recv().ok()).collect();
        let now = self.inner.clock.now();
        let limit = limit.min(self.inner.config.concurrency as usize);
        let tx = self.inner.db.begin().await?;
        queue::finish(&tx, worker, &endings, now).await?;
        queue::promote(&tx, now).await?;
        let shared: Vec<&str> = runner.registry.kinds().filter(|kind| !runner.has_lane(kind)).collect();
        let mut claimed = queue::claim(&tx, self.inner.db.dialect(), worker, "", &shared, limit, now).await?;
        for lane in runner.registry.kinds().filter(|kind| runner.has_lane(kind)) {
            claimed.extend(queue::claim(&tx, self.inner.db.dialect(), worker, lane, &[lane], 1, now).await?);
            if limit == 1 && !claimed.is_empty() {
                break;
            }
        }
        tx.commit().await?;
        Ok(claimed)
    }

    fn runner(&self, registry: Registry) -> Arc<Runner> {
        let inner = &self.inner;
        Arc::new(Runner { registry, config: inner.config.clone(), secrets: inner.secrets.clone(), clock: inner.clock.clone() })
    }
}

impl Runner {
    fn has_lane(&self, kind: &str) -> bool {
        self.registry.handlers.get(kind).is_some_and(|handler| handler.policy.at_once.is_some())
    }
}
