//! Timetables become jobs: of all replicas one starts each run, and what was missed is told.

use std::{sync::Arc, time::Duration};

use baluarte_db::DbError;
use baluarte_kernel::{Ctx, Timestamp};

use crate::{
    Jobs, Options,
    cron::Timetable,
    job::{JobId, Policy},
    store::{
        claim::SCHEDULE_KEY,
        schedules::{self, Named},
    },
};

/// A run that begins later than this after its time counts as missed.
const LATE: Duration = Duration::from_secs(60);

/// What happens to runs whose time came while no worker was there. They are counted and told in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missed {
    /// One run makes up for all of them.
    #[default]
    RunOnce,
    /// The next one is in time.
    Skip,
}

/// A job with a timetable.
#[derive(Clone)]
pub(crate) struct Schedule {
    pub(crate) name: String,
    pub(crate) cron: String,
    pub(crate) time_zone: String,
    pub(crate) timetable: Timetable,
    pub(crate) missed: Missed,
    pub(crate) kind: &'static str,
    pub(crate) policy: Policy,
    pub(crate) payload: Arc<str>,
}

/// The schedules of a worker and when they are next due, as far as it knows.
#[derive(Default)]
pub(crate) struct Agenda {
    entries: Vec<(Schedule, Timestamp)>,
}

impl Agenda {
    /// Writes down what the program has, and forgets what it does not have any more.
    pub(crate) async fn open(jobs: &Jobs, schedules: &[Schedule]) -> Result<Self, DbError> {
        let now = jobs.inner.clock.now();
        let tx = jobs.inner.db.begin().await?;
        let mut entries = Vec::new();
        for schedule in schedules {
            let named = Named { name: &schedule.name, kind: schedule.kind, cron: &schedule.cron, time_zone: &schedule.time_zone };
            let Some(next) = schedule.timetable.next(now) else { continue };
            entries.push((schedule.clone(), schedules::keep(&tx, named, next).await?));
        }
        let names: Vec<_> = schedules.iter().map(|schedule| schedule.name.as_str()).collect();
        schedules::forget_others(&tx, &names).await?;
        tx.commit().await?;
        Ok(Self { entries })
    }

    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.entries.iter().map(|(_, at)| *at).min()
    }

    /// Starts what is due and has not been started by another replica.
    pub(crate) async fn start_due(&mut self, jobs: &Jobs) -> Result<(), DbError> {
        let ctx = Ctx::system(jobs.inner.clock.clone());
        for (schedule, at) in &mut self.entries {
            let now = ctx.now();
            if *at > now {
                continue;
            }
            let Some(next) = schedule.timetable.next(now) else { continue };
            schedule.start(jobs, &ctx, *at, next).await?;
            // Whoever else moved it on moved it to the same time.
            *at = next;
        }
        Ok(())
    }
}

impl Schedule {
    async fn start(&self, jobs: &Jobs, ctx: &Ctx, due: Timestamp, next: Timestamp) -> Result<(), DbError> {
        let now = ctx.now();
        let late = now.since(due) > LATE;
        let missed = match self.timetable.count(due, now) {
            // The last one is in time.
            times if now.since(due) <= LATE => times.saturating_sub(1),
            times => times,
        };
        let tx = jobs.inner.db.begin().await?;
        if !schedules::move_on(&tx, &self.name, due, next, missed, now).await? {
            return tx.rollback().await;
        }
        let skipped = late && self.missed == Missed::Skip;
        if skipped {
            schedules::started(&tx, &self.name, None, "skipped").await?;
        } else {
            let (id, new) = self.enqueue(jobs, ctx, &tx).await?;
            let outcome = if new { "waiting" } else { "overlapped" };
            schedules::started(&tx, &self.name, Some(id), outcome).await?;
            if !new {
                tracing::warn!(target: "jobs", schedule = self.name, job = %id, "a run was left out: the one before still goes on");
            }
        }
        tx.commit().await?;
        if missed > 0 {
            let then = if skipped { "the next one is in time" } else { "running once instead" };
            tracing::warn!(target: "jobs", schedule = self.name, missed, since = %due, then, "no worker was there for runs of a schedule");
        }
        Ok(())
    }

    /// The run, or the one that still goes on.
    pub(crate) async fn enqueue(&self, jobs: &Jobs, ctx: &Ctx, tx: &baluarte_db::Tx) -> Result<(JobId, bool), DbError> {
        let options = Options { unique_key: Some(format!("{SCHEDULE_KEY}{}", self.name)), ..Options::default() };
        let new = jobs.new_job(ctx, self.kind, self.policy, &self.payload, options)?;
        jobs.insert(ctx, tx, new).await
    }
}
