//! Connecting an account elsewhere with the one here, and taking it away again.

use std::time::Duration;

use baluarte_audit::{Entry, Shown as Displayed};
use baluarte_db::Tx;
use baluarte_kernel::{CredentialKind, Ctx, Secret, SessionId, UserId};

use super::Identity;
use crate::{
    IdentityError, SessionCookie, actions,
    factors::{FRESH, Reauthentication},
    oidc::{Claimed, Errand, Login, LoginError, LoginId, MAX_LOGINS, ProviderName, Shown},
    store::{self, logins::NewLogin, users::Account},
};

/// An account elsewhere that waits to be connected.
#[derive(Debug, Clone)]
pub struct ToConnect {
    pub title: String,
    pub label: String,
    /// Where they were going; look at it before using it.
    pub return_to: String,
}

/// How somebody can get in.
#[derive(Debug, Clone)]
pub struct WaysIn {
    pub password: bool,
    pub passkeys: bool,
    pub logins: Vec<Login>,
    /// What can be connected.
    pub providers: Vec<ProviderName>,
}

impl Identity {
    /// The caller's accounts elsewhere and whatever else lets them in.
    pub async fn find_ways_in(&self, ctx: &Ctx) -> Result<WaysIn, IdentityError> {
        let account = self.my_account(ctx).await?;
        let (read, user) = (self.inner.kit.db.read(), account.user.id);
        Ok(WaysIn {
            password: account.password_hash.is_some(),
            passkeys: !store::factors::passkeys::list_passkeys(read, user).await?.is_empty(),
            logins: self.list_logins(ctx).await?,
            providers: self.providers(),
        })
    }

    /// The caller's connected accounts, the oldest first.
    pub async fn list_logins(&self, ctx: &Ctx) -> Result<Vec<Login>, IdentityError> {
        let user = ctx.user()?.user_id;
        let found = store::logins::list_logins(self.inner.kit.db.read(), user).await?;
        let login = |stored: store::logins::Stored| {
            let known = self.inner.providers.find(&stored.provider).ok();
            Login {
                id: stored.id,
                title: known.map_or_else(|| stored.provider.clone(), |provider| provider.title.clone()),
                usable: known.is_some(),
                provider: stored.provider,
                label: stored.label,
                created_at: stored.created_at,
                last_used_at: stored.last_used_at,
            }
        };
        Ok(found.into_iter().map(login).collect())
    }

    /// What the caller would be sent to a provider for, in this session.
    pub async fn connecting(&self, ctx: &Ctx) -> Result<Errand, IdentityError> {
        self.require_proof(ctx).await?;
        let principal = ctx.user()?;
        Ok(Errand::Connect(principal.user_id, principal.session_id.ok_or(IdentityError::SessionNotFound)?))
    }

    /// The same to show that it is still them.
    pub fn confirming_by_login(&self, ctx: &Ctx) -> Result<Errand, IdentityError> {
        let principal = ctx.user()?;
        Ok(Errand::Confirm(principal.user_id, principal.session_id.ok_or(IdentityError::SessionNotFound)?))
    }

    /// The account elsewhere that waits in this browser for the caller.
    pub async fn find_waiting_login(&self, ctx: &Ctx, sealed: &Secret) -> Result<ToConnect, IdentityError> {
        let shown = self.open_waiting(ctx, sealed)?;
        self.require_proof(ctx).await?;
        let title = self.inner.providers.find(&shown.provider)?.title.clone();
        Ok(ToConnect { title, label: shown.label, return_to: shown.return_to })
    }

    /// What waits, for somebody who is not signed in yet.
    pub fn peek_waiting_login(&self, ctx: &Ctx, sealed: &Secret) -> Result<ToConnect, IdentityError> {
        let shown = Shown::open(&self.inner.kit.secrets, sealed, ctx.now()).ok_or(LoginError::Over)?;
        let title = self.inner.providers.find(&shown.provider)?.title.clone();
        Ok(ToConnect { title, label: shown.label, return_to: shown.return_to })
    }

