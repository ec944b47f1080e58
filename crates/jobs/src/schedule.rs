//! Timetables become jobs: of all replicas one starts each run, and what was missed is told.

use std::{fmt, sync::Arc, time::Duration};

use baluarte_db::{DbError, Tx};
use baluarte_kernel::{BoxFuture, Ctx, Timestamp};

use crate::{
    Jobs, Options,
    cron::Timetable,
    job::{JobId, Policy},
    store::{
        claim::SCHEDULE_KEY,
        schedules::{self, Named, When},
    },
};

/// A run that begins later than this after its time counts as missed. A timetable that nobody has moved on for as long has nobody.
const LATE: Duration = Duration::from_secs(60);

/// A worker says so often that it has its timetables …
pub(crate) const KEPT: Duration = Duration::from_secs(600);
/// … and one of which nobody has said so for so many times as long is forgotten.
const LEFT: u32 = 3;

/// What happens to runs whose time came while no worker was there. They are counted and told in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missed {
    /// One run makes up for all of them.
    #[default]
    RunOnce,
    /// The next one is in time.
    Skip,
}

/// What else is written in the transaction that starts a run.
pub type Alongside = Arc<dyn for<'a> Fn(&'a Tx, JobId) -> BoxFuture<'a, Result<(), DbError>> + Send + Sync>;

/// When a job runs by itself, and how.
#[derive(Clone)]
pub struct Recurring {
    /// It is stored: a schedule of another name is another schedule.
    pub name: String,
    /// Five fields, or six with seconds first.
    pub cron: String,
    /// Of the IANA database.
    pub time_zone: String,
    pub missed: Missed,
    /// Of its jobs.
    pub tags: Vec<String>,
    pub max_attempts: Option<u32>,
    pub alongside: Option<Alongside>,
}

impl Recurring {
    /// One run makes up for those that were missed; attempts as the kind of job has them.
    pub fn new(name: impl Into<String>, cron: impl Into<String>, time_zone: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            cron: cron.into(),
            time_zone: time_zone.into(),
            missed: Missed::default(),
            tags: Vec::new(),
            max_attempts: None,
            alongside: None,
        }
    }
}

impl fmt::Debug for Recurring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recurring").field("name", &self.name).field("cron", &self.cron).field("time_zone", &self.time_zone).finish()
    }
}

/// A job with a timetable.
#[derive(Clone)]
pub(crate) struct Schedule {
    pub(crate) recurring: Recurring,
    pub(crate) timetable: Timetable,
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
    /// Writes down what the program has.
    pub(crate) async fn open(jobs: &Jobs, schedules: &[Schedule]) -> Result<Self, DbError> {
        let now = jobs.inner.clock.now();
        let tx = jobs.inner.db.begin().await?;
        let mut entries = Vec::new();
        for schedule in schedules {
            let Some(next) = schedule.timetable.next(now) else { continue };
            let when = When { next_at: next, deserted: Timestamp::from_micros(i64::MAX), now };
            let kept = schedules::keep(&tx, schedule.named(), when).await?;
            entries.push((schedule.clone(), kept.unwrap_or(next)));
        }
        tx.commit().await?;
        Ok(Self { entries })
    }

    /// Forgets what the program does not have any more. Once for each process, at its start: during an exchange of replicas those of
    /// before do not take away what is new.
    pub(crate) async fn forget_others(jobs: &Jobs, schedules: &[Schedule]) -> Result<(), DbError> {
        let tx = jobs.inner.db.begin().await?;
        let names: Vec<_> = schedules.iter().map(|schedule| schedule.recurring.name.as_str()).collect();
        schedules::forget_others(&tx, &names).await?;
        tx.commit().await
    }

    /// Says that the program still has its schedules: one that another version has forgotten is there again before its time comes, and
    /// those that nobody has any more are forgotten.
    pub(crate) async fn keep(&mut self, jobs: &Jobs) -> Result<(), DbError> {
        let now = jobs.inner.clock.now();
        let tx = jobs.inner.db.begin().await?;
        for (schedule, at) in &mut self.entries {
            let when = When { next_at: *at, deserted: now.minus(LATE), now };
            *at = schedules::keep(&tx, schedule.named(), when).await?.unwrap_or(*at);
        }
        schedules::forget_left(&tx, now.minus(KEPT * LEFT)).await?;
        tx.commit().await
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
            *at = schedule.start(jobs, &ctx, *at, next).await?;
        }
        Ok(())
    }
}

impl Schedule {
    fn named(&self) -> Named<'_> {
        let Recurring { name, cron, time_zone, .. } = &self.recurring;
        Named { name, kind: self.kind, cron, time_zone }
    }

    /// Starts the run of `due`, unless another replica has. Returns when the next one is.
    async fn start(&self, jobs: &Jobs, ctx: &Ctx, due: Timestamp, next: Timestamp) -> Result<Timestamp, DbError> {
        let (now, name) = (ctx.now(), self.recurring.name.as_str());
        let (times, last) = self.timetable.times(due, now);
        let late = now.since(last) > LATE;
        let missed = if late { times } else { times - 1 };
        let tx = jobs.inner.db.begin().await?;
        if !schedules::move_on(&tx, name, due, next, missed, now).await? {
            // Whoever moved it on may have moved it elsewhere than we would have, and may be gone by now; or somebody who does not
            // have this schedule has forgotten it.
            let kept = schedules::keep(&tx, self.named(), When { next_at: next, deserted: now.minus(LATE), now }).await?;
            tx.commit().await?;
            return Ok(kept.unwrap_or(next));
        }
        let skipped = late && self.recurring.missed == Missed::Skip;
        if skipped {
            schedules::started(&tx, name, None, "skipped").await?;
        } else {
            let (id, new) = self.enqueue(jobs, ctx, &tx).await?;
            let outcome = if new { "waiting" } else { "overlapped" };
            schedules::started(&tx, name, Some(id), outcome).await?;
            if !new {
                tracing::warn!(target: "jobs", schedule = name, job = %id, "a run was left out: the one before still goes on");
            }
        }
        tx.commit().await?;
        if missed > 0 {
            let then = if skipped { "the next one is in time" } else { "running once instead" };
            tracing::warn!(target: "jobs", schedule = name, missed, since = %due, then, "no worker was there for runs of a schedule");
        }
        Ok(next)
    }

    /// The run, or the one that still goes on.
    pub(crate) async fn enqueue(&self, jobs: &Jobs, ctx: &Ctx, tx: &Tx) -> Result<(JobId, bool), DbError> {
        let Recurring { name, tags, max_attempts, alongside, .. } = &self.recurring;
        let unique_key = Some(format!("{SCHEDULE_KEY}{name}"));
        let options = Options { unique_key, tags: tags.clone(), max_attempts: *max_attempts, ..Options::default() };
        let (id, new) = jobs.insert(ctx, tx, jobs.new_job(ctx, self.kind, self.policy, &self.payload, options)?).await?;
        if let Some(write) = alongside.as_ref().filter(|_| new) {
            write(tx, id).await?;
        }
        Ok((id, new))
    }
}

#[cfg(test)]
mod tests;
