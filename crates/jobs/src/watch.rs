//! What every process that serves does for the queue, worker or not: carries hints, notices workers that fell silent, counts,
//! and throws away what nobody needs any more.

use std::{
    collections::HashMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use baluarte_db::DbError;
use baluarte_telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use crate::{
    Jobs,
    attempt::back_off,
    bell::Ring,
    meters::QueueMeters,
    registry::Registry,
    store::{upkeep, workers},
};

/// Signs of life in each heartbeat, and looks for those of others.
pub(crate) const BEATS: u32 = 3;
/// Heartbeats of silence that are borne with of a process that certainly lives, this one included: it waits for SQLite's one writer or for
/// a slow disk, or hangs.
const OF_THE_LIVING: u32 = 10;
/// Lost workers are shown so long.
const LOST_SHOWN: Duration = Duration::from_secs(86_400);
/// Finished jobs are looked through so often.
const PRUNE: Duration = Duration::from_secs(30);
/// Counting a long queue takes its time: it is done so much less often than it takes.
const COUNT_RATIO: u32 = 50;

struct Watch {
    jobs: Jobs,
    registry: Registry,
    meters: QueueMeters,
    /// What each worker said last, and since when it has said nothing else, by our own clock: neither a clock that is set nor two that
    /// differ make a worker look silent. Empty after an outage or a break of our own: then everybody does.
    signs: HashMap<String, (i64, Instant)>,
    looked_at: Instant,
    count_at: Instant,
    prune_at: Instant,
    /// Since when, as far as we saw, nobody does what is due.
    nobody_since: Option<Instant>,
    told_nobody_works: bool,
}

impl Jobs {
    /// Looks after the queue until told to stop; one for each process that serves. `registry`: of all components.
    pub async fn watch(self, registry: Registry, metrics: Metrics, stopping: CancellationToken) {
        let mut watch = Watch::new(self.clone(), registry, metrics);
        let look = async {
            let mut ticks = tokio::time::interval(self.inner.config.heartbeat.get() / BEATS);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if watch.round().await.is_err() {
                    watch.signs.clear();
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

impl crate::Inner {
    /// How long a worker may be silent until others do its jobs. `lives`: its process is known to be there.
    pub(crate) fn patience(&self, lives: bool) -> Duration {
        self.config.heartbeat.get() * if lives { OF_THE_LIVING } else { 1 }
    }
}

impl Watch {
    fn new(jobs: Jobs, registry: Registry, metrics: Metrics) -> Self {
        let (meters, now) = (QueueMeters::new(metrics), Instant::now());
        let signs = HashMap::new();
        Self { jobs, registry, meters, signs, looked_at: now, count_at: now, prune_at: now, nobody_since: None, told_nobody_works: false }
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

    /// A worker that has said nothing new for a whole heartbeat, while we looked all the time, is lost.
    async fn rescue(&mut self) -> Result<(), DbError> {
        let inner = std::sync::Arc::clone(&self.jobs.inner);
        for silent in self.silent().await? {
            let Some((name, seen_at)) = workers::lose(&inner.db, &silent, inner.clock.now()).await? else { continue };
            tracing::error!(target: "jobs", worker = name, %seen_at, "a worker is lost: no sign of life; its jobs go to others");
            self.meters.workers_lost.add(1);
        }
        loop {
            let now = inner.clock.now();
            let orphans = workers::orphans(&inner.db).await?;
            let found = orphans.len();
            if found == 0 {
                return Ok(());
            }
            let policy = |kind: &str| self.registry.handlers.get(kind).map(|handler| handler.policy);
            let next = |it: &workers::Orphan| now.plus(back_off(policy(&it.kind), &inner.config, it.attempts));
            let orphans: Vec<_> = orphans.into_iter().map(|it| (next(&it), it)).map(|(at, it)| (it, at)).collect();
            let rescued = workers::rescue(&inner.db, &orphans, now).await?;
            if rescued > 0 {
                tracing::warn!(target: "jobs", jobs = rescued, "jobs of lost workers are back in the queue");
                self.meters.rescued.add(rescued as u64);
                inner.bell.ring(Ring::Later);
            }
            if found < workers::RESCUED_AT_ONCE {
                return Ok(());
            }
        }
    }

    async fn silent(&mut self) -> Result<Vec<workers::Sign>, DbError> {
        let inner = &self.jobs.inner;
        let heartbeat = inner.config.heartbeat.get();
        let before = std::mem::replace(&mut self.looked_at, Instant::now());
        if before.elapsed() > heartbeat {
            // We have been away ourselves: stopped, or without time.
            self.signs.clear();
        }
        let (signs, now) = (workers::signs(&inner.db).await?, Instant::now());
        self.signs.retain(|id, _| signs.iter().any(|sign| sign.id == *id));
        let mut silent = Vec::new();
        for sign in signs {
            let (seen_at, since) = self.signs.entry(sign.id.clone()).or_insert((sign.seen_at, now));
            if *seen_at != sign.seen_at {
                (*seen_at, *since) = (sign.seen_at, now);
            } else if now.duration_since(*since) >= inner.patience(self.jobs.is_here(&sign.id) || inner.db.lives(&sign.id)) {
                silent.push(sign);
            }
        }
        Ok(silent)
    }

    async fn count(&mut self) -> Result<(), DbError> {
        let inner = &self.jobs.inner;
        let tally = upkeep::tally(&inner.db, false).await?;
        let now = inner.clock.now();
        self.meters.set(&tally, |one| now.since(one.since));
        let waiting = |state: &str| tally.iter().filter(|one| one.state == state).map(|one| u64::from(one.jobs)).sum::<u64>();
        let queued = waiting("ready") + waiting("scheduled");
        let before = inner.queued.swap(queued, Ordering::Relaxed);
        let reached = |most: u64| (before < most, queued < most);
        match reached(u64::from(inner.config.max_queued)) {
            (true, false) => tracing::error!(target: "jobs", queued, "the queue is full: new jobs are refused (jobs.max_queued)"),
            (false, true) => tracing::info!(target: "jobs", queued, "the queue takes jobs again"),
            _ => {}
        }
        if reached(inner.config.with_reserve()) == (true, false) {
            let what = "the queue's reserve is used up: what has happened cannot be followed up, so it is refused (jobs.max_queued)";
            tracing::error!(target: "jobs", queued, "{what}");
        }
        let alive = workers::list(&inner.db).await?.iter().filter(|worker| worker.lost_at.is_none()).count();
        self.meters.workers.set(i64::try_from(alive).unwrap_or(i64::MAX));
        let heartbeat = inner.config.heartbeat.get();
        // Without a worker what is due does not even become ready.
        let due = |one: &upkeep::Tally| matches!(one.state.as_str(), "ready" | "scheduled") && now.since(one.since) > heartbeat;
        // Not at once: a worker that has just been started has not signed on yet.
        let since = (alive == 0 && tally.iter().any(due)).then(|| *self.nobody_since.get_or_insert_with(Instant::now));
        let nobody_works = since.is_some_and(|since| since.elapsed() >= heartbeat);
        self.nobody_since = since;
        if nobody_works != std::mem::replace(&mut self.told_nobody_works, nobody_works) {
            match nobody_works {
                true => {
                    tracing::error!(target: "jobs", waiting = queued, "jobs wait and no worker is there: start one with `baluarte worker`")
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
