//! Coming back from a provider.

use baluarte_audit::{Entry, Shown as Displayed};
use baluarte_kernel::{Ctx, Secret, UserId};
use http::HeaderValue;

use super::{Identity, told};
use crate::{
    Email, EmailVerification, IdentityError, Name, Registration, Role, SessionCookie, SessionKind, Welcome, actions,
    oidc::{Attempt, Claimed, Errand, LoginError, LoginId, ProviderAnswer, ProviderFactor, Shown},
    service::{factors::Standing, registration::registered, sign_in::Opening},
    store::{
        self,
        logins::NewLogin,
        users::{Account, NewRow},
    },
};

/// An attempt that has come to its end, one way or the other.
#[derive(Debug)]
pub struct Returned {
    /// As it was when they left; look at it before using it.
    pub return_to: String,
    pub title: String,
    pub what: Result<Arrived, IdentityError>,
}

/// What became of somebody who came back.
#[derive(Debug)]
pub enum Arrived {
    /// In, or at the second question.
    In(Box<Welcome>),
    /// The account there is not connected here, and its address has an account: nobody is let in before they have signed in to that.
    HasAccount(HeaderValue),
    /// The provider does not vouch for an address, so that no account can be made of it.
    NoAddress(HeaderValue),
    /// Somebody who is signed in is asked whether to connect it.
    ToConnect(HeaderValue),
    /// They have shown again who they are; the cookie of the same session.
    Confirmed(Option<SessionCookie>),
}

impl Identity {
    /// Takes what a provider sent back with the browser. [`LoginError::Over`] when there is no attempt that it belongs to.
    pub async fn end_login(
        &self,
        ctx: &Ctx,
        provider: &str,
        (state, sealed): (&str, &Secret),
        answer: &ProviderAnswer,
        device: Option<&Secret>,
    ) -> Result<Returned, IdentityError> {
        let attempt = self.take_attempt(ctx, provider, state, sealed).await?;
        let title = self.inner.providers.find(provider)?.title.clone();
        let what = match self.inner.providers.ask(&attempt, answer, ctx.now()).await {
            Ok(claimed) => self.arrive(ctx, &attempt, &claimed, device).await,
            Err(err) => {
                told(provider, &err);
                self.record_login_failure(ctx, provider, &err).await?;
                Err(err.into())
            }
        };
        Ok(Returned { return_to: attempt.return_to, title, what })
    }

    async fn arrive(&self, ctx: &Ctx, attempt: &Attempt, claimed: &Claimed, device: Option<&Secret>) -> Result<Arrived, IdentityError> {
        match attempt.errand {
            Errand::SignIn => self.enter(ctx, attempt, claimed, device).await,
            Errand::Connect(user, session) => {
                // Whoever is signed in now began it.
                let principal = ctx.user()?;
                if principal.user_id != user || principal.session_id != Some(session) {
                    return Err(LoginError::Over.into());
                }
                let shown = Shown::of(&attempt.provider, claimed, Some(user), &attempt.return_to, ctx.now());
                Ok(Arrived::ToConnect(self.waiting(&shown)))
            }
            Errand::Confirm(user, session) => self.confirm_by_login(ctx, claimed, (user, session)).await.map(Arrived::Confirmed),
        }
    }

    async fn enter(&self, ctx: &Ctx, attempt: &Attempt, claimed: &Claimed, device: Option<&Secret>) -> Result<Arrived, IdentityError> {
        // Twice at most: whoever loses a race for the address finds the winner's account.
        for _ in 0..2 {
            let read = self.inner.kit.db.read();
            if let Some(found) = store::logins::find_login(read, &claimed.issuer, &claimed.subject).await? {
                let account = store::users::find_user(read, found.user_id).await?.ok_or(LoginError::Over)?;
                let welcome = self.sign_in_by_login(ctx, &account, found.id, attempt, claimed, device).await?;
                return Ok(Arrived::In(Box::new(welcome)));
            }
            let shown = || self.waiting(&Shown::of(&attempt.provider, claimed, None, &attempt.return_to, ctx.now()));
            let Some(email) = claimed.email.as_ref().filter(|_| claimed.email_verified) else { return Ok(Arrived::NoAddress(shown())) };
            if store::users::find_user_by_email(read, email).await?.is_some() {
                return Ok(Arrived::HasAccount(shown()));
            }
            match self.inner.config.registration {
                Registration::Open => {}
                Registration::Invite => return Err(IdentityError::InvitationNeeded),
                Registration::Closed => return Err(IdentityError::RegistrationClosed),
            }
            if let Some((account, login)) = self.register_by_login(ctx, attempt, claimed, email).await? {
                let welcome = self.sign_in_by_login(ctx, &account, login, attempt, claimed, device).await?;
                return Ok(Arrived::In(Box::new(welcome)));
            }
        }
        Err(IdentityError::Busy)
    }

