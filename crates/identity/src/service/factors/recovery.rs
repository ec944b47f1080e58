//! Codes on paper.

use baluarte_audit::Entry;
use baluarte_db::{DbError, Tx};
use baluarte_kernel::{Ctx, Secret, Timestamp, UserId};

use super::Identity;
use crate::{
    IdentityError, actions,
    factors::{Reauthentication, RecoveryCode},
    store,
};

impl Identity {
    /// New recovery codes; earlier ones are void. Only where there is a factor that they stand in for.
    pub async fn replace_recovery_codes(&self, ctx: &Ctx, shown: &Reauthentication) -> Result<Vec<Secret>, IdentityError> {
        let account = self.reauthenticate(ctx, shown).await?;
        let (user, now) = (account.user.id, ctx.now());
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        if store::factors::list_factors(&tx, user).await?.is_empty() {
            return Err(IdentityError::FactorNotFound);
        }
        let codes = self.renew_recovery(&tx, user, now).await?;
        self.inner.kit.notify.send(ctx, &tx, self.factor_mails().recovery_renewed(&account.user, ctx.client_ip(), now)).await?;
        self.record(ctx, &tx, &account, Entry::new(&actions::RECOVERY_REPLACED, "user").of(user));
        tx.commit().await?;
        Ok(codes)
    }

    pub(super) async fn renew_recovery(&self, tx: &Tx, user: UserId, now: Timestamp) -> Result<Vec<Secret>, DbError> {
        let codes = RecoveryCode::sheet();
        let hashes: Vec<String> = codes.iter().map(|code| self.recovery_hash(user, code)).collect();
        store::factors::recovery::replace(tx, user, &hashes, now).await?;
        Ok(codes)
    }
}
