use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::Timestamp;
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::read;
use crate::revocations::{Revocation, Subject};

#[derive(FromQueryResult)]
struct Row {
    subject: String,
    epoch: i64,
    expires_at: i64,
}

/// For a person only the latest epoch counts.
const INSERT: &str = "INSERT INTO revocations (subject, epoch, revoked_at, expires_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (subject) DO UPDATE SET epoch = excluded.epoch, revoked_at = excluded.revoked_at, expires_at = excluded.expires_at";

pub(crate) async fn insert_revocation(tx: &Tx, revocation: &Revocation, at: Timestamp) -> Result<(), DbError> {
    let values = [
        revocation.subject.to_string().into(),
        revocation.epoch.cast_signed().into(),
        at.micros().into(),
        revocation.expires_at.micros().into(),
    ];
    tx.execute_raw(sql(tx, INSERT, values)).await?;
    Ok(())
}

const LIST: &str = "SELECT subject, epoch, expires_at FROM revocations WHERE revoked_at >= $1 AND expires_at > $2";

/// What was revoked since a moment and still matters.
pub(crate) async fn list_revocations(conn: &impl ConnectionTrait, since: Timestamp, now: Timestamp) -> Result<Vec<Revocation>, DbError> {
    let rows = Row::find_by_statement(sql(conn, LIST, [since.micros().into(), now.micros().into()])).all(conn).await?;
    rows.into_iter()
        .map(|row| {
            let subject: Subject = read("revocations.subject", &row.subject)?;
            Ok(Revocation { subject, epoch: row.epoch.cast_unsigned(), expires_at: Timestamp::from_micros(row.expires_at) })
        })
        .collect()
}

const SWEEP: &str = "DELETE FROM revocations WHERE expires_at <= $1";

pub(crate) async fn sweep(tx: &Tx, now: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, SWEEP, [now.micros().into()])).await?;
    Ok(())
}
