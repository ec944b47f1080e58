#![doc = include_str!("../README.md")]

mod actions;
mod attempt;
mod bell;
mod config;
mod cron;
mod error;
mod forget;
mod http;
pub mod http_job;
mod job;
mod meters;
mod model;
mod redact;
mod registry;
mod schedule;
mod service;
mod store;
mod watch;
mod worker;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

pub use actions::ACTIONS;
use baluarte_backplane::Backplane;
use baluarte_db::{Cause, Db, DbError, Migration, Migrations, Tx};
use baluarte_kernel::{Actor, Clock, Ctx, Event, EventId, Published};
use baluarte_secrets::Secrets;
use bell::{Bell, Ring};
pub use config::JobsConfig;
pub use cron::BadTimetable;
pub use error::JobsError;
pub use forget::{SETTLED, SUBSCRIPTION, about, once_more};
pub use http::PROBLEMS;
pub use job::{Failure, Job, JobId, JobKind, Options, Policy, Priority, Run};
pub use model::{AttemptError, CountView, Filter, JobDetail, JobView, ScheduleView, State, WorkerView};
pub use registry::{Registry, Subscription};
pub use schedule::{Alongside, Missed, Recurring};
pub use service::{BULK, Operator};
use store::queue::{self, NewJob};
pub use worker::Shift;

pub const MIGRATIONS: Migrations = Migrations {
    component: "jobs",
    steps: &[
        Migration::common("0001_jobs", include_str!("../migrations/0001_jobs.sql")),
        Migration::common("0002_http_jobs", include_str!("../migrations/0002_http_jobs.sql")),
        Migration {
            name: "0003_compare_bytes",
            // It does so already.
            sqlite: "SELECT 1",
            postgres: include_str!("../migrations/0003_compare_bytes.postgres.sql"),
        },
        Migration::common("0004_schedules_kept", include_str!("../migrations/0004_schedules_kept.sql")),
    ],
};

