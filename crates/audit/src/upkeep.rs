//! What goes on in the background. In every process, because it is small and should not wait: checkpoints, anchors, erasures, counts. On
//! workers, by timetable, because it takes long: prunings, the addresses of recorded calls, checks of the whole chain.

use std::{sync::atomic::Ordering, time::Duration};

use baluarte_db::{DbError, Tx};
use baluarte_kernel::{Ctx, Periodic, Timestamp, UserId, WorkError};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{
    Audit, AuditError, Checkpoint, Entry, Shown, Verdict,
    actions::{CHAIN_BROKEN, LEFT_OUT, PERSON_ERASED, PRUNED},
    signed::Says,
    store,
};

/// How often the background looks whether something is due.
const TICK: Duration = Duration::from_secs(5);
/// Links that one transaction strips or deletes: short, so that nobody waits long for SQLite's one writer.
const PIECE: i64 = 1_000;
/// Links that one pruning covers at most; the next one follows at once.
const PRUNED_AT_ONCE: i64 = 100_000;
/// Fewer links than this wait for a day to be pruned, so that prunings do not outnumber entries.
const WORTH_PRUNING: i64 = 1_000;
const DAY: Duration = Duration::from_secs(86_400);
/// Connections that the check while serving reads with: others want some, too.
const CHECK_WORKERS: usize = 1;
/// A long chain takes its time; nothing waits for it.
const CHECK_LIMIT: Duration = Duration::from_secs(6 * 3_600);
const PRUNE_LIMIT: Duration = Duration::from_secs(3_600);

const LEFT_OUT_UNTOLD: &str = "what was left out could not be told";

fn complain(what: &str, result: Result<(), AuditError>) {
    if let Err(err) = result {
        let cause = std::error::Error::source(&err).map(ToString::to_string);
        tracing::error!(target: "audit", error = %err, cause, "{what}");
    }
}

impl Audit {
    pub(crate) fn system(&self) -> Ctx {
        Ctx::system(self.inner.clock.clone())
    }

    /// Does what is due until `stopping` resolves; what was counted is written down before it returns.
    pub async fn run(self, stopping: impl Future<Output = ()>) {
        let mut stopping = std::pin::pin!(stopping);
        let mut ticks = interval_at(Instant::now() + TICK, TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let last = tokio::select! {
                () = &mut stopping => true,
                () = self.inner.wake.notified() => false,
                _ = ticks.tick() => false,
            };
            // The database says once that it is away; what there is to do waits.
            if self.inner.db.is_away() && !last {
                continue;
            }
            let told = self.tell_left_out().await;
            if last {
                return complain(LEFT_OUT_UNTOLD, told);
            }
            self.tell(LEFT_OUT_UNTOLD, told);
            tokio::select! {
                () = &mut stopping => return complain(LEFT_OUT_UNTOLD, self.tell_left_out().await),
                () = self.look_after() => {}
            }
        }
    }

    /// What runs by timetable, once for all replicas: hand it to whoever runs such things.
    pub fn periodic(&self) -> [Periodic; 3] {
        // Whether the whole chain is due to be checked is decided in the database, by `audit.verify_every`.
        let verify = self.task("audit.verify", "*/10 * * * *", |audit| async move { audit.check_if_due().await });
        let prune = self.task("audit.prune", "17 * * * *", |audit| async move { audit.prune().await });
        let anonymise = self.task("audit.anonymise", "47 * * * *", |audit| async move { audit.anonymise_calls().await });
        [verify.time_limit(CHECK_LIMIT), prune.time_limit(PRUNE_LIMIT), anonymise.time_limit(PRUNE_LIMIT)]
    }

    fn task<F>(&self, name: &'static str, cron: &str, deed: impl Fn(Self) -> F + Send + Sync + 'static) -> Periodic
    where
        F: Future<Output = Result<(), AuditError>> + Send + 'static,
    {
        let audit = self.clone();
        Periodic::new(name, cron, move |_| {
            let done = deed(audit.clone());
            async move { done.await.map_err(WorkError::from) }
        })
    }

    /// One round of what every process does. Nothing of it holds up anything else.
    pub async fn look_after(&self) {
        self.tell("no checkpoint could be made", self.checkpoint_if_due().await);
        self.tell("anchors could not be looked after", self.deliver().await);
        self.tell("personal fields could not be erased", self.erase_piece_by_piece().await);
    }

    /// That the database is away it says itself, once.
    fn tell(&self, what: &str, result: Result<(), AuditError>) {
        if !self.inner.db.is_away() {
            complain(what, result);
        }
    }

    async fn checkpoint_if_due(&self) -> Result<(), AuditError> {
        if self.checkpoint_is_due().await? {
            self.checkpoint().await?;
        }
        Ok(())
    }

    /// Makes entries of what was counted instead of kept.
    async fn tell_left_out(&self) -> Result<(), AuditError> {
        let left_out = self.inner.budgets.drain();
        if left_out.is_empty() {
            return Ok(());
        }
        let written: Result<(), DbError> = async {
            let tx = self.inner.db.begin().await?;
            for it in &left_out {
                let entry = Entry::new(&LEFT_OUT, "action").of(it.action.name).detail("count", it.count);
                self.record(&self.system(), &tx, entry.detail("first", it.first).detail("last", it.last));
            }
            tx.commit().await
        }
        .await;
        if written.is_err() {
            self.inner.budgets.put_back(&left_out);
        }
        Ok(written?)
    }

    /// Takes the personal fields out of everything recorded by or about somebody, provably: their account is gone, or they asked for
    /// it. Begins with the commit and goes on in the background.
    pub fn erase_person(&self, ctx: &Ctx, tx: &Tx, user: UserId) {
        self.record(ctx, tx, Entry::new(&PERSON_ERASED, "user").of(user));
        let wake = self.inner.wake.clone();
        tx.after_commit(move || wake.notify_one());
    }

