//! Passkeys: registered, named, removed; answering the second question; signing in with nothing else.

use baluarte_audit::Entry;
use baluarte_db::Tx;
use baluarte_kernel::{Ctx, Event, Secret, UserId};

use super::Identity;
use crate::{
    EmailVerification, IdentityError, SessionKind, SignedIn, actions,
    factors::{
        FactorKind, MAX_PASSKEYS, Passkey, PasskeyId, Reauthentication,
        passkey::{
            Assertion, CHALLENGE, Challenges, CreationOptions, NewCredential, Purpose, RelyingParty, RequestOptions, Used, descriptor,
        },
    },
    service::sign_in::{Arrival, Opening, printable},
    store::{self, factors::passkeys::Stored, users::Account},
};

impl Identity {
    /// Where passkeys are good; [`IdentityError::FactorUnavailable`] where browsers know none.
    fn relying_party(&self) -> Result<RelyingParty, IdentityError> {
        RelyingParty::of(&self.inner.kit.public_url).ok_or(IdentityError::FactorUnavailable)
    }

    /// Whether people can use passkeys here at all.
    pub fn knows_passkeys(&self) -> bool {
        self.relying_party().is_ok()
    }

    fn challenges(&self) -> Challenges<'_> {
        Challenges(&self.inner.kit.secrets)
    }

    // ── registering ──

    /// The caller's passkeys, the oldest first.
    pub async fn list_passkeys(&self, ctx: &Ctx) -> Result<Vec<Passkey>, IdentityError> {
        let user = ctx.user()?.user_id;
        let found = store::factors::passkeys::list_passkeys(self.inner.kit.db.read(), user).await?;
        Ok(found.into_iter().map(|stored| stored.passkey).collect())
    }

    /// What a browser needs to make a passkey for the caller.
    pub async fn begin_passkey(&self, ctx: &Ctx, shown: &Reauthentication) -> Result<CreationOptions, IdentityError> {
        self.may_enrol(&self.my_account(ctx).await?)?;
        let party = self.relying_party()?;
        let account = self.reauthenticate(ctx, shown).await?;
        let user = &account.user;
        let known = store::factors::passkeys::list_passkeys(self.inner.kit.db.read(), user.id).await?;
        let exclude = known.iter().map(|stored| descriptor(&stored.credential_id, &stored.transports)).collect();
        let tx = self.inner.kit.db.begin().await?;
        let entry = Entry::new(&actions::FACTOR_BEGUN, "user").of(user.id).detail("kind", FactorKind::Passkey.as_str());
        self.record(ctx, &tx, &account, entry);
        tx.commit().await?;
        let challenge = self.challenges().make(Purpose::Register(&Self::whose(ctx, user.id)), ctx.now());
        let person = (user.id, user.email.as_str(), user.name.as_str());
        Ok(CreationOptions::new(&party, self.inner.mails.site(), person, &challenge, exclude))
    }

    /// Takes what the browser made. Gives recovery codes if there were none.
    pub async fn add_passkey(&self, ctx: &Ctx, name: &str, credential: &NewCredential) -> Result<(Passkey, Vec<Secret>), IdentityError> {
        let account = self.my_account(ctx).await?;
        self.may_enrol(&account)?;
        let (party, user, now) = (self.relying_party()?, account.user.id, ctx.now());
        let (whose, challenges) = (Self::whose(ctx, user), self.challenges());
        let good = |challenge: &str| challenges.is_good(challenge, Purpose::Register(&whose), now);
        let new = credential.check(&party, good).ok_or(IdentityError::BadPasskey)?;
        let name = passkey_name(name);

        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        if !self.takes_challenge(ctx, &tx, &new.challenge).await? {
            return Err(IdentityError::BadPasskey);
        }
        let before = store::factors::passkeys::list_passkeys(&tx, user).await?.len();
        if before >= MAX_PASSKEYS {
            return Err(IdentityError::TooManyPasskeys);
        }
        let id = store::factors::passkeys::insert_passkey(&tx, user, &new, &name, now).await?.ok_or(IdentityError::PasskeyExists)?;
        let (codes, revoked) = if before == 0 {
            store::factors::put(&tx, user, FactorKind::Passkey, None, now).await?;
            self.added(ctx, &tx, &account, FactorKind::Passkey, Self::session_of(ctx)).await?
        } else {
            // One more key to the same door: told, and nobody is signed out for it.
            self.inner.kit.notify.send(ctx, &tx, self.factor_mails().another_passkey(&account.user, &name, ctx.client_ip(), now)).await?;
            (Vec::new(), Vec::new())
        };
        let entry = Entry::new(&actions::PASSKEY_ADDED, "passkey").of(id).detail("backed_up", new.backed_up);
        self.record(ctx, &tx, &account, entry);
        tx.commit().await?;
        self.announce(revoked);
        tracing::info!(target: "identity", user_id = %user, passkey = %id, "a passkey was added");
        Ok((Passkey { id, name, backed_up: new.backed_up, created_at: now, last_used_at: None }, codes))
    }

    pub async fn rename_passkey(&self, ctx: &Ctx, id: PasskeyId, name: &str) -> Result<(), IdentityError> {
        let user = ctx.user()?.user_id;
        let tx = self.inner.kit.db.begin().await?;
        if !store::factors::passkeys::rename_passkey(&tx, id, user, &passkey_name(name)).await? {
            return Err(IdentityError::PasskeyNotFound);
        }
        self.inner.kit.audit.record(ctx, &tx, Entry::new(&actions::PASSKEY_RENAMED, "passkey").of(id));
        Ok(tx.commit().await?)
    }

    /// The account's other sessions and its trusted devices end. With the last one the factor is gone.
    pub async fn remove_passkey(&self, ctx: &Ctx, id: PasskeyId, shown: &Reauthentication) -> Result<(), IdentityError> {
        let user = ctx.user()?.user_id;
        if !self.list_passkeys(ctx).await?.iter().any(|passkey| passkey.id == id) {
            return Err(IdentityError::PasskeyNotFound);
        }
        let account = self.reauthenticate(ctx, shown).await?;
        let now = ctx.now();
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        if !store::factors::passkeys::delete_passkey(&tx, id, user).await? {
            return Err(IdentityError::PasskeyNotFound);
        }
        if store::factors::passkeys::list_passkeys(&tx, user).await?.is_empty() {
            store::factors::remove(&tx, user, FactorKind::Passkey).await?;
            self.without_factor(&tx, &account).await?;
            let event = Event::FactorRemoved { user_id: user, factor: FactorKind::Passkey.as_str().to_owned() };
            self.inner.kit.jobs.publish(ctx, &tx, event).await?;
        }
        self.require_way_in(&tx, user).await?;
        let devices = store::factors::trusted::forget_trusted(&tx, user).await?;
        let ended = store::sessions::delete_sessions(&tx, user, Self::session_of(ctx)).await?;
        let revoked = self.revoke_sessions(&tx, &ended, now).await?;
        let mail = self.factor_mails().removed(&account.user, FactorKind::Passkey, ctx.client_ip(), now);
        self.inner.kit.notify.send(ctx, &tx, mail).await?;
        let entry = Entry::new(&actions::PASSKEY_REMOVED, "passkey").of(id).detail("sessions", ended.len());
        self.record(ctx, &tx, &account, entry.detail("trusted_devices", devices));
        tx.commit().await?;
        self.announce(revoked);
        tracing::info!(target: "identity", user_id = %user, passkey = %id, "a passkey was removed");
        Ok(())
    }

    // ── using one ──

    /// What a browser needs to sign somebody in of whom we know nothing yet.
    pub fn sign_in_options(&self, ctx: &Ctx) -> Result<RequestOptions, IdentityError> {
        let challenge = self.challenges().make(Purpose::SignIn, ctx.now());
        Ok(RequestOptions::new(&self.relying_party()?, &challenge, Vec::new()))
    }

    /// What a browser needs to answer the second question of an attempt.
    pub async fn step_options(&self, ctx: &Ctx, mfa_token: &Secret) -> Result<RequestOptions, IdentityError> {
        let (_, account) = self.open_step(ctx, mfa_token).await?;
        self.options_of(ctx, account.user.id, Purpose::SecondStep(&self.step_hash(mfa_token))).await
    }

    pub(super) async fn options_of(&self, ctx: &Ctx, user: UserId, purpose: Purpose<'_>) -> Result<RequestOptions, IdentityError> {
        let party = self.relying_party()?;
        let known = store::factors::passkeys::list_passkeys(self.inner.kit.db.read(), user).await?;
        if known.is_empty() {
            return Err(IdentityError::FactorUnavailable);
        }
        let allow = known.iter().map(|stored| descriptor(&stored.credential_id, &stored.transports)).collect();
        Ok(RequestOptions::new(&party, &self.challenges().make(purpose, ctx.now()), allow))
    }

    /// Whether it is a passkey of that person, used for this and for the first time.
    pub(super) async fn takes_passkey(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        account: &Account,
        assertion: &Assertion,
        purpose: Purpose<'_>,
    ) -> Result<bool, IdentityError> {
        let Some(stored) = store::factors::passkeys::find_passkey(tx, &assertion.id).await? else { return Ok(false) };
        if stored.user_id != account.user.id {
            return Ok(false);
        }
        let Some(used) = self.checked(ctx, &stored, assertion, purpose)? else { return Ok(false) };
        Ok(self.spend(ctx, tx, account, &stored, &used).await?
            && store::factors::mark_used(tx, account.user.id, FactorKind::Passkey, ctx.now()).await?)
    }

    /// Signs in with a passkey alone: it has recognised its owner, which is two factors in one.
    pub async fn sign_in_with_passkey(&self, ctx: &Ctx, assertion: &Assertion, kind: SessionKind) -> Result<SignedIn, IdentityError> {
        let read = self.inner.kit.db.read();
        let Some(stored) = store::factors::passkeys::find_passkey(read, &assertion.id).await? else {
            return Err(IdentityError::PasskeyRefused);
        };
        let account = store::users::find_user(read, stored.user_id).await?.ok_or(IdentityError::PasskeyRefused)?;
        let used = self.checked(ctx, &stored, assertion, Purpose::SignIn)?.filter(|used| used.verified);
        let Some(used) = used else {
            self.record_passkey_failure(ctx, &account, &stored).await?;
            return Err(IdentityError::PasskeyRefused);
        };
        if account.user.disabled_at.is_some() {
            self.record_refusal(ctx, &account, "disabled").await?;
            return Err(IdentityError::AccountDisabled);
        }
        if self.inner.config.email_verification == EmailVerification::Required && account.user.email_verified_at.is_none() {
            self.record_refusal(ctx, &account, "not_verified").await?;
            return Err(IdentityError::EmailNotVerified);
        }
        let (user, now) = (account.user.id, ctx.now());
        let arrival = Arrival::of(self, ctx, &account, self.is_known_place(ctx, user).await?);
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        if !self.spend(ctx, &tx, &account, &stored, &used).await? {
            // A copy's use is written down; a second use of a challenge has changed nothing.
            tx.commit().await?;
            return Err(IdentityError::PasskeyRefused);
        }
        // Removed while it was being checked: then there is no such factor any more.
        if !store::factors::mark_used(&tx, user, FactorKind::Passkey, now).await? {
            return Err(IdentityError::PasskeyRefused);
        }
        let opening = Opening { kind, stronger_hash: None, factor_at: Some(now) };
        let (signed_in, revoked) = self.open_session(ctx, &tx, &arrival, &account, opening).await.map_err(|err| match err {
            IdentityError::WrongCredentials => IdentityError::PasskeyRefused,
            other => other,
        })?;
        tx.commit().await?;
        self.announce(revoked);
        tracing::info!(target: "identity", user_id = %user, session_id = %signed_in.session_id, "signed in with a passkey");
        Ok(signed_in)
    }

    fn checked(&self, ctx: &Ctx, stored: &Stored, assertion: &Assertion, purpose: Purpose<'_>) -> Result<Option<Used>, IdentityError> {
        let (party, challenges, now) = (self.relying_party()?, self.challenges(), ctx.now());
        let discovered = matches!(purpose, Purpose::SignIn);
        let good = |challenge: &str| challenges.is_good(challenge, purpose, now);
        let used = assertion.check(&party, stored.user_id, &stored.public_key, discovered, good);
        // Whether it may be copied never changes.
        Ok(used.filter(|used| used.backup_eligible == stored.backup_eligible))
    }

    /// The challenge's only use and the count's next step, both or neither. Somebody whose count went back has a copy.
    async fn spend(&self, ctx: &Ctx, tx: &Tx, account: &Account, stored: &Stored, used: &Used) -> Result<bool, IdentityError> {
        if !self.takes_challenge(ctx, tx, &used.challenge).await? {
            return Ok(false);
        }
        let id = stored.passkey.id;
        let counted = store::factors::passkeys::use_passkey(tx, id, used, ctx.now()).await?;
        if !counted {
            self.record(ctx, tx, account, Entry::new(&actions::PASSKEY_COPIED, "passkey").of(id).failure());
            tracing::error!(target: "identity", user_id = %account.user.id, passkey = %id, "a passkey's count of signatures went back: somebody has a copy, or it was removed");
        }
        Ok(counted)
    }

    async fn takes_challenge(&self, ctx: &Ctx, tx: &Tx, challenge: &str) -> Result<bool, IdentityError> {
        let until = ctx.now().plus(CHALLENGE);
        Ok(store::factors::passkeys::take_challenge(tx, &self.challenges().hash(challenge), until).await?)
    }

    async fn record_passkey_failure(&self, ctx: &Ctx, account: &Account, stored: &Stored) -> Result<(), IdentityError> {
        let tx = self.inner.kit.db.begin().await?;
        let entry = Entry::new(&actions::PASSKEY_REFUSED, "passkey").of(stored.passkey.id).failure().detail("user", account.user.id);
        self.inner.kit.audit.record_bounded(ctx, &tx, entry);
        Ok(tx.commit().await?)
    }

    /// Who registers, and in which session.
    fn whose(ctx: &Ctx, user: UserId) -> String {
        format!("{user}\0{}", Self::session_of(ctx).map(|id| id.to_string()).unwrap_or_default())
    }
}

/// What people call a passkey; an empty name becomes a plain one.
fn passkey_name(typed: &str) -> String {
    let name: String = printable(typed.trim()).chars().take(60).collect();
    if name.is_empty() { "Passkey".to_owned() } else { name }
}
