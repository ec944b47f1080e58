//! Keys, checkpoints and prunings.

use baluarte_db::{
    DbError, Tx,
    sea_orm::{ConnectionTrait, QueryResult, Value},
    sql,
};
use baluarte_kernel::Timestamp;

use crate::{
    link::Hash,
    signed::{Checkpoint, Says, StoredKey},
};

const INSERT_KEY: &str = "INSERT INTO audit_keys (kid, generation, public_key, private_key, at, endorsed_by, signature)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (generation) DO NOTHING";

/// False when another replica made the key of this generation.
pub(crate) async fn insert_key(tx: &Tx, key: &StoredKey) -> Result<bool, DbError> {
    let values: [Value; 7] = [
        key.kid.clone().into(),
        key.generation.into(),
        hex::encode(key.public_key).into(),
        key.private_key.clone().into(),
        key.at.micros().into(),
        key.endorsed_by.clone().into(),
        hex::encode(&key.signature).into(),
    ];
    Ok(tx.execute_raw(sql(tx, INSERT_KEY, values)).await?.rows_affected() > 0)
}

/// By generation.
pub(crate) async fn list_keys(conn: &impl ConnectionTrait) -> Result<Vec<StoredKey>, DbError> {
    let text = "SELECT kid, generation, public_key, private_key, at, endorsed_by, signature FROM audit_keys ORDER BY generation";
    conn.query_all_raw(sql(conn, text, [])).await?.iter().map(key).collect()
}

fn key(row: &QueryResult) -> Result<StoredKey, DbError> {
    let bytes = |at: usize| hex::decode(row.try_get_by_index::<String>(at).unwrap_or_default()).unwrap_or_default();
    Ok(StoredKey {
        kid: row.try_get_by_index(0)?,
        generation: row.try_get_by_index(1)?,
        public_key: bytes(2).try_into().map_err(|_| DbError::Corrupt("audit_keys.public_key"))?,
        private_key: row.try_get_by_index(3)?,
        at: Timestamp::from_micros(row.try_get_by_index(4)?),
        endorsed_by: row.try_get_by_index(5)?,
        signature: bytes(6),
    })
}

const fn table(says: Says) -> &'static str {
    match says {
        Says::Checkpoint => "audit_checkpoints",
        Says::Pruning => "audit_prunings",
    }
}

/// False when there is one for this link already.
pub(crate) async fn insert(tx: &Tx, it: &Checkpoint) -> Result<bool, DbError> {
    let text =
        format!("INSERT INTO {} (seq, hash, at, kid, signature) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (seq) DO NOTHING", table(it.says));
    let values: [Value; 5] =
        [it.seq.into(), it.hash.to_vec().into(), it.at.micros().into(), it.kid.clone().into(), hex::encode(&it.signature).into()];
    Ok(tx.execute_raw(sql(tx, &text, values)).await?.rows_affected() > 0)
}

pub(crate) async fn last(conn: &impl ConnectionTrait, says: Says, chain: &str) -> Result<Option<Checkpoint>, DbError> {
    let text = format!("SELECT seq, hash, at, kid, signature FROM {} ORDER BY seq DESC LIMIT 1", table(says));
    conn.query_one_raw(sql(conn, &text, [])).await?.map(|row| checkpoint(says, chain, &row)).transpose()
}

/// In order, from `after` (exclusive) to `through`, at most `limit`.
pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    says: Says,
    chain: &str,
    after: i64,
    through: i64,
    limit: usize,
) -> Result<Vec<Checkpoint>, DbError> {
    let text = format!("SELECT seq, hash, at, kid, signature FROM {} WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3", table(says));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = conn.query_all_raw(sql(conn, &text, [after.into(), through.into(), limit.into()])).await?;
    rows.iter().map(|row| checkpoint(says, chain, row)).collect()
}

/// What cannot be read has a signature that does not hold.
fn checkpoint(says: Says, chain: &str, row: &QueryResult) -> Result<Checkpoint, DbError> {
    let hash: Vec<u8> = row.try_get_by_index(1).unwrap_or_default();
    let signature: String = row.try_get_by_index(4).unwrap_or_default();
    Ok(Checkpoint {
        says,
        chain: chain.to_owned(),
        seq: row.try_get_by_index(0)?,
        hash: Hash::try_from(hash).unwrap_or_default(),
        at: Timestamp::from_micros(row.try_get_by_index(2).unwrap_or_default()),
        kid: row.try_get_by_index(3).unwrap_or_default(),
        signature: hex::decode(signature).unwrap_or_default(),
    })
}
