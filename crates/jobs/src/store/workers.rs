//! Who is there to work.

use baluarte_db::{
    Db, DbError, Tx,
    sea_orm::{ConnectionTrait as _, QueryResult},
    sql,
};
use baluarte_kernel::Timestamp;

use super::{
    claim::{REMEMBER_ERROR, schedule_of},
    count, get, job_id, time, time_if_any,
};
use crate::{job::JobId, model::WorkerView};

const REGISTER: &str = "INSERT INTO workers (id, name, version, concurrency, running, started_at, seen_at, stopping)
    VALUES ($1, $2, $3, $4, 0, $5, $5, FALSE)";

pub(crate) async fn register(db: &Db, id: &str, name: &str, concurrency: u32, now: Timestamp) -> Result<(), DbError> {
    let tx = db.begin().await?;
    let values = [id.into(), name.into(), env!("CARGO_PKG_VERSION").into(), i64::from(concurrency).into(), now.micros().into()];
    tx.execute_raw(sql(&tx, REGISTER, values)).await?;
    tx.commit().await
}

const BEAT: &str = "UPDATE workers SET seen_at = $2, running = $3, stopping = $4 WHERE id = $1 AND lost_at IS NULL";

/// A sign of life. False: it came too late, others do this worker's jobs.
pub(crate) async fn beat(db: &Db, id: &str, running: usize, stopping: bool, now: Timestamp) -> Result<bool, DbError> {
    let tx = db.begin().await?;
    let values = [id.into(), now.micros().into(), i64::try_from(running).unwrap_or(i64::MAX).into(), stopping.into()];
    let alive = tx.execute_raw(sql(&tx, BEAT, values)).await?.rows_affected() > 0;
    tx.commit().await?;
    Ok(alive)
}

const LEAVE: &str = "DELETE FROM workers WHERE id = $1";

pub(crate) async fn leave(tx: &Tx, id: &str) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, LEAVE, [id.into()])).await?;
    Ok(())
}

/// A worker that counts as alive, and what it last said.
#[derive(Debug)]
pub(crate) struct Sign {
    pub(crate) id: String,
    pub(crate) seen_at: i64,
}

const SIGNS: &str = "SELECT id, seen_at FROM workers WHERE lost_at IS NULL";

pub(crate) async fn signs(db: &Db) -> Result<Vec<Sign>, DbError> {
    let rows = db.read().query_all_raw(sql(db.read(), SIGNS, [])).await?;
    rows.iter().map(|row| Ok(Sign { id: get(row, "id")?, seen_at: get(row, "seen_at")? })).collect()
}

/// Not one that has said something meanwhile.
const LOSE: &str = "UPDATE workers SET lost_at = $1 WHERE id = $2 AND seen_at = $3 AND lost_at IS NULL RETURNING name, seen_at";

/// Name, and when it was seen last; nothing when it lives, or another replica was first.
pub(crate) async fn lose(db: &Db, silent: &Sign, now: Timestamp) -> Result<Option<(String, Timestamp)>, DbError> {
    let tx = db.begin().await?;
    let values = [now.micros().into(), silent.id.clone().into(), silent.seen_at.into()];
    let row = tx.query_one_raw(sql(&tx, LOSE, values)).await?;
    tx.commit().await?;
    row.map(|row| Ok((get(&row, "name")?, time(&row, "seen_at")?))).transpose()
}

/// A job that its worker cannot go on with.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) id: JobId,
    pub(crate) kind: String,
    pub(crate) attempts: u32,
    worker: String,
    schedule: Option<String>,
}

/// In one snapshot a worker that works is there: it signs on before it takes anything.
const ORPHANS: &str = "SELECT id, kind, attempts, worker, unique_key FROM jobs
    WHERE state = 'running' AND worker NOT IN (SELECT id FROM workers WHERE lost_at IS NULL) LIMIT $1";
/// Few enough that nobody waits long for SQLite's one writer.
pub(crate) const RESCUED_AT_ONCE: usize = 200;

/// Looked for by reading: usually there is nothing.
pub(crate) async fn orphans(db: &Db) -> Result<Vec<Orphan>, DbError> {
    let limit = i64::try_from(RESCUED_AT_ONCE).unwrap_or(i64::MAX);
    let rows = db.read().query_all_raw(sql(db.read(), ORPHANS, [limit.into()])).await?;
    rows.iter()
        .map(|row| {
            Ok(Orphan {
                id: job_id(row)?,
                kind: get(row, "kind")?,
                attempts: count(get(row, "attempts")?),
                worker: get(row, "worker")?,
                schedule: schedule_of(row)?,
            })
        })
        .collect()
}

/// The attempt counts, and the next one waits as after any other failure: a job that kills its worker each time comes to an end, and
/// does not take worker after worker with it until then. `worker` by its name: whoever has the job by now keeps it.
const RESCUE: &str = "UPDATE jobs SET worker = NULL, progress = NULL, error = $4,
    state = CASE WHEN cancel_requested THEN 'canceled' WHEN attempts >= max_attempts THEN 'dead' ELSE 'scheduled' END,
    finished_at = CASE WHEN cancel_requested OR attempts >= max_attempts THEN $3 ELSE NULL END,
    run_at = CASE WHEN cancel_requested OR attempts >= max_attempts THEN run_at ELSE $5 END
    WHERE id = $1 AND state = 'running' AND worker = $2 RETURNING state";
const LOST: &str = "its worker was lost";

/// Each with the time of its next attempt. Returns how many were still there to be rescued.
pub(crate) async fn rescue(db: &Db, orphans: &[(Orphan, Timestamp)], now: Timestamp) -> Result<usize, DbError> {
    let tx = db.begin().await?;
    let mut rescued = 0;
    for (orphan, next) in orphans {
        let id = orphan.id.to_string();
        let values = [id.clone().into(), orphan.worker.clone().into(), now.micros().into(), LOST.into(), next.micros().into()];
        let Some(row) = tx.query_one_raw(sql(&tx, RESCUE, values)).await? else { continue };
        let values = [id.into(), i64::from(orphan.attempts).into(), now.micros().into(), LOST.into()];
        tx.execute_raw(sql(&tx, REMEMBER_ERROR, values)).await?;
        if let Some(name) = &orphan.schedule {
            let state: String = get(&row, "state")?;
            let outcome = if state == "scheduled" { "retrying" } else { &state };
            super::schedules::remember_outcome(&tx, name, orphan.id, outcome).await?;
        }
        rescued += 1;
    }
    tx.commit().await?;
    Ok(rescued)
}

const LIST: &str = "SELECT id, name, version, concurrency, running, started_at, seen_at, stopping, lost_at FROM workers
    ORDER BY started_at DESC, id DESC LIMIT 1000";

/// All of them, the lost ones of the last day included.
pub(crate) async fn list(db: &Db) -> Result<Vec<WorkerView>, DbError> {
    let rows = db.read().query_all_raw(sql(db.read(), LIST, [])).await?;
    rows.iter().map(view).collect()
}

fn view(row: &QueryResult) -> Result<WorkerView, DbError> {
    let lost_at = time_if_any(row, "lost_at")?;
    let stopping: bool = get(row, "stopping")?;
    Ok(WorkerView {
        id: get(row, "id")?,
        name: get(row, "name")?,
        version: get(row, "version")?,
        state: match (lost_at, stopping) {
            (Some(_), _) => "lost",
            (None, true) => "stopping",
            (None, false) => "alive",
        },
        concurrency: count(get(row, "concurrency")?),
        running: count(get(row, "running")?),
        started_at: time(row, "started_at")?,
        seen_at: time(row, "seen_at")?,
        lost_at,
    })
}
