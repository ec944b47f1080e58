use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{SessionId, Timestamp, UserId};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use super::read;
use crate::model::{Email, EmailChange, Mailbox};

/// A row to be.
#[derive(Debug)]
pub(crate) struct NewChange<'a> {
    pub(crate) user_id: UserId,
    pub(crate) new_email: &'a Email,
    pub(crate) old_email: &'a Email,
    pub(crate) bound_to: Timestamp,
    pub(crate) session_id: SessionId,
    pub(crate) old_hash: String,
    pub(crate) new_hash: String,
    pub(crate) expires_at: Timestamp,
}

/// One that may still be confirmed.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) user_id: UserId,
    pub(crate) change: EmailChange,
    pub(crate) old_email: Email,
    pub(crate) bound_to: Timestamp,
    pub(crate) session_id: SessionId,
    old_hash: String,
}

impl Asked {
    /// Whose token this is the hash of.
    pub(crate) fn side(&self, token_hash: &str) -> Mailbox {
        if self.old_hash == token_hash { Mailbox::Old } else { Mailbox::New }
    }
}

#[derive(FromQueryResult)]
struct Row {
    user_id: String,
    new_email: String,
    old_email: String,
    bound_to: i64,
    session_id: String,
    old_hash: String,
    old_confirmed_at: Option<i64>,
    new_confirmed_at: Option<i64>,
    expires_at: i64,
}

impl TryFrom<Row> for Asked {
    type Error = DbError;
    fn try_from(row: Row) -> Result<Self, DbError> {
        Ok(Self {
            user_id: read("email_changes.user_id", &row.user_id)?,
            change: EmailChange {
                email: read("email_changes.new_email", &row.new_email)?,
                old_confirmed: row.old_confirmed_at.is_some(),
                new_confirmed: row.new_confirmed_at.is_some(),
                expires_at: Timestamp::from_micros(row.expires_at),
            },
            old_email: read("email_changes.old_email", &row.old_email)?,
            bound_to: Timestamp::from_micros(row.bound_to),
            session_id: read("email_changes.session_id", &row.session_id)?,
            old_hash: row.old_hash,
        })
    }
}

/// The only one of its account: asking again voids the links of what was asked before.
const PUT: &str = "INSERT INTO email_changes
    (user_id, new_email, old_email, bound_to, session_id, old_hash, new_hash, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (user_id) DO UPDATE SET
        new_email = excluded.new_email, old_email = excluded.old_email, bound_to = excluded.bound_to,
        session_id = excluded.session_id, old_hash = excluded.old_hash, new_hash = excluded.new_hash,
        old_confirmed_at = NULL, new_confirmed_at = NULL, created_at = excluded.created_at, expires_at = excluded.expires_at";

pub(crate) async fn put_change(tx: &Tx, new: NewChange<'_>, at: Timestamp) -> Result<(), DbError> {
    let values: [Value; 9] = [
        new.user_id.to_string().into(),
        new.new_email.as_str().into(),
        new.old_email.as_str().into(),
        new.bound_to.micros().into(),
        new.session_id.to_string().into(),
        new.old_hash.into(),
        new.new_hash.into(),
        at.micros().into(),
        new.expires_at.micros().into(),
    ];
    tx.execute_raw(sql(tx, PUT, values)).await?;
    Ok(())
}

macro_rules! columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "user_id, new_email, old_email, bound_to, session_id, old_hash, old_confirmed_at, new_confirmed_at, expires_at",
            $after
        )
    };
}
const FIND: &str = columns!("SELECT ", " FROM email_changes WHERE (old_hash = $1 OR new_hash = $1) AND expires_at > $2");
const FIND_OF: &str = columns!("SELECT ", " FROM email_changes WHERE user_id = $1 AND expires_at > $2");

/// By one of its two tokens.
pub(crate) async fn find_change(conn: &impl ConnectionTrait, token_hash: &str, now: Timestamp) -> Result<Option<Asked>, DbError> {
    one(conn, FIND, token_hash.to_owned(), now).await
}

/// What an account waits for.
pub(crate) async fn find_change_of(conn: &impl ConnectionTrait, user: UserId, now: Timestamp) -> Result<Option<Asked>, DbError> {
    one(conn, FIND_OF, user.to_string(), now).await
}

async fn one(conn: &impl ConnectionTrait, text: &str, key: String, now: Timestamp) -> Result<Option<Asked>, DbError> {
    let statement = sql(conn, text, [key.into(), now.micros().into()]);
    Row::find_by_statement(statement).one(conn).await?.map(Asked::try_from).transpose()
}

/// Each token confirms once: of two that press the button at once, one does. The second of the two mailboxes finds both confirmed.
const CONFIRM: &str = columns!(
    "UPDATE email_changes SET
        old_confirmed_at = CASE WHEN old_hash = $1 THEN $2 ELSE old_confirmed_at END,
        new_confirmed_at = CASE WHEN new_hash = $1 THEN $2 ELSE new_confirmed_at END
    WHERE ((old_hash = $1 AND old_confirmed_at IS NULL) OR (new_hash = $1 AND new_confirmed_at IS NULL)) AND expires_at > $2
    RETURNING ",
    ""
);

pub(crate) async fn confirm(tx: &Tx, token_hash: &str, now: Timestamp) -> Result<Option<Asked>, DbError> {
    one(tx, CONFIRM, token_hash.to_owned(), now).await
}

const REMOVE: &str = "DELETE FROM email_changes WHERE user_id = $1";

/// Whether there was one.
pub(crate) async fn remove(tx: &Tx, user: UserId) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, REMOVE, [user.to_string().into()])).await?.rows_affected() == 1)
}

const SWEEP: &str = "DELETE FROM email_changes WHERE expires_at <= $1";

pub(crate) async fn sweep(tx: &Tx, now: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, SWEEP, [now.micros().into()])).await?;
    Ok(())
}
