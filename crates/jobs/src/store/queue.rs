//! Into the queue.

use baluarte_db::{
    Db, DbError, Tx, placeholders,
    sea_orm::{ConnectionTrait as _, Value},
    sql,
};
use baluarte_kernel::Timestamp;

use super::{get, job_id};
use crate::job::JobId;

/// A job that is to be written.
#[derive(Debug, Clone)]
pub(crate) struct NewJob {
    pub(crate) id: JobId,
    pub(crate) kind: &'static str,
    pub(crate) lane: &'static str,
    pub(crate) priority: i64,
    pub(crate) run_at: Timestamp,
    pub(crate) payload: String,
    pub(crate) sealed: bool,
    pub(crate) max_attempts: u32,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) unique_key: Option<String>,
    pub(crate) tags: String,
    pub(crate) request_id: Option<String>,
}

const COLUMNS: usize = 14;

impl NewJob {
    fn values(self, now: Timestamp) -> [Value; COLUMNS] {
        let state = if self.run_at > now { "scheduled" } else { "ready" };
        [
            self.id.to_string().into(),
            self.kind.into(),
            self.lane.into(),
            state.into(),
            self.priority.into(),
            self.run_at.micros().into(),
            self.payload.into(),
            self.sealed.into(),
            i64::from(self.max_attempts).into(),
            self.expires_at.map(Timestamp::micros).into(),
            self.unique_key.into(),
            self.tags.into(),
            self.request_id.into(),
            now.micros().into(),
        ]
    }
}

const INTO: &str = "INSERT INTO jobs (id, kind, lane, state, priority, run_at, payload, sealed, max_attempts, expires_at, unique_key, \
     tags, request_id, created_at, attempts, cancel_requested)";

fn insert_text() -> String {
    format!("{INTO} VALUES ({}, 0, FALSE)", placeholders(1, COLUMNS))
}

/// Writes a job without a unique key.
pub(crate) async fn insert(tx: &Tx, job: NewJob, now: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, &insert_text(), job.values(now))).await?;
    Ok(())
}

/// Jobs in one statement; each has two values of its own.
const ALIKE: usize = 256;

/// The columns that jobs of one kind and the same options have in common are sent once. SQLite knows no types here and needs none.
fn insert_alike_text(rows: usize) -> String {
    let own: Vec<String> = (0..rows).map(|row| format!("({})", placeholders(COLUMNS - 1 + row * 2, 2))).collect();
    format!(
        "WITH own (id, payload) AS (VALUES {}) {INTO} SELECT id, $1, $2, $3, CAST($4 AS BIGINT), CAST($5 AS BIGINT), payload, \
         CAST($6 AS BOOLEAN), CAST($7 AS BIGINT), CAST($8 AS BIGINT), $9, $10, $11, CAST($12 AS BIGINT), 0, FALSE FROM own",
        own.join(", ")
    )
}

/// Writes jobs without unique keys that differ in nothing but identifier and payload; what else there is comes from the first.
pub(crate) async fn insert_alike(tx: &Tx, jobs: Vec<NewJob>, now: Timestamp) -> Result<(), DbError> {
    for piece in jobs.chunks(ALIKE) {
        let [_, kind, lane, state, priority, run_at, _, rest @ ..] = piece[0].clone().values(now);
        let mut values = vec![kind, lane, state, priority, run_at];
        values.extend(rest);
        values.extend(piece.iter().flat_map(|job| [job.id.to_string().into(), job.payload.clone().into()]));
        tx.execute_raw(sql(tx, &insert_alike_text(piece.len()), values)).await?;
    }
    Ok(())
}

const LANES: &str =
    "SELECT DISTINCT kind, lane FROM jobs WHERE state = 'ready' UNION SELECT DISTINCT kind, lane FROM jobs WHERE state = 'scheduled'";
const MOVE: &str = "UPDATE jobs SET lane = $2 WHERE id IN
    (SELECT id FROM jobs WHERE state IN ('ready', 'scheduled') AND kind = $1 AND lane <> $2 LIMIT 1000)";

/// Jobs that wait in another lane than their kind has now, written by a version that saw it differently: nobody would look there.
/// `lane_of`: nothing for kinds that nobody here does.
pub(crate) async fn move_to_lanes(db: &Db, lane_of: impl Fn(&str) -> Option<&'static str>) -> Result<(), DbError> {
    for row in db.read().query_all_raw(sql(db.read(), LANES, [])).await? {
        let (kind, lane): (String, String) = (get(&row, "kind")?, get(&row, "lane")?);
        let Some(now) = lane_of(&kind).filter(|now| *now != lane) else { continue };
        loop {
            let tx = db.begin().await?;
            let moved = tx.execute_raw(sql(&tx, MOVE, [kind.clone().into(), now.into()])).await?.rows_affected();
            tx.commit().await?;
            if moved == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// In words of the index that refuses.
const UNLESS_THERE: &str =
    " ON CONFLICT (kind, unique_key) WHERE unique_key IS NOT NULL AND state IN ('scheduled', 'ready', 'running') DO NOTHING RETURNING id";
const FIND_UNIQUE: &str =
    "SELECT id FROM jobs WHERE kind = $1 AND unique_key = $2 AND unique_key IS NOT NULL AND state IN ('scheduled', 'ready', 'running')";

/// Writes a job with a unique key, or finds the one that waits or runs under it. True: it is new.
pub(crate) async fn insert_unique(tx: &Tx, job: NewJob, now: Timestamp) -> Result<(JobId, bool), DbError> {
    let (id, kind, key) = (job.id, job.kind, job.unique_key.clone());
    let text = insert_text() + UNLESS_THERE;
    // The earlier one may end between the two statements, on PostgreSQL.
    for _ in 0..5 {
        if tx.query_one_raw(sql(tx, &text, job.clone().values(now))).await?.is_some() {
            return Ok((id, true));
        }
        if let Some(row) = tx.query_one_raw(sql(tx, FIND_UNIQUE, [kind.into(), key.clone().into()])).await? {
            return Ok((job_id(&row)?, false));
        }
    }
    Err(DbError::unavailable("a unique job came and went too often"))
}
