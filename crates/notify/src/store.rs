//! All SQL of notify. SQL rather than entities: the claim locks, and the rest is as short.

use std::time::Duration;

use baluarte_db::{
    Db, DbError, Tx,
    sea_orm::{ConnectionTrait as _, QueryResult},
    sql,
};
use baluarte_kernel::Timestamp;

use crate::message::{Channel, Claimed, Message, MessageId, Outcome};

const INSERT: &str =
    "INSERT INTO messages (id, channel, recipient, locale, kind, sealed, state, attempts, next_attempt_at, useful_until, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $8)";

pub(crate) async fn insert(tx: &Tx, id: MessageId, message: &Message, sealed: String, state: &str, now: Timestamp) -> Result<(), DbError> {
    let values = [
        id.to_string().into(),
        message.channel.as_str().into(),
        message.to.clone().into(),
        message.locale.tag().into(),
        message.kind.into(),
        sealed.into(),
        state.into(),
        now.micros().into(),
        message.useful_until.micros().into(),
    ];
    tx.execute_raw(sql(tx, INSERT, values)).await?;
    Ok(())
}

/// Decides and marks in one statement: a message that comes back belongs to this claim until the lease ends.
const CLAIM_SQLITE: &str = "UPDATE messages SET attempts = attempts + 1, next_attempt_at = $2, claim = $3
    WHERE id IN (SELECT id FROM messages WHERE state = 'waiting' AND next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT $4)
    RETURNING id, channel, recipient, kind, sealed, attempts, useful_until";
/// The same; replicas pass over each other's rows instead of waiting for them.
const CLAIM_POSTGRES: &str = "UPDATE messages SET attempts = attempts + 1, next_attempt_at = $2, claim = $3
    WHERE id IN (SELECT id FROM messages WHERE state = 'waiting' AND next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT $4 FOR UPDATE SKIP LOCKED)
    RETURNING id, channel, recipient, kind, sealed, attempts, useful_until";

pub(crate) async fn claim(db: &Db, now: Timestamp, lease: Duration, limit: i64) -> Result<Vec<Claimed>, DbError> {
    let claim = MessageId::generate().to_string();
    let tx = db.begin().await?;
    let values = [now.micros().into(), now.plus(lease).micros().into(), claim.clone().into(), limit.into()];
    let rows = tx.query_all_raw(sql(&tx, db.per_dialect(CLAIM_SQLITE, CLAIM_POSTGRES), values)).await?;
    let claimed = rows.iter().map(|row| claimed(row, &claim)).collect::<Result<_, _>>()?;
    tx.commit().await?;
    Ok(claimed)
}

fn claimed(row: &QueryResult, claim: &str) -> Result<Claimed, DbError> {
    let text = |column: &str| row.try_get::<String>("", column);
    Ok(Claimed {
        id: text("id")?.parse().map_err(|_| DbError::Corrupt("messages.id"))?,
        channel: Channel::from_stored(&text("channel")?).ok_or(DbError::Corrupt("messages.channel"))?,
        to: text("recipient")?,
        kind: text("kind")?,
        sealed: row.try_get::<Option<String>>("", "sealed")?.unwrap_or_default(),
        attempts: u32::try_from(row.try_get::<i64>("", "attempts")?).unwrap_or(u32::MAX),
        useful_until: Timestamp::from_micros(row.try_get("", "useful_until")?),
        claim: claim.to_owned(),
    })
}

const RETRY: &str = "UPDATE messages SET next_attempt_at = $3, last_error = $4, claim = NULL WHERE id = $1 AND claim = $2";
/// `$5`: the content is kept for the outbox.
const END: &str = "UPDATE messages SET state = $3, last_error = $4, claim = NULL, sealed = CASE WHEN $5 THEN sealed ELSE NULL END
    WHERE id = $1 AND claim = $2";

/// Does nothing when the lease has run out and somebody else has claimed the message since.
pub(crate) async fn finish(db: &Db, message: &Claimed, outcome: &Outcome, keep: bool) -> Result<(), DbError> {
    let (id, claim) = (message.id.to_string().into(), message.claim.clone().into());
    let none: Option<String> = None;
    let tx = db.begin().await?;
    let statement = match outcome {
        Outcome::Retry { at, error } => sql(&tx, RETRY, [id, claim, at.micros().into(), error.clone().into()]),
        Outcome::Sent => sql(&tx, END, [id, claim, "sent".into(), none.into(), keep.into()]),
        Outcome::Failed(error) => sql(&tx, END, [id, claim, "failed".into(), error.clone().into(), keep.into()]),
        Outcome::Expired => sql(&tx, END, [id, claim, "expired".into(), none.into(), keep.into()]),
    };
    tx.execute_raw(statement).await?;
    tx.commit().await
}

