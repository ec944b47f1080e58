//! Registering and confirming an address.

use baluarte_audit::{Entry, Shown};
use baluarte_db::{DbError, Tx};
use baluarte_kernel::{Ctx, Event, Locale, Secret, Timestamp};
use baluarte_notify::Message;
use serde::{Deserialize, Serialize};

use super::Identity;
use crate::{
    Email, EmailVerification, IdentityError, NewUser, Registered, Registration, Role, User, UserId, actions,
    store::{
        self,
        links::{NewLink, Purpose},
        registrations::{RegistrationId, Waiting},
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

impl Wanted {
    /// What the account has already.
    fn own(account: &Account, password_hash: &str) -> Self {
        Self { name: account.user.name.to_string(), password_hash: password_hash.to_owned() }
    }
}

impl Identity {
    /// Creates an account, or asks its owner to confirm the address first.
    pub async fn register_user(&self, ctx: &Ctx, new: NewUser) -> Result<Registered, IdentityError> {
        match self.inner.config.registration {
            Registration::Open => {}
            Registration::Invite => return Err(IdentityError::InvitationNeeded),
            Registration::Closed => return Err(IdentityError::RegistrationClosed),
        }
        self.inner.context.check(&new.password, &new.email, &new.name)?;
        // Before looking, so that an address that is taken costs as much as one that is free.
        let password_hash = self.inner.passwords.hash(&new.password).await?;
        let new = Waiting { email: new.email, name: new.name, password_hash, locale: ctx.locale, role: Role::user() };
        let tx = self.inner.kit.db.begin().await?;
        match self.inner.config.email_verification {
            EmailVerification::Off => {
                let account = self.create_at_once(ctx, &tx, UserId::generate(), &new, false).await?;
                tx.commit().await?;
                tracing::info!(target: "identity", user_id = %account.user.id, "registered");
                Ok(Registered::Created(account.user))
            }
            EmailVerification::Required => self.ask_to_confirm(ctx, tx, &new).await.map(|()| Registered::CheckYourMail),
        }
    }

    pub(super) async fn create_at_once(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        id: UserId,
        new: &Waiting,
        proven: bool,
    ) -> Result<Account, IdentityError> {
        let account = insert(tx, id, new, proven, ctx.now()).await.map_err(taken)?;
        self.record_registration(ctx, tx, &account, false);
        self.publish(ctx, tx, registered(&account.user)).await?;
        Ok(account)
    }

    /// Writes down what was asked for and answers; whether there is an account already is looked up afterwards, so that
    /// neither the answer nor its time tells. What a crash interrupts is taken up again.
    pub(super) async fn ask_to_confirm(&self, ctx: &Ctx, tx: Tx, new: &Waiting) -> Result<(), IdentityError> {
        let id = RegistrationId::generate();
        store::registrations::insert_registration(&tx, id, new, ctx.now()).await?;
        tx.commit().await?;
        let (identity, ctx) = (self.clone(), ctx.clone());
        // When too much is under way it waits for the next look at what was left behind.
        self.afterwards("a confirmation", async move { identity.mail_confirmation(&ctx, id).await }).or(Ok(()))
    }

    /// Registrations that were answered and whose mail was not written: a crash, or too much at once.
    pub(super) async fn take_up_registrations(&self, ctx: &Ctx) -> Result<(), IdentityError> {
        for id in store::registrations::list_registrations(self.inner.kit.db.read()).await? {
            match self.mail_confirmation(ctx, id).await {
                Err(IdentityError::Storage(err @ DbError::Unavailable(_))) => return Err(err.into()),
                // One that cannot be read does not hold up the others.
                Err(err) => tracing::error!(target: "identity", error = %err, registration = %id, "a registration could not be mailed"),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// One mail in any case; only its reader learns whether there was an account.
    async fn mail_confirmation(&self, ctx: &Ctx, id: RegistrationId) -> Result<(), IdentityError> {
        // Twice at most: whoever loses a race for the address finds the winner's account.
        for _ in 0..2 {
            let now = ctx.now();
            let tx = self.inner.kit.db.begin().await?;
            let Some(new) = store::registrations::take_registration(&tx, id).await? else { return Ok(()) };
            let (account, known) = match store::users::find_user_by_email(&tx, &new.email).await? {
                Some(account) => (account, true),
                None => match insert(&tx, UserId::generate(), &new, false, now).await {
                    Ok(account) => {
                        self.publish(ctx, &tx, registered(&account.user)).await?;
                        tracing::info!(target: "identity", user_id = %account.user.id, "registered, to be confirmed");
                        (account, false)
                    }
                    Err(err) if err.is_unique("users", &["email"]) => continue,
                    Err(err) => return Err(err.into()),
                },
            };
            self.record_registration(ctx, &tx, &account, known);
            if self.may_mail(&tx, "register", &account.user.email, now).await? {
                let mail = match &account.password_hash {
                    _ if account.user.email_verified_at.is_some() => self.inner.mails.already_registered(&account.user, now),
                    // In use since before addresses had to be confirmed: whoever registers it again changes nothing.
                    Some(own) if known && account.user.last_sign_in_at.is_some() => {
                        self.confirmation(&tx, &account, new.locale, &Wanted::own(&account, own), now).await?
                    }
                    // Somebody else may have wanted it before, or wants it now, and nobody knows which of them reads the mail:
                    // neither one's password counts. The reader chooses another, which proves the address too.
                    _ if known => {
                        store::users::forget_password(&tx, account.user.id).await?;
                        store::links::void_links(&tx, account.user.id, Purpose::VerifyEmail).await?;
                        self.invitation_to_choose(&tx, &account, now).await?
                    }
                    _ => {
                        let wanted = Wanted { name: new.name.to_string(), password_hash: new.password_hash };
                        self.confirmation(&tx, &account, new.locale, &wanted, now).await?
                    }
                };
                self.inner.kit.notify.send(ctx, &tx, mail).await?;
            }
            return Ok(tx.commit().await?);
        }
        Ok(())
    }

    fn record_registration(&self, ctx: &Ctx, tx: &Tx, account: &Account, again: bool) {
        let action = if again { &actions::REGISTRATION_REPEATED } else { &actions::USER_REGISTERED };
        let entry = Entry::new(action, "user").of(account.user.id).personal("email", Shown(account.user.email.as_str()));
        // The first one is bounded by the accounts it makes, the other by nothing.
        if again { self.inner.kit.audit.record_bounded(ctx, tx, entry) } else { self.inner.kit.audit.record(ctx, tx, entry) }
    }

    /// Takes the token of a confirmation mail.
    pub async fn verify_email(&self, ctx: &Ctx, token: &Secret) -> Result<(), IdentityError> {
        let now = ctx.now();
        let tx = self.inner.kit.db.begin().await?;
        let link = store::links::take_link(&tx, &self.link_hash(token), Purpose::VerifyEmail, now).await?;
        let link = link.ok_or(IdentityError::LinkInvalid)?;
        let wanted: Wanted =
            link.payload.as_deref().and_then(|payload| serde_json::from_str(payload).ok()).ok_or(DbError::Corrupt("links.payload"))?;
        let name = wanted.name.parse().map_err(|_| DbError::Corrupt("links.payload"))?;
        if !store::users::verify_email(&tx, &link, &name, &wanted.password_hash, now).await? {
            return Err(IdentityError::LinkInvalid);
        }
        store::links::void_links(&tx, link.user_id, Purpose::VerifyEmail).await?;
        self.record_user(ctx, &tx, &actions::EMAIL_VERIFIED, link.user_id);
        let email = store::users::find_user(&tx, link.user_id).await?.ok_or(IdentityError::LinkInvalid)?.user.email.to_string();
        self.publish(ctx, &tx, Event::UserVerified { user_id: link.user_id, email }).await?;
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
        if account.user.email_verified_at.is_some() || account.user.disabled_at.is_some() {
            return Ok(());
        }
        if self.may_mail(&tx, "register", email, ctx.now()).await? {
            let now = ctx.now();
            let mail = match &account.password_hash {
                Some(own) => self.confirmation(&tx, &account, account.user.locale, &Wanted::own(&account, own), now).await?,
                // Registered more than once, see `mail_confirmation`.
                None => self.invitation_to_choose(&tx, &account, now).await?,
            };
            self.inner.kit.notify.send(ctx, &tx, mail).await?;
            self.record_user(ctx, &tx, &actions::VERIFICATION_MAILED, account.user.id);
        }
        tx.commit().await?;
        Ok(())
    }

    /// The mail whose link proves the address and lets what was wanted take effect.
    async fn confirmation(
        &self,
        tx: &Tx,
        account: &Account,
        locale: Locale,
        wanted: &Wanted,
        now: Timestamp,
    ) -> Result<Message, IdentityError> {
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
        Ok(self.inner.mails.verify_email(&account.user, locale, &token, self.inner.config.verification_lifetime, now))
    }

    /// The mail whose link proves the address by choosing a password.
    async fn invitation_to_choose(&self, tx: &Tx, account: &Account, now: Timestamp) -> Result<Message, IdentityError> {
        let lifetime = self.inner.config.reset_lifetime;
        let token = self.choose_password_link(tx, account, now.plus(lifetime.get()), now).await?;
        Ok(self.inner.mails.reset_password(&account.user, &token, lifetime, now))
    }

    /// Strangers cannot fill somebody's mailbox: so many an hour, and no word about it.
    pub(super) async fn may_mail(&self, tx: &Tx, kind: &str, address: &Email, now: Timestamp) -> Result<bool, DbError> {
        let key = throttle::mail_key(&self.inner.kit.secrets, kind, address.as_str());
        Ok(store::throttles::count_in_window(tx, &key, now.plus(HOUR), now).await? <= MAILS_PER_HOUR)
    }
}

pub(super) fn registered(user: &User) -> Event {
    Event::UserRegistered { user_id: user.id, email: user.email.to_string(), name: user.name.to_string() }
}

async fn insert(tx: &Tx, id: UserId, new: &Waiting, proven: bool, now: Timestamp) -> Result<Account, DbError> {
    let row = NewRow {
        id,
        email: &new.email,
        name: &new.name,
        role: &new.role,
        locale: new.locale,
        password_hash: Some(new.password_hash.clone()),
        verified: proven,
    };
    store::users::insert_user(tx, row, now).await
}

pub(super) fn taken(err: DbError) -> IdentityError {
    if err.is_unique("users", &["email"]) { IdentityError::EmailTaken } else { err.into() }
}
