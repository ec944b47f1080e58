//! Second factors: asking for them, setting them up, taking them away.

mod change;
mod codes;
mod enrol;
mod passkeys;
mod recovery;
mod sms;
mod step;
mod step_up;
mod trusted;

pub(super) use step::Standing;

use std::time::Duration;

use baluarte_audit::Entry;
use baluarte_db::Tx;
use baluarte_kernel::{Ctx, Secret, SessionId, Timestamp, UserId};

use super::Identity;
use crate::{
    IdentityError, Role, actions,
    factors::{FRESH, FactorKind, FactorMails, Factors, MfaPolicy, Reauthentication, RecoveryCode, Seed, TELL_AFTER, phone},
    store::{self, sessions::Live, throttles::Count, users::Account},
    throttle::{self, Counter, FORGET_AFTER, Keys, REMEMBER_PLACE},
};

impl Identity {
    /// What the caller has set up, and what they may.
    pub async fn list_factors(&self, ctx: &Ctx) -> Result<Factors, IdentityError> {
        let account = self.my_account(ctx).await?;
        let (read, user) = (self.inner.kit.db.read(), account.user.id);
        let factors = store::factors::list_factors(read, user).await?;
        let fresh = self.is_fresh(ctx, !factors.is_empty()).await?;
        Ok(Factors {
            policy: self.policy_of(&account.user.role),
            factors,
            recovery_codes: store::factors::recovery::count(read, user).await?,
            email_available: self.can_ask_for(FactorKind::Email),
            sms_available: self.can_ask_for(FactorKind::Sms),
            phone: self.phone_of(read, user).await?.as_ref().map(phone::hint),
            fresh,
        })
    }

    pub(super) fn policy_of(&self, role: &Role) -> MfaPolicy {
        let mfa = &self.inner.config.mfa;
        // What is demanded of administrators holds for owners, unless they are named themselves.
        let above = || mfa.get(Role::admin().as_str()).filter(|_| role.is_owner());
        mfa.get(role.as_str()).or_else(above).copied().unwrap_or_default()
    }

    /// A session begun without a factor ends where its owner's role has come to demand one.
    pub(super) fn is_proven_enough(&self, live: &Live) -> bool {
        live.factor_at.is_some() || self.policy_of(&live.user.role) != MfaPolicy::Required
    }

