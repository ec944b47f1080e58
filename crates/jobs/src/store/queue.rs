//! Into the queue.

use baluarte_db::{
    DbError, Tx, placeholders,
    sea_orm::{ConnectionTrait as _, Value},
    sql,
};
use baluarte_kernel::Timestamp;

use super::{ROWS, job_id};
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

fn insert_text(rows: usize) -> String {
    let mut text = "INSERT INTO jobs (id, kind, lane, state, priority, run_at, payload, sealed, max_attempts, expires_at, unique_key, \
                    tags, request_id, created_at, attempts, cancel_requested) VALUES "
        .to_owned();
    for row in 0..rows {
        let comma = if row == 0 { "" } else { ", " };
        text.push_str(&format!("{comma}({}, 0, FALSE)", placeholders(row * COLUMNS + 1, COLUMNS)));
    }
    text
}

/// Writes jobs without unique keys.
pub(crate) async fn insert_all(tx: &Tx, mut jobs: Vec<NewJob>, now: Timestamp) -> Result<(), DbError> {
    while !jobs.is_empty() {
        let rest = jobs.split_off(jobs.len().min(ROWS));
        let text = insert_text(jobs.len());
        let values: Vec<Value> = jobs.into_iter().flat_map(|job| job.values(now)).collect();
        tx.execute_raw(sql(tx, &text, values)).await?;
        jobs = rest;
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
    let text = insert_text(1) + UNLESS_THERE;
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
