//! What operators do with the queue.

use baluarte_audit::{Audit, Entry, Shown};
use baluarte_db::DbError;
use baluarte_kernel::{Ctx, Page, PageQuery};
use serde_json::Value;

use crate::{
    CountView, Filter, JobDetail, JobView, Jobs, JobsError, MAX_PAYLOAD, Ring, ScheduleView, State, WorkerView, actions,
    job::JobId,
    redact::{redact, restore},
    registry::Registry,
    seal_context,
    store::{operator, schedules, upkeep, workers},
};

/// Jobs that one bulk retry takes at most.
pub const BULK: usize = 1_000;

/// The queue as operators see it; each change leaves an entry in the audit log. Cheap to clone.
#[derive(Clone)]
pub struct Operator {
    jobs: Jobs,
    audit: Audit,
    registry: Registry,
}

impl Operator {
    /// `registry`: of all components.
    pub fn new(jobs: Jobs, audit: Audit, registry: Registry) -> Self {
        Self { jobs, audit, registry }
    }

    pub async fn list_jobs(&self, ctx: &Ctx, filter: &Filter, page: &PageQuery) -> Result<Page<JobView>, JobsError> {
        ctx.require_admin()?;
        Ok(operator::list(&self.jobs.inner.db, filter, page).await?)
    }

    /// How many there are of each kind in each state, and how old the oldest is.
    pub async fn count_jobs(&self, ctx: &Ctx) -> Result<Vec<CountView>, JobsError> {
        ctx.require_admin()?;
        let now = ctx.now();
        let view = |one: upkeep::Tally| CountView {
            oldest_seconds: now.since(one.since).as_secs(),
            kind: one.kind,
            state: one.state,
            jobs: one.jobs,
        };
        Ok(upkeep::tally(&self.jobs.inner.db, true).await?.into_iter().map(view).collect())
    }

    pub async fn find_job(&self, ctx: &Ctx, id: JobId) -> Result<JobDetail, JobsError> {
        ctx.require_admin()?;
        let found = operator::find(self.jobs.inner.db.read(), id).await?.ok_or(JobsError::JobNotFound(id))?;
        let mut payload = if found.sealed { Value::Null } else { serde_json::from_str(&found.payload).unwrap_or_default() };
        redact(&mut payload);
        let errors = operator::errors(&self.jobs.inner.db, id).await?;
        Ok(JobDetail { job: found.job, sealed: found.sealed, payload, errors })
    }

    /// Runs a job at once that is scheduled, dead or canceled, with one more attempt if none was left.
    pub async fn retry_job(&self, ctx: &Ctx, id: JobId) -> Result<(), JobsError> {
        ctx.require_admin()?;
        let tx = self.jobs.inner.db.begin().await?;
        self.retry(ctx, &tx, id, None).await?;
        self.audit.record(ctx, &tx, Entry::new(&actions::RETRIED, "job").of(id));
        tx.commit().await?;
        Ok(())
    }

    async fn retry(&self, ctx: &Ctx, tx: &baluarte_db::Tx, id: JobId, payload: Option<String>) -> Result<(), JobsError> {
        let retried = match operator::retry(tx, id, payload, ctx.now()).await {
            // Another job took its unique key while we looked, which only PostgreSQL lets happen.
            Err(DbError::Unique(_)) => return Err(JobsError::NotRetryable),
            retried => retried?,
        };
        match retried {
            Some(lane) => {
                self.jobs.ring_after(tx, &lane, false);
                Ok(())
            }
            None if operator::find(tx, id).await?.is_none() => Err(JobsError::JobNotFound(id)),
            None => Err(JobsError::NotRetryable),
        }
    }

