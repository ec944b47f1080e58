//! Showing in the middle of a session that it is still its owner: routes and actions may ask for it.

use baluarte_audit::Entry;
use baluarte_db::Tx;
use baluarte_kernel::{CredentialKind, Ctx, Secret, SessionId, UserId};

use super::{Identity, codes::Way};
use crate::{
    IdentityError, SessionCookie, actions,
    factors::{FactorKind, Method, OpenConfirmation, Proof, RESEND, RequestOptions, hint, passkey, phone},
    store::{self, factors::challenges::Purpose, sessions::Live, users::Account},
};

impl Identity {
    /// How the caller can show who they are: with a factor where there is one, otherwise with the password.
    pub async fn find_confirmation(&self, ctx: &Ctx) -> Result<OpenConfirmation, IdentityError> {
        let (id, account) = (Self::own_session(ctx)?, self.my_account(ctx).await?);
        let (read, user, now) = (self.inner.kit.db.read(), account.user.id, ctx.now());
        let live = self.own_live(id).await?;
        let methods = self.confirming(user).await?;
        let open = store::factors::challenges::find_challenge(read, &self.confirmation_hash(id), now).await?;
        let (sent, sent_at) = open.map_or((None, None), |open| (open.sent_by, Some(open.code_sent_at)));
        Ok(OpenConfirmation {
            password: methods.is_empty() && account.password_hash.is_some(),
            providers: if methods.is_empty() && account.password_hash.is_none() {
                self.connected_providers(user).await?
            } else {
                Vec::new()
            },
            methods,
            proven_at: live.proven_at(),
            address: hint(account.user.email.as_str()),
            phone: self.phone_of(read, user).await?.as_ref().map(phone::hint),
            sent,
            resend_in: sent_at.map(|at| at.plus(RESEND).since(now)).unwrap_or_default(),
        })
    }

    /// Sends a code for it; an earlier one is void.
    pub async fn send_confirmation(&self, ctx: &Ctx, method: Method) -> Result<(), IdentityError> {
        let (id, account) = (Self::own_session(ctx)?, self.my_account(ctx).await?);
        let user = account.user.id;
        if !self.confirming(user).await?.contains(&method) {
            return Err(IdentityError::FactorUnavailable);
        }
        let way = match method {
            Method::Email => Way::Email,
            Method::Sms => Way::Sms(self.phone_of(self.inner.kit.db.read(), user).await?.ok_or(IdentityError::FactorUnavailable)?),
            Method::Totp | Method::Passkey | Method::Recovery => return Err(IdentityError::FactorUnavailable),
        };
        let hash = self.confirmation_hash(id);
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        self.ask(ctx, &tx, &hash, Purpose::Confirm, &account, &way).await?;
        Ok(tx.commit().await?)
    }

    /// What a browser needs to do it with a passkey.
    pub async fn confirmation_options(&self, ctx: &Ctx) -> Result<RequestOptions, IdentityError> {
        let (id, user) = (Self::own_session(ctx)?, ctx.user()?.user_id);
        self.options_of(ctx, user, passkey::Purpose::Confirm(&id.to_string())).await
    }

    /// Takes it: from now on the session counts as fresh. A browser gets another cookie for the same session, so that nothing
    /// remembers when the one before was proven; the next access token says it too.
    pub async fn confirm(&self, ctx: &Ctx, proof: &Proof) -> Result<Option<SessionCookie>, IdentityError> {
        let (id, account) = (Self::own_session(ctx)?, self.my_account(ctx).await?);
        let (user, now) = (account.user.id, ctx.now());
        let live = self.own_live(id).await?;
        let methods = self.confirming(user).await?;
        let keys = if methods.is_empty() {
            // Counts like signing in.
            self.confirm_password(ctx, &account.user.email, &proof.password).await?;
            None
        } else {
            Some(self.may_answer(ctx, &account).await?)
        };
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        if let Some(keys) = &keys {
            if !self.proves(ctx, &tx, &account, id, proof).await? {
                self.count_wrong(ctx, &tx, &account, keys).await?;
                tx.commit().await?;
                return Err(IdentityError::BadCode);
            }
            store::throttles::clear(&tx, std::slice::from_ref(&keys.from_network)).await?;
        } else if !store::factors::list_factors(&tx, user).await?.is_empty() {
            // One has come into force while the password was being checked.
            return Err(IdentityError::Busy);
        }
        let cookie = (ctx.user()?.credential == CredentialKind::SessionCookie).then(|| Secret::new(baluarte_secrets::random_token()));
        let hash = cookie.as_ref().map(|value| self.cookie_hash(value.expose()));
        if !store::sessions::confirm(&tx, id, user, hash, now).await? {
            return Err(IdentityError::SessionNotFound);
        }
        let entry = Entry::new(&actions::SESSION_CONFIRMED, "session").of(id).detail("second_factor", keys.is_some());
        self.record(ctx, &tx, &account, entry);
        tx.commit().await?;
        tracing::info!(target: "identity", user_id = %user, session_id = %id, "showed again who they are");
        Ok(cookie.map(|value| SessionCookie { value, max_age: live.session.expires_at.since(now) }))
    }

