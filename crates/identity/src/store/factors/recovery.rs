use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{Timestamp, UserId};
use sea_orm::{ConnectionTrait, FromQueryResult};

const FORGET: &str = "DELETE FROM recovery_codes WHERE user_id = $1";
const INSERT: &str = "INSERT INTO recovery_codes (user_id, code_hash, created_at) VALUES ($1, $2, $3)";

/// New codes void the old ones.
pub(crate) async fn replace(tx: &Tx, user: UserId, hashes: &[String], at: Timestamp) -> Result<(), DbError> {
    forget(tx, user).await?;
    for hash in hashes {
        tx.execute_raw(sql(tx, INSERT, [user.to_string().into(), hash.as_str().into(), at.micros().into()])).await?;
    }
    Ok(())
}

pub(crate) async fn forget(tx: &Tx, user: UserId) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, FORGET, [user.to_string().into()])).await?;
    Ok(())
}

/// Found and gone in one statement: of two that use a code at once, one gets it.
const TAKE: &str = "DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2";

/// Whether it was one of theirs and not used yet.
pub(crate) async fn take(tx: &Tx, user: UserId, hash: &str) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, TAKE, [user.to_string().into(), hash.into()])).await?.rows_affected() == 1)
}

#[derive(FromQueryResult)]
struct Row {
    count: i64,
}

const COUNT: &str = "SELECT count(*) AS count FROM recovery_codes WHERE user_id = $1";

/// How many are left.
pub(crate) async fn count(conn: &impl ConnectionTrait, user: UserId) -> Result<u32, DbError> {
    let row = Row::find_by_statement(sql(conn, COUNT, [user.to_string().into()])).one(conn).await?;
    Ok(row.map_or(0, |row| u32::try_from(row.count).unwrap_or(u32::MAX)))
}
