//! Keys and checkpoints: made, signed, kept.

use baluarte_db::{DbError, Tx};
use baluarte_kernel::{Ctx, Timestamp};

use crate::{
    Audit, AuditError, Checkpoint, Entry, Shown,
    actions::{CHECKPOINT_ASKED, KEY_MADE},
    link::Hash,
    signed::{Says, Signer, StoredKey},
    store,
};

impl Audit {
    /// The key that signs now; makes the first one, the next one when its time has come, and one after a new `SECRET_KEY`.
    pub(crate) async fn signer(&self) -> Result<Signer, AuditError> {
        for _ in 0..3 {
            let keys = store::signed::list_keys(self.inner.db.read()).await?;
            let able = keys.iter().rev().find_map(|key| Some((key, key.open(&self.inner.secrets)?)));
            let now = self.inner.clock.now();
            let generation = keys.last().map_or(1, |last| last.generation + 1);
            let new = match &able {
                Some((key, _)) if now < key.at.plus(self.inner.config.key_rotation.get()) => return Ok(able.expect("just matched").1),
                Some((_, signer)) => self.make_key(generation, Some(signer), now)?,
                None => self.make_key(generation, None, now)?,
            };
            if able.is_none() && !keys.is_empty() {
                tracing::warn!(target: "audit", "no checkpoint key opens with this SECRET_KEY: a new one begins, which no earlier one vouches for");
            }
            let tx = self.inner.db.begin().await?;
            if store::signed::insert_key(&tx, &new).await? {
                let entry = Entry::new(&KEY_MADE, "checkpoint_key").of(Shown(&new.kid)).detail("generation", new.generation);
                self.record(&self.system(), &tx, entry.detail("public_key", new.public_key).detail("endorsed_by", Shown(&new.endorsed_by)));
                tx.commit().await?;
                tracing::info!(target: "audit", kid = new.kid, "made a key for checkpoints");
            }
        }
        Err(AuditError::Internal(
            "replicas with different values of SECRET_KEY are making checkpoint keys: give all of them the same".to_owned(),
        ))
    }

    fn make_key(&self, generation: i64, endorser: Option<&Signer>, now: Timestamp) -> Result<StoredKey, AuditError> {
        StoredKey::generate(&self.inner.chain, generation, endorser, &self.inner.secrets, now)
            .map_err(|err| AuditError::Internal(err.to_string()))
    }

    /// Signs where the chain ends, if it has grown since the last checkpoint; the last one otherwise.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>, AuditError> {
        let signer = self.signer().await?;
        let tx = self.inner.db.begin().await?;
        let made = self.sign_end(&tx, &signer).await?;
        tx.commit().await?;
        Ok(made)
    }

    async fn sign_end(&self, tx: &Tx, signer: &Signer) -> Result<Option<Checkpoint>, DbError> {
        let head = store::chain::read_head(tx).await?.ok_or(DbError::NotFound)?.0;
        let last = store::signed::last(tx, Says::Checkpoint, &self.inner.chain).await?;
        if head.seq == 0 || last.as_ref().is_some_and(|last| last.seq >= head.seq) {
            return Ok(last);
        }
        let made = Checkpoint::sign(Says::Checkpoint, &self.inner.chain, head.seq, head.hash, self.inner.clock.now(), signer);
        if store::signed::insert(tx, &made).await? {
            let wake = self.inner.wake.clone();
            tx.after_commit(move || wake.notify_one());
        }
        Ok(Some(made))
    }

    /// The same for somebody who asks: an entry says so, and the checkpoint covers it.
    pub async fn checkpoint_now(&self, ctx: &Ctx) -> Result<Checkpoint, AuditError> {
        ctx.require_admin()?;
        let tx = self.inner.db.begin().await?;
        self.record(ctx, &tx, Entry::new(&CHECKPOINT_ASKED, "checkpoint"));
        tx.commit().await?;
        self.checkpoint().await?.ok_or_else(|| AuditError::Internal("the chain has no entries".to_owned()))
    }

    /// Is it time, by the number of entries or the time since the last one?
    pub(crate) async fn checkpoint_is_due(&self) -> Result<bool, DbError> {
        let read = self.inner.db.read();
        let Some((head, _)) = store::chain::read_head(read).await? else { return Ok(false) };
        let last = store::signed::last(read, Says::Checkpoint, &self.inner.chain).await?;
        let (seq, at) = last.map_or((0, Timestamp::default()), |last| (last.seq, last.at));
        let (new, now) = (head.seq - seq, self.inner.clock.now());
        Ok(new > 0 && (new >= i64::from(self.inner.config.checkpoint_entries) || now >= at.plus(self.inner.config.checkpoint_every.get())))
    }

    /// The public part of a key by its name.
    pub async fn public_key(&self, kid: &str) -> Result<Option<Hash>, DbError> {
        let keys = store::signed::list_keys(self.inner.db.read()).await?;
        Ok(keys.iter().find(|key| key.kid == kid).map(|key| key.public_key))
    }
}
