//! What goes on in the background: hearing of revocations, rotating keys, writing down last uses, throwing away what is over.

use std::time::Duration;

use baluarte_audit::{Action, Entry, Shown};
use baluarte_backplane::Hint;
use baluarte_component::Kit;
use baluarte_db::Tx;
use baluarte_kernel::{Ctx, Timestamp};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::Identity;
use crate::{
    IdentityError, actions, revocations, store,
    throttle::{MAX_COUNTS, REMEMBER_PLACE},
    token::{Keyring, NewKey, StoredKey},
};

/// What replicas tell each other about revocations.
pub(super) const TOPIC: &str = "identity.revocations";

/// How often the database is asked for revocations that nobody told us of.
const POLL: Duration = Duration::from_millis(500);
/// How far back each question reaches: longer than the slowest transaction takes and clocks differ.
const OVERLAP: Duration = Duration::from_secs(60);
const TIDY: Duration = Duration::from_secs(30);
/// Pieces in which sessions that are over are removed each time, so that nobody waits long for SQLite's one writer.
const SWEEPS: usize = 20;

impl Identity {
    /// Reads what is revoked and starts the background work; it ends when the server stops.
    pub(super) async fn keep_up(&self) -> Result<(), IdentityError> {
        // Before the first look, so that nothing falls between the two.
        let hints = self.inner.kit.backplane.subscribe(TOPIC);
        let now = self.inner.kit.clock.now();
        self.inner.revoked.add(&store::revocations::list_revocations(self.inner.kit.db.read(), Timestamp::default(), now).await?);

        let (listener, poller, tidier) = (self.clone(), self.clone(), self.clone());
        let tasks = &self.inner.kit.tasks;
        tasks.spawn(async move { listener.listen(hints).await });
        tasks.spawn(async move { poller.poll(now).await });
        tasks.spawn(async move { tidier.tidy().await });
        Ok(())
    }

    async fn listen(&self, mut hints: baluarte_backplane::Subscription) {
        let stopping = self.inner.kit.tasks.stopping();
        loop {
            let hint = tokio::select! {
                () = stopping.cancelled() => return,
                hint = hints.next() => hint,
            };
            match hint {
                Hint::Message(message) => {
                    if let Some(heard) = revocations::decode(&message) {
                        self.inner.revoked.add(&heard);
                    }
                }
                // The poller looks into the database twice a second, and further back than any gap it can tell of.
                Hint::Gap => {}
            }
        }
    }

    /// The safety net under the hints.
    async fn poll(&self, started: Timestamp) {
        let stopping = self.inner.kit.tasks.stopping();
        let mut ticks = interval_at(Instant::now() + POLL, POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Until when we have seen everything.
        let (mut seen, mut away) = (started, false);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let now = self.inner.kit.clock.now();
            match store::revocations::list_revocations(self.inner.kit.db.read(), seen.minus(OVERLAP), now).await {
                Ok(found) => {
                    self.inner.revoked.add(&found);
                    seen = now;
                    if std::mem::take(&mut away) {
                        tracing::info!(target: "identity", "revocations are read from the database again");
                    }
                }
                Err(err) => {
                    if !std::mem::replace(&mut away, true) {
                        tracing::error!(target: "identity", error = %err, "revocations cannot be read: those of other replicas come by hint only");
                    }
                }
            }
        }
    }

    async fn tidy(&self) {
        let stopping = self.inner.kit.tasks.stopping();
        // The first time at once, for what a crash left behind.
        let mut ticks = interval_at(Instant::now(), TIDY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let last = tokio::select! {
                () = stopping.cancelled() => true,
                _ = ticks.tick() => false,
            };
            // The database says once that it is away; what there is to do waits.
            if self.inner.kit.db.is_away() && !last {
                continue;
            }
            if let Err(err) = self.write_last_uses().await {
                tracing::warn!(target: "identity", error = %err, "the last use of some sessions was not written down");
            }
            if last {
                return;
            }
            if let Err(err) = self.take_up_registrations(&Ctx::system(self.inner.kit.clock.clone())).await {
                tracing::warn!(target: "identity", error = %err, "registrations still wait for their mail");
            }
            if let Err(err) = self.weigh_imported_passwords().await {
                tracing::warn!(target: "identity", error = %err, "how much imported password hashes cost could not be read");
            }
            self.inner.revoked.sweep(self.inner.kit.clock.now());
            if let Err(err) = self.rotate_keys().await {
                tracing::warn!(target: "identity", error = %err, "signing keys could not be looked after");
            }
            if let Err(err) = self.sweep().await {
                tracing::warn!(target: "identity", error = %err, "what is over could not be removed");
            }
        }
    }

