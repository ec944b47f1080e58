use baluarte_db::{
    Db, DbError, Tx,
    sea_orm::{ConnectionTrait, QueryResult},
    sql,
};
use baluarte_kernel::{Page, PageQuery, Timestamp};

use crate::message::{Channel, Suppression, SuppressionId};

/// The later end wins, with its reason.
const INSERT: &str =
    "INSERT INTO suppressions (id, channel, address, reason, detail, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (channel, address) DO UPDATE SET reason = EXCLUDED.reason, detail = EXCLUDED.detail, created_at = EXCLUDED.created_at,
    expires_at = EXCLUDED.expires_at WHERE EXCLUDED.expires_at > suppressions.expires_at";

/// False: the address is on the list for as long already.
pub(crate) async fn insert(tx: &Tx, new: &Suppression) -> Result<bool, DbError> {
    let values = [
        new.id.to_string().into(),
        new.channel.as_str().into(),
        new.address.clone().into(),
        new.reason.clone().into(),
        new.detail.clone().into(),
        new.created_at.micros().into(),
        new.expires_at.micros().into(),
    ];
    Ok(tx.execute_raw(sql(tx, INSERT, values)).await?.rows_affected() == 1)
}

const COLUMNS: &str = "id, channel, address, reason, detail, created_at, expires_at";

fn suppression(row: &QueryResult) -> Result<Suppression, DbError> {
    let text = |column: &str| row.try_get::<String>("", column);
    Ok(Suppression {
        id: text("id")?.parse().map_err(|_| DbError::Corrupt("suppressions.id"))?,
        channel: Channel::from_stored(&text("channel")?).ok_or(DbError::Corrupt("suppressions.channel"))?,
        address: text("address")?,
        reason: text("reason")?,
        detail: row.try_get("", "detail")?,
        created_at: Timestamp::from_micros(row.try_get("", "created_at")?),
        expires_at: Timestamp::from_micros(row.try_get("", "expires_at")?),
    })
}

/// Why nothing goes there now; `None`: something may.
pub(crate) async fn find(
    conn: &impl ConnectionTrait,
    channel: Channel,
    address: &str,
    now: Timestamp,
) -> Result<Option<Suppression>, DbError> {
    let text = format!("SELECT {COLUMNS} FROM suppressions WHERE channel = $1 AND address = $2 AND expires_at > $3");
    let row = conn.query_one_raw(sql(conn, &text, [channel.as_str().into(), address.into(), now.micros().into()])).await?;
    row.as_ref().map(suppression).transpose()
}

/// Newest first.
pub(crate) async fn list(
    db: &Db,
    channel: Option<Channel>,
    address: Option<String>,
    page: &PageQuery,
) -> Result<Page<Suppression>, DbError> {
    let text = format!(
        "SELECT {COLUMNS} FROM suppressions WHERE (CAST($1 AS TEXT) IS NULL OR channel = $1) AND (CAST($2 AS TEXT) IS NULL OR address = $2)
        AND (CAST($3 AS TEXT) IS NULL OR id < $3) ORDER BY id DESC LIMIT $4"
    );
    let limit = page.limit();
    let cursor = page.cursor.as_ref().map(|cursor| cursor.key().to_owned());
    let values = [channel.map(Channel::as_str).into(), address.into(), cursor.into(), (limit as i64 + 1).into()];
    let rows = db.read().query_all_raw(sql(db.read(), &text, values)).await?;
    let rows = rows.iter().map(suppression).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::from_surplus(rows, limit, |suppression| suppression.id.to_string()))
}

pub(crate) async fn find_by_id(conn: &impl ConnectionTrait, id: SuppressionId) -> Result<Option<Suppression>, DbError> {
    let text = format!("SELECT {COLUMNS} FROM suppressions WHERE id = $1");
    let row = conn.query_one_raw(sql(conn, &text, [id.to_string().into()])).await?;
    row.as_ref().map(suppression).transpose()
}

/// False: it was not there.
pub(crate) async fn delete(tx: &Tx, id: SuppressionId) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, "DELETE FROM suppressions WHERE id = $1", [id.to_string().into()])).await?.rows_affected() == 1)
}

const PRUNE: &str =
    "DELETE FROM suppressions WHERE id IN (SELECT id FROM suppressions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

pub(crate) async fn prune(tx: &Tx, now: Timestamp, piece: i64) -> Result<u64, DbError> {
    Ok(tx.execute_raw(sql(tx, PRUNE, [now.micros().into(), piece.into()])).await?.rows_affected())
}
