use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{Timestamp, UserId};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    factors::{TrustedDevice, TrustedDeviceId},
    store::read,
};

/// Browsers that one person may trust; those unused for longest make room.
const MAX_PER_USER: i64 = 20;

/// A row to be.
#[derive(Debug)]
pub(crate) struct NewTrusted {
    pub(crate) token_hash: String,
    pub(crate) user_id: UserId,
    pub(crate) user_agent: Option<String>,
    pub(crate) ip: Option<String>,
    pub(crate) expires_at: Timestamp,
}

const INSERT: &str = "INSERT INTO trusted_devices (id, user_id, token_hash, user_agent, ip, proved_at, last_used_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $6, $7)";
const TRIM: &str = "DELETE FROM trusted_devices WHERE user_id = $1 AND id IN (
    SELECT id FROM trusted_devices WHERE user_id = $1 ORDER BY last_used_at DESC, id DESC LIMIT 1000000 OFFSET $2)";

pub(crate) async fn insert_trusted(tx: &Tx, new: NewTrusted, at: Timestamp) -> Result<TrustedDeviceId, DbError> {
    let id = TrustedDeviceId::generate();
    let user = new.user_id.to_string();
    let values = [
        id.to_string().into(),
        user.clone().into(),
        new.token_hash.into(),
        new.user_agent.into(),
        new.ip.into(),
        at.micros().into(),
        new.expires_at.micros().into(),
    ];
    tx.execute_raw(sql(tx, INSERT, values)).await?;
    tx.execute_raw(sql(tx, TRIM, [user.into(), MAX_PER_USER.into()])).await?;
    Ok(id)
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    user_agent: Option<String>,
    ip: Option<String>,
    proved_at: i64,
    last_used_at: i64,
    expires_at: i64,
}

impl TryFrom<Row> for TrustedDevice {
    type Error = DbError;
    fn try_from(row: Row) -> Result<Self, DbError> {
        Ok(Self {
            id: read("trusted_devices.id", &row.id)?,
            user_agent: row.user_agent,
            ip: row.ip.and_then(|ip| ip.parse().ok()),
            proved_at: Timestamp::from_micros(row.proved_at),
            last_used_at: Timestamp::from_micros(row.last_used_at),
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}

/// One statement finds it and writes down that it was used; only for the person it was trusted by.
const USE: &str = "UPDATE trusted_devices SET last_used_at = $3 WHERE token_hash = $1 AND user_id = $2 AND expires_at > $3
    RETURNING id, user_agent, ip, proved_at, last_used_at, expires_at";

pub(crate) async fn use_trusted(tx: &Tx, token_hash: &str, user: UserId, now: Timestamp) -> Result<Option<TrustedDevice>, DbError> {
    let values = [token_hash.into(), user.to_string().into(), now.micros().into()];
    Row::find_by_statement(sql(tx, USE, values)).one(tx).await?.map(TrustedDevice::try_from).transpose()
}

const LIST: &str = "SELECT id, user_agent, ip, proved_at, last_used_at, expires_at FROM trusted_devices
    WHERE user_id = $1 AND expires_at > $2 ORDER BY last_used_at DESC, id DESC";

pub(crate) async fn list_trusted(conn: &impl ConnectionTrait, user: UserId, now: Timestamp) -> Result<Vec<TrustedDevice>, DbError> {
    let rows = Row::find_by_statement(sql(conn, LIST, [user.to_string().into(), now.micros().into()])).all(conn).await?;
    rows.into_iter().map(TrustedDevice::try_from).collect()
}

const DELETE: &str = "DELETE FROM trusted_devices WHERE id = $1 AND user_id = $2";

/// Whether there was such a device of that person.
pub(crate) async fn delete_trusted(tx: &Tx, id: TrustedDeviceId, user: UserId) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, DELETE, [id.to_string().into(), user.to_string().into()])).await?.rows_affected() == 1)
}

const DELETE_ALL: &str = "DELETE FROM trusted_devices WHERE user_id = $1";

pub(crate) async fn forget_trusted(tx: &Tx, user: UserId) -> Result<u64, DbError> {
    Ok(tx.execute_raw(sql(tx, DELETE_ALL, [user.to_string().into()])).await?.rows_affected())
}

const SWEEP: &str = "DELETE FROM trusted_devices WHERE expires_at <= $1";

pub(crate) async fn sweep(tx: &Tx, now: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, SWEEP, [now.micros().into()])).await?;
    Ok(())
}
