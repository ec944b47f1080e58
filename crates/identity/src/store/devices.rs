//! Browsers that are known, and what people should know of their account.

use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{Id, Kind, Timestamp, UserId};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::model::{Alert, AlertKind};

/// Browsers remembered for one person; the ones unused for longest make room.
const MAX_PER_USER: i64 = 50;
/// Alerts kept for one person.
const MAX_ALERTS: i64 = 20;

#[derive(FromQueryResult)]
struct Found {
    found: i64,
}

const FIND: &str = "SELECT count(*) AS found FROM known_devices WHERE user_id = $1 AND token_hash = $2 AND last_used_at > $3";

/// Whether this browser was used by this person since a moment.
pub(crate) async fn is_known(conn: &impl ConnectionTrait, user: UserId, hash: &str, since: Timestamp) -> Result<bool, DbError> {
    let values = [user.to_string().into(), hash.into(), since.micros().into()];
    Ok(Found::find_by_statement(sql(conn, FIND, values)).one(conn).await?.is_some_and(|row| row.found > 0))
}

const REMEMBER: &str = "INSERT INTO known_devices (user_id, token_hash, last_used_at) VALUES ($1, $2, $3)
    ON CONFLICT (user_id, token_hash) DO UPDATE SET last_used_at = excluded.last_used_at";
const TRIM: &str = "DELETE FROM known_devices WHERE user_id = $1 AND token_hash IN (
    SELECT token_hash FROM known_devices WHERE user_id = $1 ORDER BY last_used_at DESC LIMIT 1000000 OFFSET $2)";

pub(crate) async fn remember(tx: &Tx, user: UserId, hash: &str, at: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, REMEMBER, [user.to_string().into(), hash.into(), at.micros().into()])).await?;
    tx.execute_raw(sql(tx, TRIM, [user.to_string().into(), MAX_PER_USER.into()])).await?;
    Ok(())
}

const FORGET: &str = "DELETE FROM known_devices WHERE user_id = $1";

pub(crate) async fn forget(tx: &Tx, user: UserId) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, FORGET, [user.to_string().into()])).await?;
    Ok(())
}

#[derive(Debug)]
pub(crate) enum AlertIdKind {}
impl Kind for AlertIdKind {
    const PREFIX: &'static str = "alr";
}

const ALERT: &str = "INSERT INTO alerts (id, user_id, kind, user_agent, ip, at) VALUES ($1, $2, $3, $4, $5, $6)";
const TRIM_ALERTS: &str = "DELETE FROM alerts WHERE id IN (
    SELECT id FROM alerts WHERE user_id = $1 ORDER BY at DESC, id DESC LIMIT 1000000 OFFSET $2)";

pub(crate) async fn insert_alert(tx: &Tx, user: UserId, alert: &Alert) -> Result<(), DbError> {
    let values = [
        Id::<AlertIdKind>::generate().to_string().into(),
        user.to_string().into(),
        alert.kind.as_str().into(),
        alert.user_agent.as_deref().into(),
        alert.ip.map(|ip| ip.to_string()).into(),
        alert.at.micros().into(),
    ];
    tx.execute_raw(sql(tx, ALERT, values)).await?;
    tx.execute_raw(sql(tx, TRIM_ALERTS, [user.to_string().into(), MAX_ALERTS.into()])).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct AlertRow {
    kind: String,
    user_agent: Option<String>,
    ip: Option<String>,
    at: i64,
}

const ALERTS: &str = "SELECT kind, user_agent, ip, at FROM alerts WHERE user_id = $1 AND at > $2 ORDER BY at DESC, id DESC";

/// The latest first.
pub(crate) async fn list_alerts(conn: &impl ConnectionTrait, user: UserId, since: Timestamp) -> Result<Vec<Alert>, DbError> {
    let rows = AlertRow::find_by_statement(sql(conn, ALERTS, [user.to_string().into(), since.micros().into()])).all(conn).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Alert {
                kind: AlertKind::from_stored(&row.kind).ok_or(DbError::Corrupt("alerts.kind"))?,
                user_agent: row.user_agent,
                ip: row.ip.and_then(|ip| ip.parse().ok()),
                at: Timestamp::from_micros(row.at),
            })
        })
        .collect()
}

const SWEEP_DEVICES: &str = "DELETE FROM known_devices WHERE last_used_at <= $1";
const SWEEP_ALERTS: &str = "DELETE FROM alerts WHERE at <= $1";

pub(crate) async fn sweep(tx: &Tx, before: Timestamp) -> Result<(), DbError> {
    for text in [SWEEP_DEVICES, SWEEP_ALERTS] {
        tx.execute_raw(sql(tx, text, [before.micros().into()])).await?;
    }
    Ok(())
}
