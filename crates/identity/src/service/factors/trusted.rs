//! Browsers that are asked for no factor for a while.

use baluarte_audit::Entry;
use baluarte_db::{DbError, Tx};
use baluarte_kernel::{Ctx, Secret};
use http::HeaderValue;

use super::Identity;
use crate::{
    IdentityError, SessionCookie, actions,
    factors::{TrustedDevice, TrustedDeviceId},
    service::sign_in::printable,
    store::{self, factors::trusted::NewTrusted, users::Account},
};

impl Identity {
    /// The caller's trusted devices, the one used last first.
    pub async fn list_trusted_devices(&self, ctx: &Ctx) -> Result<Vec<TrustedDevice>, IdentityError> {
        let user = ctx.user()?.user_id;
        Ok(store::factors::trusted::list_trusted(self.inner.kit.db.read(), user, ctx.now()).await?)
    }

    /// It is asked for a factor again at its next sign-in.
    pub async fn forget_trusted_device(&self, ctx: &Ctx, id: TrustedDeviceId) -> Result<(), IdentityError> {
        let user = ctx.user()?.user_id;
        let tx = self.inner.kit.db.begin().await?;
        if !store::factors::trusted::delete_trusted(&tx, id, user).await? {
            return Err(IdentityError::TrustedDeviceNotFound);
        }
        self.inner.kit.audit.record(ctx, &tx, Entry::new(&actions::DEVICE_FORGOTTEN, "trusted_device").of(id));
        Ok(tx.commit().await?)
    }

    pub(super) async fn trust_device(&self, ctx: &Ctx, tx: &Tx, account: &Account) -> Result<SessionCookie, DbError> {
        let value = Secret::new(baluarte_secrets::random_token());
        let lifetime = self.inner.config.trusted_device_lifetime.get();
        let new = NewTrusted {
            token_hash: self.device_hash(&value),
            user_id: account.user.id,
            user_agent: ctx.user_agent.as_deref().map(printable),
            ip: ctx.client_ip().map(|ip| ip.to_canonical().to_string()),
            expires_at: ctx.now().plus(lifetime),
        };
        store::devices::remember(tx, account.user.id, &new.token_hash, ctx.now()).await?;
        let id = store::factors::trusted::insert_trusted(tx, new, ctx.now()).await?;
        self.record(ctx, tx, account, Entry::new(&actions::DEVICE_TRUSTED, "trusted_device").of(id));
        Ok(SessionCookie { value, max_age: lifetime })
    }

    pub(in crate::service) fn device_hash(&self, value: &Secret) -> String {
        hex::encode(self.inner.kit.secrets.keyed_hash("identity.trusted_device", value.expose().as_bytes()))
    }

    /// `__Host-baluarte-device`, or `baluarte-device` where the public URL is plain http.
    pub fn device_cookie_name(&self) -> &'static str {
        if self.inner.kit.secure_cookies { "__Host-baluarte-device" } else { "baluarte-device" }
    }

    /// `Set-Cookie` for a browser that is trusted.
    pub fn device_cookie(&self, cookie: &SessionCookie) -> HeaderValue {
        self.own_cookie(self.device_cookie_name(), cookie.value.expose(), cookie.max_age.as_secs())
    }

    /// `__Host-baluarte-step`: which attempt to sign in a browser's pages go on with.
    pub(crate) fn step_cookie_name(&self) -> &'static str {
        if self.inner.kit.secure_cookies { "__Host-baluarte-step" } else { "baluarte-step" }
    }

    pub(crate) fn step_cookie(&self, mfa_token: &Secret, seconds: u64) -> HeaderValue {
        self.own_cookie(self.step_cookie_name(), mfa_token.expose(), seconds)
    }

    pub(crate) fn forget_step_cookie(&self) -> HeaderValue {
        self.own_cookie(self.step_cookie_name(), "", 0)
    }
}
