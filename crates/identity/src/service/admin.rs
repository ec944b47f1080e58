//! What administrators and the operator do with other people's accounts.

use baluarte_audit::{Entry, Shown};
use baluarte_kernel::{Ctx, Page, PageQuery, Secret, UserKind};

use super::{
    Identity,
    registration::{registered, taken},
    sessions::valid,
};
use crate::{
    CreatedAccount, Email, IdentityError, NewAccount, User, UserFilter, UserId, actions,
    permissions::Permission,
    store::{self, users::NewRow},
};

/// Pages that are read at most to find accounts on a plan.
const PLAN_PAGES: usize = 10;

impl Identity {
    /// Newest first.
    pub async fn list_users(&self, ctx: &Ctx, filter: &UserFilter, page: &PageQuery) -> Result<Page<User>, IdentityError> {
        Self::permit(ctx, Permission::Look)?;
        let read = self.inner.kit.db.read();
        let after = page.cursor.as_ref().map(valid::<UserKind>).transpose()?;
        let mut found = store::users::list_users(read, filter, after, page.limit()).await?;
        let Some(plan) = &filter.plan else { return Ok(found) };
        // Who is on which plan is known in memory only: what is read is sifted, a bounded number of pages at a time.
        let mut users = Vec::new();
        for page_of in 1.. {
            users.extend(std::mem::take(&mut found.items).into_iter().filter(|user| *self.plan_of(user.id) == **plan));
            match &found.next_cursor {
                Some(next) if users.len() < page.limit() && page_of < PLAN_PAGES => {
                    found = store::users::list_users(read, filter, Some(next), page.limit()).await?;
                }
                Some(_) | None => break,
            }
        }
        // The cursor stands after the last account that was read, so nothing is left out and a page may be a little longer.
        Ok(Page { items: users, next_cursor: found.next_cursor })
    }

    pub async fn find_user(&self, ctx: &Ctx, id: UserId) -> Result<User, IdentityError> {
        Self::permit(ctx, Permission::Look)?;
        let found = store::users::find_user(self.inner.kit.db.read(), id).await?;
        Ok(found.ok_or(IdentityError::UserNotFound(id))?.user)
    }

    pub async fn find_user_by_email(&self, ctx: &Ctx, email: &Email) -> Result<Option<User>, IdentityError> {
        Self::permit(ctx, Permission::Look)?;
        Ok(store::users::find_user_by_email(self.inner.kit.db.read(), email).await?.map(|account| account.user))
    }

    /// An account with a confirmed address, whatever the rules for registering. Without a password, with a link to choose one.
    pub async fn create_user(&self, ctx: &Ctx, new: NewAccount) -> Result<CreatedAccount, IdentityError> {
        let rank = Self::permit(ctx, Permission::Create)?;
        if new.role.rank() > rank {
            return Err(IdentityError::Outranked);
        }
        self.require_fresh(ctx).await?;
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
}
