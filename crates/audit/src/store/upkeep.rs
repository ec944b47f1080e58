//! What is done in the background: erasures, prunings, anchors, checks.

use std::time::Duration;

use baluarte_db::{
    Db, DbError, Tx,
    sea_orm::{ConnectionTrait, QueryResult, Value},
    sql,
};
use baluarte_kernel::Timestamp;

use crate::{link::Hash, verify::Verdict};

pub(crate) async fn insert_erasure(tx: &Tx, seq: i64, subject: &str, at: i64) -> Result<(), DbError> {
    let text = "INSERT INTO audit_erasures (seq, subject, at) VALUES ($1, $2, $3)";
    tx.execute_raw(sql(tx, text, [seq.into(), subject.into(), at.into()])).await?;
    Ok(())
}

/// The oldest that is not done: the link that tells of it, and whom it is about.
pub(crate) async fn find_open_erasure(db: &Db) -> Result<Option<(i64, String)>, DbError> {
    let text = "SELECT seq, subject FROM audit_erasures WHERE done_at IS NULL ORDER BY seq LIMIT 1";
    let row = db.read().query_one_raw(sql(db.read(), text, [])).await?;
    row.map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).transpose()
}

const ERASE: &str = "UPDATE audit_entries
    SET salt = NULL, actor_name = NULL, ip = NULL, user_agent = NULL, personal_details = NULL, erased_by = $1
    WHERE seq IN (SELECT seq FROM audit_entries WHERE (actor_id = $2 OR resource_id = $2) AND seq <= $1 AND personal IS NOT NULL
        AND erased_by IS NULL ORDER BY seq LIMIT $3)";

/// A piece of it; how many links were stripped.
pub(crate) async fn erase(tx: &Tx, seq: i64, subject: &str, piece: i64) -> Result<u64, DbError> {
    Ok(tx.execute_raw(sql(tx, ERASE, [seq.into(), subject.into(), piece.into()])).await?.rows_affected())
}

pub(crate) async fn end_erasure(tx: &Tx, seq: i64, now: Timestamp) -> Result<(), DbError> {
    let text = "UPDATE audit_erasures SET done_at = $2 WHERE seq = $1";
    tx.execute_raw(sql(tx, text, [seq.into(), now.micros().into()])).await?;
    Ok(())
}

/// Number, time and hash of the links after `after`, in order.
pub(crate) async fn list_ages(db: &Db, after: i64, through: i64, limit: i64) -> Result<Vec<(i64, i64, Hash)>, DbError> {
    let text = "SELECT seq, at, hash FROM audit_entries WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3";
    let rows = db.read().query_all_raw(sql(db.read(), text, [after.into(), through.into(), limit.into()])).await?;
    let age = |row: &QueryResult| {
        let hash: Vec<u8> = row.try_get_by_index(2)?;
        Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?, hash.try_into().map_err(|_| DbError::Corrupt("audit_entries.hash"))?))
    };
    rows.iter().map(age).collect()
}

const DELETE: &str = "DELETE FROM audit_entries WHERE seq IN (SELECT seq FROM audit_entries WHERE seq <= $1 ORDER BY seq LIMIT $2)";

/// A piece of what a pruning covers; how many are gone. A trigger refuses everything else.
pub(crate) async fn delete_pruned(tx: &Tx, through: i64, piece: i64) -> Result<u64, DbError> {
    Ok(tx.execute_raw(sql(tx, DELETE, [through.into(), piece.into()])).await?.rows_affected())
}

/// How far a place outside has been sent checkpoints.
#[derive(Debug, Clone)]
pub(crate) struct AnchorState {
    pub(crate) place: String,
    pub(crate) seq: i64,
    pub(crate) arrived_at: Option<Timestamp>,
    pub(crate) failures: i64,
    pub(crate) last_error: Option<String>,
}

/// A place that is new begins with the latest checkpoint, which covers everything before it.
pub(crate) async fn add_anchor(tx: &Tx, place: &str, latest: i64) -> Result<(), DbError> {
    let text = "INSERT INTO audit_anchors (place, seq, failures, next_attempt_at) VALUES ($1, $2, 0, 0) ON CONFLICT (place) DO NOTHING";
    tx.execute_raw(sql(tx, text, [place.into(), (latest - 1).into()])).await?;
    Ok(())
}

const CLAIM_ANCHOR: &str = "UPDATE audit_anchors SET next_attempt_at = $3
    WHERE place = $1 AND seq < $2 AND next_attempt_at <= $4 RETURNING place, seq, arrived_at, failures, last_error";

