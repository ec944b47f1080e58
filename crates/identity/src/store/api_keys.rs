use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{ApiKeyId, CredentialKind, Principal, Timestamp, UserId, scope};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{read, timestamp};
use crate::ApiKey;

/// A row to be.
#[derive(Debug)]
pub(crate) struct NewRow<'a> {
    pub(crate) key: &'a ApiKey,
    pub(crate) user_id: UserId,
    pub(crate) key_hash: String,
}

const INSERT: &str = "INSERT INTO api_keys (id, user_id, name, key_hash, hint, scopes, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

pub(crate) async fn insert(tx: &Tx, new: NewRow<'_>) -> Result<(), DbError> {
    let values = [
        new.key.id.to_string().into(),
        new.user_id.to_string().into(),
        new.key.name.as_str().into(),
        new.key_hash.into(),
        new.key.hint.as_str().into(),
        new.key.scopes.join(" ").into(),
        new.key.created_at.micros().into(),
        new.key.expires_at.micros().into(),
    ];
    tx.execute_raw(sql(tx, INSERT, values)).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    name: String,
    hint: String,
    scopes: String,
    created_at: i64,
    expires_at: i64,
    last_used_at: Option<i64>,
    replaced_by: Option<String>,
}

impl TryFrom<Row> for ApiKey {
    type Error = DbError;
    fn try_from(row: Row) -> Result<Self, DbError> {
        Ok(Self {
            id: read("api_keys.id", &row.id)?,
            name: row.name,
            hint: row.hint,
            scopes: row.scopes.split_whitespace().map(str::to_owned).collect(),
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: Timestamp::from_micros(row.expires_at),
            last_used_at: timestamp(row.last_used_at),
            replaced_by: row.replaced_by.as_deref().map(|id| read("api_keys.replaced_by", id)).transpose()?,
        })
    }
}

/// An id begins with the time it was made: newest first. What is over is shown for as long as it is there.
const LIST: &str = "SELECT id, name, hint, scopes, created_at, expires_at, last_used_at, replaced_by FROM api_keys
    WHERE user_id = $1 ORDER BY id DESC LIMIT 200";

pub(crate) async fn list(conn: &impl ConnectionTrait, user: UserId) -> Result<Vec<ApiKey>, DbError> {
    let rows = Row::find_by_statement(sql(conn, LIST, [user.to_string().into()])).all(conn).await?;
    rows.into_iter().map(ApiKey::try_from).collect()
}

/// Of two that replace the same key at once, one does.
const REPLACE: &str = "UPDATE api_keys SET replaced_by = $3, expires_at = CASE WHEN expires_at < $4 THEN expires_at ELSE $4 END
    WHERE id = $1 AND user_id = $2 AND replaced_by IS NULL AND expires_at > $5";

/// Whether this call was the one that replaced it.
pub(crate) async fn replace(tx: &Tx, id: ApiKeyId, user: UserId, by: ApiKeyId, until: Timestamp, now: Timestamp) -> Result<bool, DbError> {
    let values = [id.to_string().into(), user.to_string().into(), by.to_string().into(), until.micros().into(), now.micros().into()];
    Ok(tx.execute_raw(sql(tx, REPLACE, values)).await?.rows_affected() == 1)
}

const DELETE: &str = "DELETE FROM api_keys WHERE id = $1 AND user_id = $2";

/// Whether there was such a key of that person.
pub(crate) async fn delete(tx: &Tx, id: ApiKeyId, user: UserId) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, DELETE, [id.to_string().into(), user.to_string().into()])).await?.rows_affected() == 1)
}

const DELETE_ALL: &str = "DELETE FROM api_keys WHERE user_id = $1";

pub(crate) async fn delete_all(tx: &Tx, user: UserId) -> Result<u64, DbError> {
    Ok(tx.execute_raw(sql(tx, DELETE_ALL, [user.to_string().into()])).await?.rows_affected())
}

/// A key with its owner, as every request is checked against it.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) id: ApiKeyId,
    pub(crate) expires_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
    disabled: bool,
    user_id: UserId,
    email: String,
    name: String,
    role: String,
    epoch: u64,
    scopes: String,
    created_at: Timestamp,
}

#[derive(FromQueryResult)]
struct LiveRow {
    id: String,
    scopes: String,
    created_at: i64,
    expires_at: i64,
    last_used_at: Option<i64>,
    user_id: String,
    email: String,
    name: String,
    role: String,
    disabled_at: Option<i64>,
    epoch: i64,
}

/// One read for everything that a request is checked against.
const FIND: &str = "SELECT k.id, k.scopes, k.created_at, k.expires_at, k.last_used_at, k.user_id, u.email, u.name, u.role, u.disabled_at,
    u.epoch FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.key_hash = $1";

pub(crate) async fn find(conn: &impl ConnectionTrait, key_hash: &str) -> Result<Option<Live>, DbError> {
    let Some(row) = LiveRow::find_by_statement(sql(conn, FIND, [key_hash.into()])).one(conn).await? else { return Ok(None) };
    Ok(Some(Live {
        id: read("api_keys.id", &row.id)?,
        expires_at: Timestamp::from_micros(row.expires_at),
        last_used_at: timestamp(row.last_used_at),
        disabled: row.disabled_at.is_some(),
        user_id: read("api_keys.user_id", &row.user_id)?,
        email: row.email,
        name: row.name,
        role: row.role,
        epoch: row.epoch.cast_unsigned(),
        scopes: row.scopes,
        created_at: Timestamp::from_micros(row.created_at),
    }))
}

impl Live {
    pub(crate) fn is_alive(&self, now: Timestamp) -> bool {
        !self.disabled && now < self.expires_at
    }

    /// A key of somebody who has stopped being administrator loses what only administrators may give one.
    pub(crate) fn into_principal(self, expires_at: Timestamp) -> Principal {
        let mut principal = Principal {
            user_id: self.user_id,
            email: self.email,
            name: self.name,
            role: self.role,
            session_id: None,
            key_id: Some(self.id),
            scopes: None,
            credential: CredentialKind::ApiKey,
            issued_at: self.created_at,
            proven_at: Timestamp::default(),
            epoch: self.epoch,
            expires_at,
        };
        let admin = principal.has_role(Principal::ADMIN);
        let scopes = self.scopes.split_whitespace().filter(|name| admin || !scope::needs_admin(name)).map(str::to_owned);
        principal.scopes = Some(scopes.collect());
        principal
    }
}

const TOUCH: &str = "UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";

pub(crate) async fn touch(tx: &Tx, id: ApiKeyId, at: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, TOUCH, [id.to_string().into(), at.micros().into()])).await?;
    Ok(())
}

const SWEEP: &str = "DELETE FROM api_keys WHERE expires_at <= $1";

pub(crate) async fn sweep(tx: &Tx, over_since: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, SWEEP, [over_since.micros().into()])).await?;
    Ok(())
}