    /// An account without a password, its address proven. `None`: somebody was faster.
    async fn register_by_login(
        &self,
        ctx: &Ctx,
        attempt: &Attempt,
        claimed: &Claimed,
        email: &Email,
    ) -> Result<Option<(Account, LoginId)>, IdentityError> {
        let now = ctx.now();
        let local = || email.as_str().split('@').next().unwrap_or_default().parse::<Name>().ok();
        let name = claimed.name.clone().or_else(local).ok_or_else(|| LoginError::not_taken("it names nobody"))?;
        let row = NewRow {
            id: UserId::generate(),
            email,
            name: &name,
            role: &Role::user(),
            locale: ctx.locale,
            password_hash: None,
            verified: true,
        };
        let tx = self.inner.kit.db.begin().await?;
        let account = match store::users::insert_user(&tx, row, now).await {
            Ok(account) => account,
            Err(err) if err.is_unique("users", &["email"]) => return Ok(None),
            Err(err) => return Err(err.into()),
        };
        let new = NewLogin {
            user_id: account.user.id,
            provider: &attempt.provider,
            issuer: &claimed.issuer,
            subject: &claimed.subject,
            label: &claimed.label,
        };
        let Some(login) = store::logins::insert_login(&tx, new, now).await? else { return Ok(None) };
        let entry = Entry::new(&actions::USER_REGISTERED, "user").of(account.user.id).detail("provider", Displayed(&attempt.provider));
        self.inner.kit.audit.record(ctx, &tx, entry.personal("email", Displayed(account.user.email.as_str())));
        self.publish(ctx, &tx, registered(&account.user)).await?;
        tx.commit().await?;
        tracing::info!(target: "identity", user_id = %account.user.id, provider = attempt.provider, "registered with an account elsewhere");
        Ok(Some((account, login)))
    }

    async fn sign_in_by_login(
        &self,
        ctx: &Ctx,
        account: &Account,
        login: LoginId,
        attempt: &Attempt,
        claimed: &Claimed,
        device: Option<&Secret>,
    ) -> Result<Welcome, IdentityError> {
        if account.user.disabled_at.is_some() {
            self.record_refusal(ctx, account, "disabled").await?;
            return Err(IdentityError::AccountDisabled);
        }
        if self.inner.config.email_verification == EmailVerification::Required && account.user.email_verified_at.is_none() {
            self.record_refusal(ctx, account, "not_verified").await?;
            return Err(IdentityError::EmailNotVerified);
        }
        let (user, now) = (account.user.id, ctx.now());
        let stands_in = match self.inner.providers.find(&attempt.provider)?.config.second_factor {
            ProviderFactor::Own => false,
            ProviderFactor::Told => claimed.factor,
            ProviderFactor::Always => true,
        };
        let standing =
            if stands_in { Standing::Enough(Some(now)) } else { self.standing(ctx, account, SessionKind::Cookie, device).await? };
        let arrival = self.arrival_in(ctx, account, device).await?;
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        // Disconnected meanwhile: then it signs nobody in.
        if !store::logins::use_login(&tx, login, &claimed.label, now).await? {
            return Err(LoginError::Over.into());
        }
        let entry = Entry::new(&actions::LOGIN_USED, "login").of(login).by(user, None, account.user.email.as_str());
        self.inner.kit.audit.record(ctx, &tx, entry.detail("provider", Displayed(&attempt.provider)).detail("second_factor", stands_in));
        let factor_at = match standing {
            Standing::Enough(factor_at) => factor_at,
            Standing::Asked(step) => {
                tx.commit().await?;
                return Ok(Welcome::SecondStep(step));
            }
        };
        let opening = Opening { kind: SessionKind::Cookie, stronger_hash: None, factor_at };
        let (signed_in, revoked) = self.open_session(ctx, &tx, &arrival, account, opening).await.map_err(|err| match err {
            // The password was changed or the account disabled meanwhile.
            IdentityError::WrongCredentials => LoginError::Over.into(),
            other => other,
        })?;
        tx.commit().await?;
        self.announce(revoked);
        tracing::info!(target: "identity", user_id = %user, session_id = %signed_in.session_id, provider = attempt.provider, "signed in with an account elsewhere");
        Ok(Welcome::In(Box::new(signed_in)))
    }

    async fn record_login_failure(&self, ctx: &Ctx, provider: &str, err: &LoginError) -> Result<(), IdentityError> {
        let reason = match err {
            LoginError::Declined(_) => "declined",
            LoginError::Unreachable(_) => "unreachable",
            LoginError::NotTaken(_) => "not_taken",
            _ => "other",
        };
        let tx = self.inner.kit.db.begin().await?;
        let entry = Entry::new(&actions::LOGIN_FAILED, "provider").of(Displayed(provider)).failure().detail("reason", reason);
        self.inner.kit.audit.record_bounded(ctx, &tx, entry);
        Ok(tx.commit().await?)
    }
}