    pub(super) fn factor_mails(&self) -> FactorMails<'_> {
        FactorMails(&self.inner.mails)
    }

    /// The hash under which an attempt is stored.
    fn step_hash(&self, token: &Secret) -> String {
        hex::encode(self.inner.kit.secrets.keyed_hash("identity.mfa_token", token.expose().as_bytes()))
    }

    fn recovery_hash(&self, user: UserId, typed: &Secret) -> String {
        RecoveryCode::hash(&self.inner.kit.secrets, &user.to_string(), typed.expose())
    }

    /// The secret of an authenticator app; `None` and a line in the log when it was sealed with another `SECRET_KEY`.
    fn open_seed(&self, user: UserId, sealed: &str) -> Option<Seed> {
        let opened = Seed::open(&self.inner.kit.secrets, user, sealed);
        if opened.is_err() {
            tracing::error!(target: "identity", user_id = %user, "an authenticator's secret was sealed with another SECRET_KEY: `baluarte user reset-mfa` lets its owner set it up again");
        }
        opened.ok()
    }

    // ── is it still them? ──

    /// Confirms that whoever is signed in is the owner: by the password, by a code, or by having proven it lately.
    pub(in crate::service) async fn reauthenticate(&self, ctx: &Ctx, shown: &Reauthentication) -> Result<Account, IdentityError> {
        let account = self.my_account(ctx).await?;
        if let Some(password) = shown.password.as_ref().filter(|password| !password.is_empty()) {
            return self.confirm_password(ctx, &account.user.email, password).await;
        }
        if let Some(code) = shown.code.as_ref().filter(|code| !code.is_empty()) {
            self.confirm_code(ctx, &account, code).await?;
            return Ok(account);
        }
        let has_factor = !store::factors::list_factors(self.inner.kit.db.read(), account.user.id).await?.is_empty();
        if self.is_fresh(ctx, has_factor).await? { Ok(account) } else { Err(IdentityError::ReauthenticationNeeded) }
    }

    /// `has_factor`: then the factor has to have been proven lately, not the password alone.
    pub(super) async fn is_fresh(&self, ctx: &Ctx, has_factor: bool) -> Result<bool, IdentityError> {
        let Some(id) = ctx.user()?.session_id else { return Ok(false) };
        let Some(live) = store::sessions::find_by_id(self.inner.kit.db.read(), id).await? else { return Ok(false) };
        let since = ctx.now().minus(FRESH);
        let by_password = !has_factor && live.session.created_at > since;
        Ok(by_password || live.factor_at.max(live.confirmed_at).is_some_and(|at| at > since))
    }

    async fn confirm_code(&self, ctx: &Ctx, account: &Account, code: &Secret) -> Result<(), IdentityError> {
        let keys = self.may_answer(ctx, account).await?;
        let user = account.user.id;
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        let right = self.takes_totp(&tx, user, code, ctx.now()).await? || self.takes_recovery(ctx, &tx, account, code).await?;
        if !right {
            self.count_wrong(ctx, &tx, account, &keys).await?;
        }
        tx.commit().await?;
        if right { Ok(()) } else { Err(IdentityError::BadCode) }
    }

    // ── codes ──

    /// Whether it is a code of the app, of a step that was not used before; which it is afterwards.
    async fn takes_totp(&self, tx: &Tx, user: UserId, code: &Secret, now: Timestamp) -> Result<bool, IdentityError> {
        let Some(sealed) = store::factors::find_secret(tx, user, FactorKind::Totp).await? else { return Ok(false) };
        let step = self.open_seed(user, &sealed).and_then(|seed| seed.step_of(code.expose(), now));
        match step {
            Some(step) => Ok(store::factors::use_step(tx, user, step, now).await?),
            None => Ok(false),
        }
    }

    /// Whether it is a recovery code that was not used before; which it is afterwards. Its owner is told.
    async fn takes_recovery(&self, ctx: &Ctx, tx: &Tx, account: &Account, code: &Secret) -> Result<bool, IdentityError> {
        let user = account.user.id;
        if !store::factors::recovery::take(tx, user, &self.recovery_hash(user, code)).await? {
            return Ok(false);
        }
        let left = store::factors::recovery::count(tx, user).await?;
        let mail = self.factor_mails().recovery_used(&account.user, left, ctx.client_ip(), ctx.now());
        self.inner.kit.notify.send(ctx, tx, mail).await?;
        self.record(ctx, tx, account, Entry::new(&actions::RECOVERY_USED, "user").of(user).detail("left", i64::from(left)));
        Ok(true)
    }

    // ── slowing down those who guess ──

    fn answer_keys(&self, ctx: &Ctx, user: UserId) -> Keys {
        Keys::second_factor(&self.inner.kit.secrets, &user.to_string(), &throttle::network(ctx.client_ip()))
    }

    /// Refuses whoever answered wrongly too often, over all attempts. Only those who know the password get here.
    async fn may_answer(&self, ctx: &Ctx, account: &Account) -> Result<Keys, IdentityError> {
        let (read, now) = (self.inner.kit.db.read(), ctx.now());
        let keys = self.answer_keys(ctx, account.user.id);
        let known_place = self.is_known_place(ctx, account.user.id).await?;
        let mut blocked_until = Timestamp::default();
        for (counter, key) in keys.each() {
            let Count { blocked_until: until, .. } = store::throttles::find(read, key, now).await?;
            if counter == Counter::FromNetwork || !known_place {
                blocked_until = blocked_until.max(until);
            }
        }
        match throttle::wait(blocked_until, now) {
            Some(retry_after) => Err(IdentityError::TooManyAttempts { retry_after }),
            None => Ok(keys),
        }
    }

    /// Somebody signed in to the account from there before, all the way.
    pub(in crate::service) async fn is_known_place(&self, ctx: &Ctx, user: UserId) -> Result<bool, IdentityError> {
        let network = throttle::network(ctx.client_ip());
        Ok(store::places::list_places(self.inner.kit.db.read(), user, ctx.now().minus(REMEMBER_PLACE)).await?.contains(&network))
    }

    /// One more wrong answer. Committed by the caller.
    async fn count_wrong(&self, ctx: &Ctx, tx: &Tx, account: &Account, keys: &Keys) -> Result<(), IdentityError> {
        let now = ctx.now();
        let mut blocked = Duration::ZERO;
        for (counter, key) in keys.each() {
            let wrong = store::throttles::count(tx, key, now.plus(FORGET_AFTER), now).await?;
            let delay = counter.delay(wrong.count);
            if !delay.is_zero() {
                store::throttles::block(tx, key, now.plus(delay)).await?;
                blocked = blocked.max(delay);
            }
            if counter == Counter::Anywhere && wrong.count == TELL_AFTER {
                self.inner.kit.notify.send(ctx, tx, self.factor_mails().failing(&account.user, ctx.client_ip(), now)).await?;
            }
        }
        let entry = Entry::new(&actions::FACTOR_WRONG, "user").of(account.user.id).failure().detail("blocked_ms", blocked);
        self.inner.kit.audit.record_bounded(ctx, tx, entry);
        tracing::info!(target: "identity", user_id = %account.user.id, "a wrong second factor");
        Ok(())
    }

    // ── what several use cases record ──

    /// By its owner, who may not be signed in yet.
    fn record(&self, ctx: &Ctx, tx: &Tx, account: &Account, entry: Entry) {
        let entry = entry.by(account.user.id, Self::session_of(ctx), account.user.email.as_str());
        self.inner.kit.audit.record(ctx, tx, entry);
    }

    pub(in crate::service) fn session_of(ctx: &Ctx) -> Option<SessionId> {
        ctx.user().ok().and_then(|principal| principal.session_id)
    }
}
