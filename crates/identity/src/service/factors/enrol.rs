//! Setting factors up.

use baluarte_audit::Entry;
use baluarte_db::Tx;
use baluarte_kernel::{Ctx, Event, Secret, SessionId};

use super::{Identity, codes::Way};
use crate::{
    IdentityError, actions,
    factors::{EmailEnrolment, FactorKind, MfaPolicy, PENDING, Reauthentication, Seed, TotpEnrolment},
    revocations::Revocation,
    store::{self, factors::challenges::Purpose, users::Account},
};

impl Identity {
    /// A secret for an authenticator app. In force with the first code; an earlier one that was not confirmed is void.
    pub async fn begin_totp_factor(&self, ctx: &Ctx, shown: &Reauthentication) -> Result<TotpEnrolment, IdentityError> {
        self.may_enrol(&self.my_account(ctx).await?)?;
        let account = self.reauthenticate(ctx, shown).await?;
        self.begin_totp(ctx, &account).await
    }

    pub(super) async fn begin_totp(&self, ctx: &Ctx, account: &Account) -> Result<TotpEnrolment, IdentityError> {
        let user = account.user.id;
        let seed = Seed::generate();
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        let sealed = seed.seal(&self.inner.kit.secrets, user);
        if !store::factors::begin(&tx, user, FactorKind::Totp, Some(&sealed), ctx.now()).await? {
            return Err(IdentityError::FactorExists);
        }
        self.record(ctx, &tx, account, Entry::new(&actions::FACTOR_BEGUN, "user").of(user).detail("kind", FactorKind::Totp.as_str()));
        tx.commit().await?;
        Ok(self.enrolment(&seed, account))
    }

    /// The app that is being set up, for a page that is shown again.
    pub async fn find_pending_totp(&self, ctx: &Ctx) -> Result<Option<TotpEnrolment>, IdentityError> {
        self.pending_totp(ctx, &self.my_account(ctx).await?).await
    }

    /// The same in an attempt to sign in.
    pub async fn find_pending_totp_in_step(&self, ctx: &Ctx, mfa_token: &Secret) -> Result<Option<TotpEnrolment>, IdentityError> {
        let (_, account) = self.open_step(ctx, mfa_token).await?;
        self.pending_totp(ctx, &account).await
    }

    async fn pending_totp(&self, ctx: &Ctx, account: &Account) -> Result<Option<TotpEnrolment>, IdentityError> {
        let since = ctx.now().minus(PENDING);
        let sealed = store::factors::find_pending(self.inner.kit.db.read(), account.user.id, FactorKind::Totp, since).await?;
        let seed = sealed.and_then(|sealed| self.open_seed(account.user.id, &sealed));
        Ok(seed.map(|seed| self.enrolment(&seed, account)))
    }

    fn enrolment(&self, seed: &Seed, account: &Account) -> TotpEnrolment {
        TotpEnrolment { secret: seed.base32(), otpauth_url: seed.url(self.inner.mails.site(), account.user.email.as_str()) }
    }

    /// Takes the app's first code: the factor is in force. Gives new recovery codes, which void earlier ones.
    pub async fn confirm_totp_factor(&self, ctx: &Ctx, code: &Secret) -> Result<Vec<Secret>, IdentityError> {
        let account = self.my_account(ctx).await?;
        let (user, now) = (account.user.id, ctx.now());
        let keys = self.may_answer(ctx, &account).await?;
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        if !self.confirms_totp(&tx, user, code, now).await? {
            self.count_wrong(ctx, &tx, &account, &keys).await?;
            tx.commit().await?;
            return Err(IdentityError::BadCode);
        }
        let (codes, revoked) = self.added(ctx, &tx, &account, FactorKind::Totp, Self::session_of(ctx)).await?;
        tx.commit().await?;
        self.announce(revoked);
        Ok(codes)
    }

