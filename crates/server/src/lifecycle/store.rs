//! Processes that have not said goodbye.

use baluarte_db::{
    Db, DbError, Tx,
    sea_orm::{ConnectionTrait as _, QueryResult, Value},
    sql,
};
use baluarte_kernel::Timestamp;

use super::place::Place;

/// A row of `server_processes`.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) id: String,
    pub(super) place: Place,
    pub(super) seen_at: Timestamp,
}

/// Begins a process's row, or tells that it is still there.
pub(super) async fn seen(tx: &Tx, id: &str, place: &Place, now: Timestamp) -> Result<(), DbError> {
    let text = "INSERT INTO server_processes (id, host, scope, pid, roles, started_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $6)
        ON CONFLICT (id) DO UPDATE SET seen_at = $6";
    let values: [Value; 6] = [
        id.into(),
        place.host.as_str().into(),
        place.scope.as_str().into(),
        place.pid.into(),
        place.roles.as_str().into(),
        now.micros().into(),
    ];
    tx.execute_raw(sql(tx, text, values)).await?;
    Ok(())
}

/// Those on one host, or those that nobody has heard of since `before`; the oldest first.
pub(super) async fn list(db: &Db, host: Option<&str>, before: Timestamp) -> Result<Vec<Process>, DbError> {
    let text =
        "SELECT id, host, scope, pid, roles, seen_at FROM server_processes WHERE host = $1 OR seen_at < $2 ORDER BY seen_at LIMIT 100";
    let rows = db.read().query_all_raw(sql(db.read(), text, [host.unwrap_or_default().into(), before.micros().into()])).await?;
    rows.iter().map(process).collect()
}

fn process(row: &QueryResult) -> Result<Process, DbError> {
    let place = Place {
        host: row.try_get_by_index(1)?,
        scope: row.try_get_by_index(2)?,
        pid: row.try_get_by_index(3)?,
        roles: row.try_get_by_index(4)?,
    };
    Ok(Process { id: row.try_get_by_index(0)?, place, seen_at: Timestamp::from_micros(row.try_get_by_index(5)?) })
}

/// False when somebody else has seen to it, or it has been heard of since.
pub(super) async fn remove(tx: &Tx, id: &str, seen_at: Timestamp) -> Result<bool, DbError> {
    let text = "DELETE FROM server_processes WHERE id = $1 AND seen_at = $2";
    Ok(tx.execute_raw(sql(tx, text, [id.into(), seen_at.micros().into()])).await?.rows_affected() > 0)
}

/// Ours, which knows best.
pub(super) async fn end(tx: &Tx, id: &str) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, "DELETE FROM server_processes WHERE id = $1", [id.into()])).await?;
    Ok(())
}
