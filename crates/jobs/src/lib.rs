#![doc = include_str!("../README.md")]

mod attempt;
mod config;
pub mod http_job;
mod job;
mod registry;
mod store;
mod worker;

use std::{fmt, sync::Arc};

use baluarte_backplane::Backplane;
use baluarte_db::{Cause, Db, DbError, Migration, Migrations, Tx};
use baluarte_kernel::{Clock, Ctx, Event, EventId, Published};
use baluarte_secrets::Secrets;
pub use config::JobsConfig;
pub use job::{Failure, Job, JobId, JobKind, Options, Policy, Priority, Run};
pub use registry::{Registry, Subscription};
use store::queue::{self, NewJob};
use tokio::sync::Notify as Wake;

pub const MIGRATIONS: Migrations = Migrations {
    component: "jobs",
    steps: &[
        Migration::common("0001_jobs", include_str!("../migrations/0001_jobs.sql")),
        Migration::common("0002_http_jobs", include_str!("../migrations/0002_http_jobs.sql")),
    ],
};

/// The longest payload, in bytes, before it is sealed.
pub const MAX_PAYLOAD: usize = 256 * 1024;

/// What workers listen to.
const TOPIC: &str = "jobs.ready";

/// The queue. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

struct Inner {
    config: JobsConfig,
    db: Db,
    backplane: Backplane,
    secrets: Secrets,
    clock: Clock,
    subscriptions: Vec<Subscription>,
    wake: Arc<Wake>,
}

impl Jobs {
    /// `subscriptions`: what events become, of all components.
    pub fn new(
        config: &JobsConfig,
        db: Db,
        backplane: Backplane,
        secrets: Secrets,
        clock: Clock,
        subscriptions: impl IntoIterator<Item = Subscription>,
    ) -> Self {
        let subscriptions = subscriptions.into_iter().collect();
        let inner = Inner { config: config.clone(), db, backplane, secrets, clock, subscriptions, wake: Arc::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Writes the job in the caller's transaction: it runs after the commit, or never if that fails. Returns its identifier, or
    /// that of the job which waits or runs under the same unique key.
    ///
    /// # Errors
    /// [`DbError`]; also for a payload longer than [`MAX_PAYLOAD`].
    pub async fn enqueue<J: Job>(&self, ctx: &Ctx, tx: &Tx, job: &J, options: Options) -> Result<JobId, DbError> {
        let new = self.new_job(ctx, J::KIND, J::POLICY, &to_json(job)?, options)?;
        self.insert(ctx, tx, new).await
    }

    /// Many at once, with the same options, which have no unique key: much cheaper than one by one.
    pub async fn enqueue_all<J: Job>(&self, ctx: &Ctx, tx: &Tx, jobs: &[J], options: &Options) -> Result<Vec<JobId>, DbError> {
        if options.unique_key.is_some() {
            return Err(DbError::Driver(Cause::new("jobs with a unique key are enqueued one by one")));
        }
        let new = |job| self.new_job(ctx, J::KIND, J::POLICY, &to_json(job)?, options.clone());
        let new = jobs.iter().map(new).collect::<Result<Vec<_>, _>>()?;
        let ids = new.iter().map(|job| job.id).collect();
        queue::insert_all(tx, new, ctx.now()).await?;
        self.wake_after(tx);
        Ok(ids)
    }

    /// Tells everybody who subscribed that this has happened: one job for each, in the caller's transaction.
    pub async fn publish(&self, ctx: &Ctx, tx: &Tx, event: Event) -> Result<EventId, DbError> {
        let published = Published::new(ctx, event);
        let name = published.event.name();
        for to in self.inner.subscriptions.iter().filter(|to| to.wants(name)) {
            let options = Options { tags: vec![name.to_owned()], ..Options::default() };
            let new = self.new_job(ctx, to.kind, to.policy, &to_json(&published)?, options)?;
            self.insert(ctx, tx, new).await?;
        }
        Ok(published.id)
    }

    async fn insert(&self, ctx: &Ctx, tx: &Tx, new: NewJob) -> Result<JobId, DbError> {
        let id = if new.unique_key.is_some() {
            queue::insert_unique(tx, new, ctx.now()).await?.0
        } else {
            let id = new.id;
            queue::insert_all(tx, vec![new], ctx.now()).await?;
            id
        };
        self.wake_after(tx);
        Ok(id)
    }

    fn wake_after(&self, tx: &Tx) {
        let wake = Arc::clone(&self.inner.wake);
        tx.after_commit(move || wake.notify_one());
    }

    fn new_job(&self, ctx: &Ctx, kind: &'static str, policy: Policy, payload: &str, options: Options) -> Result<NewJob, DbError> {
        if payload.len() > MAX_PAYLOAD {
            let why = format!("the payload of a job {kind} has {} bytes, the most is {MAX_PAYLOAD}", payload.len());
            return Err(DbError::Driver(Cause::new(why)));
        }
        let now = ctx.now();
        let payload = if policy.sealed { self.inner.secrets.seal(&seal_context(kind), payload.as_bytes()) } else { payload.to_owned() };
        Ok(NewJob {
            id: JobId::generate(),
            kind,
            lane: if policy.at_once.is_some() { kind } else { "" },
            priority: options.priority.unwrap_or(policy.priority).stored(),
            run_at: options.run_at.unwrap_or(now).max(now),
            payload,
            sealed: policy.sealed,
            max_attempts: options.max_attempts.or(policy.max_attempts).unwrap_or(self.inner.config.max_attempts).max(1),
            expires_at: options.expires_at.or_else(|| policy.useful_for.map(|span| now.plus(span))),
            unique_key: options.unique_key,
            tags: tag_text(&options.tags),
            request_id: ctx.request.as_ref().map(|meta| meta.request_id.to_string()),
        })
    }
}

fn to_json(payload: &impl serde::Serialize) -> Result<String, DbError> {
    serde_json::to_string(payload).map_err(|err| DbError::Driver(Cause::new(format!("the payload of a job is not JSON: {err}"))))
}

/// A payload sealed for one kind opens for no other.
fn seal_context(kind: &str) -> String {
    format!("jobs.payload.{kind}")
}

/// `,a,b,`: so that one of them is found with its commas.
fn tag_text(tags: &[String]) -> String {
    if tags.is_empty() { String::new() } else { format!(",{},", tags.join(",")) }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("config", &self.inner.config).finish_non_exhaustive()
    }
}
