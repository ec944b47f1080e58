use baluarte_db::{
    DbError, Tx,
    sea_orm::{ConnectionTrait, QueryResult},
    sql,
};
use baluarte_kernel::Timestamp;

/// A window of a budget.
pub(crate) struct Window<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) span_us: i64,
    pub(crate) began_at: Timestamp,
    pub(crate) most_messages: i64,
    /// Millionths.
    pub(crate) most_cost: i64,
}

/// Decides and counts in one statement: many replicas spend from the same budget.
const SPEND: &str = "INSERT INTO sms_spendings (bucket, span, began_at, messages, cost) VALUES ($1, $2, $3, 1, $4)
    ON CONFLICT (bucket, span, began_at) DO UPDATE SET messages = sms_spendings.messages + 1, cost = sms_spendings.cost + $4
    WHERE sms_spendings.messages < $5 AND sms_spendings.cost + $4 <= $6";

/// Takes one message at this cost from the window. False: nothing of it is left.
pub(crate) async fn spend(tx: &Tx, window: &Window<'_>, cost: i64) -> Result<bool, DbError> {
    if cost > window.most_cost || window.most_messages < 1 {
        return Ok(false);
    }
    let values = [
        window.bucket.into(),
        window.span_us.into(),
        window.began_at.micros().into(),
        cost.into(),
        window.most_messages.into(),
        window.most_cost.into(),
    ];
    Ok(tx.execute_raw(sql(tx, SPEND, values)).await?.rows_affected() == 1)
}

/// What was spent in the windows that hold this moment, of buckets that are no person's.
pub(crate) struct Spent {
    pub(crate) bucket: String,
    pub(crate) span_us: i64,
    pub(crate) messages: i64,
    pub(crate) cost: i64,
}

const SPENT: &str = "SELECT bucket, span, messages, cost FROM sms_spendings
    WHERE (bucket = 'total' OR bucket LIKE 'country:%') AND began_at <= $1 AND began_at + span > $1 ORDER BY bucket, span LIMIT 1000";

pub(crate) async fn spent(conn: &impl ConnectionTrait, now: Timestamp) -> Result<Vec<Spent>, DbError> {
    let rows = conn.query_all_raw(sql(conn, SPENT, [now.micros().into()])).await?;
    let spent = |row: &QueryResult| {
        Ok(Spent {
            bucket: row.try_get("", "bucket")?,
            span_us: row.try_get("", "span")?,
            messages: row.try_get("", "messages")?,
            cost: row.try_get("", "cost")?,
        })
    };
    rows.iter().map(spent).collect()
}

const PRUNE: &str = "DELETE FROM sms_spendings WHERE (bucket, span, began_at) IN
    (SELECT bucket, span, began_at FROM sms_spendings WHERE began_at < $1 AND began_at + span < $1 ORDER BY began_at LIMIT $2)";

/// Windows that have ended. Returns how many.
pub(crate) async fn prune(tx: &Tx, now: Timestamp, piece: i64) -> Result<u64, DbError> {
    Ok(tx.execute_raw(sql(tx, PRUNE, [now.micros().into(), piece.into()])).await?.rows_affected())
}
