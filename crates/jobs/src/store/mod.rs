//! Every statement of the crate.

pub(crate) mod claim;
pub(crate) mod forget;
pub(crate) mod operator;
pub(crate) mod queue;
pub(crate) mod schedules;
pub(crate) mod upkeep;
pub(crate) mod workers;

use baluarte_db::{
    DbError,
    sea_orm::{QueryResult, TryGetable},
};
use baluarte_kernel::Timestamp;

use crate::job::JobId;

/// Rows in one statement; times the columns far below what SQLite takes.
const ROWS: usize = 128;

/// A column, or the error that names it.
fn get<T: TryGetable>(row: &QueryResult, column: &str) -> Result<T, DbError> {
    Ok(row.try_get("", column)?)
}

fn count(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(if stored < 0 { 0 } else { u32::MAX })
}

fn time(row: &QueryResult, column: &str) -> Result<Timestamp, DbError> {
    Ok(Timestamp::from_micros(get(row, column)?))
}

fn time_if_any(row: &QueryResult, column: &str) -> Result<Option<Timestamp>, DbError> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp::from_micros))
}

fn job_id(row: &QueryResult) -> Result<JobId, DbError> {
    get::<String>(row, "id")?.parse().map_err(|_| DbError::Corrupt("jobs.id"))
}
