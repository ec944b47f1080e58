//! What operators look at and change.

use baluarte_db::{
    Db, DbError, Tx,
    sea_orm::{ConnectionTrait, QueryResult, Value},
    sql,
};
use baluarte_kernel::{Page, PageQuery, Timestamp};

use super::{claim::schedule_of, count, get, job_id, time, time_if_any};
use crate::{
    job::{JobId, Priority},
    model::{AttemptError, Filter, JobView, State},
};

const COLUMNS: &str = "id, kind, state, priority, run_at, attempts, max_attempts, expires_at, unique_key, tags, request_id, created_at, \
     started_at, finished_at, worker, cancel_requested, progress, error";

/// `AND …` for each condition; the values go behind those that are there.
fn conditions(filter: &Filter, values: &mut Vec<Value>) -> String {
    let mut text = String::new();
    match filter.state {
        None => {}
        Some(State::Scheduled) => text.push_str(" AND state = 'scheduled' AND attempts = 0"),
        Some(State::Retrying) => text.push_str(" AND state = 'scheduled' AND attempts > 0"),
        // In the text rather than as a value: so the databases see which of the small indexes fits.
        Some(state) => text.push_str(&format!(" AND state = '{}'", state.name())),
    }
    if let Some(kind) = &filter.kind {
        values.push(kind.clone().into());
        text.push_str(&format!(" AND kind = ${}", values.len()));
    }
    if let Some(tag) = &filter.tag {
        values.push(format!("%,{},%", crate::tag_as_kept(tag)).into());
        text.push_str(&format!(" AND tags LIKE ${}", values.len()));
    }
    text
}

/// The newest first.
pub(crate) async fn list(db: &Db, filter: &Filter, page: &PageQuery) -> Result<Page<JobView>, DbError> {
    let limit = page.limit();
    let mut values = vec![i64::try_from(limit + 1).unwrap_or(i64::MAX).into()];
    let mut text = format!("SELECT {COLUMNS} FROM jobs WHERE 1 = 1{}", conditions(filter, &mut values));
    if let Some(cursor) = &page.cursor {
        values.push(cursor.key().to_owned().into());
        text.push_str(&format!(" AND id < ${}", values.len()));
    }
    text.push_str(" ORDER BY id DESC LIMIT $1");
    let rows = db.read().query_all_raw(sql(db.read(), &text, values)).await?;
    let jobs = rows.iter().map(view).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::from_surplus(jobs, limit, |job| job.id.to_string()))
}

/// A job with what only its own page shows.
pub(crate) struct Found {
    pub(crate) job: JobView,
    pub(crate) payload: String,
    pub(crate) sealed: bool,
}

pub(crate) async fn find(conn: &impl ConnectionTrait, id: JobId) -> Result<Option<Found>, DbError> {
    let text = format!("SELECT {COLUMNS}, payload, sealed FROM jobs WHERE id = $1");
    let row = conn.query_one_raw(sql(conn, &text, [id.to_string().into()])).await?;
    row.map(|row| Ok(Found { job: view(&row)?, payload: get(&row, "payload")?, sealed: get(&row, "sealed")? })).transpose()
}

const ERRORS: &str = "SELECT attempt, at, error FROM job_errors WHERE job_id = $1 ORDER BY attempt DESC LIMIT 100";

pub(crate) async fn errors(db: &Db, id: JobId) -> Result<Vec<AttemptError>, DbError> {
    let rows = db.read().query_all_raw(sql(db.read(), ERRORS, [id.to_string().into()])).await?;
    rows.iter()
        .map(|row| Ok(AttemptError { attempt: count(get(row, "attempt")?), at: time(row, "at")?, error: get(row, "error")? }))
        .collect()
}

