//! Of whom nothing is kept any more.

use baluarte_db::{DbError, Tx, sea_orm::ConnectionTrait as _, sql};
use baluarte_kernel::{Timestamp, UserId};

/// Why a delivery was skipped.
pub(crate) const GONE: &str = "the account was deleted";

const REMEMBER: &str = "INSERT INTO webhook_forgotten (user_id, forgotten_at) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING";
/// Of what was told about them only that they are gone stays: the identifier, and nothing else.
const SKIP: &str = "UPDATE webhook_deliveries SET state = 'skipped', error = $2, finished_at = $3 WHERE state = 'waiting'
    AND event_id IN (SELECT id FROM webhook_events WHERE user_id = $1 AND type <> 'user.deleted')";
const ERASE: &str = "UPDATE webhook_events SET body = '', user_id = NULL WHERE user_id = $1 AND type <> 'user.deleted'";

/// Erases what was, and is still to be, told about somebody.
pub(crate) async fn forget(tx: &Tx, user: UserId, now: Timestamp) -> Result<(), DbError> {
    let user = user.to_string();
    tx.execute_raw(sql(tx, REMEMBER, [user.clone().into(), now.micros().into()])).await?;
    tx.execute_raw(sql(tx, SKIP, [user.clone().into(), GONE.into(), now.micros().into()])).await?;
    tx.execute_raw(sql(tx, ERASE, [user.into()])).await?;
    Ok(())
}

pub(crate) async fn is_forgotten(tx: &Tx, user: UserId) -> Result<bool, DbError> {
    let statement = sql(tx, "SELECT 1 FROM webhook_forgotten WHERE user_id = $1", [user.to_string().into()]);
    Ok(tx.query_one_raw(statement).await?.is_some())
}

const PRUNE: &str = "DELETE FROM webhook_forgotten WHERE user_id IN
    (SELECT user_id FROM webhook_forgotten WHERE forgotten_at < $1 ORDER BY forgotten_at LIMIT $2)";

/// Returns how many.
pub(crate) async fn prune(tx: &Tx, before: Timestamp, piece: i64) -> Result<u64, DbError> {
    Ok(tx.execute_raw(sql(tx, PRUNE, [before.micros().into(), piece.into()])).await?.rows_affected())
}