    /// Makes the account's address a factor: at once where it was proven before, otherwise with a code that is sent.
    pub async fn begin_email_factor(&self, ctx: &Ctx, shown: &Reauthentication) -> Result<EmailEnrolment, IdentityError> {
        self.may_enrol(&self.my_account(ctx).await?)?;
        if !self.can_ask_for(FactorKind::Email) {
            return Err(IdentityError::FactorUnavailable);
        }
        let account = self.reauthenticate(ctx, shown).await?;
        let (user, now) = (account.user.id, ctx.now());
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        if !store::factors::begin(&tx, user, FactorKind::Email, None, now).await? {
            return Err(IdentityError::FactorExists);
        }
        if account.user.email_verified_at.is_some() {
            if !store::factors::confirm(&tx, user, FactorKind::Email, None, 0, now).await? {
                return Err(IdentityError::FactorExists);
            }
            let (codes, revoked) = self.added(ctx, &tx, &account, FactorKind::Email, Self::session_of(ctx)).await?;
            tx.commit().await?;
            self.announce(revoked);
            return Ok(EmailEnrolment::Confirmed(codes));
        }
        let hash = self.email_hash(&account);
        self.ask(ctx, &tx, &hash, Purpose::Email, &account, &Way::Email).await?;
        tx.commit().await?;
        Ok(EmailEnrolment::CodeSent)
    }

    /// Takes the code that was sent: the address is a factor. Gives recovery codes if there were none.
    pub async fn confirm_email_factor(&self, ctx: &Ctx, code: &Secret) -> Result<Vec<Secret>, IdentityError> {
        let account = self.my_account(ctx).await?;
        let (user, now) = (account.user.id, ctx.now());
        let keys = self.may_answer(ctx, &account).await?;
        let hash = self.email_hash(&account);
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        let challenge = store::factors::challenges::spend_try(&tx, &hash, now).await?.ok_or(IdentityError::BadCode)?;
        let right = self.is_sent_code(&challenge, &hash, FactorKind::Email, code)
            && challenge.bound_to == account.password_changed_at
            && store::factors::challenges::remove(&tx, &hash).await?
            && store::factors::confirm(&tx, user, FactorKind::Email, None, 0, now).await?;
        if !right {
            self.count_wrong(ctx, &tx, &account, &keys).await?;
            tx.commit().await?;
            return Err(IdentityError::BadCode);
        }
        let (codes, revoked) = self.added(ctx, &tx, &account, FactorKind::Email, Self::session_of(ctx)).await?;
        tx.commit().await?;
        self.announce(revoked);
        Ok(codes)
    }

    /// What follows when a factor is in force: codes on paper, a notice, and every session that was begun without it ends
    /// but `keep`, which has just proven it. Sessions begun while this transaction waits see the factor.
    pub(super) async fn added(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        account: &Account,
        kind: FactorKind,
        keep: Option<SessionId>,
    ) -> Result<(Vec<Secret>, Vec<Revocation>), IdentityError> {
        let (user, now) = (account.user.id, ctx.now());
        let none_left = store::factors::recovery::count(tx, user).await? == 0;
        let codes = if none_left || kind == FactorKind::Totp { self.renew_recovery(tx, user, now).await? } else { Vec::new() };
        let ended = store::sessions::delete_sessions(tx, user, keep).await?;
        if let Some(session) = keep {
            store::sessions::mark_proven(tx, session, now).await?;
        }
        self.inner.kit.notify.send(ctx, tx, self.factor_mails().added(&account.user, kind, ctx.client_ip(), now)).await?;
        self.inner.kit.jobs.publish(ctx, tx, Event::FactorAdded { user_id: user, factor: kind.as_str().to_owned() }).await?;
        let entry = Entry::new(&actions::FACTOR_ADDED, "user").of(user).detail("kind", kind.as_str()).detail("sessions", ended.len());
        self.record(ctx, tx, account, entry);
        let revoked = self.revoke_sessions(tx, &ended, now).await?;
        tracing::info!(target: "identity", user_id = %user, kind = kind.as_str(), ended = ended.len(), "a second factor is in force");
        Ok((codes, revoked))
    }

    pub(super) fn may_enrol(&self, account: &Account) -> Result<(), IdentityError> {
        if self.policy_of(&account.user.role) == MfaPolicy::Off { Err(IdentityError::FactorsOff) } else { Ok(()) }
    }

    /// There is one question of this kind for each account and address, and its token is nobody's secret: it takes a session
    /// to answer it.
    fn email_hash(&self, account: &Account) -> String {
        let value = format!("{}\0{}", account.user.id, account.user.email);
        hex::encode(self.inner.kit.secrets.keyed_hash("identity.email_factor", value.as_bytes()))
    }
}