fn view(row: &QueryResult) -> Result<JobView, DbError> {
    let attempts = count(get(row, "attempts")?);
    let tags: String = get(row, "tags")?;
    Ok(JobView {
        id: job_id(row)?,
        kind: get(row, "kind")?,
        state: State::of(&get::<String>(row, "state")?, attempts).ok_or(DbError::Corrupt("jobs.state"))?,
        priority: Priority::name_of(get(row, "priority")?),
        attempts,
        max_attempts: count(get(row, "max_attempts")?),
        tags: tags.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
        unique_key: get(row, "unique_key")?,
        run_at: time(row, "run_at")?,
        expires_at: time_if_any(row, "expires_at")?,
        created_at: time(row, "created_at")?,
        started_at: time_if_any(row, "started_at")?,
        finished_at: time_if_any(row, "finished_at")?,
        worker: get(row, "worker")?,
        cancel_requested: get(row, "cancel_requested")?,
        progress: get(row, "progress")?,
        error: get(row, "error")?,
        request_id: get(row, "request_id")?,
    })
}

/// At once, with one attempt more if none was left. Not while another job waits or runs under its unique key.
const RETRY: &str = "UPDATE jobs SET state = 'ready', run_at = $2, finished_at = NULL, worker = NULL, cancel_requested = FALSE,
        expires_at = CASE WHEN expires_at <= $2 THEN NULL ELSE expires_at END,
        max_attempts = CASE WHEN attempts >= max_attempts THEN attempts + 1 ELSE max_attempts END,
        payload = COALESCE($3, payload)
    WHERE id = $1 AND state IN ('scheduled', 'dead', 'canceled') AND (unique_key IS NULL OR state = 'scheduled' OR NOT EXISTS (
        SELECT 1 FROM jobs AS other WHERE other.kind = jobs.kind AND other.unique_key = jobs.unique_key AND other.unique_key IS NOT NULL
            AND other.state IN ('scheduled', 'ready', 'running')))
    RETURNING lane";

/// Returns the lane, or nothing when it cannot be retried. `payload`: a new one, in the form in which it is stored.
pub(crate) async fn retry(tx: &Tx, id: JobId, payload: Option<String>, now: Timestamp) -> Result<Option<String>, DbError> {
    let row = tx.query_one_raw(sql(tx, RETRY, [id.to_string().into(), now.micros().into(), payload.into()])).await?;
    row.map(|row| get(&row, "lane")).transpose()
}

/// Those that a bulk retry is about, the oldest first.
pub(crate) async fn list_ids(tx: &Tx, filter: &Filter, limit: usize) -> Result<Vec<JobId>, DbError> {
    let mut values = vec![i64::try_from(limit).unwrap_or(i64::MAX).into()];
    let text = format!("SELECT id FROM jobs WHERE 1 = 1{} ORDER BY id LIMIT $1", conditions(filter, &mut values));
    let rows = tx.query_all_raw(sql(tx, &text, values)).await?;
    rows.iter().map(job_id).collect()
}

/// What waits is canceled; what runs is asked to stop.
const CANCEL: &str = "UPDATE jobs SET
        state = CASE WHEN state = 'running' THEN state ELSE 'canceled' END,
        finished_at = CASE WHEN state = 'running' THEN finished_at ELSE $2 END,
        cancel_requested = TRUE
    WHERE id = $1 AND state IN ('scheduled', 'ready', 'running') RETURNING state, unique_key";

/// True: it runs and was asked to stop. False: it is canceled. Nothing: it is over.
pub(crate) async fn cancel(tx: &Tx, id: JobId, now: Timestamp) -> Result<Option<bool>, DbError> {
    let row = tx.query_one_raw(sql(tx, CANCEL, [id.to_string().into(), now.micros().into()])).await?;
    let Some(row) = row else { return Ok(None) };
    let running = get::<String>(&row, "state")? == "running";
    if let (false, Some(schedule)) = (running, schedule_of(&row)?) {
        super::schedules::remember_outcome(tx, &schedule, id, "canceled").await?;
    }
    Ok(Some(running))
}
