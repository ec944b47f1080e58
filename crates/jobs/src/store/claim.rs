//! Out of the queue: taken, and done, tried again or given up.

use baluarte_db::{
    Db, DbError, Tx, placeholders,
    sea_orm::{ConnectionTrait as _, QueryResult, Value},
    sql,
};
use baluarte_kernel::Timestamp;

use super::{IDS, count, get, job_id, these, time_if_any};
use crate::job::JobId;

/// What a worker gets to do.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) id: JobId,
    pub(crate) kind: String,
    pub(crate) payload: String,
    pub(crate) sealed: bool,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    priority: i64,
    pub(crate) run_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// It is a run of this schedule.
    pub(crate) schedule: Option<String>,
}

/// What is ready in a lane, and when the next job becomes ready that is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outlook {
    pub(crate) ready: Vec<bool>,
    pub(crate) next_at: Option<Timestamp>,
}

/// Reads only, so that looking costs nobody anything.
pub(crate) async fn look(db: &Db, lanes: &[&str]) -> Result<Outlook, DbError> {
    let mut text = "SELECT (SELECT min(run_at) FROM jobs WHERE state = 'scheduled') AS next_at".to_owned();
    for at in 0..lanes.len() {
        let ready = format!("SELECT 1 FROM jobs WHERE state = 'ready' AND lane = ${} LIMIT 1", at + 1);
        text.push_str(&format!(", (SELECT count(*) FROM ({ready}) AS r{at}) AS ready{at}"));
    }
    let row = db.read().query_one_raw(sql(db.read(), &text, lanes.iter().map(|lane| Value::from(*lane)))).await?;
    let row = row.ok_or(DbError::NotFound)?;
    let ready = (0..lanes.len()).map(|at| Ok(get::<i64>(&row, &format!("ready{at}"))? > 0)).collect::<Result<_, DbError>>()?;
    Ok(Outlook { ready, next_at: time_if_any(&row, "next_at")? })
}

const PROMOTE_SQLITE: &str = "UPDATE jobs SET state = 'ready'
    WHERE id IN (SELECT id FROM jobs WHERE state = 'scheduled' AND run_at <= $1 ORDER BY run_at LIMIT 1000) RETURNING lane";
/// The same; replicas that wake up together share the work instead of waiting for each other.
const PROMOTE_POSTGRES: &str = "UPDATE jobs SET state = 'ready'
    WHERE id = ANY (ARRAY (SELECT id FROM jobs WHERE state = 'scheduled' AND run_at <= $1 ORDER BY run_at LIMIT 1000 FOR UPDATE SKIP LOCKED))
    RETURNING lane";

/// What was to be done later and is due becomes ready, at most a thousand jobs at a time. Returns their lanes.
pub(crate) async fn promote(tx: &Tx, db: &Db, now: Timestamp) -> Result<Vec<String>, DbError> {
    let rows = tx.query_all_raw(sql(tx, db.per_dialect(PROMOTE_SQLITE, PROMOTE_POSTGRES), [now.micros().into()])).await?;
    rows.iter().map(|row| get(row, "lane")).collect()
}

/// PostgreSQL has many writers: two that count at the same time would both find room. Nothing to do on SQLite.
const LOCK_LANE: &str = "SELECT pg_advisory_xact_lock(hashtextextended('jobs.lane.' || $1, 0))";
const RUNNING: &str = "SELECT count(*) AS running FROM jobs WHERE state = 'running' AND lane = $1";

/// How many more may run in a lane of its own, among all replicas, until this transaction ends. Ask for several lanes in the
/// order of their names.
pub(crate) async fn room(tx: &Tx, db: &Db, lane: &str, at_once: u32) -> Result<usize, DbError> {
    if let Some(lock) = db.per_dialect(None, Some(LOCK_LANE)) {
        tx.query_one_raw(sql(tx, lock, [lane.into()])).await?;
    }
    let row = tx.query_one_raw(sql(tx, RUNNING, [lane.into()])).await?.ok_or(DbError::NotFound)?;
    Ok(at_once.saturating_sub(count(get(&row, "running")?)) as usize)
}

