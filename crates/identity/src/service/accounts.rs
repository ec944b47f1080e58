//! Registering, confirming an address, and what people do with their own account.

use baluarte_db::{DbError, Tx};
use baluarte_kernel::{Ctx, Page, PageQuery, Secret, Timestamp};
use serde::{Deserialize, Serialize};

use super::Identity;
use crate::{
    Email, EmailVerification, IdentityError, NewUser, Person, ProfileChange, Registered, Registration, Role, User, UserId, password,
    revocations::{Revocation, Subject},
    store::{
        self,
        links::{NewLink, Purpose},
        users::{Account, NewRow},
    },
    throttle::{self, HOUR, MAILS_PER_HOUR},
};

/// What a registration asked for; takes effect with the link that was sent for it and not before, so that registering
/// somebody else's address sets no password for them.
#[derive(Serialize, Deserialize)]
struct Wanted {
    name: String,
    password_hash: String,
}

impl Identity {
    /// Creates an account, or asks its owner to confirm the address first.
    pub async fn register_user(&self, ctx: &Ctx, new: NewUser) -> Result<Registered, IdentityError> {
        match self.inner.config.registration {
            Registration::Open => {}
            Registration::Invite => return Err(IdentityError::InvitationNeeded),
            Registration::Closed => return Err(IdentityError::RegistrationClosed),
        }
        password::check(&new.password, &new.email, &new.name)?;
        // Before looking, so that an address that is taken costs as much as one that is free.
        let hash = self.inner.passwords.hash(&new.password).await?;
        match self.inner.config.email_verification {
            EmailVerification::Off => self.create_at_once(ctx, &new, hash).await.map(Registered::Created),
            EmailVerification::Required => self.ask_to_confirm(ctx, &new, hash).await.map(|()| Registered::CheckYourMail),
        }
    }

    async fn create_at_once(&self, ctx: &Ctx, new: &NewUser, hash: String) -> Result<User, IdentityError> {
        let tx = self.inner.kit.db.begin().await?;
        let account = insert(&tx, ctx, new, hash).await.map_err(taken)?;
        tx.commit().await?;
        tracing::info!(target: "identity", user_id = %account.user.id, "registered");
        Ok(account.user)
    }

    /// One mail in either case; only its reader learns whether there was an account.
    async fn ask_to_confirm(&self, ctx: &Ctx, new: &NewUser, hash: String) -> Result<(), IdentityError> {
        // Twice at most: whoever loses a race for the address finds the winner's account.
        for _ in 0..2 {
            let tx = self.inner.kit.db.begin().await?;
            let account = match store::users::find_user_by_email(&tx, &new.email).await? {
                Some(account) => account,
                None => match insert(&tx, ctx, new, hash.clone()).await {
                    Ok(account) => {
                        tracing::info!(target: "identity", user_id = %account.user.id, "registered, to be confirmed");
                        account
                    }
                    Err(err) if err.is_unique("users", &["email"]) => continue,
                    Err(err) => return Err(err.into()),
                },
            };
            if self.may_mail(&tx, "register", &account.user.email, ctx.now()).await? {
                let mail = if account.user.email_verified_at.is_some() {
                    self.inner.mails.already_registered(&account.user, ctx.now())
                } else {
                    let wanted = Wanted { name: new.name.to_string(), password_hash: hash.clone() };
                    let token = self.verification_link(&tx, &account, &wanted, ctx.now()).await?;
                    self.inner.mails.verify_email(&account.user, ctx.locale, &token, self.inner.config.verification_lifetime, ctx.now())
                };
                self.inner.kit.notify.send(ctx, &tx, mail).await?;
            }
            tx.commit().await?;
            return Ok(());
        }
        Err(IdentityError::EmailTaken)
    }

    /// Takes the token of a confirmation mail.
    pub async fn verify_email(&self, ctx: &Ctx, token: &Secret) -> Result<(), IdentityError> {
        let now = ctx.now();
        let tx = self.inner.kit.db.begin().await?;
        let link = store::links::take_link(&tx, &self.link_hash(token), Purpose::VerifyEmail, now).await?;
        let link = link.ok_or(IdentityError::LinkInvalid)?;
        let wanted: Wanted =
            link.payload.and_then(|payload| serde_json::from_str(&payload).ok()).ok_or(DbError::Corrupt("links.payload"))?;
        let name = wanted.name.parse().map_err(|_| DbError::Corrupt("links.payload"))?;
        if !store::users::verify_email(&tx, link.user_id, &name, &wanted.password_hash, now).await? {
            return Err(IdentityError::LinkInvalid);
        }
        store::links::void_links(&tx, link.user_id, Purpose::VerifyEmail).await?;
        tx.commit().await?;
        tracing::info!(target: "identity", user_id = %link.user_id, "confirmed the address");
        Ok(())
    }

