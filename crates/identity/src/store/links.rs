use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{Timestamp, UserId};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::read;

/// What a link in a mail is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    VerifyEmail,
    ChoosePassword,
    /// Ends the session that a mail told of.
    EndSession,
    /// Lets an owner in who is held back by the failures of others.
    Unlock,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ChoosePassword => "choose_password",
            Self::EndSession => "end_session",
            Self::Unlock => "unlock",
        }
    }
}

/// A row to be.
#[derive(Debug)]
pub(crate) struct NewLink {
    pub(crate) token_hash: String,
    pub(crate) user_id: UserId,
    pub(crate) purpose: Purpose,
    /// The account's `password_changed_at`: another password voids the link.
    pub(crate) bound_to: Timestamp,
    pub(crate) payload: Option<String>,
    pub(crate) expires_at: Timestamp,
}

/// A link that works.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) user_id: UserId,
    pub(crate) bound_to: Timestamp,
    pub(crate) payload: Option<String>,
}

#[derive(FromQueryResult)]
struct Row {
    user_id: String,
    bound_to: i64,
    payload: Option<String>,
}

const INSERT: &str = "INSERT INTO links (token_hash, user_id, purpose, bound_to, payload, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";

pub(crate) async fn insert_link(tx: &Tx, new: NewLink, at: Timestamp) -> Result<(), DbError> {
    let values = [
        new.token_hash.into(),
        new.user_id.to_string().into(),
        new.purpose.as_str().into(),
        new.bound_to.micros().into(),
        new.payload.into(),
        at.micros().into(),
        new.expires_at.micros().into(),
    ];
    tx.execute_raw(sql(tx, INSERT, values)).await?;
    Ok(())
}

/// Found and gone in one statement: of two that use a link at once, one gets it.
const TAKE: &str = "DELETE FROM links WHERE token_hash = $1 AND purpose = $2 AND expires_at > $3 RETURNING user_id, bound_to, payload";

pub(crate) async fn take_link(tx: &Tx, token_hash: &str, purpose: Purpose, now: Timestamp) -> Result<Option<Link>, DbError> {
    one(tx, TAKE, token_hash, purpose, now).await
}

const FIND: &str = "SELECT user_id, bound_to, payload FROM links WHERE token_hash = $1 AND purpose = $2 AND expires_at > $3";

/// The link without using it.
pub(crate) async fn find_link(
    conn: &impl ConnectionTrait,
    token_hash: &str,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Option<Link>, DbError> {
    one(conn, FIND, token_hash, purpose, now).await
}

async fn one(conn: &impl ConnectionTrait, text: &str, token_hash: &str, purpose: Purpose, now: Timestamp) -> Result<Option<Link>, DbError> {
    let values = [token_hash.into(), purpose.as_str().into(), now.micros().into()];
    let Some(row) = Row::find_by_statement(sql(conn, text, values)).one(conn).await? else { return Ok(None) };
    Ok(Some(Link { user_id: read("links.user_id", &row.user_id)?, bound_to: Timestamp::from_micros(row.bound_to), payload: row.payload }))
}

const VOID: &str = "DELETE FROM links WHERE user_id = $1 AND purpose = $2";

pub(crate) async fn void_links(tx: &Tx, user: UserId, purpose: Purpose) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, VOID, [user.to_string().into(), purpose.as_str().into()])).await?;
    Ok(())
}

const SWEEP: &str = "DELETE FROM links WHERE expires_at <= $1";

pub(crate) async fn sweep(tx: &Tx, now: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, SWEEP, [now.micros().into()])).await?;
    Ok(())
}
