//! The gateway against nginx and HAProxy, the job queue against Celery: in one run on this machine, as Markdown tables
//! (bench/README.md).

mod audit;
mod calls;
mod chaos;
mod http;
mod jobs;
mod machine;
mod peers;
mod process;
mod start;
mod storm;
mod throughput;
mod wrk;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
cargo xtask bench [OPTIONS] [throughput] [audit-calls] [audit] [storm] [jobs] [start]      (all of them unless named)
cargo xtask bench [OPTIONS] chaos                                         (only when named: it takes its minutes, twice)

  --rounds N     rounds, of which the medians count [5]
  --seconds N    length of one measurement [4]
  --celery DIR   a virtual environment with Celery; without it, jobs are measured without their peer
  --entries N    of the chain that `audit` fills, checks and searches [1000000]
  --minutes N    chaos: for how long processes are killed, on each database [10]
  --jobs N       chaos: how many jobs they work through meanwhile [100000]
  --on DATABASE  chaos, audit: only on sqlite, or on postgresql
";

/// What to do and with what.
struct Plan {
    bin: PathBuf,
    celery: Option<PathBuf>,
    rounds: usize,
    seconds: u32,
    entries: usize,
    minutes: u64,
    jobs: usize,
    databases: Option<String>,
    parts: Vec<String>,
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some(jobs::ELSEWHERE) {
        return jobs::elsewhere(&args.next().context("the address of a database")?);
    }
    let plan = plan()?;
    let wants = |part: &str| plan.parts.is_empty() || plan.parts.iter().any(|wanted| wanted == part);
    if plan.parts.iter().any(|part| part == "chaos") {
        chaos::run(&plan)?;
        if plan.parts.len() == 1 {
            return Ok(());
        }
    }
    let folder = process::Folder::create()?;
    let cores = machine::Cores::split();
    eprintln!("{cores}");
    if wants("throughput") {
        throughput::measure(&plan, &cores, &folder)?;
    }
    if wants("audit-calls") {
        calls::measure(&plan, &cores, &folder)?;
    }
    if wants("audit") {
        audit::measure(&plan)?;
    }
    if wants("storm") {
        storm::measure(&plan, &cores, &folder)?;
    }
    if wants("jobs") {
        jobs::measure(&plan, &folder)?;
    }
    if wants("start") {
        start::measure(&plan, &folder)?;
    }
    Ok(())
}

fn plan() -> Result<Plan> {
    let mut plan = Plan {
        bin: PathBuf::from("target/release/baluarte"),
        celery: None,
        rounds: 5,
        seconds: 4,
        entries: 1_000_000,
        minutes: 10,
        jobs: 100_000,
        databases: None,
        parts: Vec::new(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = |max: usize| -> Result<usize> {
            let value = args.next().with_context(|| format!("{arg} needs a number"))?.parse()?;
            if value == 0 || value > max {
                bail!("{arg}: between 1 and {max}");
            }
            Ok(value)
        };
        match arg.as_str() {
            "--rounds" => plan.rounds = number(20)?,
            "--seconds" => plan.seconds = number(30)? as u32,
            "--entries" => plan.entries = number(100_000_000)?,
            "--bin" => plan.bin = PathBuf::from(args.next().context("--bin needs a path")?),
            "--celery" => plan.celery = Some(PathBuf::from(args.next().context("--celery needs a path")?)),
            "--minutes" => plan.minutes = number(600)? as u64,
            "--jobs" => plan.jobs = number(10_000_000)?,
            "--on" => plan.databases = Some(args.next().context("--on needs sqlite or postgresql")?),
            "chaos" | "throughput" | "audit-calls" | "audit" | "storm" | "jobs" | "start" => plan.parts.push(arg),
            _ => bail!("unknown argument {arg}\n\n{HELP}"),
        }
    }
    plan.bin = plan.bin.canonicalize().with_context(|| format!("{} is not built", plan.bin.display()))?;
    Ok(plan)
}