    /// Sends the confirmation again, after it has answered: the same way whether or not there is something to confirm.
    pub async fn resend_verification(&self, ctx: &Ctx, email: &str) -> Result<(), IdentityError> {
        let Ok(email) = email.parse::<Email>() else { return Ok(()) };
        let (identity, ctx) = (self.clone(), ctx.clone());
        self.afterwards("a confirmation", async move { identity.mail_verification(&ctx, &email).await })
    }

    async fn mail_verification(&self, ctx: &Ctx, email: &Email) -> Result<(), IdentityError> {
        let tx = self.inner.kit.db.begin().await?;
        let Some(account) = store::users::find_user_by_email(&tx, email).await? else { return Ok(()) };
        let (None, None, Some(hash)) = (account.user.email_verified_at, account.user.disabled_at, &account.password_hash) else {
            return Ok(());
        };
        if self.may_mail(&tx, "register", email, ctx.now()).await? {
            let wanted = Wanted { name: account.user.name.to_string(), password_hash: hash.clone() };
            let token = self.verification_link(&tx, &account, &wanted, ctx.now()).await?;
            let lifetime = self.inner.config.verification_lifetime;
            let mail = self.inner.mails.verify_email(&account.user, account.user.locale, &token, lifetime, ctx.now());
            self.inner.kit.notify.send(ctx, &tx, mail).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn verification_link(&self, tx: &Tx, account: &Account, wanted: &Wanted, now: Timestamp) -> Result<Secret, IdentityError> {
        let token = Secret::new(baluarte_secrets::random_token());
        let link = NewLink {
            token_hash: self.link_hash(&token),
            user_id: account.user.id,
            purpose: Purpose::VerifyEmail,
            bound_to: account.password_changed_at,
            payload: serde_json::to_string(wanted).ok(),
            expires_at: now.plus(self.inner.config.verification_lifetime.get()),
        };
        store::links::insert_link(tx, link, now).await?;
        Ok(token)
    }

    /// Strangers cannot fill somebody's mailbox: so many an hour, and no word about it.
    pub(super) async fn may_mail(&self, tx: &Tx, kind: &str, address: &Email, now: Timestamp) -> Result<bool, DbError> {
        let key = throttle::mail_key(&self.inner.kit.secrets, kind, address.as_str());
        Ok(store::throttles::count_in_window(tx, &key, now.plus(HOUR), now).await? <= MAILS_PER_HOUR)
    }

    /// Work that the caller does not wait for, so that its time tells nothing. Bounded: refuses when too much is under way.
    pub(super) fn afterwards(
        &self,
        what: &'static str,
        work: impl Future<Output = Result<(), IdentityError>> + Send + 'static,
    ) -> Result<(), IdentityError> {
        let place = self.inner.afterwards.clone().try_acquire_owned().map_err(|_| IdentityError::Busy)?;
        self.inner.kit.tasks.spawn(async move {
            if let Err(err) = work.await {
                let cause = std::error::Error::source(&err).map(ToString::to_string);
                tracing::error!(target: "identity", error = %err, cause, "{what} could not be mailed");
            }
            drop(place);
        });
        Ok(())
    }

    pub async fn find_me(&self, ctx: &Ctx) -> Result<User, IdentityError> {
        Ok(self.my_account(ctx).await?.user)
    }

    pub async fn update_profile(&self, ctx: &Ctx, change: ProfileChange) -> Result<User, IdentityError> {
        let id = ctx.user()?.user_id;
        let tx = self.inner.kit.db.begin().await?;
        let account = store::users::update_profile(&tx, id, &change).await?.ok_or(IdentityError::UserNotFound(id))?;
        tx.commit().await?;
        Ok(account.user)
    }

    /// Removes the caller's account and everything identity knows of it.
    pub async fn delete_me(&self, ctx: &Ctx, password: &Secret) -> Result<(), IdentityError> {
        let email = self.my_account(ctx).await?.user.email;
        let account = self.confirm_password(ctx, &email, password).await?;
        let id = account.user.id;
        let tx = self.inner.kit.db.begin().await?;
        if account.user.role.is_admin() && !store::users::has_other_admin(&self.inner.kit.db, &tx, id).await? {
            return Err(IdentityError::LastAdmin);
        }
        // Sessions, links and places go with the row.
        store::users::delete_user(&tx, id).await?;
        let revoked = self.revoke(&tx, Subject::User(id), Revocation::EVERY, ctx.now()).await?;
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

async fn insert(tx: &Tx, ctx: &Ctx, new: &NewUser, hash: String) -> Result<Account, DbError> {
    let row = NewRow {
        id: UserId::generate(),
        email: &new.email,
        name: &new.name,
        role: &Role::user(),
        locale: ctx.locale,
        password_hash: Some(hash),
        verified: false,
    };
    store::users::insert_user(tx, row, ctx.now()).await
}

pub(super) fn taken(err: DbError) -> IdentityError {
    if err.is_unique("users", &["email"]) { IdentityError::EmailTaken } else { err.into() }
}
