//! What people do with their own account, and whom they can reach.

use baluarte_kernel::{Ctx, Event, Page, PageQuery, Secret, scope};

use super::{Identity, operator::keep_leading};
use crate::{
    EmailVerification, IdentityError, Person, ProfileChange, User, UserId, actions,
    permissions::{Permission, Rank},
    revocations::{Revocation, Subject},
    store,
};

impl Identity {
    pub async fn find_me(&self, ctx: &Ctx) -> Result<User, IdentityError> {
        let id = ctx.user_with(scope::PROFILE)?.user_id;
        let found = store::users::find_user(self.inner.kit.db.read(), id).await?;
        Ok(found.ok_or(IdentityError::UserNotFound(id))?.user)
    }

    pub async fn update_profile(&self, ctx: &Ctx, change: ProfileChange) -> Result<User, IdentityError> {
        let id = ctx.user()?.user_id;
        let tx = self.inner.kit.db.begin().await?;
        let account = store::users::update_profile(&tx, id, &change).await?.ok_or(IdentityError::UserNotFound(id))?;
        self.record_user(ctx, &tx, &actions::PROFILE_UPDATED, id);
        tx.commit().await?;
        Ok(account.user)
    }

    /// Removes the caller's account and everything identity knows of it.
    pub async fn delete_me(&self, ctx: &Ctx, password: &Secret) -> Result<(), IdentityError> {
        let account = self.my_account(ctx).await?;
        self.require_fresh_factor(ctx, account.user.id).await?;
        // Whoever has no password has shown a moment ago that it is them.
        let account = match account.password_hash {
            Some(_) => self.confirm_password(ctx, &account.user.email, password).await?,
            None => self.require_proof(ctx).await?,
        };
        self.delete_account(ctx, account.user.id, Rank::HIGHEST).await
    }

    /// The same with somebody else's account, without their password.
    pub async fn delete_user(&self, ctx: &Ctx, id: UserId) -> Result<(), IdentityError> {
        let rank = Self::permit(ctx, Permission::Delete)?;
        self.require_fresh(ctx).await?;
        self.delete_account(ctx, id, rank).await
    }

    /// `rank`: how high the one ranks who does it.
    async fn delete_account(&self, ctx: &Ctx, id: UserId, rank: Rank) -> Result<(), IdentityError> {
        let tx = self.inner.kit.db.begin().await?;
        let leaders = store::users::lock_leaders(&self.inner.kit.db, &tx).await?;
        store::factors::lock_user(&tx, id).await?;
        let account = store::users::find_user(&tx, id).await?.ok_or(IdentityError::UserNotFound(id))?;
        if account.user.role.rank() > rank {
            return Err(IdentityError::Outranked);
        }
        keep_leading(&leaders, id, None)?;
        store::invitations::forget(&tx, id, &account.user.email).await?;
        // Sessions, links and places go with the row.
        store::users::delete_user(&tx, id).await?;
        let revoked = self.revoke(&tx, Subject::User(id), Revocation::EVERY, ctx.now()).await?;
        self.record_user(ctx, &tx, &actions::USER_DELETED, id);
        self.inner.kit.audit.erase_person(ctx, &tx, id);
        self.publish(ctx, &tx, Event::UserDeleted { user_id: id }).await?;
        tx.commit().await?;
        self.announce(vec![revoked]);
        tracing::info!(target: "identity", user_id = %id, "deleted the account");
        Ok(())
    }

    /// People whose name has a word that begins with `query`; without addresses.
    pub async fn list_people(&self, ctx: &Ctx, query: &str, page: &PageQuery) -> Result<Page<Person>, IdentityError> {
        ctx.user()?;
        let verified_only = self.inner.config.email_verification == EmailVerification::Required;
        let read = self.inner.kit.db.read();
        Ok(store::users::list_people(read, query, verified_only, page.cursor.as_ref(), page.limit()).await?)
    }
}