    fn open_waiting(&self, ctx: &Ctx, sealed: &Secret) -> Result<Shown, IdentityError> {
        let user = ctx.user()?.user_id;
        let shown = Shown::open(&self.inner.kit.secrets, sealed, ctx.now()).ok_or(LoginError::Over)?;
        if shown.user.is_some_and(|only| only != user) { Err(LoginError::Over.into()) } else { Ok(shown) }
    }

    /// Connects it: from now on it signs the caller in. They are told by mail.
    pub async fn connect_login(&self, ctx: &Ctx, sealed: &Secret) -> Result<ToConnect, IdentityError> {
        let shown = self.open_waiting(ctx, sealed)?;
        self.require_proof(ctx).await?;
        let account = self.my_account(ctx).await?;
        let (user, now) = (account.user.id, ctx.now());
        let title = self.inner.providers.find(&shown.provider)?.title.clone();
        let done = ToConnect { title: title.clone(), label: shown.label.clone(), return_to: shown.return_to };
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        if store::logins::list_logins(&tx, user).await?.len() >= MAX_LOGINS {
            return Err(LoginError::TooMany.into());
        }
        let new =
            NewLogin { user_id: user, provider: &shown.provider, issuer: &shown.issuer, subject: &shown.subject, label: &shown.label };
        let Some(login) = store::logins::insert_login(&tx, new, now).await? else {
            let found = store::logins::find_login(&tx, &shown.issuer, &shown.subject).await?;
            // Pressed twice.
            return if found.is_some_and(|found| found.user_id == user) { Ok(done) } else { Err(LoginError::Taken.into()) };
        };
        let mail = self.login_mails().connected(&account.user, &title, &shown.label, ctx.client_ip(), now);
        self.inner.kit.notify.send(ctx, &tx, mail).await?;
        let entry = Entry::new(&actions::LOGIN_CONNECTED, "login").of(login).detail("provider", Displayed(&shown.provider));
        self.inner.kit.audit.record(ctx, &tx, entry.personal("account", Displayed(&shown.label)));
        tx.commit().await?;
        tracing::info!(target: "identity", user_id = %user, provider = shown.provider, "connected an account elsewhere");
        Ok(done)
    }

    /// The account's other sessions and its trusted devices end. Never the last way in.
    pub async fn disconnect_login(&self, ctx: &Ctx, id: LoginId, shown: &Reauthentication) -> Result<(), IdentityError> {
        let found = self.list_logins(ctx).await?.into_iter().find(|login| login.id == id).ok_or(LoginError::NotFound)?;
        let account = self.reauthenticate(ctx, shown).await?;
        let (user, now) = (account.user.id, ctx.now());
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        if !store::logins::delete_login(&tx, id, user).await? {
            return Err(LoginError::NotFound.into());
        }
        self.require_way_in(&tx, user).await?;
        let devices = store::factors::trusted::forget_trusted(&tx, user).await?;
        let ended = store::sessions::delete_sessions(&tx, user, Self::session_of(ctx)).await?;
        let revoked = self.revoke_sessions(&tx, &ended, now).await?;
        let mail = self.login_mails().disconnected(&account.user, &found.title, &found.label, ctx.client_ip(), now);
        self.inner.kit.notify.send(ctx, &tx, mail).await?;
        let entry = Entry::new(&actions::LOGIN_DISCONNECTED, "login").of(id).detail("provider", Displayed(&found.provider));
        self.inner.kit.audit.record(ctx, &tx, entry.detail("sessions", ended.len()).detail("trusted_devices", devices));
        tx.commit().await?;
        self.announce(revoked);
        tracing::info!(target: "identity", user_id = %user, provider = found.provider, "disconnected an account elsewhere");
        Ok(())
    }

