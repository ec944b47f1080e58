//! What owners are told of their account, and the links with which they act at once: ending a session that was not theirs, and coming in
//! although others have failed too often.

use baluarte_audit::Entry;
use baluarte_db::Tx;
use baluarte_kernel::{Ctx, Secret, SessionId, UserId};

use super::Identity;
use crate::{
    Alert, Email, IdentityError, actions,
    mails::NOTICE,
    store::{
        self,
        links::{NewLink, Purpose},
        users::Account,
    },
    throttle::{self, Keys, REMEMBER_PLACE},
};

impl Identity {
    /// What the caller should know of their account: kept for three months.
    pub async fn list_alerts(&self, ctx: &Ctx) -> Result<Vec<Alert>, IdentityError> {
        self.alerts_of(ctx, ctx.user()?.user_id).await
    }

    pub(super) async fn alerts_of(&self, ctx: &Ctx, user: UserId) -> Result<Vec<Alert>, IdentityError> {
        Ok(store::devices::list_alerts(self.inner.kit.db.read(), user, ctx.now().minus(REMEMBER_PLACE)).await?)
    }

    /// A mail about a sign-in in a new browser, with a link that ends it. So many an hour: the rest stands on the account's page.
    pub(super) async fn tell_of_sign_in(&self, ctx: &Ctx, tx: &Tx, account: &Account, session: SessionId) -> Result<(), IdentityError> {
        let now = ctx.now();
        if !self.may_mail(tx, "new_sign_in", &account.user.email, now).await? {
            return Ok(());
        }
        let token = Secret::new(baluarte_secrets::random_token());
        let link = NewLink {
            token_hash: self.link_hash(&token),
            user_id: account.user.id,
            purpose: Purpose::EndSession,
            bound_to: account.password_changed_at,
            payload: Some(session.to_string()),
            expires_at: now.plus(NOTICE),
        };
        store::links::insert_link(tx, link, now).await?;
        let mail = self.inner.mails.new_sign_in(&account.user, ctx.user_agent.as_deref(), ctx.client_ip(), &token, now);
        self.inner.kit.notify.send(ctx, tx, mail).await?;
        Ok(())
    }

    /// Takes the link's token and ends the session that it tells of, signed in or not.
    pub async fn end_session_by_link(&self, ctx: &Ctx, token: &Secret) -> Result<(), IdentityError> {
        let tx = self.inner.kit.db.begin().await?;
        let hash = self.link_hash(token);
        let link = store::links::take_link(&tx, &hash, Purpose::EndSession, ctx.now()).await?.ok_or(IdentityError::LinkInvalid)?;
        let id: SessionId = link.payload.and_then(|id| id.parse().ok()).ok_or(IdentityError::LinkInvalid)?;
        // It may have ended by itself: then it has.
        let ended = store::sessions::delete_session(&tx, id, link.user_id).await?;
        // Whoever was there is a stranger: neither their browser nor their network is known any more.
        store::devices::forget(&tx, link.user_id).await?;
        store::places::forget_places(&tx, link.user_id).await?;
        store::factors::trusted::forget_trusted(&tx, link.user_id).await?;
        let revoked = self.revoke_sessions(&tx, &[id], ctx.now()).await?;
        let entry = Entry::new(&actions::SESSION_DISOWNED, "session").of(id).detail("user", link.user_id).detail("ended", ended);
        self.inner.kit.audit.record(ctx, &tx, entry);
        tx.commit().await?;
        self.announce(revoked);
        tracing::warn!(target: "identity", user_id = %link.user_id, session_id = %id, "a session was ended by the link in its notice");
        Ok(())
    }

    /// Mails a link that lets the owner in, after it has answered: the same way whether or not there is an account.
    pub async fn ask_to_unlock(&self, ctx: &Ctx, email: &str) -> Result<(), IdentityError> {
        let Ok(email) = email.parse::<Email>() else { return Ok(()) };
        let (identity, ctx) = (self.clone(), ctx.clone());
        self.afterwards("a link to unlock an account", async move { identity.mail_unlock_link(&ctx, &email).await })
    }

    async fn mail_unlock_link(&self, ctx: &Ctx, email: &Email) -> Result<(), IdentityError> {
        let now = ctx.now();
        let tx = self.inner.kit.db.begin().await?;
        let Some(account) = store::users::find_user_by_email(&tx, email).await? else { return Ok(()) };
        if account.user.disabled_at.is_some() {
            return Ok(());
        }
        if !self.may_mail(&tx, "unlock", email, now).await? {
            return Ok(tx.commit().await?);
        }
        store::links::void_links(&tx, account.user.id, Purpose::Unlock).await?;
        let (token, lifetime) = (Secret::new(baluarte_secrets::random_token()), self.inner.config.reset_lifetime);
        let link = NewLink {
            token_hash: self.link_hash(&token),
            user_id: account.user.id,
            purpose: Purpose::Unlock,
            bound_to: account.password_changed_at,
            payload: None,
            expires_at: now.plus(lifetime.get()),
        };
        store::links::insert_link(&tx, link, now).await?;
        self.inner.kit.notify.send(ctx, &tx, self.inner.mails.unlock(&account.user, &token, lifetime, now)).await?;
        self.record_user(ctx, &tx, &actions::UNLOCK_MAILED, account.user.id);
        Ok(tx.commit().await?)
    }

    /// Whoever reads the mailbox is the owner: what others did does not hold them back where they are now. They still need the password.
    pub async fn unlock(&self, ctx: &Ctx, token: &Secret) -> Result<(), IdentityError> {
        let tx = self.inner.kit.db.begin().await?;
        let hash = self.link_hash(token);
        let link = store::links::take_link(&tx, &hash, Purpose::Unlock, ctx.now()).await?.ok_or(IdentityError::LinkInvalid)?;
        let account = store::users::find_user(&tx, link.user_id).await?.ok_or(IdentityError::LinkInvalid)?;
        let network = throttle::network(ctx.client_ip());
        let keys = Keys::new(&self.inner.kit.secrets, account.user.email.as_str(), &network);
        store::throttles::clear(&tx, &[keys.from_network, keys.anywhere]).await?;
        store::places::remember_place(&tx, account.user.id, &network, ctx.now()).await?;
        self.record_user(ctx, &tx, &actions::UNLOCKED, account.user.id);
        tx.commit().await?;
        tracing::info!(target: "identity", user_id = %account.user.id, "unlocked by a link from the mailbox");
        Ok(())
    }
}