    /// Tries dead or canceled jobs again, the oldest first, at most [`BULK`] in one go. Returns how many.
    pub async fn retry_jobs(&self, ctx: &Ctx, filter: &Filter) -> Result<usize, JobsError> {
        ctx.require_admin()?;
        let state = filter.state.filter(|state| matches!(state, State::Dead | State::Canceled)).ok_or(JobsError::BadFilter)?;
        let tx = self.jobs.inner.db.begin().await?;
        let mut count = 0;
        for id in operator::list_ids(&tx, filter, BULK).await? {
            // Left out: what another job has the unique key of.
            match operator::retry(&tx, id, None, ctx.now()).await {
                Err(DbError::Unique(_)) => return Err(JobsError::NotRetryable),
                retried => count += usize::from(retried?.is_some()),
            }
        }
        let inner = std::sync::Arc::clone(&self.jobs.inner);
        tx.after_commit(move || inner.bell.ring(Ring::All));
        let entry = Entry::new(&actions::BULK_RETRIED, "queue").detail("state", state.name()).detail("jobs", count as u64);
        let entry = match &filter.kind {
            Some(kind) => entry.detail("kind", Shown(kind)),
            None => entry,
        };
        self.audit.record(ctx, &tx, entry);
        tx.commit().await?;
        Ok(count)
    }

    /// What waits is canceled; what runs is asked to stop, and dropped when it does not. True: it still runs.
    pub async fn cancel_job(&self, ctx: &Ctx, id: JobId) -> Result<bool, JobsError> {
        ctx.require_admin()?;
        let tx = self.jobs.inner.db.begin().await?;
        let Some(running) = self.jobs.cancel(&tx, id, ctx.now()).await? else {
            return match operator::find(&tx, id).await? {
                Some(_) => Err(JobsError::NotCancelable),
                None => Err(JobsError::JobNotFound(id)),
            };
        };
        self.audit.record(ctx, &tx, Entry::new(&actions::CANCELED, "job").of(id));
        tx.commit().await?;
        Ok(running)
    }

    pub async fn list_workers(&self, ctx: &Ctx) -> Result<Vec<WorkerView>, JobsError> {
        ctx.require_admin()?;
        Ok(workers::list(&self.jobs.inner.db).await?)
    }

    pub async fn list_schedules(&self, ctx: &Ctx) -> Result<Vec<ScheduleView>, JobsError> {
        ctx.require_admin()?;
        Ok(schedules::list(&self.jobs.inner.db).await?)
    }

    /// Changes what a job is to do and runs it. `[redacted]` in the new payload stands for what is there now.
    pub async fn edit_job(&self, ctx: &Ctx, id: JobId, mut payload: Value) -> Result<(), JobsError> {
        ctx.require_admin()?;
        let tx = self.jobs.inner.db.begin().await?;
        let found = operator::find(&tx, id).await?.ok_or(JobsError::JobNotFound(id))?;
        let context = seal_context(&found.job.kind);
        let before = match found.sealed {
            true => self.jobs.inner.secrets.open(&context, &found.payload).ok(),
            false => Some(found.payload.into_bytes()),
        };
        restore(&mut payload, &before.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default());
        let text = payload.to_string();
        if text.len() > MAX_PAYLOAD {
            return Err(JobsError::BadPayload(format!("it is longer than {MAX_PAYLOAD} bytes")));
        }
        let handler = self.registry.handlers.get(found.job.kind.as_str());
        let handler = handler.ok_or_else(|| JobsError::BadPayload("nobody does this kind of job any more".to_owned()))?;
        if let Err(err) = (handler.check)(&text) {
            return Err(JobsError::BadPayload(format!("it does not fit the kind (line {}, column {})", err.line(), err.column())));
        }
        let text = if found.sealed { self.jobs.inner.secrets.seal(&context, text.as_bytes()) } else { text };
        self.retry(ctx, &tx, id, Some(text)).await?;
        self.audit.record(ctx, &tx, Entry::new(&actions::EDITED, "job").of(id));
        tx.commit().await?;
        Ok(())
    }

    /// Starts a run now, besides those of the timetable. While one runs, that one is returned.
    pub async fn run_schedule(&self, ctx: &Ctx, name: &str) -> Result<JobId, JobsError> {
        ctx.require_admin()?;
        let schedule =
            self.registry.schedules.iter().find(|schedule| schedule.recurring.name == name).ok_or(JobsError::ScheduleNotFound)?;
        let tx = self.jobs.inner.db.begin().await?;
        let (id, _) = schedule.enqueue(&self.jobs, ctx, &tx).await?;
        schedules::started(&tx, name, Some(id), "waiting").await?;
        self.audit.record(ctx, &tx, Entry::new(&actions::SCHEDULE_RUN, "schedule").of(Shown(name)).detail("job", id));
        tx.commit().await?;
        Ok(id)
    }
}
