//! All SQL of notify. SQL rather than entities: most of it decides in the statement, and the rest is as short.

pub(crate) mod people;
pub(crate) mod spendings;
pub(crate) mod suppressions;

use baluarte_db::{
    Db, DbError, Tx,
    sea_orm::{ConnectionTrait, QueryResult},
    sql,
};
use baluarte_kernel::{Page, PageQuery, Timestamp};

use crate::{
    Waiting,
    message::{Channel, Message, MessageFilter, MessageId, State, Stored},
};

const INSERT: &str =
    "INSERT INTO messages (id, channel, recipient, locale, kind, sealed, state, attempts, next_attempt_at, useful_until, created_at, ended_at, user_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $8, $10, $11)";

pub(crate) async fn insert(tx: &Tx, id: MessageId, message: &Message, sealed: String, state: State, now: Timestamp) -> Result<(), DbError> {
    let ended_at = (state != State::Queued).then(|| now.micros());
    let values = [
        id.to_string().into(),
        message.channel.as_str().into(),
        message.to.clone().into(),
        message.locale.tag().into(),
        message.kind.into(),
        sealed.into(),
        state.as_str().into(),
        now.micros().into(),
        message.useful_until.micros().into(),
        ended_at.into(),
        message.about.map(|user| user.to_string()).into(),
    ];
    tx.execute_raw(sql(tx, INSERT, values)).await?;
    Ok(())
}

const COLUMNS: &str = "id, channel, recipient, locale, kind, sealed, state, attempts, provider, provider_reference, last_error,
    trying_since, counted, useful_until, created_at, ended_at, user_id";

fn stored(row: &QueryResult) -> Result<Stored, DbError> {
    let text = |column: &str| row.try_get::<String>("", column);
    let time = |column: &str| Ok::<_, DbError>(row.try_get::<Option<i64>>("", column)?.map(Timestamp::from_micros));
    Ok(Stored {
        id: text("id")?.parse().map_err(|_| DbError::Corrupt("messages.id"))?,
        channel: Channel::from_stored(&text("channel")?).ok_or(DbError::Corrupt("messages.channel"))?,
        to: text("recipient")?,
        locale: text("locale")?,
        kind: text("kind")?,
        state: State::from_stored(&text("state")?).ok_or(DbError::Corrupt("messages.state"))?,
        attempts: u32::try_from(row.try_get::<i64>("", "attempts")?).unwrap_or(u32::MAX),
        provider: row.try_get("", "provider")?,
        provider_reference: row.try_get("", "provider_reference")?,
        last_error: row.try_get("", "last_error")?,
        useful_until: Timestamp::from_micros(row.try_get("", "useful_until")?),
        created_at: Timestamp::from_micros(row.try_get("", "created_at")?),
        ended_at: time("ended_at")?,
        sealed: row.try_get("", "sealed")?,
        trying_since: time("trying_since")?,
        counted: row.try_get("", "counted")?,
        about: row
            .try_get::<Option<String>>("", "user_id")?
            .map(|user| user.parse())
            .transpose()
            .map_err(|_| DbError::Corrupt("messages.user_id"))?,
    })
}

pub(crate) async fn find(conn: &impl ConnectionTrait, id: MessageId) -> Result<Option<Stored>, DbError> {
    let row = conn.query_one_raw(sql(conn, &format!("SELECT {COLUMNS} FROM messages WHERE id = $1"), [id.to_string().into()])).await?;
    row.as_ref().map(stored).transpose()
}

/// Newest first. Identifiers begin with the time they were made at, so they sort as the moments of creation do.
pub(crate) async fn list(db: &Db, filter: &MessageFilter, page: &PageQuery) -> Result<Page<Stored>, DbError> {
    let text = format!(
        "SELECT {COLUMNS} FROM messages WHERE (CAST($1 AS TEXT) IS NULL OR channel = $1) AND (CAST($2 AS TEXT) IS NULL OR state = $2)
        AND (CAST($3 AS TEXT) IS NULL OR kind = $3) AND (CAST($4 AS TEXT) IS NULL OR recipient = $4)
        AND (CAST($5 AS TEXT) IS NULL OR id < $5) AND (CAST($7 AS TEXT) IS NULL OR user_id = $7) ORDER BY id DESC LIMIT $6"
    );
    let limit = page.limit();
    let values = [
        filter.channel.map(Channel::as_str).into(),
        filter.state.map(State::as_str).into(),
        filter.kind.clone().into(),
        filter.to.clone().into(),
        page.cursor.as_ref().map(|cursor| cursor.key().to_owned()).into(),
        (limit as i64 + 1).into(),
        filter.about.map(|user| user.to_string()).into(),
    ];
    let rows = db.read().query_all_raw(sql(db.read(), &text, values)).await?;
    let rows = rows.iter().map(stored).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::from_surplus(rows, limit, |message| message.id.to_string()))
}

