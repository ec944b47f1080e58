//! Every statement of the crate.

pub(crate) mod queue;

use baluarte_db::{DbError, sea_orm::QueryResult};

/// A column, or the error that names it.
fn get<T: baluarte_db::sea_orm::TryGetable>(row: &QueryResult, column: &str) -> Result<T, DbError> {
    Ok(row.try_get("", column)?)
}

fn count(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(if stored < 0 { 0 } else { u32::MAX })
}
