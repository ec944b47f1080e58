//! Second factors and what belongs to them.

pub(crate) mod challenges;
pub(crate) mod passkeys;
pub(crate) mod recovery;
pub(crate) mod trusted;

use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{Timestamp, UserId};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::timestamp;
use crate::factors::{Factor, FactorKind};

/// Holds the person's row until the transaction ends: whatever begins a session or changes a factor happens one after the
/// other. Taken before any other row, so that nobody waits in a circle.
const LOCK: &str = "UPDATE users SET epoch = epoch WHERE id = $1";

pub(crate) async fn lock_user(tx: &Tx, user: UserId) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, LOCK, [user.to_string().into()])).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct Row {
    kind: String,
    confirmed_at: i64,
    last_used_at: Option<i64>,
}

const LIST: &str =
    "SELECT kind, confirmed_at, last_used_at FROM factors WHERE user_id = $1 AND confirmed_at IS NOT NULL ORDER BY confirmed_at";

/// What is in force, the oldest first.
pub(crate) async fn list_factors(conn: &impl ConnectionTrait, user: UserId) -> Result<Vec<Factor>, DbError> {
    let rows = Row::find_by_statement(sql(conn, LIST, [user.to_string().into()])).all(conn).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Factor {
                kind: row.kind.parse().map_err(|()| DbError::Corrupt("factors.kind"))?,
                confirmed_at: Timestamp::from_micros(row.confirmed_at),
                last_used_at: timestamp(row.last_used_at),
            })
        })
        .collect()
}

#[derive(FromQueryResult)]
struct SecretRow {
    secret: Option<String>,
}

const CONFIRMED_SECRET: &str = "SELECT secret FROM factors WHERE user_id = $1 AND kind = $2 AND confirmed_at IS NOT NULL";
const PENDING_SECRET: &str = "SELECT secret FROM factors WHERE user_id = $1 AND kind = $2 AND confirmed_at IS NULL AND created_at > $3";

/// The sealed secret of the factor in force.
pub(crate) async fn find_secret(conn: &impl ConnectionTrait, user: UserId, kind: FactorKind) -> Result<Option<String>, DbError> {
    let values = [user.to_string().into(), kind.as_str().into()];
    Ok(SecretRow::find_by_statement(sql(conn, CONFIRMED_SECRET, values)).one(conn).await?.and_then(|row| row.secret))
}

/// The sealed secret of an enrolment begun after `since`.
pub(crate) async fn find_pending(
    conn: &impl ConnectionTrait,
    user: UserId,
    kind: FactorKind,
    since: Timestamp,
) -> Result<Option<String>, DbError> {
    let values = [user.to_string().into(), kind.as_str().into(), since.micros().into()];
    Ok(SecretRow::find_by_statement(sql(conn, PENDING_SECRET, values)).one(conn).await?.and_then(|row| row.secret))
}

/// An enrolment replaces the one that was begun before; a factor in force stays.
const BEGIN: &str = "INSERT INTO factors (user_id, kind, secret, last_step, created_at) VALUES ($1, $2, $3, 0, $4)
    ON CONFLICT (user_id, kind) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at
    WHERE factors.confirmed_at IS NULL";

/// Whether it has begun; not when the factor is in force already.
pub(crate) async fn begin(tx: &Tx, user: UserId, kind: FactorKind, secret: Option<&str>, at: Timestamp) -> Result<bool, DbError> {
    let values = [user.to_string().into(), kind.as_str().into(), secret.into(), at.micros().into()];
    Ok(tx.execute_raw(sql(tx, BEGIN, values)).await?.rows_affected() == 1)
}

/// Only the secret that the code was checked with.
const CONFIRM: &str = "UPDATE factors SET confirmed_at = $4, last_used_at = $4, last_step = $5
    WHERE user_id = $1 AND kind = $2 AND confirmed_at IS NULL AND (secret = $3 OR (secret IS NULL AND $3 IS NULL))";

/// Whether this call put the factor in force. `step`: the step whose code was taken, which is then used up.
pub(crate) async fn confirm(
    tx: &Tx,
    user: UserId,
    kind: FactorKind,
    secret: Option<&str>,
    step: i64,
    at: Timestamp,
) -> Result<bool, DbError> {
    let values = [user.to_string().into(), kind.as_str().into(), secret.into(), at.micros().into(), step.into()];
    Ok(tx.execute_raw(sql(tx, CONFIRM, values)).await?.rows_affected() == 1)
}

const PUT: &str = "INSERT INTO factors (user_id, kind, secret, last_step, confirmed_at, last_used_at, created_at)
    VALUES ($1, $2, $3, 0, $4, $4, $4)
    ON CONFLICT (user_id, kind) DO UPDATE SET
        secret = excluded.secret, confirmed_at = excluded.confirmed_at, last_used_at = excluded.last_used_at";

/// In force from now on, in the place of what was there.
pub(crate) async fn put(tx: &Tx, user: UserId, kind: FactorKind, secret: Option<&str>, at: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, PUT, [user.to_string().into(), kind.as_str().into(), secret.into(), at.micros().into()])).await?;
    Ok(())
}

/// Decided in the statement: of two that give the code of a step, in whatever attempts, one is taken.
const USE_STEP: &str = "UPDATE factors SET last_step = $3, last_used_at = $4
    WHERE user_id = $1 AND kind = $2 AND confirmed_at IS NOT NULL AND last_step < $3";

/// Whether no code of this step or a later one was taken before.
pub(crate) async fn use_step(tx: &Tx, user: UserId, step: i64, at: Timestamp) -> Result<bool, DbError> {
    let values = [user.to_string().into(), FactorKind::Totp.as_str().into(), step.into(), at.micros().into()];
    Ok(tx.execute_raw(sql(tx, USE_STEP, values)).await?.rows_affected() == 1)
}

const USED: &str = "UPDATE factors SET last_used_at = $3 WHERE user_id = $1 AND kind = $2 AND confirmed_at IS NOT NULL";

/// Whether there is such a factor in force.
pub(crate) async fn mark_used(tx: &Tx, user: UserId, kind: FactorKind, at: Timestamp) -> Result<bool, DbError> {
    let values = [user.to_string().into(), kind.as_str().into(), at.micros().into()];
    Ok(tx.execute_raw(sql(tx, USED, values)).await?.rows_affected() == 1)
}

const REMOVE: &str = "DELETE FROM factors WHERE user_id = $1 AND kind = $2 AND confirmed_at IS NOT NULL";

/// Whether there was such a factor in force.
pub(crate) async fn remove(tx: &Tx, user: UserId, kind: FactorKind) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, REMOVE, [user.to_string().into(), kind.as_str().into()])).await?.rows_affected() == 1)
}

const REMOVE_ALL: &str = "DELETE FROM factors WHERE user_id = $1";

/// How many there were, enrolments that were begun included.
pub(crate) async fn remove_all(tx: &Tx, user: UserId) -> Result<u64, DbError> {
    Ok(tx.execute_raw(sql(tx, REMOVE_ALL, [user.to_string().into()])).await?.rows_affected())
}

const SWEEP: &str = "DELETE FROM factors WHERE confirmed_at IS NULL AND created_at <= $1";

/// Forgets enrolments that nobody finished.
pub(crate) async fn sweep(tx: &Tx, before: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, SWEEP, [before.micros().into()])).await?;
    Ok(())
}
