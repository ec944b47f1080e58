//! What administrators and the operator do with other people's accounts.

use baluarte_audit::{Entry, Shown};
use baluarte_kernel::{Ctx, Event, Page, PageQuery, Secret, UserKind};

use super::{
    Identity,
    registration::{registered, taken},
    sessions::valid,
};
use crate::{
    CreatedAccount, Email, IdentityError, NewAccount, Role, User, UserFilter, UserId, actions,
    revocations::Subject,
    store::{
        self,
        users::{Change, NewRow},
    },
};

impl Identity {
    /// Newest first.
    pub async fn list_users(&self, ctx: &Ctx, filter: &UserFilter, page: &PageQuery) -> Result<Page<User>, IdentityError> {
        ctx.require_admin()?;
        let after = page.cursor.as_ref().map(valid::<UserKind>).transpose()?;
        Ok(store::users::list_users(self.inner.kit.db.read(), filter, after, page.limit()).await?)
    }

    pub async fn find_user(&self, ctx: &Ctx, id: UserId) -> Result<User, IdentityError> {
        ctx.require_admin()?;
        let found = store::users::find_user(self.inner.kit.db.read(), id).await?;
        Ok(found.ok_or(IdentityError::UserNotFound(id))?.user)
    }

    pub async fn find_user_by_email(&self, ctx: &Ctx, email: &Email) -> Result<Option<User>, IdentityError> {
        ctx.require_admin()?;
        Ok(store::users::find_user_by_email(self.inner.kit.db.read(), email).await?.map(|account| account.user))
    }

    /// An account with a confirmed address, whatever the rules for registering. Without a password, with a link to choose one.
    pub async fn create_user(&self, ctx: &Ctx, new: NewAccount) -> Result<CreatedAccount, IdentityError> {
        ctx.require_admin()?;
        let password_hash = match &new.password {
            Some(password) => {
                self.inner.context.check(password, &new.email, &new.name)?;
                Some(self.inner.passwords.hash(password).await?)
            }
            None => None,
        };
        let now = ctx.now();
        let tx = self.inner.kit.db.begin().await?;
        let row = NewRow {
            id: UserId::generate(),
            email: &new.email,
            name: &new.name,
            role: &new.role,
            locale: ctx.locale,
            password_hash,
            verified: true,
        };
        let account = store::users::insert_user(&tx, row, now).await.map_err(taken)?;
        let set_password_url = match new.password {
            Some(_) => None,
            None => {
                let expires_at = now.plus(self.inner.config.verification_lifetime.get());
                let token = self.choose_password_link(&tx, &account, expires_at, now).await?;
                Some(Secret::new(self.inner.mails.reset_url(&token)))
            }
        };
        let entry = Entry::new(&actions::USER_CREATED, "user").of(account.user.id).detail("role", Shown(account.user.role.as_str()));
        self.inner.kit.audit.record(ctx, &tx, entry.personal("email", Shown(account.user.email.as_str())));
        self.publish(ctx, &tx, registered(&account.user)).await?;
        tx.commit().await?;
        tracing::info!(target: "identity", user_id = %account.user.id, role = %account.user.role, "created an account");
        Ok(CreatedAccount { user: account.user, set_password_url })
    }

    /// Ends all sessions; nobody can sign in to the account until it is enabled again.
    pub async fn disable_user(&self, ctx: &Ctx, id: UserId) -> Result<User, IdentityError> {
        self.change_user(ctx, id, Change::Disable).await
    }

    pub async fn enable_user(&self, ctx: &Ctx, id: UserId) -> Result<User, IdentityError> {
        self.change_user(ctx, id, Change::Enable).await
    }

    /// Access tokens with the old role stop working at once; sessions go on with the new one.
    pub async fn set_role(&self, ctx: &Ctx, id: UserId, role: Role) -> Result<User, IdentityError> {
        self.change_user(ctx, id, Change::Role(&role)).await
    }

    async fn change_user(&self, ctx: &Ctx, id: UserId, change: Change<'_>) -> Result<User, IdentityError> {
        ctx.require_admin()?;
        let now = ctx.now();
        let tx = self.inner.kit.db.begin().await?;
        let keeps_admin = match change {
            Change::Enable => true,
            Change::Role(role) => role.is_admin(),
            Change::Disable => false,
        };
        let before = store::users::find_user(&tx, id).await?.ok_or(IdentityError::UserNotFound(id))?;
        let was_admin = before.user.role.is_admin() && before.user.disabled_at.is_none();
        if was_admin && !keeps_admin && !store::users::has_other_admin(&self.inner.kit.db, &tx, id).await? {
            return Err(IdentityError::LastAdmin);
        }
        let account = store::users::change_user(&tx, id, change, now).await?.ok_or(IdentityError::UserNotFound(id))?;
        let entry = match change {
            Change::Disable => {
                let ended = store::sessions::delete_sessions(&tx, id, None).await?;
                store::factors::trusted::forget_trusted(&tx, id).await?;
                let keys = store::api_keys::delete_all(&tx, id).await?;
                Entry::new(&actions::USER_DISABLED, "user").detail("sessions", ended.len()).detail("api_keys", keys)
            }
            Change::Enable => Entry::new(&actions::USER_ENABLED, "user"),
            Change::Role(role) => Entry::new(&actions::ROLE_CHANGED, "user")
                .detail("from", Shown(before.user.role.as_str()))
                .detail("to", Shown(role.as_str())),
        };
        let revoked = self.revoke(&tx, Subject::User(id), account.epoch, now).await?;
        self.inner.kit.audit.record(ctx, &tx, entry.of(id));
        let event = match change {
            Change::Disable => Event::UserDisabled { user_id: id },
            Change::Enable => Event::UserEnabled { user_id: id },
            Change::Role(role) => Event::RoleChanged { user_id: id, role: role.to_string() },
        };
        self.publish(ctx, &tx, event).await?;
        tx.commit().await?;
        self.announce(vec![revoked]);
        let disabled = account.user.disabled_at.is_some();
        tracing::info!(target: "identity", user_id = %id, role = %account.user.role, disabled, "changed an account");
        Ok(account.user)
    }

    /// Signs somebody out everywhere.
    pub async fn end_sessions(&self, ctx: &Ctx, id: UserId) -> Result<(), IdentityError> {
        ctx.require_admin()?;
        let now = ctx.now();
        let tx = self.inner.kit.db.begin().await?;
        store::users::find_user(&tx, id).await?.ok_or(IdentityError::UserNotFound(id))?;
        let ended = store::sessions::delete_sessions(&tx, id, None).await?;
        store::factors::trusted::forget_trusted(&tx, id).await?;
        let revoked = self.revoke_sessions(&tx, &ended, now).await?;
        self.inner.kit.audit.record(ctx, &tx, Entry::new(&actions::SESSIONS_ENDED, "user").of(id).detail("sessions", ended.len()));
        self.publish(ctx, &tx, Event::SessionsRevoked { user_id: id }).await?;
        tx.commit().await?;
        self.announce(revoked);
        tracing::info!(target: "identity", user_id = %id, ended = ended.len(), "ended all sessions");
        Ok(())
    }
}
