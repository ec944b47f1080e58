use baluarte_db::{
    Db, DbError, Tx,
    sea_orm::{ConnectionTrait, QueryResult},
    sql,
};
use baluarte_kernel::{Page, PageQuery, Timestamp};

use crate::message::{Channel, Suppression, SuppressionId, redacted};

/// The later end wins, with its reason.
const INSERT: &str =
    "INSERT INTO suppressions (id, channel, address, reason, detail, created_at, expires_at, shown, user_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (channel, address) DO UPDATE SET reason = EXCLUDED.reason, detail = EXCLUDED.detail, created_at = EXCLUDED.created_at,
    expires_at = EXCLUDED.expires_at, shown = EXCLUDED.shown, user_id = EXCLUDED.user_id WHERE EXCLUDED.expires_at > suppressions.expires_at";

/// False: the address is on the list for as long already.
pub(crate) async fn insert(tx: &Tx, new: &Suppression) -> Result<bool, DbError> {
    let values = [
        new.id.to_string().into(),
        new.channel.as_str().into(),
        new.key.clone().into(),
        new.reason.clone().into(),
        new.detail.clone().into(),
        new.created_at.micros().into(),
        new.expires_at.micros().into(),
        new.address.clone().into(),
        new.about.map(|user| user.to_string()).into(),
    ];
    Ok(tx.execute_raw(sql(tx, INSERT, values)).await?.rows_affected() == 1)
}

const COLUMNS: &str = "id, channel, address, reason, detail, created_at, expires_at, shown";

fn suppression(row: &QueryResult) -> Result<Suppression, DbError> {
    let text = |column: &str| row.try_get::<String>("", column);
    let (key, shown) = (text("address")?, row.try_get::<Option<String>>("", "shown")?);
    let channel = Channel::from_stored(&text("channel")?).ok_or(DbError::Corrupt("suppressions.channel"))?;
    Ok(Suppression {
        // Of an earlier version, which stored it in clear.
        address: shown.unwrap_or_else(|| redacted(channel, &key)),
        key,
        channel,
        about: None,
        id: text("id")?.parse().map_err(|_| DbError::Corrupt("suppressions.id"))?,
        reason: text("reason")?,
        detail: row.try_get("", "detail")?,
        created_at: Timestamp::from_micros(row.try_get("", "created_at")?),
        expires_at: Timestamp::from_micros(row.try_get("", "expires_at")?),
    })
}

/// How an address is found: by its keyed hash, and as versions before stored it.
pub(crate) struct Sought {
    pub(crate) key: String,
    pub(crate) clear: String,
}

/// Why nothing goes there now; `None`: something may.
pub(crate) async fn find(
    conn: &impl ConnectionTrait,
    channel: Channel,
    sought: &Sought,
    now: Timestamp,
) -> Result<Option<Suppression>, DbError> {
    let text = format!("SELECT {COLUMNS} FROM suppressions WHERE channel = $1 AND address IN ($2, $4) AND expires_at > $3 LIMIT 1");
    let values = [channel.as_str().into(), sought.key.clone().into(), now.micros().into(), sought.clear.clone().into()];
    let row = conn.query_one_raw(sql(conn, &text, values)).await?;
    row.as_ref().map(suppression).transpose()
}

/// Newest first.
pub(crate) async fn list(
    db: &Db,
    channel: Option<Channel>,
    sought: Option<Sought>,
    page: &PageQuery,
) -> Result<Page<Suppression>, DbError> {
    let text = format!(
        "SELECT {COLUMNS} FROM suppressions WHERE (CAST($1 AS TEXT) IS NULL OR channel = $1) AND (CAST($2 AS TEXT) IS NULL OR address IN ($2, $5))
        AND (CAST($3 AS TEXT) IS NULL OR id < $3) ORDER BY id DESC LIMIT $4"
    );
    let limit = page.limit();
    let cursor = page.cursor.as_ref().map(|cursor| cursor.key().to_owned());
    let (key, clear) = sought.map(|sought| (sought.key, sought.clear)).unzip();
    let values = [channel.map(Channel::as_str).into(), key.into(), cursor.into(), (limit as i64 + 1).into(), clear.into()];
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

const IN_CLEAR: &str = "SELECT id, channel, address FROM suppressions WHERE shown IS NULL LIMIT $1";

/// Channel and address of an entry that an earlier version wrote.
pub(crate) struct InClear {
    pub(crate) id: String,
    pub(crate) channel: Channel,
    pub(crate) address: String,
}

pub(crate) async fn list_in_clear(tx: &Tx, piece: i64) -> Result<Vec<InClear>, DbError> {
    let rows = tx.query_all_raw(sql(tx, IN_CLEAR, [piece.into()])).await?;
    let read = |row: &QueryResult| {
        let channel = Channel::from_stored(&row.try_get::<String>("", "channel")?).ok_or(DbError::Corrupt("suppressions.channel"))?;
        Ok(InClear { id: row.try_get("", "id")?, channel, address: row.try_get("", "address")? })
    };
    rows.iter().map(read).collect()
}

const HIDE: &str = "UPDATE suppressions SET address = $2, shown = $3 WHERE id = $1
    AND NOT EXISTS (SELECT 1 FROM suppressions AS other WHERE other.channel = suppressions.channel AND other.address = $2)";

/// Puts the hash where the address stood; where it stands already, the older entry goes.
pub(crate) async fn hide(tx: &Tx, entry: &InClear, key: &str, shown: &str) -> Result<(), DbError> {
    if tx.execute_raw(sql(tx, HIDE, [entry.id.clone().into(), key.into(), shown.into()])).await?.rows_affected() == 0 {
        tx.execute_raw(sql(tx, "DELETE FROM suppressions WHERE id = $1", [entry.id.clone().into()])).await?;
    }
    Ok(())
}
