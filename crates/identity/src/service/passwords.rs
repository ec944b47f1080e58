//! Choosing a new password: with the old one, or with a link from a mail.

use baluarte_audit::Entry;
use baluarte_db::Tx;
use baluarte_kernel::{Ctx, Event, Secret, Timestamp};

use super::Identity;
use crate::{
    Email, IdentityError, actions,
    store::{
        self,
        links::{NewLink, Purpose},
        users::Account,
    },
    throttle::{self, Keys},
};

impl Identity {
    /// Mails a link to choose a new password, after it has answered: the same way whether or not there is an account.
    pub async fn forgot_password(&self, ctx: &Ctx, email: &str) -> Result<(), IdentityError> {
        let Ok(email) = email.parse::<Email>() else { return Ok(()) };
        let (identity, ctx) = (self.clone(), ctx.clone());
        self.afterwards("a link to choose a password", async move { identity.mail_reset_link(&ctx, &email).await })
    }

    async fn mail_reset_link(&self, ctx: &Ctx, email: &Email) -> Result<(), IdentityError> {
        let tx = self.inner.kit.db.begin().await?;
        let Some(account) = store::users::find_user_by_email(&tx, email).await? else { return Ok(()) };
        if account.user.disabled_at.is_some() {
            return Ok(());
        }
        if !self.may_mail(&tx, "forgot", email, ctx.now()).await? {
            return Ok(tx.commit().await?);
        }
        let expires_at = ctx.now().plus(self.inner.config.reset_lifetime.get());
        let token = self.choose_password_link(&tx, &account, expires_at, ctx.now()).await?;
        let mail = self.inner.mails.reset_password(&account.user, &token, self.inner.config.reset_lifetime, ctx.now());
        self.inner.kit.notify.send(ctx, &tx, mail).await?;
        self.record_user(ctx, &tx, &actions::RESET_MAILED, account.user.id);
        tx.commit().await?;
        tracing::info!(target: "identity", user_id = %account.user.id, "a link to choose a password was mailed");
        Ok(())
    }

