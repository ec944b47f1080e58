//! Who is there to work.

use baluarte_db::{
    Db, DbError, Tx,
    sea_orm::{ConnectionTrait as _, QueryResult},
    sql,
};
use baluarte_kernel::Timestamp;

use super::{claim::REMEMBER_ERROR, count, get, job_id, time, time_if_any};
use crate::model::WorkerView;

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

const LOSE: &str = "UPDATE workers SET lost_at = $1 WHERE lost_at IS NULL AND seen_at < $2 RETURNING name, seen_at";
const SILENT: &str = "SELECT count(*) AS silent FROM workers WHERE lost_at IS NULL AND seen_at < $1";
const ORPHANS: &str =
    "SELECT count(*) AS orphans FROM jobs WHERE state = 'running' AND worker NOT IN (SELECT id FROM workers WHERE lost_at IS NULL)";
/// The attempt counts: a job that kills its worker must come to an end.
const RESCUE: &str = "UPDATE jobs SET worker = NULL, progress = NULL, error = 'its worker was lost',
    state = CASE WHEN cancel_requested THEN 'canceled' WHEN attempts >= max_attempts THEN 'dead' ELSE 'ready' END,
    finished_at = CASE WHEN cancel_requested OR attempts >= max_attempts THEN $1 ELSE NULL END
    WHERE state = 'running' AND worker NOT IN (SELECT id FROM workers WHERE lost_at IS NULL)
    RETURNING id, attempts, lane";

/// What was found when somebody fell silent.
#[derive(Debug, Default)]
pub(crate) struct Rescued {
    /// Name, and when it was seen last. Each lost worker is told to one replica only.
    pub(crate) lost: Vec<(String, Timestamp)>,
    pub(crate) jobs: usize,
    pub(crate) lanes: Vec<String>,
}

/// Workers that were last seen before `silent_since` are lost; what lost workers ran goes back to the queue.
pub(crate) async fn rescue(db: &Db, silent_since: Timestamp, now: Timestamp) -> Result<Rescued, DbError> {
    // Looked for by reading: usually there is nothing, and SQLite's one writer is not kept.
    let silent = db.read().query_one_raw(sql(db.read(), SILENT, [silent_since.micros().into()])).await?.ok_or(DbError::NotFound)?;
    let orphans = db.read().query_one_raw(sql(db.read(), ORPHANS, [])).await?.ok_or(DbError::NotFound)?;
    if get::<i64>(&silent, "silent")? == 0 && get::<i64>(&orphans, "orphans")? == 0 {
        return Ok(Rescued::default());
    }
    let tx = db.begin().await?;
    let lost = tx.query_all_raw(sql(&tx, LOSE, [now.micros().into(), silent_since.micros().into()])).await?;
    let lost = lost.iter().map(|row| Ok((get(row, "name")?, time(row, "seen_at")?))).collect::<Result<Vec<_>, DbError>>()?;
    let rows = tx.query_all_raw(sql(&tx, RESCUE, [now.micros().into()])).await?;
    let mut lanes = Vec::new();
    for row in &rows {
        let values =
            [job_id(row)?.to_string().into(), get::<i64>(row, "attempts")?.into(), now.micros().into(), "its worker was lost".into()];
        tx.execute_raw(sql(&tx, REMEMBER_ERROR, values)).await?;
        lanes.push(get(row, "lane")?);
    }
    tx.commit().await?;
    Ok(Rescued { lost, jobs: rows.len(), lanes })
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
