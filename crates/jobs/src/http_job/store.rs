//! The statements of HTTP jobs.

use std::time::Duration;

use baluarte_db::{
    DbError, Tx,
    sea_orm::{ConnectionTrait, QueryResult, TryGetable},
    sql,
};
use baluarte_kernel::{Timestamp, UserId};

use super::{
    call::{Report, Verdict},
    model::{CallMade, HttpJob},
};
use crate::JobId;

const INSERT: &str = "INSERT INTO http_jobs (job_id, owner, method, target) VALUES ($1, $2, $3, $4) ON CONFLICT (job_id) DO NOTHING";

/// Nothing happens for a job that was there already under its unique key.
pub(crate) async fn insert_http_job(tx: &Tx, id: JobId, owner: Option<UserId>, method: &str, target: &str) -> Result<(), DbError> {
    let values = [id.to_string().into(), owner.map(|owner| owner.to_string()).into(), method.into(), target.into()];
    tx.execute_raw(sql(tx, INSERT, values)).await?;
    Ok(())
}

const COLUMNS: &str =
    "h.job_id, h.owner, h.method, h.target, j.state, j.attempts, j.max_attempts, j.run_at, j.created_at, j.finished_at, j.error";

pub(crate) async fn find_http_job(conn: &impl ConnectionTrait, id: JobId) -> Result<Option<HttpJob>, DbError> {
    let text = format!("SELECT {COLUMNS} FROM http_jobs h JOIN jobs j ON j.id = h.job_id WHERE h.job_id = $1");
    conn.query_one_raw(sql(conn, &text, [id.to_string().into()])).await?.as_ref().map(http_job).transpose()
}

/// The newest first; `before`: the last identifier of the page before.
pub(crate) async fn list_http_jobs(
    conn: &impl ConnectionTrait,
    owner: UserId,
    before: Option<&str>,
    limit: usize,
) -> Result<Vec<HttpJob>, DbError> {
    let older = if before.is_some() { "AND h.job_id < $3" } else { "" };
    let text = format!(
        "SELECT {COLUMNS} FROM http_jobs h JOIN jobs j ON j.id = h.job_id WHERE h.owner = $1 {older} ORDER BY h.job_id DESC LIMIT $2"
    );
    let mut values = vec![owner.to_string().into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
    values.extend(before.map(Into::into));
    conn.query_all_raw(sql(conn, &text, values)).await?.iter().map(http_job).collect()
}

fn http_job(row: &QueryResult) -> Result<HttpJob, DbError> {
    let owner: Option<String> = get(row, "owner")?;
    Ok(HttpJob {
        id: get::<String>(row, "job_id")?.parse().map_err(|_| DbError::Corrupt("http_jobs.job_id"))?,
        owner: owner.map(|owner| owner.parse()).transpose().map_err(|_| DbError::Corrupt("http_jobs.owner"))?,
        method: get(row, "method")?,
        target: get(row, "target")?,
        state: get(row, "state")?,
        attempts: get(row, "attempts")?,
        max_attempts: get(row, "max_attempts")?,
        run_at: Timestamp::from_micros(get(row, "run_at")?),
        created_at: Timestamp::from_micros(get(row, "created_at")?),
        finished_at: get::<Option<i64>>(row, "finished_at")?.map(Timestamp::from_micros),
        error: get(row, "error")?,
    })
}

/// A call to be written down.
pub(crate) struct NewCall {
    pub(crate) job: JobId,
    pub(crate) attempt: u32,
    pub(crate) report: Report,
}

/// A job that an operator starts again counts its attempts from the beginning.
const INSERT_CALL: &str =
    "INSERT INTO http_calls (job_id, attempt, began_at, took_us, status, answer, error) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (job_id, attempt) DO UPDATE SET began_at = $3, took_us = $4, status = $5, answer = $6, error = $7";

pub(crate) async fn insert_call(tx: &Tx, call: &NewCall) -> Result<(), DbError> {
    let NewCall { job, attempt, report } = call;
    let error = match &report.verdict {
        Verdict::Failed { why, .. } => Some(why.clone()),
        Verdict::Gone => Some("answered 410: nobody wants this here any more".to_owned()),
        Verdict::Done => None,
    };
    let values = [
        job.to_string().into(),
        i64::from(*attempt).into(),
        report.began.micros().into(),
        i64::try_from(report.took.as_micros()).unwrap_or(i64::MAX).into(),
        report.status.map(i64::from).into(),
        report.answer.clone().into(),
        error.into(),
    ];
    tx.execute_raw(sql(tx, INSERT_CALL, values)).await?;
    Ok(())
}

const LIST_CALLS: &str = "SELECT attempt, began_at, took_us, status, answer, error FROM http_calls WHERE job_id = $1 ORDER BY began_at DESC, attempt DESC LIMIT $2";

/// The latest first.
pub(crate) async fn list_calls(conn: &impl ConnectionTrait, id: JobId, limit: i64) -> Result<Vec<CallMade>, DbError> {
    let rows = conn.query_all_raw(sql(conn, LIST_CALLS, [id.to_string().into(), limit.into()])).await?;
    let call = |row: &QueryResult| {
        Ok(CallMade {
            attempt: get(row, "attempt")?,
            began_at: Timestamp::from_micros(get(row, "began_at")?),
            took: Duration::from_micros(u64::try_from(get::<i64>(row, "took_us")?).unwrap_or(0)),
            status: get(row, "status")?,
            answer: get(row, "answer")?,
            error: get(row, "error")?,
        })
    };
    rows.iter().map(call).collect()
}

fn get<T: TryGetable>(row: &QueryResult, column: &str) -> Result<T, DbError> {
    Ok(row.try_get("", column)?)
}
