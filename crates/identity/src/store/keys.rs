use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::Timestamp;
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::token::StoredKey;

#[derive(FromQueryResult)]
struct Row {
    kid: String,
    generation: i64,
    public_key: String,
    private_key: String,
    created_at: i64,
    active_from: i64,
}

const LIST: &str = "SELECT kid, generation, public_key, private_key, created_at, active_from FROM signing_keys";

pub(crate) async fn list_keys(conn: &impl ConnectionTrait) -> Result<Vec<StoredKey>, DbError> {
    let rows = Row::find_by_statement(sql(conn, LIST, [])).all(conn).await?;
    Ok(rows
        .into_iter()
        .map(|row| StoredKey {
            kid: row.kid,
            generation: row.generation,
            public_key: row.public_key,
            private_key: row.private_key,
            created_at: Timestamp::from_micros(row.created_at),
            active_from: Timestamp::from_micros(row.active_from),
        })
        .collect())
}

/// Of several replicas that make the same generation at once, one wins and the others keep nothing.
const INSERT: &str = "INSERT INTO signing_keys (kid, generation, public_key, private_key, created_at, active_from)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (generation) DO NOTHING";

/// Whether this key was the first of its generation.
pub(crate) async fn insert_key(tx: &Tx, key: &StoredKey) -> Result<bool, DbError> {
    let values = [
        key.kid.as_str().into(),
        key.generation.into(),
        key.public_key.as_str().into(),
        key.private_key.as_str().into(),
        key.created_at.micros().into(),
        key.active_from.micros().into(),
    ];
    Ok(tx.execute_raw(sql(tx, INSERT, values)).await?.rows_affected() == 1)
}

const DELETE: &str = "DELETE FROM signing_keys WHERE kid = $1";

pub(crate) async fn delete_key(tx: &Tx, kid: &str) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, DELETE, [kid.into()])).await?;
    Ok(())
}