    /// A link to choose a password, once; earlier ones are void.
    pub(super) async fn choose_password_link(
        &self,
        tx: &Tx,
        account: &Account,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Secret, IdentityError> {
        store::links::void_links(tx, account.user.id, Purpose::ChoosePassword).await?;
        let token = Secret::new(baluarte_secrets::random_token());
        let link = NewLink {
            token_hash: self.link_hash(&token),
            user_id: account.user.id,
            purpose: Purpose::ChoosePassword,
            bound_to: account.password_changed_at,
            payload: None,
            expires_at,
        };
        store::links::insert_link(tx, link, now).await?;
        Ok(token)
    }

    /// Whether a link from a mail still works; asking does not use it up.
    pub(crate) async fn link_works(&self, ctx: &Ctx, token: &Secret, purpose: Purpose) -> Result<bool, IdentityError> {
        let read = self.inner.kit.db.read();
        let Some(link) = store::links::find_link(read, &self.link_hash(token), purpose, ctx.now()).await? else { return Ok(false) };
        Ok(store::users::find_user(read, link.user_id).await?.is_some_and(|account| account.password_changed_at == link.bound_to))
    }

    /// Takes the link's token and sets the password; all sessions end and nobody is signed in.
    pub async fn reset_password(&self, ctx: &Ctx, token: &Secret, password: Secret) -> Result<(), IdentityError> {
        let token_hash = self.link_hash(token);
        let read = self.inner.kit.db.read();
        // A password that is refused does not use the link up.
        let link =
            store::links::find_link(read, &token_hash, Purpose::ChoosePassword, ctx.now()).await?.ok_or(IdentityError::LinkInvalid)?;
        let account = store::users::find_user(read, link.user_id).await?.ok_or(IdentityError::LinkInvalid)?;
        self.inner.context.check(&password, &account.user.email, &account.user.name)?;
        let hash = self.inner.passwords.hash(&password).await?;

        let now = ctx.now();
        let tx = self.inner.kit.db.begin().await?;
        let link = store::links::take_link(&tx, &token_hash, Purpose::ChoosePassword, now).await?.ok_or(IdentityError::LinkInvalid)?;
        if !store::users::set_password(&tx, link.user_id, link.bound_to, &hash, true, now).await? {
            return Err(IdentityError::LinkInvalid);
        }
        let ended = store::sessions::delete_sessions(&tx, link.user_id, None).await?;
        store::links::void_links(&tx, link.user_id, Purpose::VerifyEmail).await?;
        // The second factor stays; browsers that were asked for none are asked again.
        store::factors::trusted::forget_trusted(&tx, link.user_id).await?;
        // Nobody had proven the address before, so whoever connected them may not be its owner.
        let untrusted = account.user.email_verified_at.is_none();
        let logins = if untrusted { store::logins::delete_logins(&tx, link.user_id).await? } else { 0 };
        if logins > 0 {
            let entry = Entry::new(&actions::LOGINS_FORGOTTEN, "user").of(link.user_id).detail("logins", logins);
            self.inner.kit.audit.record(ctx, &tx, entry.by(link.user_id, None, account.user.email.as_str()));
        }
        self.forgive(ctx, &tx, &account).await?;
        self.inner.kit.notify.send(ctx, &tx, self.inner.mails.password_changed(&account.user, ctx.client_ip(), now)).await?;
        let revoked = self.revoke_sessions(&tx, &ended, now).await?;
        let entry = Entry::new(&actions::PASSWORD_RESET, "user").of(link.user_id).detail("sessions", ended.len());
        self.inner.kit.audit.record(ctx, &tx, entry.by(link.user_id, None, account.user.email.as_str()));
        self.publish(ctx, &tx, Event::PasswordChanged { user_id: link.user_id }).await?;
        self.publish(ctx, &tx, Event::SessionsRevoked { user_id: link.user_id }).await?;
        tx.commit().await?;
        self.announce(revoked);
        tracing::info!(target: "identity", user_id = %link.user_id, "chose a new password by link");
        Ok(())
    }

    /// Whoever reads the mailbox is the owner: failures, theirs or others', do not keep them out.
    async fn forgive(&self, ctx: &Ctx, tx: &Tx, account: &Account) -> Result<(), IdentityError> {
        let network = throttle::network(ctx.client_ip());
        let keys = Keys::new(&self.inner.kit.secrets, account.user.email.as_str(), &network);
        store::throttles::clear(tx, &[keys.from_network, keys.anywhere]).await?;
        // Somebody with the old password may have used up the codes of this hour.
        let codes = throttle::mail_key(&self.inner.kit.secrets, "code", account.user.email.as_str());
        store::throttles::clear(tx, &[codes]).await?;
        // Whoever signed in with the old password from somewhere may not be the owner.
        store::places::forget_places(tx, account.user.id).await?;
        store::devices::forget(tx, account.user.id).await?;
        store::places::remember_place(tx, account.user.id, &network, ctx.now()).await?;
        Ok(())
    }

    /// All other sessions end.
    pub async fn change_password(&self, ctx: &Ctx, current: &Secret, new: Secret) -> Result<(), IdentityError> {
        let principal = ctx.user()?;
        let account = self.my_account(ctx).await?;
        self.inner.context.check(&new, &account.user.email, &account.user.name)?;
        self.require_fresh_factor(ctx, account.user.id).await?;
        let account = self.confirm_password(ctx, &account.user.email, current).await?;
        let hash = self.inner.passwords.hash(&new).await?;

        let (id, now) = (account.user.id, ctx.now());
        let tx = self.inner.kit.db.begin().await?;
        if !store::users::set_password(&tx, id, account.password_changed_at, &hash, false, now).await? {
            return Err(IdentityError::WrongPassword);
        }
        let ended = store::sessions::delete_sessions(&tx, id, principal.session_id).await?;
        store::factors::trusted::forget_trusted(&tx, id).await?;
        store::links::void_links(&tx, id, Purpose::ChoosePassword).await?;
        self.inner.kit.notify.send(ctx, &tx, self.inner.mails.password_changed(&account.user, ctx.client_ip(), now)).await?;
        let revoked = self.revoke_sessions(&tx, &ended, now).await?;
        self.inner.kit.audit.record(ctx, &tx, Entry::new(&actions::PASSWORD_CHANGED, "user").of(id).detail("sessions", ended.len()));
        self.publish(ctx, &tx, Event::PasswordChanged { user_id: id }).await?;
        tx.commit().await?;
        self.announce(revoked);
        tracing::info!(target: "identity", user_id = %id, ended = ended.len(), "changed the password");
        Ok(())
    }
}
