//! What happens to the server itself, in the audit log: its processes, its configuration, its tables.

pub(crate) mod actions;
mod place;
mod store;

use std::{sync::Arc, time::Duration};

use baluarte_audit::{Audit, Entry, Shown};
use baluarte_component::Kit;
use baluarte_db::{Db, DbError, Migration, Migrations};
use baluarte_kernel::{Ctx, Id, Kind};
use tokio_util::sync::CancellationToken;

use self::{
    actions::{LOST, MIGRATED, REFUSED, RELOADED, STARTED, STOPPED},
    place::Place,
    store::Process,
};
use crate::serve::Mode;

pub(crate) const MIGRATIONS: Migrations =
    Migrations { component: "server", steps: &[Migration::common("0001_processes", include_str!("../../migrations/0001_processes.sql"))] };

/// How often a process says that it is still there.
const BEAT: Duration = Duration::from_secs(60);
/// Nothing heard for so long: it is gone, wherever it was.
const GONE: Duration = Duration::from_secs(300);
/// Between attempts to write down what has happened already.
const RETRY: Duration = Duration::from_secs(2);

enum ProcessKind {}
impl Kind for ProcessKind {
    const PREFIX: &'static str = "prc";
}

/// This process, as the audit log knows it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Life(Arc<Inner>);

struct Inner {
    db: Db,
    audit: Audit,
    ctx: Ctx,
    id: Id<ProcessKind>,
    place: Place,
    stopping: CancellationToken,
}

impl Life {
    /// Records that this process began, and what became of those before it on this host that never said that they stopped.
    pub(crate) async fn begin(kit: &Kit, mode: Mode) -> Result<Self, DbError> {
        let roles = [("web", mode.web), ("worker", mode.worker)].into_iter().filter(|(_, has)| *has).map(|(name, _)| name);
        let place = Place::ours(roles.collect::<Vec<_>>().join(","));
        let ctx = Ctx::system(kit.clock.clone());
        let (db, audit, stopping) = (kit.db.clone(), kit.audit.clone(), kit.tasks.stopping());
        let life = Self(Arc::new(Inner { db, audit, ctx, id: Id::generate(), place, stopping }));
        let mut unclean = false;
        for other in store::list(&kit.db, Some(&life.0.place.host), life.0.ctx.now().minus(GONE)).await? {
            let predecessor = life.0.place.has_replaced(&other.place);
            if (predecessor || other.place.host != life.0.place.host) && life.bury(&other).await? {
                unclean |= predecessor;
            }
        }
        let tx = kit.db.begin().await?;
        store::seen(&tx, &life.0.id.to_string(), &life.0.place, life.0.ctx.now()).await?;
        let entry = life.entry(Entry::new(&STARTED, "process").of(life.0.id), &life.0.place);
        kit.audit.record(&life.0.ctx, &tx, entry.detail("after_unclean_stop", unclean).detail("version", env!("CARGO_PKG_VERSION")));
        tx.commit().await?;
        Ok(life)
    }

    fn entry(&self, entry: Entry, place: &Place) -> Entry {
        entry.detail("host", Shown(&place.host)).detail("pid", place.pid).detail("roles", Shown(&place.roles))
    }

    /// Records that a process is gone without a word; false when somebody else did.
    async fn bury(&self, gone: &Process) -> Result<bool, DbError> {
        let tx = self.0.db.begin().await?;
        if !store::remove(&tx, &gone.id, gone.seen_at).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        let entry = self.entry(Entry::new(&LOST, "process").failure().of(Shown(&gone.id)), &gone.place);
        self.0.audit.record(&self.0.ctx, &tx, entry.detail("last_seen_at", gone.seen_at));
        tx.commit().await?;
        tracing::warn!(
            target: "server", process = gone.id, host = gone.place.host, pid = gone.place.pid, last_seen_at = %gone.seen_at,
            "a process ended without stopping in order: it was killed, or its machine was"
        );
        Ok(true)
    }

    /// Says again and again that this process is there, and finds those that are not, until it is to stop.
    pub(crate) async fn watch(self) {
        while self.0.stopping.run_until_cancelled(tokio::time::sleep(BEAT)).await.is_some() {
            if let Err(err) = self.beat().await
                // Which the database says itself, once.
                && !self.0.db.is_away()
            {
                tracing::warn!(target: "server", error = &err as &dyn std::error::Error, "this process could not tell that it is there");
            }
        }
    }

    async fn beat(&self) -> Result<(), DbError> {
        let tx = self.0.db.begin().await?;
        store::seen(&tx, &self.0.id.to_string(), &self.0.place, self.0.ctx.now()).await?;
        tx.commit().await?;
        for gone in store::list(&self.0.db, None, self.0.ctx.now().minus(GONE)).await? {
            self.bury(&gone).await?;
        }
        Ok(())
    }

    /// Records that this process stops, as the last thing before its database closes.
    pub(crate) async fn end(&self, why: &'static str, finished: bool) -> Result<(), DbError> {
        let tx = self.0.db.begin().await?;
        store::end(&tx, &self.0.id.to_string()).await?;
        let entry = self.entry(Entry::new(&STOPPED, "process").of(self.0.id), &self.0.place);
        self.0.audit.record(&self.0.ctx, &tx, entry.detail("signal", why).detail("finished", finished));
        tx.commit().await
    }

    /// A new configuration is in force. `waiting`: sections that need a restart.
    pub(crate) async fn reloaded(self, keys: Vec<String>, waiting: Vec<String>) {
        let entry = move || {
            Entry::new(&RELOADED, "configuration")
                .detail("keys", &shown_list(&keys)[..])
                .detail("changed", keys.len())
                .detail("waiting_for_restart", &shown_list(&waiting)[..])
        };
        self.write_down(entry).await;
    }

    /// A new configuration was not taken over. `keys`: those that something is wrong with.
    pub(crate) async fn refused(self, keys: Vec<String>) {
        let entry =
            move || Entry::new(&REFUSED, "configuration").failure().detail("keys", &shown_list(&keys)[..]).detail("problems", keys.len());
        self.write_down(entry).await;
    }

    /// What has happened already: the database may be away, and the configuration that was taken over be what mends that.
    async fn write_down(&self, entry: impl Fn() -> Entry) {
        let mut told = false;
        while let Err(err) = self.try_to_write(entry()).await {
            if !std::mem::replace(&mut told, true) {
                let err: &dyn std::error::Error = &err;
                tracing::error!(target: "server", error = err, "the reload is not in the audit log yet; it is tried again");
            }
            if self.0.stopping.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                return;
            }
        }
    }

    async fn try_to_write(&self, entry: Entry) -> Result<(), DbError> {
        let tx = self.0.db.begin().await?;
        self.0.audit.record(&self.0.ctx, &tx, entry.detail("process", self.0.id));
        tx.commit().await
    }
}

fn shown_list(texts: &[String]) -> Vec<Shown<'_>> {
    texts.iter().map(|text| Shown(text)).collect()
}

/// Records the steps that brought the tables up to date.
pub(crate) async fn migrated(ctx: &Ctx, db: &Db, audit: &Audit, steps: &[String]) -> Result<(), DbError> {
    if steps.is_empty() {
        return Ok(());
    }
    let tx = db.begin().await?;
    let entry = Entry::new(&MIGRATED, "schema").detail("steps", &shown_list(steps)[..]).detail("applied", steps.len());
    audit.record(ctx, &tx, entry.detail("version", env!("CARGO_PKG_VERSION")));
    tx.commit().await
}
