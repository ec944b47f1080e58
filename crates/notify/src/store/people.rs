//! Of whom nothing is kept any more.

use baluarte_db::{
    DbError, Tx, placeholders,
    sea_orm::{ConnectionTrait as _, Value},
    sql,
};
use baluarte_kernel::UserId;

use crate::message::Channel;

const FOUND: &str = "SELECT id, channel, recipient FROM messages WHERE user_id = $1 ORDER BY id LIMIT $2";

/// A message for somebody.
pub(crate) struct For {
    pub(crate) id: String,
    pub(crate) channel: Channel,
    pub(crate) to: String,
}

pub(crate) async fn list(tx: &Tx, user: UserId, piece: i64) -> Result<Vec<For>, DbError> {
    let rows = tx.query_all_raw(sql(tx, FOUND, [user.to_string().into(), piece.into()])).await?;
    let read = |row: &baluarte_db::sea_orm::QueryResult| {
        let channel = Channel::from_stored(&row.try_get::<String>("", "channel")?).ok_or(DbError::Corrupt("messages.channel"))?;
        Ok(For { id: row.try_get("", "id")?, channel, to: row.try_get("", "recipient")? })
    };
    rows.iter().map(read).collect()
}

/// Whatever state they are in: what waits is not sent any more.
pub(crate) async fn delete(tx: &Tx, messages: &[For]) -> Result<(), DbError> {
    let text = format!("DELETE FROM messages WHERE id IN ({})", placeholders(1, messages.len()));
    let ids: Vec<Value> = messages.iter().map(|message| message.id.clone().into()).collect();
    tx.execute_raw(sql(tx, &text, ids)).await?;
    Ok(())
}

const NAMELESS: &str = "UPDATE suppressions SET shown = '…', detail = NULL, user_id = NULL";

/// Their dead addresses are still recognised, and tell nobody anything.
pub(crate) async fn make_nameless(tx: &Tx, user: UserId, keys: &[String]) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, &format!("{NAMELESS} WHERE user_id = $1"), [user.to_string().into()])).await?;
    let text = format!("{NAMELESS} WHERE address IN ({})", placeholders(1, keys.len()));
    let keys: Vec<Value> = keys.iter().map(|key| key.clone().into()).collect();
    tx.execute_raw(sql(tx, &text, keys)).await?;
    Ok(())
}