    async fn erase_piece_by_piece(&self) -> Result<(), AuditError> {
        while let Some((seq, subject)) = store::upkeep::find_open_erasure(&self.inner.db).await? {
            loop {
                let tx = self.inner.db.begin().await?;
                let erased = store::upkeep::erase(&tx, seq, &subject, PIECE).await?;
                if erased == 0 {
                    store::upkeep::end_erasure(&tx, seq, self.inner.clock.now()).await?;
                }
                tx.commit().await?;
                if erased == 0 {
                    break;
                }
            }
            tracing::info!(target: "audit", subject, "erased somebody's personal fields from the audit log");
        }
        Ok(())
    }

    /// Removes what is older than `audit.keep`: first a signed pruning that keeps the hash which the rest follows, then the links.
    pub async fn prune(&self) -> Result<(), AuditError> {
        let (db, chain) = (&self.inner.db, &self.inner.chain);
        let Some(keep) = self.inner.config.keep else { return Ok(()) };
        let before = self.inner.clock.now().minus(keep.get());
        loop {
            let last = store::signed::last(db.read(), Says::Pruning, chain).await?;
            let start = last.as_ref().map_or(0, |last| last.seq);
            // What an interrupted pruning has left.
            self.delete_pruned(start).await?;
            // Only what a checkpoint covers, so that anchors have seen it.
            let Some(covered) = store::signed::last(db.read(), Says::Checkpoint, chain).await? else { return Ok(()) };
            let Some((cut, hash)) = self.oldest_to_keep(start, covered.seq, before).await? else { return Ok(()) };
            let recently = last.is_some_and(|last| last.at.plus(DAY) > self.inner.clock.now());
            if recently && cut - start < WORTH_PRUNING {
                return Ok(());
            }
            let signer = self.signer().await?;
            let tx = db.begin().await?;
            let pruning = Checkpoint::sign(Says::Pruning, chain, cut, hash, self.inner.clock.now(), &signer);
            if store::signed::insert(&tx, &pruning).await? {
                let entry = Entry::new(&PRUNED, "entry").detail("through", cut).detail("entries", cut - start).detail("hash", hash);
                self.record(&self.system(), &tx, entry.detail("before", before));
                tx.commit().await?;
                tracing::info!(target: "audit", through = cut, entries = cut - start, "pruned old entries");
            }
        }
    }

    /// The last link of the run of old ones after `start`, and its hash.
    async fn oldest_to_keep(&self, start: i64, covered: i64, before: Timestamp) -> Result<Option<(i64, crate::link::Hash)>, AuditError> {
        let (mut cut, mut after) = (None, start);
        while after - start < PRUNED_AT_ONCE {
            let page = store::upkeep::list_ages(&self.inner.db, after, covered, PIECE).await?;
            let Some((last, _, _)) = page.last() else { break };
            after = *last;
            // In the order of the chain: a clock that was put back keeps a few longer, and never one too short.
            let old = page.iter().take_while(|(_, at, _)| *at < before.micros()).last();
            cut = old.map(|(seq, _, hash)| (*seq, *hash)).or(cut);
            if old.is_none_or(|(seq, _, _)| seq != last) {
                break;
            }
        }
        Ok(cut)
    }

    async fn delete_pruned(&self, through: i64) -> Result<(), AuditError> {
        // Recorded calls are large: most of them in small pieces, the rest with their links.
        loop {
            let tx = self.inner.db.begin().await?;
            let deleted = store::calls::delete_oldest(&tx, through).await?;
            tx.commit().await?;
            if deleted == 0 {
                break;
            }
        }
        loop {
            let tx = self.inner.db.begin().await?;
            store::calls::delete_batches(&tx, through, PIECE).await?;
            let deleted = store::upkeep::delete_pruned(&tx, through, PIECE).await?;
            tx.commit().await?;
            if deleted == 0 {
                return Ok(());
            }
        }
    }

    async fn check_if_due(&self) -> Result<(), AuditError> {
        let tx = self.inner.db.begin().await?;
        let ours = store::upkeep::claim_check(&tx, self.inner.config.verify_every.get(), self.inner.clock.now()).await?;
        tx.commit().await?;
        if ours {
            self.check(CHECK_WORKERS).await?;
        }
        Ok(())
    }

    /// Checks the whole chain and keeps what was found, for the badge in the API. A chain that does not hold is an alarm: an entry,
    /// an error in the log, `baluarte_audit_chain_holds` 0.
    pub async fn check(&self, workers: usize) -> Result<Verdict, AuditError> {
        let began = Instant::now();
        let verdict = crate::verify::verify(&self.inner.db, &self.inner.secrets, Vec::new(), workers).await?;
        let before = store::upkeep::find_check(self.inner.db.read()).await?.and_then(|checked| checked.broken);
        let tx = self.inner.db.begin().await?;
        store::upkeep::keep_check(&tx, &verdict, began.elapsed(), self.inner.clock.now()).await?;
        if let Some(broken) = verdict.broken.first() {
            tracing::error!(target: "audit", seq = broken.seq, id = broken.id, what = %broken, "the audit log has been tampered with, or is damaged");
            if before.is_none() {
                let what = broken.to_string();
                self.record(
                    &self.system(),
                    &tx,
                    Entry::new(&CHAIN_BROKEN, "chain").failure().detail("seq", broken.seq).detail("what", Shown(&what)),
                );
            }
        }
        tx.commit().await?;
        self.inner.counts.broken.store(!verdict.holds(), Ordering::Relaxed);
        Ok(verdict)
    }
}