    /// In pieces, so that nobody waits long for SQLite's one writer.
    async fn write_last_uses(&self) -> Result<(), IdentityError> {
        for piece in self.inner.touched_keys.take().chunks(500) {
            let tx = self.inner.kit.db.begin().await?;
            for (id, at) in piece {
                store::api_keys::touch(&tx, *id, *at).await?;
            }
            tx.commit().await?;
        }
        for piece in self.inner.touched.take().chunks(500) {
            let tx = self.inner.kit.db.begin().await?;
            for (id, at) in piece {
                store::sessions::touch(&tx, *id, *at).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// Removes rows that nobody can use any more. Whatever is left for the next time does no harm.
    async fn sweep(&self) -> Result<(), IdentityError> {
        let now = self.inner.kit.clock.now();
        for _ in 0..SWEEPS {
            // Looked for outside the transaction: the search must not keep SQLite's one writer.
            let over = store::sessions::list_over(&self.inner.kit.db, self.idle_since(now), now).await?;
            if over.is_empty() {
                break;
            }
            let tx = self.inner.kit.db.begin().await?;
            store::sessions::remove(&tx, &over).await?;
            tx.commit().await?;
        }
        let tx = self.inner.kit.db.begin().await?;
        store::revocations::sweep(&tx, now).await?;
        store::links::sweep(&tx, now).await?;
        store::email_changes::sweep(&tx, now).await?;
        store::magic_links::sweep(&tx, now).await?;
        store::invitations::sweep(&tx, now.minus(super::invitations::REMEMBERED)).await?;
        let left_out = store::throttles::sweep(&tx, MAX_COUNTS, now).await?;
        store::devices::sweep(&tx, now.minus(REMEMBER_PLACE)).await?;
        store::factors::challenges::sweep(&tx, now).await?;
        store::factors::trusted::sweep(&tx, now).await?;
        store::factors::passkeys::sweep(&tx, now).await?;
        store::factors::sweep(&tx, now.minus(crate::factors::PENDING)).await?;
        store::api_keys::sweep(&tx, super::api_keys::over_since(now)).await?;
        store::places::sweep(&tx, now.minus(REMEMBER_PLACE)).await?;
        tx.commit().await?;
        if left_out > 0 {
            tracing::warn!(target: "identity", left_out, "more failed attempts are counted than are kept: the oldest counts were forgotten");
        }
        Ok(())
    }

    /// Reads the keys again, makes the next one when its time has come, and forgets those whose tokens have expired.
    ///
    /// Done every half minute; public for the impatient.
    pub async fn rotate_keys(&self) -> Result<(), IdentityError> {
        let kit = &self.inner.kit;
        let now = kit.clock.now();
        let keys = load_keys(kit).await?;
        let plan = keys.plan(self.inner.config.key_rotation.get(), self.longest_credential(), now);
        let changes = plan.make.is_some() || !plan.retire.is_empty();
        self.inner.keys.store(keys.into());
        if changes {
            let tx = kit.db.begin().await?;
            if let Some(new) = plan.make {
                let made = StoredKey::generate(new, &kit.secrets, now)?;
                if store::keys::insert_key(&tx, &made).await? {
                    record_key(kit, &tx, &actions::SIGNING_KEY_MADE, &made.kid);
                    tracing::info!(target: "identity", kid = made.kid, active_from = %made.active_from, "published the next signing key");
                }
            }
            for kid in &plan.retire {
                store::keys::delete_key(&tx, kid).await?;
                record_key(kit, &tx, &actions::SIGNING_KEY_FORGOTTEN, kid);
                tracing::info!(target: "identity", kid, "forgot a signing key: nothing it signed is still good");
            }
            tx.commit().await?;
            self.inner.keys.store(load_keys(kit).await?.into());
        }
        Ok(())
    }

    /// For a token whose key we do not know: reads the keys again, but not more than once a second.
    pub(super) async fn look_for_keys(&self) {
        let now = self.inner.kit.clock.now();
        if !self.inner.key_looks.may(now) || self.inner.database.is_away(now) {
            return;
        }
        match load_keys(&self.inner.kit).await {
            Ok(keys) => self.inner.keys.store(keys.into()),
            Err(err) => tracing::warn!(target: "identity", error = %err, "signing keys could not be read again"),
        }
    }
}

fn record_key(kit: &Kit, tx: &Tx, action: &'static Action, kid: &str) {
    kit.audit.record(&Ctx::system(kit.clock.clone()), tx, Entry::new(action, "signing_key").of(Shown(kid)));
}

/// The keys in the database; the first start, or a new SECRET_KEY, makes one that signs at once. Of several replicas that
/// start together one makes it, and all of them end up with the same.
pub(super) async fn load_keys(kit: &Kit) -> Result<Keyring, IdentityError> {
    for _ in 0..3 {
        let rows = store::keys::list_keys(kit.db.read()).await?;
        let none = match Keyring::open(&rows, &kit.secrets) {
            Ok(keys) => return Ok(keys),
            Err(none) => none,
        };
        let now = kit.clock.now();
        let made = StoredKey::generate(NewKey { generation: none.next_generation, active_from: now }, &kit.secrets, now)?;
        let tx = kit.db.begin().await?;
        if store::keys::insert_key(&tx, &made).await? {
            record_key(kit, &tx, &actions::SIGNING_KEY_MADE, &made.kid);
            tracing::info!(target: "identity", kid = made.kid, "made a signing key");
        }
        tx.commit().await?;
    }
    Err(IdentityError::Internal(
        "replicas with different values of SECRET_KEY are making signing keys: give all of them the same".to_owned(),
    ))
}
