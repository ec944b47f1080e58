//! What is put in order every minute, whichever replica does it.

use baluarte_db::DbError;
use baluarte_jobs::{Options, Registry};
use baluarte_kernel::{Ctx, Periodic};

use super::{ForgetPerson, deliver::Deliver};
use crate::{
    Notify,
    message::{State, redacted},
    store::{self, spendings, suppressions},
};

/// Rows at a time, so that nobody waits long for the writer.
const PIECE: i64 = 500;
/// Pieces of one kind in one sweep: the rest is left for the next.
const PIECES: usize = 20;

impl Notify {
    /// The jobs of this component: delivering, and a sweep each minute.
    pub fn registry(&self) -> Registry {
        let notify = self.clone();
        let sweep = Periodic::new("notify.sweep", "* * * * *", move |ctx| {
            let notify = notify.clone();
            async move { Ok(notify.sweep(&ctx).await?) }
        });
        Registry::default().register::<Deliver>(self.clone()).register::<ForgetPerson>(self.clone()).periodic(sweep)
    }

    /// Takes over what earlier versions left waiting, ends what came too late, erases what nobody needs any more.
    pub async fn sweep(&self, ctx: &Ctx) -> Result<(), DbError> {
        let (db, now) = (&self.inner.db, ctx.now());
        for _ in 0..PIECES {
            let tx = db.begin().await?;
            let adopted = store::adopt(&tx, now, PIECE).await?;
            let jobs: Vec<Deliver> = adopted.iter().map(|message| Deliver { message: *message }).collect();
            if !jobs.is_empty() {
                self.inner.jobs.enqueue_all(ctx, &tx, &jobs, &Options::default()).await?;
                tracing::info!(target: "notify", count = jobs.len(), "messages of an earlier version are in the queue now");
            }
            tx.commit().await?;
            if (adopted.len() as i64) < PIECE {
                break;
            }
        }
        self.hide_addresses().await?;
        for _ in 0..PIECES {
            let tx = db.begin().await?;
            let expired = store::expire(&tx, now, self.inner.dev_outbox, PIECE).await?;
            tx.commit().await?;
            for channel in &expired {
                self.inner.report.messages(*channel, State::Expired);
            }
            if !expired.is_empty() {
                tracing::error!(target: "notify", count = expired.len(), "ALARM: messages were not sent in time and are dropped");
            }
            if (expired.len() as i64) < PIECE {
                break;
            }
        }
        for _ in 0..PIECES {
            let tx = db.begin().await?;
            let mut rows = store::prune(&tx, now.minus(self.inner.keep), PIECE).await?;
            if !self.inner.dev_outbox {
                rows += store::forget(&tx, now, PIECE).await?;
            }
            rows += suppressions::prune(&tx, now, PIECE).await?;
            rows += spendings::prune(&tx, now, PIECE).await?;
            tx.commit().await?;
            if rows < PIECE.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }

    /// Earlier versions stored the addresses of the list in clear.
    async fn hide_addresses(&self) -> Result<(), DbError> {
        for _ in 0..PIECES {
            let tx = self.inner.db.begin().await?;
            let found = suppressions::list_in_clear(&tx, PIECE).await?;
            for entry in &found {
                let key = self.suppression_key(entry.channel, &entry.address);
                suppressions::hide(&tx, entry, &key, &redacted(entry.channel, &entry.address)).await?;
            }
            tx.commit().await?;
            if (found.len() as i64) < PIECE {
                break;
            }
        }
        Ok(())
    }
}
