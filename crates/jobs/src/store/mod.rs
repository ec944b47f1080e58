//! Every statement of the crate.

pub(crate) mod claim;
pub(crate) mod forget;
pub(crate) mod operator;
pub(crate) mod queue;
pub(crate) mod schedules;
pub(crate) mod upkeep;
pub(crate) mod workers;

use baluarte_db::{
    Db, DbError, Dialect,
    sea_orm::{QueryResult, TryGetable, Value},
};
use baluarte_kernel::Timestamp;

use crate::job::JobId;

/// Rows in one statement.
const ROWS: usize = 128;

/// Identifiers in one statement. A longer message to PostgreSQL leaves in several packets, and the driver lets the last one wait for
/// the word that the others have arrived, which the other side puts off for 40 ms.
const IDS: usize = 400;

/// Identifiers as one value, so that the statement is the same for any number of them: what follows the SET of an update, where they are
/// value number `at`, and the value.
fn these(db: &Db, at: usize, ids: &[JobId]) -> (String, Value) {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    match db.dialect() {
        Dialect::Sqlite => (format!("WHERE id IN (SELECT value FROM json_each(${at}))"), format!("[\"{}\"]", ids.join("\",\"")).into()),
        // A join: with `= ANY` PostgreSQL may go through the whole list for each row.
        Dialect::Postgres => {
            (format!("FROM unnest(string_to_array(${at}, ',')) AS these (one) WHERE id = these.one"), ids.join(",").into())
        }
    }
}

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