    /// With the person's row held: something is left that lets them in. Mail to their address does too, but addresses are lost.
    pub(in crate::service) async fn require_way_in(&self, tx: &Tx, user: UserId) -> Result<(), IdentityError> {
        let account = store::users::find_user(tx, user).await?.ok_or(IdentityError::UserNotFound(user))?;
        let passkeys = self.knows_passkeys() && !store::factors::passkeys::list_passkeys(tx, user).await?.is_empty();
        let logins = store::logins::list_logins(tx, user).await?;
        let usable = logins.iter().any(|login| self.inner.providers.find(&login.provider).is_ok());
        if account.password_hash.is_some() || passkeys || usable { Ok(()) } else { Err(LoginError::LastWayIn.into()) }
    }

    /// It was the caller a moment ago: signed in, or shown again; with the second factor where there is one.
    pub(in crate::service) async fn require_proof(&self, ctx: &Ctx) -> Result<Account, IdentityError> {
        self.reauthenticate(ctx, &Reauthentication::default()).await.map_err(|err| match err {
            IdentityError::ReauthenticationNeeded => IdentityError::ConfirmationNeeded,
            other => other,
        })
    }

    /// For somebody without a password and without a factor: the account elsewhere that lets them in shows that it is them.
    pub(super) async fn confirm_by_login(
        &self,
        ctx: &Ctx,
        claimed: &Claimed,
        (user, session): (UserId, SessionId),
    ) -> Result<Option<SessionCookie>, IdentityError> {
        let (principal, now) = (ctx.user()?, ctx.now());
        if principal.user_id != user || principal.session_id != Some(session) {
            return Err(LoginError::Over.into());
        }
        // Whoever is asked for a factor shows the factor.
        if !self.confirms_by_login(user).await? {
            return Err(IdentityError::FactorUnavailable);
        }
        // It was asked to make sure; one that says when says whether it did.
        if claimed.proven_at.is_some_and(|at| now.since(at) > FRESH + Duration::from_secs(120)) {
            return Err(LoginError::not_taken("it did not ask the person again (auth_time)").into());
        }
        let live = self.own_live(session).await?;
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        let found = store::logins::find_login(&tx, &claimed.issuer, &claimed.subject).await?.filter(|found| found.user_id == user);
        let found = found.ok_or(LoginError::NotFound)?;
        store::logins::use_login(&tx, found.id, &claimed.label, now).await?;
        let cookie = (principal.credential == CredentialKind::SessionCookie).then(|| Secret::new(baluarte_secrets::random_token()));
        let hash = cookie.as_ref().map(|value| self.cookie_hash(value.expose()));
        if !store::sessions::confirm(&tx, session, user, hash, now).await? {
            return Err(IdentityError::SessionNotFound);
        }
        let entry = Entry::new(&actions::SESSION_CONFIRMED, "session").of(session).detail("second_factor", false);
        self.inner.kit.audit.record(ctx, &tx, entry.detail("provider", Displayed(&found.provider)));
        tx.commit().await?;
        tracing::info!(target: "identity", user_id = %user, session_id = %session, "showed again who they are with an account elsewhere");
        Ok(cookie.map(|value| SessionCookie { value, max_age: live.session.expires_at.since(now) }))
    }

    /// The providers that somebody can sign in with.
    pub(in crate::service) async fn connected_providers(&self, user: UserId) -> Result<Vec<ProviderName>, IdentityError> {
        let logins = store::logins::list_logins(self.inner.kit.db.read(), user).await?;
        Ok(self.providers().into_iter().filter(|provider| logins.iter().any(|login| login.provider == provider.name)).collect())
    }

    /// Whether that is how somebody shows again who they are: there is neither a password nor a factor.
    pub(in crate::service) async fn confirms_by_login(&self, user: UserId) -> Result<bool, IdentityError> {
        let read = self.inner.kit.db.read();
        let account = store::users::find_user(read, user).await?.ok_or(IdentityError::UserNotFound(user))?;
        Ok(account.password_hash.is_none() && store::factors::list_factors(read, user).await?.is_empty())
    }
}
