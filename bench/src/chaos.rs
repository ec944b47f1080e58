//! Minutes of `kill -9`, with a database that goes away: what became of the jobs (bench/README.md).

use std::{io::Write as _, time::Duration};

use anyhow::{Result, bail};
use baluarte_testkit::{Backend, Chaos};

use crate::Plan;

pub(crate) fn run(plan: &Plan) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut out = std::io::stdout();
    writeln!(out, "| database | what happened |\n| --- | --- |")?;
    let mut wrong = false;
    for (name, backend) in [("SQLite", Backend::Sqlite), ("PostgreSQL", Backend::PostgresRedis)] {
        if plan.databases.as_ref().is_some_and(|only| !only.eq_ignore_ascii_case(name)) {
            continue;
        }
        let chaos = Chaos {
            bin: plan.bin.clone(),
            backend,
            jobs: plan.jobs,
            length: Duration::from_secs(60 * plan.minutes),
            pause: Duration::from_secs(6),
            heartbeat: Duration::from_secs(10),
        };
        let outcome = runtime.block_on(chaos.run());
        writeln!(out, "| {name} | {} |", outcome.to_string().replace(" | ", "; "))?;
        wrong |= !outcome.violations.is_empty();
    }
    if wrong {
        bail!("jobs were lost, or done again without a reason");
    }
    Ok(())
}
