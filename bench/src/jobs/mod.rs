//! The job queue against Celery with Redis, in one run on this machine.

mod celery;
mod idle;
mod latency;
mod queue;
mod throughput;

use anyhow::{Context as _, Result};
use baluarte_testkit::Dialect;
pub(crate) use latency::ELSEWHERE;
use tokio::runtime::Runtime;

use self::{celery::Celery, throughput::Sample};
use crate::{
    Plan,
    process::Folder,
    throughput::{median, println_all},
};

const JOBS: u64 = 200_000;
const CELERY_JOBS: u64 = 10_000;
/// Jobs in one transaction: a bulk, and what a busy request might do.
const BATCHES: [u64; 2] = [1_000, 100];
const LATENCY_SECONDS: u64 = 10;

/// As many threads as the server's control runtime has.
fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("a runtime")
}

/// This program as the other process of a measurement.
pub(crate) fn elsewhere(url: &str) -> Result<()> {
    runtime()?.block_on(latency::work_elsewhere(url))
}

pub(crate) fn measure(plan: &Plan, folder: &Folder) -> Result<()> {
    let runtime = runtime()?;
    let celery = plan.celery.as_deref().map(|environment| Celery::prepare(environment, folder.path())).transpose()?;
    println_all(
        "\n| queue | jobs in a transaction | enqueue/s | run/s | both at once, jobs/s | CPU µs/job, whole machine |\n| --- | --- | --- | --- | --- | --- |",
    );
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        for batch in BATCHES {
            let samples =
                (0..plan.rounds).map(|_| runtime.block_on(throughput::measure(dialect, JOBS, batch))).collect::<Result<Vec<_>>>()?;
            row(&format!("Baluarte, {}", name(dialect)), &batch.to_string(), &samples);
        }
    }
    if let Some(celery) = &celery {
        let samples = (0..plan.rounds.min(3)).map(|_| celery.throughput(CELERY_JOBS)).collect::<Result<Vec<_>>>()?;
        row("Celery, Redis", "1", &samples);
    }
    latencies(&runtime, celery.as_ref())?;
    if let Some(celery) = &celery {
        let idle = idle::measure(plan, folder, celery, &runtime)?;
        println_all(&format!(
            "\n| idle worker | CPU ms a minute |\n| --- | --- |\n| Baluarte, SQLite | {:.0} |\n| Baluarte, PostgreSQL | {:.0} |\n| Celery, Redis | {:.0} |",
            idle.sqlite, idle.postgres, idle.celery
        ));
    }
    Ok(())
}

fn latencies(runtime: &Runtime, celery: Option<&Celery>) -> Result<()> {
    println_all(&format!("\n| commit to start, {} jobs/s | p50 ms | p99 ms |\n| --- | --- | --- |", latency::RATE));
    let row = |name: &str, latency: latency::Latency| {
        println_all(&format!("| {name} | {:.2} | {:.2} |", latency.p50_ms, latency.p99_ms));
    };
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        row(&format!("Baluarte, {}, same process", name(dialect)), runtime.block_on(latency::here(dialect, LATENCY_SECONDS))?);
        row(&format!("Baluarte, {}, another process", name(dialect)), runtime.block_on(latency::elsewhere(dialect, LATENCY_SECONDS))?);
    }
    if let Some(celery) = celery {
        row("Celery, Redis", celery.latency(LATENCY_SECONDS)?);
    }
    Ok(())
}

fn name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "SQLite",
        Dialect::Postgres => "PostgreSQL",
    }
}

fn row(name: &str, batch: &str, samples: &[Sample]) {
    println_all(&format!(
        "| {name} | {batch} | {:.0} | {:.0} | {:.0} | {:.1} |",
        median(samples, |sample| sample.enqueue),
        median(samples, |sample| sample.run),
        median(samples, |sample| sample.together),
        median(samples, |sample| sample.cpu_us),
    ));
}
