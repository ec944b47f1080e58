//! The queue under test: the crate's own `Jobs` with the configuration that it has by default, and jobs that do nothing.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use anyhow::Result;
use baluarte_backplane::Backplane;
use baluarte_db::{DatabaseConfig, Db, Migrations, sea_orm::ConnectionTrait as _, sql};
use baluarte_jobs::{Failure, Job, Jobs, JobsConfig, Options, Registry, Run, Shift};
use baluarte_kernel::{Clock, Ctx, Secret, Timestamp};
use baluarte_secrets::Secrets;
use baluarte_telemetry::Metrics;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(super) const SCHEMA: &[Migrations] = &[baluarte_audit::MIGRATIONS, baluarte_jobs::MIGRATIONS];

/// Does nothing but count.
#[derive(Serialize, Deserialize)]
pub(super) struct Noop {
    pub(super) number: u64,
}

impl Job for Noop {
    const KIND: &'static str = "bench.noop";
    type Deps = Seen;
    async fn run(self, _: Run, seen: Seen) -> Result<(), Failure> {
        seen.note(self.number);
        Ok(())
    }
}

/// Numbers of jobs and when they began.
type Times = Arc<Mutex<Vec<(u64, Timestamp)>>>;

/// What ran here, and when it began.
#[derive(Clone)]
pub(super) struct Seen {
    runs: Arc<AtomicU64>,
    /// Where times are wanted.
    begun: Option<Times>,
    clock: Clock,
}

impl Seen {
    pub(super) fn new(with_times: bool) -> Self {
        Self { runs: Arc::default(), begun: with_times.then(Arc::default), clock: Clock::System }
    }

    fn note(&self, number: u64) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        if let Some(begun) = &self.begun {
            begun.lock().unwrap_or_else(PoisonError::into_inner).push((number, self.clock.now()));
        }
    }

    pub(super) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    pub(super) fn take_times(&self) -> Vec<(u64, Timestamp)> {
        self.begun.as_ref().map(|begun| std::mem::take(&mut *begun.lock().unwrap_or_else(PoisonError::into_inner))).unwrap_or_default()
    }
}

/// A database with the queue in it, as a process has it.
#[derive(Clone)]
pub(super) struct Queue {
    pub(super) db: Db,
    pub(super) jobs: Jobs,
    pub(super) ctx: Ctx,
}

impl Queue {
    pub(super) async fn open(config: &DatabaseConfig) -> Result<Self> {
        let clock = Clock::System;
        let db = Db::open(config).await?;
        let secrets = Secrets::new(&Secret::new("a secret key for a measurement, longer than 32 bytes"), &Secret::new("salt"));
        let jobs = Jobs::new(&JobsConfig::default(), db.clone(), Backplane::local(clock.clone()), secrets, clock.clone(), []);
        Ok(Self { db, jobs, ctx: Ctx::system(clock) })
    }

    /// `numbers` in one transaction.
    pub(super) async fn enqueue(&self, numbers: std::ops::Range<u64>) -> Result<()> {
        let jobs: Vec<Noop> = numbers.map(|number| Noop { number }).collect();
        let tx = self.db.begin().await?;
        self.jobs.enqueue_all(&self.ctx, &tx, &jobs, &Options::default()).await?;
        Ok(tx.commit().await?)
    }

    /// A worker and what looks after the queue beside it, as a process that serves has them.
    pub(super) fn work(&self, seen: &Seen) -> Worker {
        let stopping = CancellationToken::new();
        let registry = Registry::default().register::<Noop>(seen.clone());
        let shift = Shift {
            name: "bench".to_owned(),
            stopping: stopping.clone(),
            grace: std::time::Duration::from_secs(10),
            metrics: Metrics::default(),
        };
        let watch = tokio::spawn(self.jobs.clone().watch(registry.clone(), Metrics::default(), stopping.clone()));
        Worker { work: tokio::spawn(self.jobs.clone().work(registry, shift)), watch, stopping }
    }

    /// Jobs that are not yet recorded as done.
    pub(super) async fn unfinished(&self) -> Result<bool> {
        let text = "SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'ready') OR EXISTS (SELECT 1 FROM jobs WHERE state = 'running')
            OR EXISTS (SELECT 1 FROM jobs WHERE state = 'scheduled') AS unfinished";
        let row = self.db.read().query_one_raw(sql(self.db.read(), text, [])).await?;
        Ok(row.is_some_and(|row| row.try_get::<bool>("", "unfinished").unwrap_or(true)))
    }
}

pub(super) struct Worker {
    work: JoinHandle<()>,
    watch: JoinHandle<()>,
    stopping: CancellationToken,
}

impl Worker {
    pub(super) async fn stop(self) -> Result<()> {
        self.stopping.cancel();
        self.work.await?;
        Ok(self.watch.await?)
    }
}
