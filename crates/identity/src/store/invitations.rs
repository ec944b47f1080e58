use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{Cursor, Page, Timestamp, UserId};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use super::{read, timestamp};
use crate::model::{Email, Invitation, InvitationId, Role};

/// A row to be.
#[derive(Debug)]
pub(crate) struct NewRow<'a> {
    pub(crate) id: InvitationId,
    pub(crate) email: Option<&'a Email>,
    pub(crate) role: &'a Role,
    /// The account that it makes, where it is one.
    pub(crate) user_id: Option<UserId>,
    pub(crate) token_hash: String,
    pub(crate) max_uses: u32,
    pub(crate) expires_at: Timestamp,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    email: Option<String>,
    role: String,
    user_id: Option<String>,
    max_uses: i64,
    uses: i64,
    created_at: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
}

impl TryFrom<Row> for Invitation {
    type Error = DbError;
    fn try_from(row: Row) -> Result<Self, DbError> {
        Ok(Self {
            id: read("invitations.id", &row.id)?,
            email: row.email.map(|email| read("invitations.email", &email)).transpose()?,
            role: read("invitations.role", &row.role)?,
            user_id: row.user_id.map(|id| read("invitations.user_id", &id)).transpose()?,
            max_uses: u32::try_from(row.max_uses).unwrap_or(u32::MAX),
            uses: u32::try_from(row.uses).unwrap_or(u32::MAX),
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: Timestamp::from_micros(row.expires_at),
            revoked_at: timestamp(row.revoked_at),
        })
    }
}

macro_rules! columns {
    ($before:literal, $after:literal) => {
        concat!($before, "id, email, role, user_id, max_uses, uses, created_at, expires_at, revoked_at", $after)
    };
}

const INSERT: &str = columns!(
    "INSERT INTO invitations (id, email, role, token_hash, max_uses, uses, created_at, expires_at, user_id)
    VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8) RETURNING ",
    ""
);

pub(crate) async fn insert_invitation(tx: &Tx, new: NewRow<'_>, at: Timestamp) -> Result<Invitation, DbError> {
    let values: [Value; 8] = [
        new.id.to_string().into(),
        new.email.map(Email::as_str).into(),
        new.role.as_str().into(),
        new.token_hash.into(),
        i64::from(new.max_uses).into(),
        at.micros().into(),
        new.expires_at.micros().into(),
        new.user_id.map(|id| id.to_string()).into(),
    ];
    one(tx, INSERT, values).await?.ok_or(DbError::NotFound)
}

async fn one(conn: &impl ConnectionTrait, text: &str, values: impl IntoIterator<Item = Value>) -> Result<Option<Invitation>, DbError> {
    Row::find_by_statement(sql(conn, text, values)).one(conn).await?.map(Invitation::try_from).transpose()
}

macro_rules! open {
    ($before:literal, $after:literal) => {
        concat!($before, " token_hash = $1 AND revoked_at IS NULL AND expires_at > $2 AND uses < max_uses", $after)
    };
}
const FIND: &str = open!("SELECT id, email, role, user_id, max_uses, uses, created_at, expires_at, revoked_at FROM invitations WHERE", "");

/// One that may still be accepted.
pub(crate) async fn find_invitation(conn: &impl ConnectionTrait, token_hash: &str, now: Timestamp) -> Result<Option<Invitation>, DbError> {
    one(conn, FIND, [token_hash.into(), now.micros().into()]).await
}

/// Counted in the statement: of two that take the last place at once, one gets it.
const USE: &str = open!(
    "UPDATE invitations SET uses = uses + 1 WHERE",
    " RETURNING id, email, role, user_id, max_uses, uses, created_at, expires_at, revoked_at"
);

pub(crate) async fn use_invitation(tx: &Tx, token_hash: &str, now: Timestamp) -> Result<Option<Invitation>, DbError> {
    one(tx, USE, [token_hash.into(), now.micros().into()]).await
}

const LIST: &str = columns!("SELECT ", " FROM invitations WHERE id < $1 ORDER BY id DESC LIMIT $2");
/// Sorts after every id.
const END: &str = "inv_z";

/// The latest first.
pub(crate) async fn list_invitations(
    conn: &impl ConnectionTrait,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page<Invitation>, DbError> {
    let surplus = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
    let values = [after.map_or(END, Cursor::key).into(), surplus.into()];
    let rows = Row::find_by_statement(sql(conn, LIST, values)).all(conn).await?;
    let found = rows.into_iter().map(Invitation::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::from_surplus(found, limit, |invitation| invitation.id.to_string()))
}

#[derive(FromQueryResult)]
struct CountRow {
    count: i64,
}

const COUNT: &str = "SELECT count(*) AS count FROM invitations WHERE revoked_at IS NULL AND expires_at > $1 AND uses < max_uses";

/// How many may still be accepted.
pub(crate) async fn count_open(tx: &Tx, now: Timestamp) -> Result<u64, DbError> {
    let row = CountRow::find_by_statement(sql(tx, COUNT, [now.micros().into()])).one(tx).await?;
    Ok(row.map_or(0, |row| row.count.cast_unsigned()))
}

const REVOKE: &str = "UPDATE invitations SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL AND expires_at > $2 AND uses < max_uses";

/// Whether it could still be accepted until now.
pub(crate) async fn revoke(tx: &Tx, id: InvitationId, now: Timestamp) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, REVOKE, [id.to_string().into(), now.micros().into()])).await?.rows_affected() == 1)
}

const REPLACE: &str = "UPDATE invitations SET revoked_at = $2 WHERE email = $1 AND revoked_at IS NULL AND uses < max_uses";

/// A new one voids what was sent to the same address before.
pub(crate) async fn revoke_of(tx: &Tx, email: &Email, now: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, REPLACE, [email.as_str().into(), now.micros().into()])).await?;
    Ok(())
}

const FORGET: &str = "DELETE FROM invitations WHERE email = $1 OR user_id = $2";

/// Somebody's account is gone, and what says that they were invited.
pub(crate) async fn forget(tx: &Tx, user: UserId, email: &Email) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, FORGET, [email.as_str().into(), user.to_string().into()])).await?;
    Ok(())
}

const SWEEP: &str = "DELETE FROM invitations WHERE expires_at <= $1";

/// Those that were over before that moment.
pub(crate) async fn sweep(tx: &Tx, before: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, SWEEP, [before.micros().into()])).await?;
    Ok(())
}