/// `$3`: as the reader saw it. Whoever comes second changes nothing.
const BEGIN: &str = "UPDATE messages SET attempts = attempts + 1, provider = $4, trying_since = $2, counted = $5
    WHERE id = $1 AND state = 'queued' AND attempts = $3";

/// Writes down that a provider is about to be asked, so that a crash leaves a trace. False when somebody else is at it.
pub(crate) async fn begin_attempt(tx: &Tx, message: &Stored, provider: &str, now: Timestamp) -> Result<bool, DbError> {
    let values = [
        message.id.to_string().into(),
        now.micros().into(),
        i64::from(message.attempts).into(),
        provider.into(),
        (message.channel == Channel::Sms).into(),
    ];
    Ok(tx.execute_raw(sql(tx, BEGIN, values)).await?.rows_affected() == 1)
}

/// `$3`: the outcome is unknown. The next attempt is counted again, because it may be paid again.
const NOT_YET: &str = "UPDATE messages SET last_error = $2, trying_since = CASE WHEN $3 THEN trying_since ELSE NULL END,
    counted = CASE WHEN $3 THEN FALSE ELSE counted END WHERE id = $1 AND state = 'queued'";

pub(crate) async fn not_yet(db: &Db, id: MessageId, error: &str, unknown: bool) -> Result<(), DbError> {
    let tx = db.begin().await?;
    tx.execute_raw(sql(&tx, NOT_YET, [id.to_string().into(), error.into(), unknown.into()])).await?;
    tx.commit().await
}

/// `$6`: the content is kept, for the outbox or for sending it again.
const END: &str = "UPDATE messages SET state = $2, last_error = $3, provider_reference = COALESCE($4, provider_reference), ended_at = $5,
    trying_since = NULL, sealed = CASE WHEN $6 THEN sealed ELSE NULL END WHERE id = $1 AND state IN ('queued', 'waiting')";

/// How a queued message ends. False when it had ended already.
pub(crate) async fn end(tx: &Tx, id: MessageId, end: &End<'_>, now: Timestamp) -> Result<bool, DbError> {
    let values = [
        id.to_string().into(),
        end.state.as_str().into(),
        end.error.map(str::to_owned).into(),
        end.reference.map(str::to_owned).into(),
        now.micros().into(),
        end.keep.into(),
    ];
    Ok(tx.execute_raw(sql(tx, END, values)).await?.rows_affected() == 1)
}

pub(crate) struct End<'a> {
    pub(crate) state: State,
    pub(crate) error: Option<&'a str>,
    pub(crate) reference: Option<&'a str>,
    pub(crate) keep: bool,
}

/// A report never takes a message back to where it was: what is final stays, and so reports may come in any order, and twice.
const ADVANCE: &str = "UPDATE messages SET state = $2, last_error = COALESCE($3, last_error), ended_at = $4, trying_since = NULL,
    provider_reference = COALESCE(provider_reference, $5), sealed = CASE WHEN $6 THEN sealed ELSE NULL END
    WHERE id = $1 AND (state IN ('queued', 'waiting') OR (state = 'sent' AND $2 <> 'sent') OR (state = 'delivered' AND $2 = 'bounced'))";

/// What a provider reports about a message. False: it knew already, or there is no such message any more.
pub(crate) async fn advance(tx: &Tx, id: MessageId, end: &End<'_>, now: Timestamp) -> Result<bool, DbError> {
    let values = [
        id.to_string().into(),
        end.state.as_str().into(),
        end.error.map(str::to_owned).into(),
        now.micros().into(),
        end.reference.map(str::to_owned).into(),
        end.keep.into(),
    ];
    Ok(tx.execute_raw(sql(tx, ADVANCE, values)).await?.rows_affected() == 1)
}

const RESEND: &str = "UPDATE messages SET state = 'queued', last_error = NULL, ended_at = NULL, trying_since = NULL, counted = FALSE,
    next_attempt_at = $2
    WHERE id = $1 AND state IN ('failed', 'suppressed', 'refused') AND sealed IS NOT NULL AND useful_until > $2";

/// A message that nobody took goes back to the queue. False when it cannot.
pub(crate) async fn resend(tx: &Tx, id: MessageId, now: Timestamp) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, RESEND, [id.to_string().into(), now.micros().into()])).await?.rows_affected() == 1)
}

const EXPIRE: &str =
    "UPDATE messages SET state = 'expired', ended_at = $1, trying_since = NULL, sealed = CASE WHEN $2 THEN sealed ELSE NULL END
    WHERE id IN (SELECT id FROM messages WHERE state IN ('waiting', 'queued') AND useful_until <= $1 ORDER BY useful_until LIMIT $3)
    RETURNING channel";

