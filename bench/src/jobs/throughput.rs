//! Enqueue and run: jobs that do nothing, through a real worker.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use baluarte_testkit::{Dialect, TestDb};

use super::queue::{Queue, SCHEMA, Seen};
use crate::process::machine_cpu_seconds;

const PATIENCE: Duration = Duration::from_secs(240);

/// Jobs per second, and CPU time of the whole machine (the database included) for each.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    /// All are enqueued before the worker starts.
    pub(super) enqueue: f64,
    pub(super) run: f64,
    /// The worker runs while they are enqueued: from the first enqueue until the last one is recorded as done.
    pub(super) together: f64,
    pub(super) cpu_us: f64,
}

/// `jobs` in transactions of `batch`.
pub(super) async fn measure(dialect: Dialect, jobs: u64, batch: u64) -> Result<Sample> {
    let (enqueue, run) = apart(dialect, jobs, batch).await?;
    let (together, cpu_us) = together(dialect, jobs, batch).await?;
    Ok(Sample { enqueue, run, together, cpu_us })
}

async fn apart(dialect: Dialect, jobs: u64, batch: u64) -> Result<(f64, f64)> {
    let test = TestDb::create(dialect).await;
    test.open(SCHEMA).await.close().await;
    let queue = Queue::open(&test.config).await?;
    let enqueue = per_second(jobs, enqueue_all(&queue, jobs, batch).await?);
    let seen = Seen::new(false);
    let began = Instant::now();
    let worker = queue.work(&seen);
    until_done(&queue, &seen, jobs, began).await?;
    let run = per_second(jobs, began.elapsed());
    worker.stop().await?;
    queue.db.close().await;
    Ok((enqueue, run))
}

async fn together(dialect: Dialect, jobs: u64, batch: u64) -> Result<(f64, f64)> {
    let test = TestDb::create(dialect).await;
    test.open(SCHEMA).await.close().await;
    let queue = Queue::open(&test.config).await?;
    let seen = Seen::new(false);
    let worker = queue.work(&seen);
    // It is there before the clock starts.
    queue.enqueue(0..1).await?;
    until_done(&queue, &seen, 1, Instant::now()).await?;
    let (began, cpu) = (Instant::now(), machine_cpu_seconds());
    enqueue_all(&queue, jobs, batch).await?;
    until_done(&queue, &seen, jobs + 1, began).await?;
    let (took, cpu) = (began.elapsed(), machine_cpu_seconds() - cpu);
    worker.stop().await?;
    queue.db.close().await;
    Ok((per_second(jobs, took), cpu * 1e6 / jobs as f64))
}

async fn enqueue_all(queue: &Queue, jobs: u64, batch: u64) -> Result<Duration> {
    let began = Instant::now();
    let mut next = 0;
    while next < jobs {
        let end = (next + batch).min(jobs);
        queue.enqueue(next..end).await?;
        next = end;
    }
    Ok(began.elapsed())
}

/// Until so many have run and no row says otherwise. The database is asked only when they have: asking has its price.
async fn until_done(queue: &Queue, seen: &Seen, jobs: u64, began: Instant) -> Result<()> {
    while seen.runs() < jobs || queue.unfinished().await? {
        if began.elapsed() > PATIENCE {
            bail!("{} of {jobs} jobs ran in {PATIENCE:?}", seen.runs());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if seen.runs() != jobs {
        bail!("{} runs of {jobs} jobs", seen.runs());
    }
    Ok(())
}

fn per_second(jobs: u64, took: Duration) -> f64 {
    jobs as f64 / took.as_secs_f64()
}
