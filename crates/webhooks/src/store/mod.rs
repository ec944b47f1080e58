//! Every statement of the crate.

pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod people;

use baluarte_db::{
    DbError,
    sea_orm::{QueryResult, TryGetable},
};
use baluarte_kernel::Timestamp;

fn get<T: TryGetable>(row: &QueryResult, column: &str) -> Result<T, DbError> {
    Ok(row.try_get("", column)?)
}

fn moment(row: &QueryResult, column: &str) -> Result<Option<Timestamp>, DbError> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp::from_micros))
}
