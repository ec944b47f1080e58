//! Signing in with an account elsewhere: sent there, coming back, connected, disconnected.

mod connect;
mod enter;

pub use self::{
    connect::{ToConnect, WaysIn},
    enter::{Arrived, Returned},
};

use baluarte_kernel::{Ctx, Secret};
use http::HeaderValue;

use super::Identity;
use crate::{
    IdentityError,
    factors::passkey::Challenges,
    oidc::{ATTEMPT, Attempt, Errand, LoginError, ProviderName, SLOTS, WAITING},
    store,
};

/// Where a browser is sent, and what it takes along.
#[derive(Debug)]
pub struct Departure {
    pub location: String,
    pub cookie: HeaderValue,
}

impl Identity {
    /// Whose accounts sign people in here.
    pub fn providers(&self) -> Vec<ProviderName> {
        self.inner.providers.names()
    }

    /// The names of the cookies that attempts travel in.
    pub fn attempt_cookies(&self) -> [String; SLOTS] {
        let prefix = if self.inner.kit.secure_cookies { "__Host-" } else { "" };
        std::array::from_fn(|slot| format!("{prefix}baluarte-login-{slot}"))
    }

    /// The cookie of an account elsewhere that waits to be connected.
    pub fn waiting_cookie(&self) -> &'static str {
        if self.inner.kit.secure_cookies { "__Host-baluarte-login-waits" } else { "baluarte-login-waits" }
    }

    /// The cookie of the attempt that a provider answers with `state`.
    pub(crate) fn attempt_cookie(&self, state: &str) -> Option<String> {
        Attempt::slot(state).map(|slot| self.attempt_cookies()[slot].clone())
    }

    pub(crate) fn forget_login_cookie(&self, name: &str) -> HeaderValue {
        self.own_cookie(name, "", 0)
    }

    /// Sends somebody to a provider. `used`: which of the browser's places for attempts are taken.
    pub async fn begin_login(
        &self,
        ctx: &Ctx,
        provider: &str,
        errand: Errand,
        return_to: &str,
        used: [bool; SLOTS],
    ) -> Result<Departure, IdentityError> {
        let provider = self.inner.providers.find(provider)?;
        // All taken: one of them makes room.
        let slot = used.iter().position(|used| !used).unwrap_or_else(|| usize::from(rand::random::<u8>()) % SLOTS);
        let attempt = Attempt::begin(&provider.name, slot, errand, return_to, ctx.now());
        let location = provider.authorize(&attempt, ctx.now()).await.inspect_err(|err| told(&provider.name, err))?;
        let sealed = attempt.seal(&self.inner.kit.secrets);
        let cookie = self.own_cookie(&self.attempt_cookies()[slot], sealed.expose(), ATTEMPT.as_secs());
        Ok(Departure { location, cookie })
    }

    /// Takes the attempt that `state` ends: the only time. Its cookie has done its work.
    async fn take_attempt(&self, ctx: &Ctx, provider: &str, state: &str, sealed: &Secret) -> Result<Attempt, IdentityError> {
        self.inner.providers.find(provider)?;
        let now = ctx.now();
        let attempt = Attempt::open(&self.inner.kit.secrets, sealed, provider, state, now).ok_or(LoginError::Over)?;
        let hash = Challenges(&self.inner.kit.secrets).hash(&attempt.state);
        let tx = self.inner.kit.db.begin().await?;
        if !store::factors::passkeys::take_challenge(&tx, &hash, now.plus(ATTEMPT)).await? {
            return Err(LoginError::Over.into());
        }
        tx.commit().await?;
        Ok(attempt)
    }

    fn waiting(&self, shown: &crate::oidc::Shown) -> HeaderValue {
        let sealed = shown.seal(&self.inner.kit.secrets);
        self.own_cookie(self.waiting_cookie(), sealed.expose(), WAITING.as_secs())
    }
}

/// What the operator has to know: the rest is between a person and their provider.
fn told(provider: &str, err: &LoginError) {
    match err {
        LoginError::Unreachable(_) | LoginError::NotTaken(_) => {
            tracing::warn!(target: "identity", provider, error = %err, "signing in with a provider fails");
        }
        other => tracing::info!(target: "identity", provider, error = %other, "signing in with a provider was not finished"),
    }
}
