use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{Timestamp, UserId};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use super::read;
use crate::model::Email;

/// Codes that may be typed for one link.
const TRIES: i64 = 5;

/// A row to be.
#[derive(Debug)]
pub(crate) struct NewMagicLink<'a> {
    pub(crate) browser_hash: String,
    pub(crate) token_hash: String,
    pub(crate) code_hash: String,
    pub(crate) user_id: UserId,
    pub(crate) email: &'a Email,
    pub(crate) bound_to: Timestamp,
    pub(crate) return_to: &'a str,
    pub(crate) expires_at: Timestamp,
}

/// One that may still be used.
#[derive(Debug)]
pub(crate) struct MagicLink {
    pub(crate) browser_hash: String,
    pub(crate) code_hash: String,
    pub(crate) user_id: UserId,
    pub(crate) email: Email,
    pub(crate) bound_to: Timestamp,
    pub(crate) return_to: String,
}

#[derive(FromQueryResult)]
struct Row {
    browser_hash: String,
    code_hash: String,
    user_id: String,
    email: String,
    bound_to: i64,
    return_to: String,
}

impl TryFrom<Row> for MagicLink {
    type Error = DbError;
    fn try_from(row: Row) -> Result<Self, DbError> {
        Ok(Self {
            browser_hash: row.browser_hash,
            code_hash: row.code_hash,
            user_id: read("magic_links.user_id", &row.user_id)?,
            email: read("magic_links.email", &row.email)?,
            bound_to: Timestamp::from_micros(row.bound_to),
            return_to: row.return_to,
        })
    }
}

/// The only one of its browser: a new link voids the one before, and its code.
const PUT: &str = "INSERT INTO magic_links
    (browser_hash, token_hash, code_hash, user_id, email, bound_to, return_to, tries, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9)
    ON CONFLICT (browser_hash) DO UPDATE SET
        token_hash = excluded.token_hash, code_hash = excluded.code_hash, user_id = excluded.user_id, email = excluded.email,
        bound_to = excluded.bound_to, return_to = excluded.return_to, tries = 0, created_at = excluded.created_at,
        expires_at = excluded.expires_at";

pub(crate) async fn put_link(tx: &Tx, new: NewMagicLink<'_>, at: Timestamp) -> Result<(), DbError> {
    let values: [Value; 9] = [
        new.browser_hash.into(),
        new.token_hash.into(),
        new.code_hash.into(),
        new.user_id.to_string().into(),
        new.email.as_str().into(),
        new.bound_to.micros().into(),
        new.return_to.into(),
        at.micros().into(),
        new.expires_at.micros().into(),
    ];
    tx.execute_raw(sql(tx, PUT, values)).await?;
    Ok(())
}

macro_rules! find {
    ($key:literal) => {
        concat!(
            "SELECT browser_hash, code_hash, user_id, email, bound_to, return_to FROM magic_links WHERE ",
            $key,
            " = $1 AND expires_at > $2"
        )
    };
}
const FIND_BY_TOKEN: &str = find!("token_hash");
const FIND_BY_BROWSER: &str = find!("browser_hash");

/// The link without using it.
pub(crate) async fn find_by_token(conn: &impl ConnectionTrait, token_hash: &str, now: Timestamp) -> Result<Option<MagicLink>, DbError> {
    one(conn, FIND_BY_TOKEN, token_hash, now).await
}

/// The one that a browser asked for last.
pub(crate) async fn find_by_browser(conn: &impl ConnectionTrait, browser_hash: &str, now: Timestamp) -> Result<Option<MagicLink>, DbError> {
    one(conn, FIND_BY_BROWSER, browser_hash, now).await
}

async fn one(conn: &impl ConnectionTrait, text: &str, key: &str, now: Timestamp) -> Result<Option<MagicLink>, DbError> {
    let statement = sql(conn, text, [key.into(), now.micros().into()]);
    Row::find_by_statement(statement).one(conn).await?.map(MagicLink::try_from).transpose()
}

/// A try is spent before the code is looked at: however many codes come at once, five are looked at.
const SPEND: &str = "UPDATE magic_links SET tries = tries + 1 WHERE browser_hash = $1 AND expires_at > $2 AND tries < $3
    RETURNING browser_hash, code_hash, user_id, email, bound_to, return_to";

pub(crate) async fn spend_try(tx: &Tx, browser_hash: &str, now: Timestamp) -> Result<Option<MagicLink>, DbError> {
    let statement = sql(tx, SPEND, [browser_hash.into(), now.micros().into(), TRIES.into()]);
    Row::find_by_statement(statement).one(tx).await?.map(MagicLink::try_from).transpose()
}

/// Found and gone in one statement: of two that use a link at once, one gets in.
const TAKE: &str = "DELETE FROM magic_links WHERE browser_hash = $1 AND code_hash = $2 AND expires_at > $3";

/// Whether this call was the one that used it; not one that has taken its place meanwhile.
pub(crate) async fn take(tx: &Tx, link: &MagicLink, now: Timestamp) -> Result<bool, DbError> {
    let values = [link.browser_hash.as_str().into(), link.code_hash.as_str().into(), now.micros().into()];
    Ok(tx.execute_raw(sql(tx, TAKE, values)).await?.rows_affected() == 1)
}

const VOID: &str = "DELETE FROM magic_links WHERE user_id = $1";

/// In every browser that asked.
pub(crate) async fn void_links(tx: &Tx, user: UserId) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, VOID, [user.to_string().into()])).await?;
    Ok(())
}

const SWEEP: &str = "DELETE FROM magic_links WHERE expires_at <= $1";

pub(crate) async fn sweep(tx: &Tx, now: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, SWEEP, [now.micros().into()])).await?;
    Ok(())
}