/// Queued messages whose moment has passed. Returns the channels of those it ended.
pub(crate) async fn expire(tx: &Tx, now: Timestamp, keep: bool, piece: i64) -> Result<Vec<Channel>, DbError> {
    let rows = tx.query_all_raw(sql(tx, EXPIRE, [now.micros().into(), keep.into(), piece.into()])).await?;
    rows.iter()
        .map(|row| Channel::from_stored(&row.try_get::<String>("", "channel")?).ok_or(DbError::Corrupt("messages.channel")))
        .collect()
}

/// Of earlier versions, whose loop no longer runs; not while one of them may be delivering it.
const ADOPT: &str = "UPDATE messages SET state = 'queued', claim = NULL
    WHERE id IN (SELECT id FROM messages WHERE state = 'waiting' AND (claim IS NULL OR next_attempt_at <= $1) ORDER BY created_at LIMIT $2)
    RETURNING id";

pub(crate) async fn adopt(tx: &Tx, now: Timestamp, piece: i64) -> Result<Vec<MessageId>, DbError> {
    ids(tx.query_all_raw(sql(tx, ADOPT, [now.micros().into(), piece.into()])).await?)
}

fn ids(rows: Vec<QueryResult>) -> Result<Vec<MessageId>, DbError> {
    rows.iter().map(|row| row.try_get::<String>("", "id")?.parse().map_err(|_| DbError::Corrupt("messages.id"))).collect()
}

const FORGET: &str =
    "UPDATE messages SET sealed = NULL WHERE id IN (SELECT id FROM messages WHERE sealed IS NOT NULL AND useful_until <= $1
    AND state NOT IN ('waiting', 'queued') ORDER BY useful_until LIMIT $2)";

/// Erases the content of messages that nobody could send again. Returns how many.
pub(crate) async fn forget(tx: &Tx, now: Timestamp, piece: i64) -> Result<u64, DbError> {
    Ok(tx.execute_raw(sql(tx, FORGET, [now.micros().into(), piece.into()])).await?.rows_affected())
}

const PRUNE: &str = "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE created_at < $1 AND state NOT IN ('waiting', 'queued')
    ORDER BY created_at LIMIT $2)";

/// Deletes the oldest that have ended. Returns how many.
pub(crate) async fn prune(tx: &Tx, before: Timestamp, piece: i64) -> Result<u64, DbError> {
    Ok(tx.execute_raw(sql(tx, PRUNE, [before.micros().into(), piece.into()])).await?.rows_affected())
}

const LIST_KEPT: &str = "SELECT id, channel, recipient, sealed, created_at FROM messages WHERE sealed IS NOT NULL
    ORDER BY created_at DESC, id DESC LIMIT $1";

/// A message whose content is still there.
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) channel: String,
    pub(crate) to: String,
    pub(crate) sealed: String,
    pub(crate) created_at: Timestamp,
}

/// Newest first.
pub(crate) async fn list_kept(db: &Db, limit: i64) -> Result<Vec<Kept>, DbError> {
    let rows = db.read().query_all_raw(sql(db.read(), LIST_KEPT, [limit.into()])).await?;
    let kept = |row: &QueryResult| {
        Ok(Kept {
            id: row.try_get("", "id")?,
            channel: row.try_get("", "channel")?,
            to: row.try_get("", "recipient")?,
            sealed: row.try_get("", "sealed")?,
            created_at: Timestamp::from_micros(row.try_get("", "created_at")?),
        })
    };
    rows.iter().map(kept).collect()
}

const WAITING: &str = "SELECT COUNT(*) AS messages, MIN(next_attempt_at) AS since FROM messages
    WHERE state IN ('waiting', 'queued') AND channel = $1";
const FIRST: &str =
    "SELECT last_error FROM messages WHERE state IN ('waiting', 'queued') AND channel = $1 ORDER BY next_attempt_at LIMIT 1";

/// How many are still to be sent, and about the one that has waited longest.
pub(crate) async fn waiting(db: &Db, channel: Channel, now: Timestamp) -> Result<Waiting, DbError> {
    let (read, name) = (db.read(), channel.as_str());
    let row = read.query_one_raw(sql(read, WAITING, [name.into()])).await?.ok_or(DbError::NotFound)?;
    let since = row.try_get::<Option<i64>>("", "since")?.map(Timestamp::from_micros);
    let last_error = match since {
        Some(_) => read.query_one_raw(sql(read, FIRST, [name.into()])).await?.map(|row| row.try_get("", "last_error")).transpose()?,
        None => None,
    };
    Ok(Waiting {
        channel,
        messages: u64::try_from(row.try_get::<i64>("", "messages")?).unwrap_or_default(),
        oldest: since.map(|since| now.since(since)).unwrap_or_default(),
        last_error: last_error.flatten(),
    })
}