const TAKEN: &str = "RETURNING id, kind, payload, sealed, attempts, max_attempts, priority, run_at, expires_at, unique_key";
/// Who was taken for dead gets nothing until it has begun anew.
const ALIVE: &str = "EXISTS (SELECT 1 FROM workers WHERE id = $2 AND lost_at IS NULL)";
/// Decides and marks in one statement: what comes back is this worker's.
const CLAIM_SQLITE: &str = "UPDATE jobs SET state = 'running', worker = $2, started_at = $1, attempts = attempts + 1
    WHERE id IN (SELECT id FROM jobs WHERE state = 'ready' AND lane = $3 AND kind IN (KINDS) AND ALIVE ORDER BY priority, run_at, id LIMIT $4)";
/// Replicas pass over each other's rows instead of waiting for them. By their place: they are locked, so they stay there until the end of
/// the statement, and looking them up again by key took a sixth of its time.
const CLAIM_POSTGRES: &str = "UPDATE jobs SET state = 'running', worker = $2, started_at = $1, attempts = attempts + 1
    WHERE ctid = ANY (ARRAY (SELECT ctid FROM jobs WHERE state = 'ready' AND lane = $3 AND kind IN (KINDS) AND ALIVE ORDER BY priority, run_at, id LIMIT $4
        FOR UPDATE SKIP LOCKED))";

/// Who takes, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taker<'a> {
    pub(crate) worker: &'a str,
    pub(crate) now: Timestamp,
}

/// PostgreSQL plans by what it last counted, which may have been an empty queue: then it fetches and sorts all that is ready to take a
/// few. For the rest of the transaction it goes by the indexes, which fit.
const BY_INDEX: &str = "SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off";

/// Before the first claim of a transaction, and before jobs are looked up.
pub(crate) async fn prepare(tx: &Tx, db: &Db) -> Result<(), DbError> {
    if let Some(settings) = db.per_dialect(None, Some(BY_INDEX)) {
        tx.execute_unprepared(settings).await?;
    }
    Ok(())
}

/// Takes jobs of one lane, the most urgent first, and in the order in which they became due.
pub(crate) async fn claim(
    tx: &Tx,
    db: &Db,
    taker: Taker<'_>,
    lane: &str,
    kinds: &[&'static str],
    limit: usize,
) -> Result<Vec<Claimed>, DbError> {
    let text = db.per_dialect(CLAIM_SQLITE, CLAIM_POSTGRES).replace("KINDS", &placeholders(5, kinds.len())).replace("ALIVE", ALIVE);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut values = vec![taker.now.micros().into(), taker.worker.into(), lane.into(), limit.into()];
    values.extend(kinds.iter().map(|kind| Value::from(*kind)));
    let rows = tx.query_all_raw(sql(tx, &format!("{text} {TAKEN}"), values)).await?;
    let mut claimed = rows.iter().map(claimed).collect::<Result<Vec<_>, _>>()?;
    // Neither database promises an order here.
    claimed.sort_unstable_by_key(|job| (job.priority, job.run_at, job.id));
    Ok(claimed)
}

/// A run of a schedule holds this key, so that no other one begins before it ends.
pub(crate) const SCHEDULE_KEY: &str = "schedule:";

/// The schedule whose run a job is, by its unique key.
pub(super) fn schedule_of(row: &QueryResult) -> Result<Option<String>, DbError> {
    let key: Option<String> = get(row, "unique_key")?;
    Ok(key.as_deref().and_then(|key| key.strip_prefix(SCHEDULE_KEY)).map(str::to_owned))
}

fn claimed(row: &QueryResult) -> Result<Claimed, DbError> {
    Ok(Claimed {
        id: job_id(row)?,
        kind: get(row, "kind")?,
        payload: get(row, "payload")?,
        sealed: get(row, "sealed")?,
        attempt: count(get(row, "attempts")?),
        max_attempts: count(get(row, "max_attempts")?),
        priority: get(row, "priority")?,
        run_at: super::time(row, "run_at")?,
        expires_at: time_if_any(row, "expires_at")?,
        schedule: schedule_of(row)?,
    })
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    Retry { at: Timestamp, counts: bool, error: String },
    Dead { error: String },
    Canceled { error: String },
}

/// A run of this worker that ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) id: JobId,
    pub(crate) attempt: u32,
    pub(crate) ending: Ending,
    pub(crate) schedule: Option<String>,
}

/// `worker` and `state` in each: whoever lost the job in the meantime changes nothing. `attempts`: nor does a word that is written twice,
/// because nobody knew whether the first time had been committed, when the same worker has the job again by then.
const DONE: &str =
    "UPDATE jobs SET state = 'done', finished_at = $1, error = NULL, progress = NULL THESE AND state = 'running' AND worker = $2";
