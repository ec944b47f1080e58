//! What every process that serves does for the queue, worker or not: carries hints, notices workers that fell silent, counts,
//! and throws away what nobody needs any more.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use baluarte_db::DbError;
use baluarte_telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use crate::{
    Jobs,
    bell::Ring,
    meters::QueueMeters,
    store::{upkeep, workers},
};

/// Signs of life in each heartbeat, and looks for those of others.
pub(crate) const BEATS: u32 = 3;
/// Lost workers are shown so long.
const LOST_SHOWN: Duration = Duration::from_secs(86_400);
/// Finished jobs are looked through so often.
const PRUNE: Duration = Duration::from_secs(30);
/// Counting a long queue takes its time: it is done so much less often than it takes.
const COUNT_RATIO: u32 = 50;

struct Watch {
    jobs: Jobs,
    meters: QueueMeters,
    /// Since when the database has been there without a break, as far as we saw.
    present_since: Option<Instant>,
    count_at: Instant,
    prune_at: Instant,
    told_nobody_works: bool,
}

impl Jobs {
    /// Looks after the queue until told to stop; one for each process that serves.
    pub async fn watch(self, metrics: Metrics, stopping: CancellationToken) {
        let mut watch = Watch::new(self.clone(), metrics);
        let look = async {
            let mut ticks = tokio::time::interval(self.inner.config.heartbeat.get() / BEATS);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if watch.round().await.is_err() {
                    watch.present_since = None;
                }
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = self.inner.bell.carry(&self.inner.db, &self.inner.backplane) => {}
            () = look => {}
        }
        self.flush_hints().await;
    }

    /// Sends hints that nobody has sent yet. Commands do it before they end.
    pub async fn flush_hints(&self) {
        self.inner.bell.flush(&self.inner.db, &self.inner.backplane).await;
    }
}

impl Watch {
    fn new(jobs: Jobs, metrics: Metrics) -> Self {
        let (meters, now) = (QueueMeters::new(metrics), Instant::now());
        Self { jobs, meters, present_since: None, count_at: now, prune_at: now, told_nobody_works: false }
    }

    /// What fails is done the next time; the pools and the worker tell of an outage.
    async fn round(&mut self) -> Result<(), DbError> {
        self.rescue().await?;
        let now = Instant::now();
        if now >= self.count_at {
            self.count().await?;
            self.count_at = Instant::now() + now.elapsed() * COUNT_RATIO;
        }
        if now >= self.prune_at {
            self.prune_at = now + PRUNE;
            self.prune().await?;
        }
        Ok(())
    }

    /// After an outage of the database everybody looks silent: only who has seen it for a whole heartbeat judges others.
    async fn rescue(&mut self) -> Result<(), DbError> {
        let inner = &self.jobs.inner;
        let (heartbeat, now) = (inner.config.heartbeat.get(), inner.clock.now());
        let since = *self.present_since.get_or_insert_with(Instant::now);
        let silent_since = if since.elapsed() >= heartbeat { now.minus(heartbeat) } else { baluarte_kernel::Timestamp::default() };
        let rescued = workers::rescue(&inner.db, silent_since, now).await?;
        for (name, seen_at) in &rescued.lost {
            tracing::error!(target: "jobs", worker = name, %seen_at, "a worker is lost: no sign of life; its jobs go to others");
            self.meters.workers_lost.add(1);
        }
        if rescued.jobs > 0 {
            tracing::warn!(target: "jobs", jobs = rescued.jobs, "jobs of lost workers are back in the queue");
            self.meters.rescued.add(rescued.jobs as u64);
            rescued.lanes.into_iter().for_each(|lane| inner.bell.ring(Ring::Lane(lane)));
        }
        Ok(())
    }

    async fn count(&mut self) -> Result<(), DbError> {
        let inner = &self.jobs.inner;
        let tally = upkeep::tally(&inner.db, false).await?;
        let now = inner.clock.now();
        self.meters.set(&tally, |one| now.since(one.since));
        let waiting = |state: &str| tally.iter().filter(|one| one.state == state).map(|one| u64::from(one.jobs)).sum::<u64>();
        let queued = waiting("ready") + waiting("scheduled");
        let full = queued >= u64::from(inner.config.max_queued);
        if full != inner.full.swap(full, Ordering::Relaxed) {
            match full {
                true => tracing::error!(target: "jobs", queued, "the queue is full: new jobs are refused (jobs.max_queued)"),
                false => tracing::info!(target: "jobs", queued, "the queue takes jobs again"),
            }
        }
        let alive = workers::list(&inner.db).await?.iter().filter(|worker| worker.lost_at.is_none()).count();
        self.meters.workers.set(i64::try_from(alive).unwrap_or(i64::MAX));
        let heartbeat = inner.config.heartbeat.get();
        let nobody_works = alive == 0 && tally.iter().any(|one| one.state == "ready" && now.since(one.since) > heartbeat);
        if nobody_works != std::mem::replace(&mut self.told_nobody_works, nobody_works) {
            match nobody_works {
                true => {
                    tracing::error!(target: "jobs", waiting = waiting("ready"), "jobs wait and no worker is there: start one with `baluarte worker`")
                }
                false => tracing::info!(target: "jobs", "a worker is there again"),
            }
        }
        Ok(())
    }

    async fn prune(&self) -> Result<(), DbError> {
        let inner = &self.jobs.inner;
        let (config, now) = (&inner.config, inner.clock.now());
        let done = upkeep::prune(&inner.db, upkeep::DONE, now.minus(config.keep_done.get()), config.keep_at_most).await?;
        let buried = upkeep::prune(&inner.db, upkeep::BURIED, now.minus(config.keep_dead.get()), config.keep_at_most).await?;
        self.meters.pruned.add(done + buried);
        upkeep::forget_workers(&inner.db, now.minus(LOST_SHOWN)).await
    }
}

#[cfg(test)]
mod tests;
