//! What workers cost that have nothing to do.

use std::{thread::sleep, time::Duration};

use anyhow::Result;
use baluarte_testkit::{Dialect, TestDb};

use super::celery::Celery;
use crate::{Plan, peers::Baluarte, process::Folder};

const SETTLE: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_secs(60);

/// CPU milliseconds a minute of `baluarte worker` on each database, and of Celery; all of them idle side by side.
pub(super) struct Idle {
    pub(super) sqlite: f64,
    pub(super) postgres: f64,
    pub(super) celery: f64,
}

pub(super) fn measure(plan: &Plan, folder: &Folder, celery: &Celery, runtime: &tokio::runtime::Runtime) -> Result<Idle> {
    let test = runtime.block_on(TestDb::create(Dialect::Postgres));
    let sqlite = Baluarte::prepare(plan, folder, "idle-sqlite", 9, 0)?.work(None)?;
    let postgres = Baluarte::prepare(plan, folder, "idle-postgres", 9, 0)?.work(Some(test.config.url.expose()))?;
    let peer = celery.work()?;
    sleep(SETTLE);
    let now = || [sqlite.cpu_millis(), postgres.cpu_millis(), peer.cpu_millis()];
    let before = now();
    sleep(IDLE);
    let after = now();
    let used = |at: usize| after[at] - before[at];
    let idle = Idle { sqlite: used(0), postgres: used(1), celery: used(2) };
    drop((sqlite, postgres, peer));
    runtime.block_on(async { drop(test) });
    Ok(idle)
}
