use baluarte_db::{DbError, Tx, placeholders, sql};
use baluarte_kernel::Timestamp;
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

/// What is known under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    pub(crate) count: u32,
    pub(crate) blocked_until: Timestamp,
}

#[derive(FromQueryResult)]
struct Row {
    count: i64,
    blocked_until: i64,
}

impl From<Row> for Count {
    fn from(row: Row) -> Self {
        Self { count: u32::try_from(row.count).unwrap_or(u32::MAX), blocked_until: Timestamp::from_micros(row.blocked_until) }
    }
}

const FIND: &str = "SELECT count, blocked_until FROM throttles WHERE key = $1 AND expires_at > $2";

pub(crate) async fn find(conn: &impl ConnectionTrait, key: &str, now: Timestamp) -> Result<Count, DbError> {
    let row = Row::find_by_statement(sql(conn, FIND, [key.into(), now.micros().into()])).one(conn).await?;
    Ok(row.map(Count::from).unwrap_or_default())
}

/// Counts in one statement; a row that is over begins again, and every count puts off when it is forgotten.
const COUNT: &str = "INSERT INTO throttles (key, count, blocked_until, expires_at) VALUES ($1, 1, 0, $3)
    ON CONFLICT (key) DO UPDATE SET
        count = CASE WHEN throttles.expires_at > $2 THEN throttles.count + 1 ELSE 1 END,
        blocked_until = CASE WHEN throttles.expires_at > $2 THEN throttles.blocked_until ELSE 0 END,
        expires_at = excluded.expires_at
    RETURNING count, blocked_until";

/// One more; what it comes to. Forgotten at `expires_at` unless counted again. The row stays locked for the transaction.
pub(crate) async fn count(tx: &Tx, key: &str, expires_at: Timestamp, now: Timestamp) -> Result<Count, DbError> {
    counted(tx, COUNT, key, expires_at, now).await
}

/// The same in a window that ends when it was going to end: whoever goes on counting does not hold it open.
const COUNT_IN_WINDOW: &str = "INSERT INTO throttles (key, count, blocked_until, expires_at) VALUES ($1, 1, 0, $3)
    ON CONFLICT (key) DO UPDATE SET
        count = CASE WHEN throttles.expires_at > $2 THEN throttles.count + 1 ELSE 1 END,
        expires_at = CASE WHEN throttles.expires_at > $2 THEN throttles.expires_at ELSE excluded.expires_at END
    RETURNING count, blocked_until";

/// One more in the window that is open, or the first of one that ends at `expires_at`; how many that makes.
pub(crate) async fn count_in_window(tx: &Tx, key: &str, expires_at: Timestamp, now: Timestamp) -> Result<u32, DbError> {
    Ok(counted(tx, COUNT_IN_WINDOW, key, expires_at, now).await?.count)
}

async fn counted(tx: &Tx, text: &str, key: &str, expires_at: Timestamp, now: Timestamp) -> Result<Count, DbError> {
    let values = [key.into(), now.micros().into(), expires_at.micros().into()];
    let row = Row::find_by_statement(sql(tx, text, values)).one(tx).await?;
    row.map(Count::from).ok_or(DbError::NotFound)
}

const BLOCK: &str = "UPDATE throttles SET blocked_until = $2 WHERE key = $1 AND blocked_until < $2";

pub(crate) async fn block(tx: &Tx, key: &str, until: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, BLOCK, [key.into(), until.micros().into()])).await?;
    Ok(())
}

pub(crate) async fn clear(tx: &Tx, keys: &[String]) -> Result<(), DbError> {
    let text = format!("DELETE FROM throttles WHERE key IN ({})", placeholders(1, keys.len()));
    tx.execute_raw(sql(tx, &text, keys.iter().map(|key| Value::from(key.as_str())))).await?;
    Ok(())
}

const SWEEP: &str = "DELETE FROM throttles WHERE expires_at <= $1";

/// The surplus: first what holds nobody back, and of that what would be forgotten first.
const TRIM: &str = "DELETE FROM throttles WHERE key IN (
    SELECT key FROM throttles ORDER BY blocked_until DESC, expires_at DESC LIMIT 1000000000 OFFSET $1)";

/// How many had to go although their time had not come: more than `most` are not kept.
pub(crate) async fn sweep(tx: &Tx, most: i64, now: Timestamp) -> Result<u64, DbError> {
    tx.execute_raw(sql(tx, SWEEP, [now.micros().into()])).await?;
    let found = Held::find_by_statement(sql(tx, HELD, [])).one(tx).await?;
    if found.is_none_or(|held| held.held <= most) {
        return Ok(0);
    }
    Ok(tx.execute_raw(sql(tx, TRIM, [most.into()])).await?.rows_affected())
}

#[derive(FromQueryResult)]
struct Held {
    held: i64,
}

const HELD: &str = "SELECT count(*) AS held FROM throttles";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use baluarte_testkit::each_backend;

    use super::*;

    each_backend! {
        async fn more_counts_than_are_kept_go_and_those_that_hold_somebody_back_stay(test: TestDb) {
            let db = test.open(&[crate::MIGRATIONS]).await;
            let now = test.clock.now();
            let tx = db.begin().await.unwrap();
            for n in 0..20_u64 {
                count(&tx, &format!("key {n}"), now.plus(Duration::from_secs(60 + n)), now).await.unwrap();
            }
            block(&tx, "key 0", now.plus(Duration::from_secs(30))).await.unwrap();
            assert_eq!(sweep(&tx, 20, now).await.unwrap(), 0);
            assert_eq!(sweep(&tx, 5, now).await.unwrap(), 15);
            for (n, left) in [(0, 1), (1, 0), (15, 0), (16, 1), (19, 1)] {
                assert_eq!(find(&tx, &format!("key {n}"), now).await.unwrap().count, left, "key {n}");
            }
            tx.commit().await.unwrap();
        }
    }
}