/// Ours to send to for the length of the lease; `None` when nothing is waiting or somebody else is at it.
pub(crate) async fn claim_anchor(
    tx: &Tx,
    place: &str,
    latest: i64,
    lease: Duration,
    now: Timestamp,
) -> Result<Option<AnchorState>, DbError> {
    let values: [Value; 4] = [place.into(), latest.into(), now.plus(lease).micros().into(), now.micros().into()];
    tx.query_one_raw(sql(tx, CLAIM_ANCHOR, values)).await?.map(|row| anchor(&row)).transpose()
}

pub(crate) async fn anchored(tx: &Tx, place: &str, seq: i64, now: Timestamp) -> Result<(), DbError> {
    let text = "UPDATE audit_anchors SET seq = $2, arrived_at = $3, failures = 0, last_error = NULL, next_attempt_at = 0 WHERE place = $1";
    tx.execute_raw(sql(tx, text, [place.into(), seq.into(), now.micros().into()])).await?;
    Ok(())
}

pub(crate) async fn not_anchored(tx: &Tx, place: &str, error: &str, next: Timestamp) -> Result<(), DbError> {
    let text = "UPDATE audit_anchors SET failures = failures + 1, last_error = $2, next_attempt_at = $3 WHERE place = $1";
    tx.execute_raw(sql(tx, text, [place.into(), error.into(), next.micros().into()])).await?;
    Ok(())
}

pub(crate) async fn list_anchors(db: &Db) -> Result<Vec<AnchorState>, DbError> {
    let text = "SELECT place, seq, arrived_at, failures, last_error FROM audit_anchors ORDER BY place";
    db.read().query_all_raw(sql(db.read(), text, [])).await?.iter().map(anchor).collect()
}

fn anchor(row: &QueryResult) -> Result<AnchorState, DbError> {
    Ok(AnchorState {
        place: row.try_get_by_index(0)?,
        seq: row.try_get_by_index(1)?,
        arrived_at: row.try_get_by_index::<Option<i64>>(2)?.map(Timestamp::from_micros),
        failures: row.try_get_by_index(3)?,
        last_error: row.try_get_by_index(4)?,
    })
}

/// What the last check of the whole chain found.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) at: Timestamp,
    pub(crate) through: i64,
    pub(crate) entries: i64,
    pub(crate) took_ms: i64,
    pub(crate) broken_seq: Option<i64>,
    pub(crate) broken: Option<String>,
}

/// One replica checks, and the next time is due `every` later.
pub(crate) async fn claim_check(tx: &Tx, every: Duration, now: Timestamp) -> Result<bool, DbError> {
    let begin = "INSERT INTO audit_checks (id, at, through, entries, took_ms) VALUES (1, 0, 0, 0, 0) ON CONFLICT (id) DO NOTHING";
    tx.execute_raw(sql(tx, begin, [])).await?;
    let text = "UPDATE audit_checks SET at = $1 WHERE id = 1 AND (at <= $2 OR at > $1)";
    let claimed = tx.execute_raw(sql(tx, text, [now.micros().into(), now.minus(every).micros().into()])).await?;
    Ok(claimed.rows_affected() > 0)
}

pub(crate) async fn keep_check(tx: &Tx, verdict: &Verdict, took: Duration, now: Timestamp) -> Result<(), DbError> {
    let text = "INSERT INTO audit_checks (id, at, through, entries, took_ms, broken_seq, broken) VALUES (1, $1, $2, $3, $4, $5, $6)
        ON CONFLICT (id) DO UPDATE SET at = $1, through = $2, entries = $3, took_ms = $4, broken_seq = $5, broken = $6";
    let first = verdict.broken.first();
    let whole = |number: u128| i64::try_from(number).unwrap_or(i64::MAX);
    let values: [Value; 6] = [
        now.micros().into(),
        verdict.through.into(),
        whole(verdict.entries.into()).into(),
        whole(took.as_millis()).into(),
        first.and_then(|broken| broken.seq).into(),
        first.map(ToString::to_string).into(),
    ];
    tx.execute_raw(sql(tx, text, values)).await?;
    Ok(())
}

/// `None` before the first check has ended.
pub(crate) async fn find_check(conn: &impl ConnectionTrait) -> Result<Option<Checked>, DbError> {
    let text =
        "SELECT at, through, entries, took_ms, broken_seq, broken FROM audit_checks WHERE id = 1 AND (through > 0 OR broken IS NOT NULL)";
    let row = conn.query_one_raw(sql(conn, text, [])).await?;
    let checked = |row: QueryResult| {
        Ok(Checked {
            at: Timestamp::from_micros(row.try_get_by_index(0)?),
            through: row.try_get_by_index(1)?,
            entries: row.try_get_by_index(2)?,
            took_ms: row.try_get_by_index(3)?,
            broken_seq: row.try_get_by_index(4)?,
            broken: row.try_get_by_index(5)?,
        })
    };
    row.map(checked).transpose()
}
