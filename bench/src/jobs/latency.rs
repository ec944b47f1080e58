//! From commit to the start of the job, at a steady moderate load.

use std::{
    io::{BufRead as _, Write as _},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use baluarte_db::DatabaseConfig;
use baluarte_kernel::{Clock, Secret, Timestamp};
use baluarte_testkit::{Dialect, TestDb};

use super::queue::{Queue, SCHEMA, Seen};

/// Jobs a second.
pub(super) const RATE: u64 = 200;
/// The first argument of this program when it is the other process.
pub(crate) const ELSEWHERE: &str = "jobs-elsewhere";
const SETTLE: Duration = Duration::from_millis(1_500);

#[derive(Clone, Copy)]
pub(super) struct Latency {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// Sorts them.
pub(super) fn latency(mut micros: Vec<f64>) -> Latency {
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros.get(((micros.len() as f64 - 1.0) * share) as usize).map_or(f64::NAN, |micros| micros / 1e3);
    Latency { p50_ms: at(0.5), p99_ms: at(0.99) }
}

/// Enqueued and run in one process.
pub(super) async fn here(dialect: Dialect, seconds: u64) -> Result<Latency> {
    let test = TestDb::create(dialect).await;
    test.open(SCHEMA).await.close().await;
    let queue = Queue::open(&test.config).await?;
    let seen = Seen::new(true);
    let worker = queue.work(&seen);
    tokio::time::sleep(SETTLE).await;
    let committed = enqueue_steadily(&queue, seconds).await?;
    while seen.runs() < committed.len() as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    worker.stop().await?;
    queue.db.close().await;
    Ok(between(&committed, seen.take_times()))
}

/// Enqueued here, run by another process.
pub(super) async fn elsewhere(dialect: Dialect, seconds: u64) -> Result<Latency> {
    let test = TestDb::create(dialect).await;
    test.open(SCHEMA).await.close().await;
    let queue = Queue::open(&test.config).await?;
    let mut other = Command::new(std::env::current_exe()?)
        .args([ELSEWHERE, test.config.url.expose()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let stopping = tokio_util::sync::CancellationToken::new();
    let watch = tokio::spawn(queue.jobs.clone().watch(
        baluarte_jobs::Registry::default(),
        baluarte_telemetry::Metrics::default(),
        stopping.clone(),
    ));
    tokio::time::sleep(SETTLE).await;
    let committed = enqueue_steadily(&queue, seconds).await?;
    tokio::time::sleep(SETTLE).await;
    // Its standard input ends: it tells what it saw, and stops.
    drop(other.stdin.take());
    let mut begun = Vec::new();
    for line in std::io::BufReader::new(other.stdout.take().context("its output")?).lines() {
        let line = line?;
        let (number, micros) = line.split_once(' ').context("number and time")?;
        begun.push((number.parse()?, Timestamp::from_micros(micros.parse()?)));
    }
    other.wait()?;
    stopping.cancel();
    watch.await?;
    queue.db.close().await;
    if begun.len() != committed.len() {
        bail!("{} of {} jobs ran in the other process", begun.len(), committed.len());
    }
    Ok(between(&committed, begun))
}

/// The other process.
pub(super) async fn work_elsewhere(url: &str) -> Result<()> {
    let queue = Queue::open(&DatabaseConfig { url: Secret::new(url), ..DatabaseConfig::default() }).await?;
    let seen = Seen::new(true);
    let worker = queue.work(&seen);
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    worker.stop().await?;
    queue.db.close().await;
    let mut out = std::io::stdout().lock();
    for (number, at) in seen.take_times() {
        writeln!(out, "{number} {}", at.micros())?;
    }
    Ok(())
}

/// One job in each transaction; returns when each was committed.
async fn enqueue_steadily(queue: &Queue, seconds: u64) -> Result<Vec<Timestamp>> {
    let mut committed = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE as u32);
    for number in 0..seconds * RATE {
        ticks.tick().await;
        queue.enqueue(number..number + 1).await?;
        committed.push(Clock::System.now());
    }
    Ok(committed)
}

/// A job may begin before the one who enqueued it hears that the commit is done: that counts as nothing.
fn between(committed: &[Timestamp], begun: Vec<(u64, Timestamp)>) -> Latency {
    let micros = begun.into_iter().filter_map(|(number, at)| Some(at.since(*committed.get(number as usize)?).as_secs_f64() * 1e6));
    latency(micros.collect())
}
