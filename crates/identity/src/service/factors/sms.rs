//! A telephone number as a factor: proven with a code that was sent there, and so is another one in its place.

use baluarte_audit::Entry;
use baluarte_db::Tx;
use baluarte_kernel::{Ctx, Event, Secret};
use baluarte_notify::Phone;

use super::{Identity, codes::Way};
use crate::{
    IdentityError, actions,
    factors::{FactorKind, Reauthentication, phone},
    revocations::Revocation,
    store::{self, factors::challenges::Purpose, users::Account},
};

impl Identity {
    /// Sends a code to a number, which becomes a factor with it, or takes the place of the number that is one.
    pub async fn begin_sms_factor(&self, ctx: &Ctx, typed: &str, shown: &Reauthentication) -> Result<(), IdentityError> {
        self.may_enrol(&self.my_account(ctx).await?)?;
        let phone = self.reachable(typed)?;
        let account = self.reauthenticate(ctx, shown).await?;
        let user = account.user.id;
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        if self.phone_of(&tx, user).await?.as_ref() == Some(&phone) {
            return Err(IdentityError::FactorExists);
        }
        let hash = self.sms_hash(&account);
        self.ask(ctx, &tx, &hash, Purpose::Sms, &account, &Way::NewPhone(phone)).await?;
        Ok(tx.commit().await?)
    }

    /// Where the code for a new number went, mostly hidden; for a page that is shown again.
    pub async fn find_pending_phone(&self, ctx: &Ctx) -> Result<Option<String>, IdentityError> {
        let account = self.my_account(ctx).await?;
        let read = self.inner.kit.db.read();
        let open = store::factors::challenges::find_challenge(read, &self.sms_hash(&account), ctx.now()).await?;
        let phone = open.and_then(|open| open.phone).and_then(|sealed| self.open_phone(account.user.id, &sealed));
        Ok(phone.as_ref().map(phone::hint))
    }

    /// Takes the code that was sent: the number is a factor. Gives recovery codes if there were none.
    pub async fn confirm_sms_factor(&self, ctx: &Ctx, code: &Secret) -> Result<Vec<Secret>, IdentityError> {
        let account = self.my_account(ctx).await?;
        let (user, now) = (account.user.id, ctx.now());
        let keys = self.may_answer(ctx, &account).await?;
        let hash = self.sms_hash(&account);
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        let challenge = store::factors::challenges::spend_try(&tx, &hash, now).await?.ok_or(IdentityError::BadCode)?;
        let right = self.is_sent_code(&challenge, &hash, FactorKind::Sms, code)
            && challenge.bound_to == account.password_changed_at
            && store::factors::challenges::remove(&tx, &hash).await?;
        let (true, Some(sealed)) = (right, &challenge.phone) else {
            self.count_wrong(ctx, &tx, &account, &keys).await?;
            tx.commit().await?;
            return Err(IdentityError::BadCode);
        };
        let before = store::factors::find_secret(&tx, user, FactorKind::Sms).await?;
        store::factors::put(&tx, user, FactorKind::Sms, Some(sealed), now).await?;
        let (codes, revoked) = match before {
            None => self.added(ctx, &tx, &account, FactorKind::Sms, Self::session_of(ctx)).await?,
            Some(_) => (Vec::new(), self.phone_changed(ctx, &tx, &account, sealed).await?),
        };
        tx.commit().await?;
        self.announce(revoked);
        Ok(codes)
    }

    /// Whoever had the earlier number has nothing left to go on with.
    async fn phone_changed(&self, ctx: &Ctx, tx: &Tx, account: &Account, sealed: &str) -> Result<Vec<Revocation>, IdentityError> {
        let (user, now) = (account.user.id, ctx.now());
        let keep = Self::session_of(ctx);
        let ended = store::sessions::delete_sessions(tx, user, keep).await?;
        if let Some(session) = keep {
            store::sessions::mark_proven(tx, session, now).await?;
        }
        let devices = store::factors::trusted::forget_trusted(tx, user).await?;
        store::factors::challenges::void_sign_ins(tx, user).await?;
        let hint = self.open_phone(user, sealed).as_ref().map(phone::hint).unwrap_or_default();
        let mail = self.factor_mails().phone_changed(&account.user, &hint, ctx.client_ip(), now);
        self.inner.kit.notify.send(ctx, tx, mail).await?;
        let kind = FactorKind::Sms.as_str().to_owned();
        self.inner.kit.jobs.publish(ctx, tx, Event::FactorAdded { user_id: user, factor: kind }).await?;
        let entry = Entry::new(&actions::PHONE_CHANGED, "user").of(user).detail("sessions", ended.len());
        self.record(ctx, tx, account, entry.detail("trusted_devices", devices));
        tracing::info!(target: "identity", user_id = %user, ended = ended.len(), "codes go to another telephone number");
        Ok(self.revoke_sessions(tx, &ended, now).await?)
    }

    /// A number that text messages may go to.
    pub(super) fn reachable(&self, typed: &str) -> Result<Phone, IdentityError> {
        if !self.can_ask_for(FactorKind::Sms) {
            return Err(IdentityError::FactorUnavailable);
        }
        Ok(self.inner.kit.notify.check_sms(typed).map_err(baluarte_notify::NotifyError::from)?)
    }

    /// There is one question of this kind for each account, whatever the number: five wrong codes are five, and a new number's
    /// code voids the one before. It takes a session to answer it.
    fn sms_hash(&self, account: &Account) -> String {
        hex::encode(self.inner.kit.secrets.keyed_hash("identity.sms_factor", account.user.id.to_string().as_bytes()))
    }
}
