//! Taking factors away.

use baluarte_audit::Entry;
use baluarte_db::Tx;
use baluarte_kernel::{Ctx, Event};

use super::Identity;
use crate::{
    IdentityError, actions,
    factors::{FactorKind, MfaPolicy, Reauthentication},
    store::{self, users::Account},
};

impl Identity {
    /// The account's other sessions and its trusted devices end. The last factor takes the recovery codes with it, and stays
    /// where the role demands one.
    pub async fn remove_factor(&self, ctx: &Ctx, kind: FactorKind, shown: &Reauthentication) -> Result<(), IdentityError> {
        let before = self.list_factors(ctx).await?;
        if !before.has(kind) {
            return Err(IdentityError::FactorNotFound);
        }
        let account = self.reauthenticate(ctx, shown).await?;
        let (user, now) = (account.user.id, ctx.now());
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        if !store::factors::remove(&tx, user, kind).await? {
            return Err(IdentityError::FactorNotFound);
        }
        if kind == FactorKind::Passkey {
            store::factors::passkeys::delete_passkeys(&tx, user).await?;
        }
        self.without_factor(&tx, &account).await?;
        if kind == FactorKind::Passkey {
            self.require_way_in(&tx, user).await?;
        }
        let devices = store::factors::trusted::forget_trusted(&tx, user).await?;
        let ended = store::sessions::delete_sessions(&tx, user, Self::session_of(ctx)).await?;
        let revoked = self.revoke_sessions(&tx, &ended, now).await?;
        self.inner.kit.notify.send(ctx, &tx, self.factor_mails().removed(&account.user, kind, ctx.client_ip(), now)).await?;
        self.inner.kit.jobs.publish(ctx, &tx, Event::FactorRemoved { user_id: user, factor: kind.as_str().to_owned() }).await?;
        let entry = Entry::new(&actions::FACTOR_REMOVED, "user").of(user).detail("kind", kind.as_str()).detail("sessions", ended.len());
        self.record(ctx, &tx, &account, entry.detail("trusted_devices", devices));
        tx.commit().await?;
        self.announce(revoked);
        tracing::info!(target: "identity", user_id = %user, kind = kind.as_str(), "a second factor was removed");
        Ok(())
    }

    /// After a factor has gone: the last one takes the recovery codes with it, and may not go where the role demands one.
    pub(super) async fn without_factor(&self, tx: &Tx, account: &Account) -> Result<(), IdentityError> {
        if store::factors::list_factors(tx, account.user.id).await?.is_empty() {
            if self.policy_of(&account.user.role) == MfaPolicy::Required {
                return Err(IdentityError::FactorRequired);
            }
            store::factors::recovery::forget(tx, account.user.id).await?;
        }
        Ok(())
    }
}