/// The longest payload, in bytes, before it is sealed.
pub const MAX_PAYLOAD: usize = 256 * 1024;
/// The longest unique key, and all tags of a job together, in bytes.
const MAX_KEY: usize = 500;

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
    bell: Bell,
    /// Jobs that waited when it was last counted.
    queued: AtomicU64,
    /// The name of the worker in this process, which is its worker's.
    here: Mutex<Weak<String>>,
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
        let (subscriptions, queued, here) = (subscriptions.into_iter().collect(), AtomicU64::new(0), Mutex::default());
        let inner = Inner { config: config.clone(), db, backplane, secrets, clock, subscriptions, bell: Bell::new(), queued, here };
        Self { inner: Arc::new(inner) }
    }

    /// Writes the job in the caller's transaction: it runs after the commit, or never if that fails. Returns its identifier, or
    /// that of the job which waits or runs under the same unique key.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] also when `jobs.max_queued` jobs wait already (and the reserve is used up, for what follows from other
    /// work: see [`publish`](Self::publish)); [`DbError::Driver`] also for a payload longer than
    /// [`MAX_PAYLOAD`], or a key or tags that are too long.
    pub async fn enqueue<J: Job>(&self, ctx: &Ctx, tx: &Tx, job: &J, options: Options) -> Result<JobId, DbError> {
        self.admit(Asks::of(ctx, J::POLICY))?;
        let new = self.new_job(ctx, J::KIND, J::POLICY, &to_json(job)?, options)?;
        Ok(self.insert(ctx, tx, new).await?.0)
    }

    /// Many at once, with the same options, which have no unique key: much cheaper than one by one.
    pub async fn enqueue_all<J: Job>(&self, ctx: &Ctx, tx: &Tx, jobs: &[J], options: &Options) -> Result<Vec<JobId>, DbError> {
        if options.unique_key.is_some() {
            return Err(DbError::Driver(Cause::new("jobs with a unique key are enqueued one by one")));
        }
        self.admit(Asks::of(ctx, J::POLICY))?;
        let new = |job| self.new_job(ctx, J::KIND, J::POLICY, &to_json(job)?, options.clone());
        let new = jobs.iter().map(new).collect::<Result<Vec<_>, _>>()?;
        let (ids, now) = (new.iter().map(|job| job.id).collect(), ctx.now());
        if let Some(first) = new.first() {
            self.ring_after(tx, first.lane, first.run_at > now);
        }
        queue::insert_alike(tx, new, now).await?;
        Ok(ids)
    }

    /// Tells everybody who subscribed that this has happened: one job for each, in the caller's transaction. What has happened is
    /// followed up also when `jobs.max_queued` jobs wait: for that, and for what jobs themselves enqueue, a quarter more are let in.
    pub async fn publish(&self, ctx: &Ctx, tx: &Tx, event: Event) -> Result<EventId, DbError> {
        let published = Published::new(ctx, event);
        let name = published.event.name();
        let mut tags = vec![name.to_owned()];
        tags.extend(published.event.user_id().map(about));
        for to in self.inner.subscriptions.iter().filter(|to| to.wants(name)) {
            self.admit(Asks::Follows)?;
            let options = Options { tags: tags.clone(), ..Options::default() };
            let new = self.new_job(ctx, to.kind, to.policy, &to_json(&published)?, options)?;
            self.insert(ctx, tx, new).await?;
        }
        Ok(published.id)
    }

    /// Whether the worker of this name is one of this process, and there.
    pub(crate) fn is_here(&self, worker: &str) -> bool {
        let here = self.inner.here.lock().unwrap_or_else(PoisonError::into_inner);
        here.upgrade().is_some_and(|name| *name == worker)
    }

    /// It is, as long as the name is held.
    pub(crate) fn set_here(&self, worker: &str) -> Arc<String> {
        let name = Arc::new(worker.to_owned());
        *self.inner.here.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&name);
        name
    }

    /// True: it is new, and not the one that waits or runs under the same unique key.
    async fn insert(&self, ctx: &Ctx, tx: &Tx, new: NewJob) -> Result<(JobId, bool), DbError> {
        let (id, now) = (new.id, ctx.now());
        self.ring_after(tx, new.lane, new.run_at > now);
        if new.unique_key.is_some() {
            return queue::insert_unique(tx, new, now).await;
        }
        queue::insert(tx, new, now).await?;
        Ok((id, true))
    }

    /// True: it runs and is asked to stop. False: it is canceled. Nothing: it is over.
    pub(crate) async fn cancel(&self, tx: &Tx, id: JobId, now: baluarte_kernel::Timestamp) -> Result<Option<bool>, DbError> {
        let inner = Arc::clone(&self.inner);
        tx.after_commit(move || inner.bell.ring(Ring::Cancel));
        store::operator::cancel(tx, id, now).await
    }

    fn ring_after(&self, tx: &Tx, lane: &str, later: bool) {
        let (inner, ring) = (Arc::clone(&self.inner), if later { Ring::Later } else { Ring::Lane(lane.to_owned()) });
        tx.after_commit(move || inner.bell.ring(ring));
    }

    /// Runs of schedules are let in anyway: there is one of each at most, and a worker that could not start them would not get
    /// to what fills the queue.
    fn admit(&self, who: Asks) -> Result<(), DbError> {
        let inner = &self.inner;
        let most = match who {
            Asks::Begins => u64::from(inner.config.max_queued),
            Asks::Follows => inner.config.with_reserve(),
        };
        match inner.queued.load(Ordering::Relaxed) < most {
            true => Ok(()),
            false => Err(DbError::unavailable("the job queue is full")),
        }
    }

    fn new_job(&self, ctx: &Ctx, kind: &'static str, policy: Policy, payload: &str, options: Options) -> Result<NewJob, DbError> {
        if payload.len() > MAX_PAYLOAD {
            let why = format!("the payload of a job {kind} has {} bytes, the most is {MAX_PAYLOAD}", payload.len());
            return Err(DbError::Driver(Cause::new(why)));
        }
        let tags = tag_text(&options.tags);
        if tags.len() > MAX_KEY || options.unique_key.as_ref().is_some_and(|key| key.len() > MAX_KEY) {
            return Err(DbError::Driver(Cause::new(format!("the unique key or the tags of a job {kind} are longer than {MAX_KEY} bytes"))));
        }
        let now = ctx.now();
        let payload = if policy.sealed { self.inner.secrets.seal(&seal_context(kind), payload.as_bytes()) } else { payload.to_owned() };
        Ok(NewJob {
            id: JobId::generate(),
            kind,
            lane: policy.lane(kind),
            priority: options.priority.unwrap_or(policy.priority).stored(),
            run_at: options.run_at.unwrap_or(now).max(now),
            payload,
            sealed: policy.sealed,
            max_attempts: options.max_attempts.or(policy.max_attempts).unwrap_or(self.inner.config.max_attempts).max(1),
            expires_at: options.expires_at.or_else(|| policy.useful_for.map(|span| now.plus(span))),
            unique_key: options.unique_key,
            tags,
            request_id: ctx.request.as_ref().map(|meta| meta.request_id.to_string()),
        })
    }
}

/// Why there is to be another job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// Somebody wants something new.
    Begins,
    /// Something has happened, or a job goes on with another one: refused, an account could not be deleted, and what fills the queue
    /// would never be got through.
    Follows,
}

impl Asks {
    fn of(ctx: &Ctx, policy: Policy) -> Self {
        match ctx.actor {
            Actor::System => Self::Follows,
            Actor::User(_) | Actor::Operator | Actor::Anonymous if policy.follows => Self::Follows,
            Actor::User(_) | Actor::Operator | Actor::Anonymous => Self::Begins,
        }
    }
}

fn to_json(payload: &impl serde::Serialize) -> Result<String, DbError> {
    serde_json::to_string(payload).map_err(|err| DbError::Driver(Cause::new(format!("the payload of a job is not JSON: {err}"))))
}

/// A payload sealed for one kind opens for no other.
fn seal_context(kind: &str) -> String {
    format!("jobs.payload.{kind}")
}

/// `,a,b,`: so that one of them is found with its commas. What no tag may hold becomes a hyphen.
fn tag_text(tags: &[String]) -> String {
    if tags.is_empty() {
        return String::new();
    }
    format!(",{},", tags.join(",").split(',').map(tag_as_kept).collect::<Vec<_>>().join(","))
}

/// Neither separators nor wildcards are left in it.
fn tag_as_kept(tag: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-.:/@".contains(c);
    tag.chars().map(|c| if allowed(c) { c } else { '-' }).collect()
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("config", &self.inner.config).finish_non_exhaustive()
    }
}