const LIST_KEPT: &str = "SELECT id, channel, recipient, sealed, created_at FROM messages WHERE sealed IS NOT NULL
    ORDER BY created_at DESC, id DESC LIMIT $1";

/// A message whose content is still there.
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) channel: String,
    pub(crate) to: String,
    pub(crate) sealed: String,
    pub(crate) created_at: Timestamp,
}

/// Newest first.
pub(crate) async fn list_kept(db: &Db, limit: i64) -> Result<Vec<Kept>, DbError> {
    let rows = db.read().query_all_raw(sql(db.read(), LIST_KEPT, [limit.into()])).await?;
    let kept = |row: &QueryResult| {
        Ok(Kept {
            id: row.try_get("", "id")?,
            channel: row.try_get("", "channel")?,
            to: row.try_get("", "recipient")?,
            sealed: row.try_get("", "sealed")?,
            created_at: Timestamp::from_micros(row.try_get("", "created_at")?),
        })
    };
    rows.iter().map(kept).collect()
}

const PRUNE: &str = "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE created_at < $1 ORDER BY created_at LIMIT $2)";

/// Deletes the oldest, in pieces that do not hold the writer for long. Returns how many.
pub(crate) async fn prune(db: &Db, before: Timestamp, piece: u32) -> Result<u64, DbError> {
    let mut deleted = 0;
    loop {
        let tx = db.begin().await?;
        let rows = tx.execute_raw(sql(&tx, PRUNE, [before.micros().into(), i64::from(piece).into()])).await?.rows_affected();
        tx.commit().await?;
        deleted += rows;
        if rows < u64::from(piece) {
            return Ok(deleted);
        }
    }
}

#[cfg(test)]
mod tests {
    use baluarte_db::sea_orm::ConnectionTrait as _;
    use baluarte_kernel::{Ctx, Locale, Secret};
    use baluarte_secrets::Secrets;
    use baluarte_testkit::each_backend;
    use futures::FutureExt as _;

    use super::*;
    use crate::{MIGRATIONS, Notify, NotifyConfig};

    const LEASE: Duration = Duration::from_secs(60);

    fn mail(now: Timestamp) -> Message {
        Message {
            channel: Channel::Email,
            to: "zoe@example.com".into(),
            locale: Locale::En,
            subject: "s".into(),
            text: "t".into(),
            html: None,
            kind: "test.mail",
            useful_until: now.plus(LEASE * 100),
        }
    }

    each_backend! {
        async fn who_lost_the_lease_no_longer_writes_the_outcome(test: TestDb) {
            let db = test.open(&[MIGRATIONS]).await;
            let now = test.clock.now();
            let tx = db.begin().await.unwrap();
            insert(&tx, MessageId::generate(), &mail(now), "sealed".into(), "waiting", now).await.unwrap();
            tx.commit().await.unwrap();
            let slow = claim(&db, now, LEASE, 1).await.unwrap().remove(0);
            assert!(claim(&db, now, LEASE, 1).await.unwrap().is_empty());
            let quick = claim(&db, now.plus(LEASE), LEASE, 1).await.unwrap().remove(0);
            assert_eq!(quick.attempts, 2);
            for late in [Outcome::Failed("late".into()), Outcome::Retry { at: now, error: "late".into() }] {
                finish(&db, &slow, &late, false).await.unwrap();
            }
            finish(&db, &quick, &Outcome::Sent, false).await.unwrap();
            let row = db.read().query_one_raw(sql(db.read(), "SELECT state, last_error FROM messages", [])).await.unwrap().unwrap();
            let stored: (String, Option<String>) = (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
            assert_eq!(stored, ("sent".to_owned(), None));
        }

        async fn the_loop_is_woken_by_the_commit_and_not_before(test: TestDb) {
            let db = test.open(&[MIGRATIONS]).await;
            let notify = Notify::new(&NotifyConfig::default(), db.clone(), Secrets::new(&Secret::new("k"), &Secret::new("s"))).unwrap();
            let tx = db.begin().await.unwrap();
            notify.send(&Ctx::system(test.clock.clone()), &tx, mail(test.clock.now())).await.unwrap();
            assert!(notify.inner.wake.notified().now_or_never().is_none());
            tx.commit().await.unwrap();
            assert!(notify.inner.wake.notified().now_or_never().is_some());
        }
    }
}
