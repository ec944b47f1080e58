use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{Timestamp, UserId};
use sea_orm::{ConnectionTrait, FromQueryResult};

/// Networks remembered for one person.
const MAX_PER_USER: i64 = 50;

#[derive(FromQueryResult)]
struct Row {
    network: String,
}

const LIST: &str = "SELECT network FROM sign_in_places WHERE user_id = $1 AND last_used_at > $2";

/// Where somebody signed in from since a moment.
pub(crate) async fn list_places(conn: &impl ConnectionTrait, user: UserId, since: Timestamp) -> Result<Vec<String>, DbError> {
    let rows = Row::find_by_statement(sql(conn, LIST, [user.to_string().into(), since.micros().into()])).all(conn).await?;
    Ok(rows.into_iter().map(|row| row.network).collect())
}

const INSERT: &str = "INSERT INTO sign_in_places (user_id, network, last_used_at) VALUES ($1, $2, $3)
    ON CONFLICT (user_id, network) DO UPDATE SET last_used_at = excluded.last_used_at";
const TRIM: &str = "DELETE FROM sign_in_places WHERE user_id = $1 AND network IN (
    SELECT network FROM sign_in_places WHERE user_id = $1 ORDER BY last_used_at DESC LIMIT 1000000 OFFSET $2)";

pub(crate) async fn remember_place(tx: &Tx, user: UserId, network: &str, at: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, INSERT, [user.to_string().into(), network.into(), at.micros().into()])).await?;
    tx.execute_raw(sql(tx, TRIM, [user.to_string().into(), MAX_PER_USER.into()])).await?;
    Ok(())
}

const FORGET: &str = "DELETE FROM sign_in_places WHERE user_id = $1";

pub(crate) async fn forget_places(tx: &Tx, user: UserId) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, FORGET, [user.to_string().into()])).await?;
    Ok(())
}

const SWEEP: &str = "DELETE FROM sign_in_places WHERE last_used_at <= $1";

pub(crate) async fn sweep(tx: &Tx, before: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, SWEEP, [before.micros().into()])).await?;
    Ok(())
}
