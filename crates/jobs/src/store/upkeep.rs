//! How much there is, and away with what nobody needs any more.

use baluarte_db::{Db, DbError, sea_orm::ConnectionTrait as _, sql};
use baluarte_kernel::Timestamp;

use super::{count, get, time};

/// Jobs of one kind in one state.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) jobs: u32,
    /// When the first of them was or is due.
    pub(crate) since: Timestamp,
}

const TALLY: &str = "SELECT kind, state, count(*) AS jobs, min(run_at) AS since FROM jobs
    WHERE state = 'scheduled' GROUP BY kind, state
    UNION ALL SELECT kind, state, count(*), min(run_at) FROM jobs WHERE state = 'ready' GROUP BY kind, state
    UNION ALL SELECT kind, state, count(*), min(started_at) FROM jobs WHERE state = 'running' GROUP BY kind, state
    UNION ALL SELECT kind, state, count(*), min(finished_at) FROM jobs WHERE state IN ('dead', 'canceled') GROUP BY kind, state";
/// Done ones too: the operator asks, now and then.
const TALLY_DONE: &str = " UNION ALL SELECT kind, state, count(*), min(finished_at) FROM jobs WHERE state = 'done' GROUP BY kind, state";

pub(crate) async fn tally(db: &Db, with_done: bool) -> Result<Vec<Tally>, DbError> {
    let text = format!("{TALLY}{}", if with_done { TALLY_DONE } else { "" });
    let rows = db.read().query_all_raw(sql(db.read(), &text, [])).await?;
    rows.iter()
        .map(|row| {
            Ok(Tally { kind: get(row, "kind")?, state: get(row, "state")?, jobs: count(get(row, "jobs")?), since: time(row, "since")? })
        })
        .collect()
}

/// The states that are kept together, in words of their index.
pub(crate) const DONE: &str = "state = 'done'";
pub(crate) const BURIED: &str = "state IN ('dead', 'canceled')";
/// Few enough that nobody waits long for SQLite's one writer.
const PIECE: i64 = 500;

/// Deletes finished jobs that ended before `before`, and the oldest of those that are more than `keep`. Returns how many.
pub(crate) async fn prune(db: &Db, which: &str, before: Timestamp, keep: u32) -> Result<u64, DbError> {
    let beyond = format!("SELECT finished_at FROM jobs WHERE {which} ORDER BY finished_at DESC LIMIT 1 OFFSET $1");
    let beyond = db.read().query_one_raw(sql(db.read(), &beyond, [i64::from(keep).into()])).await?;
    let before = match beyond {
        // That one goes too.
        Some(row) => before.max(time(&row, "finished_at")?.plus(std::time::Duration::from_micros(1))),
        None => before,
    };
    let oldest = format!("SELECT id FROM jobs WHERE {which} AND finished_at < $1 ORDER BY finished_at LIMIT $2");
    let delete = format!("DELETE FROM jobs WHERE id IN ({oldest})");
    let mut deleted = 0;
    loop {
        let values = || [before.micros().into(), PIECE.into()];
        if db.read().query_one_raw(sql(db.read(), &oldest, values())).await?.is_none() {
            return Ok(deleted);
        }
        let tx = db.begin().await?;
        let rows = tx.execute_raw(sql(&tx, &delete, values())).await?.rows_affected();
        tx.commit().await?;
        deleted += rows;
        if rows < PIECE.unsigned_abs() {
            return Ok(deleted);
        }
    }
}

const FORGET_WORKERS: &str = "DELETE FROM workers WHERE lost_at < $1";

pub(crate) async fn forget_workers(db: &Db, before: Timestamp) -> Result<(), DbError> {
    let tx = db.begin().await?;
    tx.execute_raw(sql(&tx, FORGET_WORKERS, [before.micros().into()])).await?;
    tx.commit().await
}
