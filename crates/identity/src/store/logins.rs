use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{Timestamp, UserId};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{read, timestamp};
use crate::oidc::LoginId;

/// A connected account.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) id: LoginId,
    pub(crate) user_id: UserId,
    pub(crate) provider: String,
    pub(crate) label: String,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
}

/// A row to be.
#[derive(Debug)]
pub(crate) struct NewLogin<'a> {
    pub(crate) user_id: UserId,
    pub(crate) provider: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) label: &'a str,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    user_id: String,
    provider: String,
    label: String,
    created_at: i64,
    last_used_at: Option<i64>,
}

impl TryFrom<Row> for Stored {
    type Error = DbError;
    fn try_from(row: Row) -> Result<Self, DbError> {
        Ok(Self {
            id: read("logins.id", &row.id)?,
            user_id: read("logins.user_id", &row.user_id)?,
            provider: row.provider,
            label: row.label,
            created_at: Timestamp::from_micros(row.created_at),
            last_used_at: timestamp(row.last_used_at),
        })
    }
}

const INSERT: &str = "INSERT INTO logins (id, user_id, provider, issuer, subject, label, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (issuer, subject) DO NOTHING";

/// `None` when it is somebody's already.
pub(crate) async fn insert_login(tx: &Tx, new: NewLogin<'_>, at: Timestamp) -> Result<Option<LoginId>, DbError> {
    let id = LoginId::generate();
    let values = [
        id.to_string().into(),
        new.user_id.to_string().into(),
        new.provider.into(),
        new.issuer.into(),
        new.subject.into(),
        new.label.into(),
        at.micros().into(),
    ];
    Ok((tx.execute_raw(sql(tx, INSERT, values)).await?.rows_affected() == 1).then_some(id))
}

const FIND: &str = "SELECT id, user_id, provider, label, created_at, last_used_at FROM logins WHERE issuer = $1 AND subject = $2";

pub(crate) async fn find_login(conn: &impl ConnectionTrait, issuer: &str, subject: &str) -> Result<Option<Stored>, DbError> {
    Row::find_by_statement(sql(conn, FIND, [issuer.into(), subject.into()])).one(conn).await?.map(Stored::try_from).transpose()
}

const LIST: &str = "SELECT id, user_id, provider, label, created_at, last_used_at FROM logins WHERE user_id = $1 ORDER BY created_at, id";

/// The oldest first.
pub(crate) async fn list_logins(conn: &impl ConnectionTrait, user: UserId) -> Result<Vec<Stored>, DbError> {
    let rows = Row::find_by_statement(sql(conn, LIST, [user.to_string().into()])).all(conn).await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// What they are called there may have changed.
const USE: &str = "UPDATE logins SET last_used_at = $2, label = $3 WHERE id = $1";

/// Whether it is still there.
pub(crate) async fn use_login(tx: &Tx, id: LoginId, label: &str, at: Timestamp) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, USE, [id.to_string().into(), at.micros().into(), label.into()])).await?.rows_affected() == 1)
}

const DELETE: &str = "DELETE FROM logins WHERE id = $1 AND user_id = $2";

/// Whether there was such a connected account of that person.
pub(crate) async fn delete_login(tx: &Tx, id: LoginId, user: UserId) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, DELETE, [id.to_string().into(), user.to_string().into()])).await?.rows_affected() == 1)
}

const DELETE_ALL: &str = "DELETE FROM logins WHERE user_id = $1";

pub(crate) async fn delete_logins(tx: &Tx, user: UserId) -> Result<u64, DbError> {
    Ok(tx.execute_raw(sql(tx, DELETE_ALL, [user.to_string().into()])).await?.rows_affected())
}