    async fn proves(&self, ctx: &Ctx, tx: &Tx, account: &Account, id: SessionId, proof: &Proof) -> Result<bool, IdentityError> {
        let (user, now, code) = (account.user.id, ctx.now(), &proof.code);
        match proof.method {
            Some(Method::Totp) => self.takes_totp(tx, user, code, now).await,
            Some(Method::Recovery) => self.takes_recovery(ctx, tx, account, code).await,
            Some(Method::Passkey) => match &proof.assertion {
                Some(assertion) => self.takes_passkey(ctx, tx, account, assertion, passkey::Purpose::Confirm(&id.to_string())).await,
                None => Ok(false),
            },
            Some(method @ (Method::Email | Method::Sms)) => {
                let (hash, kind) = (self.confirmation_hash(id), method.kind().unwrap_or(FactorKind::Email));
                let Some(challenge) = store::factors::challenges::spend_try(tx, &hash, now).await? else { return Ok(false) };
                Ok(self.is_sent_code(&challenge, &hash, kind, code)
                    && store::factors::challenges::remove(tx, &hash).await?
                    && store::factors::mark_used(tx, user, kind, now).await?)
            }
            None => Ok(false),
        }
    }

    /// For actions that a stolen session and a known password shall not be enough for: where there is a factor, it has to have been
    /// proven lately.
    pub(in crate::service) async fn require_fresh_factor(&self, ctx: &Ctx, user: UserId) -> Result<(), IdentityError> {
        let has_factor = !store::factors::list_factors(self.inner.kit.db.read(), user).await?.is_empty();
        if !has_factor || self.is_fresh(ctx, true).await? { Ok(()) } else { Err(IdentityError::ConfirmationNeeded) }
    }

    /// The same whether or not there is a factor: then with the password, or by having signed in a moment ago.
    pub(in crate::service) async fn require_fresh_proof(&self, ctx: &Ctx, user: UserId) -> Result<(), IdentityError> {
        let has_factor = !store::factors::list_factors(self.inner.kit.db.read(), user).await?.is_empty();
        if self.is_fresh(ctx, has_factor).await? { Ok(()) } else { Err(IdentityError::ConfirmationNeeded) }
    }

    async fn confirming(&self, user: UserId) -> Result<Vec<Method>, IdentityError> {
        let kinds = self.kinds(user).await?;
        // What is in force and cannot be asked for right now still is a factor: then the password is not enough either.
        let (methods, _) = self.ways(Purpose::SignIn, user, &kinds).await?;
        Ok(if kinds.is_empty() {
            Vec::new()
        } else if methods.is_empty() {
            vec![Method::Recovery]
        } else {
            methods
        })
    }

    fn own_session(ctx: &Ctx) -> Result<SessionId, IdentityError> {
        ctx.user()?.session_id.ok_or(IdentityError::SessionNotFound)
    }

    pub(in crate::service) async fn own_live(&self, id: SessionId) -> Result<Live, IdentityError> {
        store::sessions::find_by_id(self.inner.kit.db.read(), id).await?.ok_or(IdentityError::SessionNotFound)
    }

    /// There is one question of this kind for each session, which takes the session to answer.
    fn confirmation_hash(&self, id: SessionId) -> String {
        hex::encode(self.inner.kit.secrets.keyed_hash("identity.confirmation", id.to_string().as_bytes()))
    }
}
