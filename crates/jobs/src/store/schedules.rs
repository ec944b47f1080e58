//! Timetables and how far they have come.

use baluarte_db::{
    Db, DbError, Tx, placeholders,
    sea_orm::{ConnectionTrait as _, QueryResult, Value},
    sql,
};
use baluarte_kernel::Timestamp;

use super::{count, get, time, time_if_any};
use crate::{job::JobId, model::ScheduleView};

/// A timetable that stays as it was keeps its next time, so that what was missed while nobody was there is noticed.
const KEEP: &str = "INSERT INTO schedules (name, kind, cron, time_zone, next_at, missed, kept_at) VALUES ($1, $2, $3, $4, $5, 0, $7)
    ON CONFLICT (name) DO UPDATE SET kind = $2, cron = $3, time_zone = $4, kept_at = $7,
        next_at = CASE WHEN schedules.cron = $3 AND schedules.time_zone = $4 THEN schedules.next_at ELSE $5 END
        WHERE schedules.next_at < $6 OR (schedules.cron = $3 AND schedules.time_zone = $4)
    RETURNING next_at";

/// A schedule as the program has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) cron: &'a str,
    pub(crate) time_zone: &'a str,
}

/// When something is written about a schedule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When {
    /// Its next time, if it is not there yet.
    pub(crate) next_at: Timestamp,
    /// One whose next time is before that has nobody any more.
    pub(crate) deserted: Timestamp,
    pub(crate) now: Timestamp,
}

/// Writes it down and returns when its next time is. Nothing: under its name there is another timetable, whose next time is not
/// before `deserted`: somebody else's, who is alive.
pub(crate) async fn keep(tx: &Tx, schedule: Named<'_>, when: When) -> Result<Option<Timestamp>, DbError> {
    let Named { name, kind, cron, time_zone } = schedule;
    let When { next_at, deserted, now } = when;
    let times = [next_at, deserted, now].map(|at| Value::from(at.micros()));
    let values = [name.into(), kind.into(), cron.into(), time_zone.into()].into_iter().chain(times);
    tx.query_one_raw(sql(tx, KEEP, values)).await?.map(|row| time(&row, "next_at")).transpose()
}

/// Forgets those that the program does not have any more.
pub(crate) async fn forget_others(tx: &Tx, names: &[&str]) -> Result<(), DbError> {
    let text = match names.len() {
        0 => "DELETE FROM schedules".to_owned(),
        count => format!("DELETE FROM schedules WHERE name NOT IN ({})", placeholders(1, count)),
    };
    tx.execute_raw(sql(tx, &text, names.iter().map(|name| Value::from(*name)))).await?;
    Ok(())
}

/// Forgets those that nobody has said to have since `before`.
pub(crate) async fn forget_left(tx: &Tx, before: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, "DELETE FROM schedules WHERE kept_at < $1", [before.micros().into()])).await?;
    Ok(())
}

const MOVE_ON: &str =
    "UPDATE schedules SET next_at = $3, last_at = $4, missed = missed + $5, missed_at = CASE WHEN $5 > 0 THEN $4 ELSE missed_at END
    WHERE name = $1 AND next_at = $2";

/// Decides who starts the run: of all replicas, one is told true.
pub(crate) async fn move_on(tx: &Tx, name: &str, from: Timestamp, to: Timestamp, missed: u32, now: Timestamp) -> Result<bool, DbError> {
    let values = [name.into(), from.micros().into(), to.micros().into(), now.micros().into(), i64::from(missed).into()];
    Ok(tx.execute_raw(sql(tx, MOVE_ON, values)).await?.rows_affected() > 0)
}

const STARTED: &str = "UPDATE schedules SET last_job = $2, last_outcome = $3 WHERE name = $1";

/// `job`: the run, or none with the reason why there is none.
pub(crate) async fn started(tx: &Tx, name: &str, job: Option<JobId>, outcome: &str) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, STARTED, [name.into(), job.map(|id| id.to_string()).into(), outcome.into()])).await?;
    Ok(())
}

const OUTCOME: &str = "UPDATE schedules SET last_outcome = $3 WHERE name = $1 AND last_job = $2";

pub(crate) async fn remember_outcome(tx: &Tx, name: &str, job: JobId, outcome: &str) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, OUTCOME, [name.into(), job.to_string().into(), outcome.into()])).await?;
    Ok(())
}

const LIST: &str =
    "SELECT name, kind, cron, time_zone, next_at, last_at, last_job, last_outcome, missed, missed_at FROM schedules ORDER BY next_at, name
    LIMIT 1000";

pub(crate) async fn list(db: &Db) -> Result<Vec<ScheduleView>, DbError> {
    let rows = db.read().query_all_raw(sql(db.read(), LIST, [])).await?;
    rows.iter().map(view).collect()
}

fn view(row: &QueryResult) -> Result<ScheduleView, DbError> {
    Ok(ScheduleView {
        name: get(row, "name")?,
        kind: get(row, "kind")?,
        cron: get(row, "cron")?,
        time_zone: get(row, "time_zone")?,
        next_at: time(row, "next_at")?,
        last_at: time_if_any(row, "last_at")?,
        last_job: get(row, "last_job")?,
        last_outcome: get(row, "last_outcome")?,
        missed: count(get(row, "missed")?),
        missed_at: time_if_any(row, "missed_at")?,
    })
}
