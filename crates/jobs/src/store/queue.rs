//! From enqueued to finished.

use baluarte_db::{
    DbError, Dialect, Tx, placeholders,
    sea_orm::{ConnectionTrait as _, QueryResult, Value},
    sql,
};
use baluarte_kernel::Timestamp;

use super::{count, get};
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
/// Rows in one statement; times the columns far below what SQLite takes.
const ROWS: usize = 128;

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

/// What a worker gets to do.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) id: JobId,
    pub(crate) kind: String,
    pub(crate) payload: String,
    pub(crate) sealed: bool,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    pub(crate) expires_at: Option<Timestamp>,
}

/// Decides and marks in one statement: what comes back is this worker's.
const CLAIM_SQLITE: &str = "UPDATE jobs SET state = 'running', worker = $2, started_at = $1, attempts = attempts + 1
    WHERE id IN (SELECT id FROM jobs WHERE state = 'ready' AND lane = $3 AND kind IN (KINDS) ORDER BY priority, run_at, id LIMIT $4)
    RETURNING id, kind, payload, sealed, attempts, max_attempts, expires_at";
/// Replicas pass over each other's rows instead of waiting for them; the array makes PostgreSQL look each of them up by its key, whatever
/// its statistics say.
const CLAIM_POSTGRES: &str = "UPDATE jobs SET state = 'running', worker = $2, started_at = $1, attempts = attempts + 1
    WHERE id = ANY (ARRAY (SELECT id FROM jobs WHERE state = 'ready' AND lane = $3 AND kind IN (KINDS) ORDER BY priority, run_at, id LIMIT $4
        FOR UPDATE SKIP LOCKED))
    RETURNING id, kind, payload, sealed, attempts, max_attempts, expires_at";

pub(crate) async fn claim(
    tx: &Tx,
    dialect: Dialect,
    worker: &str,
    lane: &str,
    kinds: &[&str],
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Claimed>, DbError> {
    let text = match dialect {
        Dialect::Sqlite => CLAIM_SQLITE,
        Dialect::Postgres => CLAIM_POSTGRES,
    };
    let text = text.replace("KINDS", &placeholders(5, kinds.len()));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut values = vec![now.micros().into(), worker.into(), lane.into(), limit.into()];
    values.extend(kinds.iter().map(|kind| Value::from(*kind)));
    let rows = tx.query_all_raw(sql(tx, &text, values)).await?;
    rows.iter().map(claimed).collect()
}

fn claimed(row: &QueryResult) -> Result<Claimed, DbError> {
    Ok(Claimed {
        id: job_id(row)?,
        kind: get(row, "kind")?,
        payload: get(row, "payload")?,
        sealed: get(row, "sealed")?,
        attempt: count(get(row, "attempts")?),
        max_attempts: count(get(row, "max_attempts")?),
        expires_at: get::<Option<i64>>(row, "expires_at")?.map(Timestamp::from_micros),
    })
}

fn job_id(row: &QueryResult) -> Result<JobId, DbError> {
    get::<String>(row, "id")?.parse().map_err(|_| DbError::Corrupt("jobs.id"))
}

const PROMOTE: &str = "UPDATE jobs SET state = 'ready' WHERE state = 'scheduled' AND run_at <= $1";

/// What was to be done later and is due.
pub(crate) async fn promote(tx: &Tx, now: Timestamp) -> Result<u64, DbError> {
    Ok(tx.execute_raw(sql(tx, PROMOTE, [now.micros().into()])).await?.rows_affected())
}

/// How a run ended, when it did not just go well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    Retry { at: Timestamp, counts: bool, error: String },
    Dead { error: String },
    Canceled { error: String },
}

/// `worker` and `state`: whoever lost the job in the meantime changes nothing.
const DONE: &str = "UPDATE jobs SET state = 'done', finished_at = $1, error = NULL WHERE state = 'running' AND worker = $2 AND id IN (IDS)";
const RETRY: &str = "UPDATE jobs SET state = 'scheduled', run_at = $4, attempts = attempts - $5, error = $6, worker = NULL
    WHERE state = 'running' AND worker = $2 AND id = $3 AND $1 = $1";
const END: &str = "UPDATE jobs SET state = $4, finished_at = $1, error = $5 WHERE state = 'running' AND worker = $2 AND id = $3";
const REMEMBER_ERROR: &str = "INSERT INTO job_errors (job_id, attempt, at, error) VALUES ($1, $2, $3, $4) ON CONFLICT (job_id, attempt) DO UPDATE SET at = $3, error = $4";

/// A run of this worker that ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) id: JobId,
    pub(crate) attempt: u32,
    pub(crate) ending: Ending,
}

/// Writes what became of runs.
pub(crate) async fn finish(tx: &Tx, worker: &str, ended: &[Ended], now: Timestamp) -> Result<(), DbError> {
    let done: Vec<JobId> = ended.iter().filter(|it| it.ending == Ending::Done).map(|it| it.id).collect();
    for piece in done.chunks(ROWS) {
        // Few lengths make few statements to prepare; a name twice in the list does no harm.
        let padded = piece.len().next_power_of_two();
        let text = DONE.replace("IDS", &placeholders(3, padded));
        let mut values: Vec<Value> = vec![now.micros().into(), worker.into()];
        values.extend((0..padded).map(|at| Value::from(piece[at.min(piece.len() - 1)].to_string())));
        tx.execute_raw(sql(tx, &text, values)).await?;
    }
    for Ended { id, attempt, ending } in ended {
        let (statement, error) = match ending {
            Ending::Done => continue,
            Ending::Retry { at, counts, error } => {
                let back = i64::from(!counts);
                let values =
                    [now.micros().into(), worker.into(), id.to_string().into(), at.micros().into(), back.into(), error.clone().into()];
                (sql(tx, RETRY, values), error)
            }
            Ending::Dead { error } | Ending::Canceled { error } => {
                let state = if matches!(ending, Ending::Dead { .. }) { "dead" } else { "canceled" };
                let values = [now.micros().into(), worker.into(), id.to_string().into(), state.into(), error.clone().into()];
                (sql(tx, END, values), error)
            }
        };
        if tx.execute_raw(statement).await?.rows_affected() > 0 {
            let values = [id.to_string().into(), i64::from(*attempt).into(), now.micros().into(), error.clone().into()];
            tx.execute_raw(sql(tx, REMEMBER_ERROR, values)).await?;
        }
    }
    Ok(())
}

const GIVE_BACK: &str = "UPDATE jobs SET state = 'ready', attempts = attempts - 1, worker = NULL WHERE state = 'running' AND worker = $1";

/// Everything this worker holds goes back, as if it had never been taken.
pub(crate) async fn give_back(tx: &Tx, worker: &str) -> Result<u64, DbError> {
    Ok(tx.execute_raw(sql(tx, GIVE_BACK, [worker.into()])).await?.rows_affected())
}