const RETRY: &str = "UPDATE jobs SET state = 'scheduled', run_at = $3, attempts = attempts - $4, error = $5, worker = NULL, progress = NULL
    WHERE state = 'running' AND worker = $1 AND id = $2 AND attempts = $6";
const END: &str =
    "UPDATE jobs SET state = $3, finished_at = $4, error = $5 WHERE state = 'running' AND worker = $1 AND id = $2 AND attempts = $6";
pub(super) const REMEMBER_ERROR: &str = "INSERT INTO job_errors (job_id, attempt, at, error) VALUES ($1, $2, $3, $4)
    ON CONFLICT (job_id, attempt) DO UPDATE SET at = $3, error = $4";

/// Writes what became of runs; may be repeated when nobody knows whether it was committed.
pub(crate) async fn finish(tx: &Tx, db: &Db, taker: Taker<'_>, ended: &[Ended]) -> Result<(), DbError> {
    let (worker, now) = (taker.worker, taker.now);
    let done: Vec<JobId> = ended.iter().filter(|it| it.ending == Ending::Done).map(|it| it.id).collect();
    for piece in done.chunks(IDS) {
        let (these, ids) = these(db, 3, piece);
        tx.execute_raw(sql(tx, &DONE.replace("THESE", &these), [now.micros().into(), worker.into(), ids])).await?;
    }
    for Ended { id, attempt, ending, schedule } in ended {
        let (statement, error, outcome) = match ending {
            Ending::Done => {
                if let Some(name) = schedule {
                    super::schedules::remember_outcome(tx, name, *id, "done").await?;
                }
                continue;
            }
            Ending::Retry { at, counts, error } => {
                let back = i64::from(!counts);
                let values = [
                    worker.into(),
                    id.to_string().into(),
                    at.micros().into(),
                    back.into(),
                    error.clone().into(),
                    i64::from(*attempt).into(),
                ];
                (sql(tx, RETRY, values), error, "retrying")
            }
            Ending::Dead { error } | Ending::Canceled { error } => {
                let state = if matches!(ending, Ending::Dead { .. }) { "dead" } else { "canceled" };
                let values = [
                    worker.into(),
                    id.to_string().into(),
                    state.into(),
                    now.micros().into(),
                    error.clone().into(),
                    i64::from(*attempt).into(),
                ];
                (sql(tx, END, values), error, state)
            }
        };
        if tx.execute_raw(statement).await?.rows_affected() > 0 {
            let values = [id.to_string().into(), i64::from(*attempt).into(), now.micros().into(), error.clone().into()];
            tx.execute_raw(sql(tx, REMEMBER_ERROR, values)).await?;
            if let Some(name) = schedule {
                super::schedules::remember_outcome(tx, name, *id, outcome).await?;
            }
        }
    }
    Ok(())
}

const PROGRESS: &str = "UPDATE jobs SET progress = $3 WHERE state = 'running' AND worker = $1 AND id = $2";

pub(crate) async fn set_progress(tx: &Tx, worker: &str, id: JobId, progress: &str) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, PROGRESS, [worker.into(), id.to_string().into(), progress.into()])).await?;
    Ok(())
}

const HELD: &str = "SELECT id, cancel_requested FROM jobs WHERE state = 'running' AND worker = $1";

/// What the database believes that this worker runs, and whether somebody wants it canceled.
pub(crate) async fn held(db: &Db, worker: &str) -> Result<Vec<(JobId, bool)>, DbError> {
    let rows = db.read().query_all_raw(sql(db.read(), HELD, [worker.into()])).await?;
    rows.iter().map(|row| Ok((job_id(row)?, get(row, "cancel_requested")?))).collect()
}

const GIVE_BACK: &str = "UPDATE jobs SET state = CASE WHEN cancel_requested THEN 'canceled' ELSE 'ready' END, attempts = attempts - 1,
    finished_at = CASE WHEN cancel_requested THEN $2 ELSE NULL END, worker = NULL, progress = NULL
    THESE AND state = 'running' AND worker = $1";

/// As if they had never been taken.
pub(crate) async fn give_back(tx: &Tx, db: &Db, taker: Taker<'_>, jobs: &[JobId]) -> Result<(), DbError> {
    for piece in jobs.chunks(IDS) {
        let (these, ids) = these(db, 3, piece);
        tx.execute_raw(sql(tx, &GIVE_BACK.replace("THESE", &these), [taker.worker.into(), taker.now.micros().into(), ids])).await?;
    }
    Ok(())
}
