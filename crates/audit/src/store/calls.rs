//! Batches of recorded calls.

use baluarte_db::{
    Db, DbError, Tx,
    sea_orm::{ConnectionTrait as _, QueryResult, Value},
    sql,
};
use baluarte_kernel::Timestamp;

use crate::calls::{actions::CALLS_ANONYMISED, batch::Sealed};

const INSERT: &str = "INSERT INTO audit_calls (id, first_at, last_at, calls, records, private) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (id) DO NOTHING";

/// False when it is there already: an earlier attempt was committed though nobody heard of it.
pub(crate) async fn insert_batch(tx: &Tx, it: &Sealed) -> Result<bool, DbError> {
    let values: [Value; 6] = [
        it.id.to_string().into(),
        it.first_at.micros().into(),
        it.last_at.micros().into(),
        i64::try_from(it.calls).unwrap_or(i64::MAX).into(),
        it.records.clone().into(),
        it.private.clone().into(),
    ];
    Ok(tx.execute_raw(sql(tx, INSERT, values)).await?.rows_affected() > 0)
}

/// A batch as it lies in the table.
#[derive(Debug)]
pub(crate) struct StoredBatch {
    pub(crate) id: String,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
    pub(crate) calls: i64,
    pub(crate) records: Vec<u8>,
    /// `None` once it is erased.
    pub(crate) private: Option<Vec<u8>>,
}

const COLUMNS: &str = "id, first_at, last_at, calls, records, private";

fn batch(row: &QueryResult) -> Result<StoredBatch, DbError> {
    Ok(StoredBatch {
        id: row.try_get_by_index(0)?,
        first_at: row.try_get_by_index(1)?,
        last_at: row.try_get_by_index(2)?,
        calls: row.try_get_by_index(3)?,
        records: row.try_get_by_index(4)?,
        private: row.try_get_by_index(5)?,
    })
}

pub(crate) async fn find_batch(db: &Db, id: &str) -> Result<Option<StoredBatch>, DbError> {
    let text = format!("SELECT {COLUMNS} FROM audit_calls WHERE id = $1");
    db.read().query_one_raw(sql(db.read(), &text, [id.into()])).await?.map(|row| batch(&row)).transpose()
}

/// Newest first, from before `before` in that order (or that one itself), those with calls between the two times.
pub(crate) async fn list_batches(db: &Db, through: &str, from: i64, to: i64, limit: i64) -> Result<Vec<StoredBatch>, DbError> {
    let text = format!("SELECT {COLUMNS} FROM audit_calls WHERE id <= $1 AND last_at >= $2 AND first_at <= $3 ORDER BY id DESC LIMIT $4");
    let rows = db.read().query_all_raw(sql(db.read(), &text, [through.into(), from.into(), to.into(), limit.into()])).await?;
    rows.iter().map(batch).collect()
}

/// Oldest first, after `after`.
pub(crate) async fn list_batches_after(db: &Db, after: &str, from: i64, to: i64, limit: i64) -> Result<Vec<StoredBatch>, DbError> {
    let text = format!("SELECT {COLUMNS} FROM audit_calls WHERE id > $1 AND last_at >= $2 AND first_at <= $3 ORDER BY id LIMIT $4");
    let rows = db.read().query_all_raw(sql(db.read(), &text, [after.into(), from.into(), to.into(), limit.into()])).await?;
    rows.iter().map(batch).collect()
}

/// Batches whose personal part is older than it may be.
pub(crate) async fn list_overdue(db: &Db, before: Timestamp, limit: i64) -> Result<Vec<String>, DbError> {
    let text = "SELECT id FROM audit_calls WHERE last_at < $1 AND private IS NOT NULL ORDER BY last_at LIMIT $2";
    let rows = db.read().query_all_raw(sql(db.read(), text, [before.micros().into(), limit.into()])).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

pub(crate) async fn erase_private(tx: &Tx, ids: &[String]) -> Result<(), DbError> {
    let list = baluarte_db::placeholders(1, ids.len());
    let text = format!("UPDATE audit_calls SET private = NULL WHERE id IN ({list})");
    tx.execute_raw(sql(tx, &text, ids.iter().map(|id| id.clone().into()))).await?;
    Ok(())
}

/// A few of the oldest ones whose links a pruning covers; how many.
pub(crate) async fn delete_oldest(tx: &Tx, through: i64) -> Result<u64, DbError> {
    let text = "DELETE FROM audit_calls WHERE id IN
        (SELECT it.id FROM (SELECT id FROM audit_calls ORDER BY id LIMIT 20) AS it
            JOIN audit_entries AS said ON said.resource_id = it.id WHERE said.kind = 'batch' AND said.seq <= $1)";
    Ok(tx.execute_raw(sql(tx, text, [through.into()])).await?.rows_affected())
}

/// Of the first `piece` links, which are about to be removed in the same transaction.
pub(crate) async fn delete_batches(tx: &Tx, through: i64, piece: i64) -> Result<(), DbError> {
    let text = "DELETE FROM audit_calls WHERE id IN
        (SELECT resource_id FROM (SELECT kind, resource_kind, resource_id FROM audit_entries WHERE seq <= $1 ORDER BY seq LIMIT $2) AS oldest
            WHERE kind = 'batch' AND resource_kind = 'calls')";
    tx.execute_raw(sql(tx, text, [through.into(), piece.into()])).await?;
    Ok(())
}

/// Up to which time a link after `seq` says that addresses were erased, in microseconds.
pub(crate) async fn anonymised_after(db: &Db, seq: i64) -> Result<Option<i64>, DbError> {
    let text = "SELECT resource_id FROM audit_entries WHERE action = $1 AND seq > $2 ORDER BY seq DESC LIMIT 1";
    let row = db.read().query_one_raw(sql(db.read(), text, [CALLS_ANONYMISED.name.into(), seq.into()])).await?;
    Ok(row.and_then(|row| row.try_get_by_index::<String>(0).ok()).and_then(|until| until.parse().ok()))
}

/// A batch that no link tells of.
pub(crate) async fn find_orphan(db: &Db) -> Result<Option<String>, DbError> {
    let text = "SELECT id FROM audit_calls AS it WHERE NOT EXISTS
        (SELECT 1 FROM audit_entries AS said WHERE said.resource_id = it.id AND said.kind = 'batch') LIMIT 1";
    let row = db.read().query_one_raw(sql(db.read(), text, [])).await?;
    row.map(|row| Ok(row.try_get_by_index(0)?)).transpose()
}

/// The number of the link that tells of a batch.
pub(crate) async fn find_link(db: &Db, id: &str) -> Result<Option<i64>, DbError> {
    let text = "SELECT seq FROM audit_entries WHERE resource_id = $1 AND kind = 'batch'";
    let row = db.read().query_one_raw(sql(db.read(), text, [id.into()])).await?;
    row.map(|row| Ok(row.try_get_by_index(0)?)).transpose()
}
