//! Another address for an account. Both mailboxes have to say so: the one that is given up, because whoever stole a session does
//! not read it, and the new one, because it has to be theirs.

use baluarte_audit::{Entry, Shown};
use baluarte_db::Tx;
use baluarte_kernel::{Ctx, Event, Period, Secret, Timestamp};
use baluarte_notify::Channel;

use super::{Identity, registration::taken};
use crate::{
    Email, EmailChange, EmailChanged, IdentityError, Mailbox, actions,
    mails::email_change::ChangeMails,
    revocations::Subject,
    store::{
        self,
        email_changes::{Asked, NewChange},
        links::Purpose,
        users::Account,
    },
    throttle::{self, HOUR, MAILS_PER_HOUR},
};

/// How long the two links work.
const LIFETIME: Period = Period::from_secs(3_600);

impl Identity {
    /// Refuses whoever has not shown lately who they are, before they type anything.
    pub async fn may_change_email(&self, ctx: &Ctx) -> Result<(), IdentityError> {
        self.require_fresh_proof(ctx, ctx.user()?.user_id).await
    }

    /// Mails a link to both addresses. Neither the answer nor what can be seen afterwards tells whether the new one has an account.
    pub async fn ask_email_change(&self, ctx: &Ctx, new: &Email) -> Result<EmailChange, IdentityError> {
        let account = self.my_account(ctx).await?;
        let (user, now) = (account.user.id, ctx.now());
        self.require_fresh_proof(ctx, user).await?;
        let session_id = ctx.user()?.session_id.ok_or(IdentityError::SessionNotFound)?;
        if *new == account.user.email {
            return Err(IdentityError::SameEmail);
        }
        if !self.inner.kit.notify.delivers(Channel::Email) {
            return Err(IdentityError::NoMail);
        }
        let (old_token, new_token) = (Secret::new(baluarte_secrets::random_token()), Secret::new(baluarte_secrets::random_token()));
        let expires_at = now.plus(LIFETIME.get());
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        let key = throttle::mail_key(&self.inner.kit.secrets, "email-change-by", &user.to_string());
        if store::throttles::count_in_window(&tx, &key, now.plus(HOUR), now).await? > MAILS_PER_HOUR {
            return Err(IdentityError::TooManyMails { retry_after: HOUR });
        }
        let change = NewChange {
            user_id: user,
            new_email: new,
            old_email: &account.user.email,
            bound_to: account.password_changed_at,
            session_id,
            old_hash: self.link_hash(&old_token),
            new_hash: self.link_hash(&new_token),
            expires_at,
        };
        store::email_changes::put_change(&tx, change, now).await?;
        let mails = ChangeMails(&self.inner.mails);
        // As much work whoever the new address belongs to.
        let to_new = match store::users::find_user_by_email(&tx, new).await? {
            Some(other) => mails.in_use(&other.user, now),
            None => mails.new_side(&account.user, new, &new_token, LIFETIME, now),
        };
        if self.may_mail(&tx, "email-change", new, now).await? {
            self.inner.kit.notify.send(ctx, &tx, to_new).await?;
        }
        let to_old = mails.old_side(&account.user, new, &old_token, ctx.client_ip(), LIFETIME, now);
        self.inner.kit.notify.send(ctx, &tx, to_old).await?;
        let entry = Entry::new(&actions::EMAIL_CHANGE_ASKED, "user").of(user).personal("email", Shown(new.as_str()));
        self.inner.kit.audit.record(ctx, &tx, entry);
        tx.commit().await?;
        tracing::info!(target: "identity", user_id = %user, "asked for another address");
        Ok(EmailChange { email: new.clone(), old_confirmed: false, new_confirmed: false, expires_at })
    }

    /// What the caller's account waits for.
    pub async fn find_email_change(&self, ctx: &Ctx) -> Result<Option<EmailChange>, IdentityError> {
        let account = self.my_account(ctx).await?;
        let found = store::email_changes::find_change_of(self.inner.kit.db.read(), account.user.id, ctx.now()).await?;
        Ok(found.filter(|asked| is_about(asked, &account)).map(|asked| asked.change))
    }

    /// Its owner thinks better of it.
    pub async fn cancel_email_change(&self, ctx: &Ctx) -> Result<(), IdentityError> {
        let user = ctx.user()?.user_id;
        let tx = self.inner.kit.db.begin().await?;
        if store::email_changes::remove(&tx, user).await? {
            self.record_user(ctx, &tx, &actions::EMAIL_CHANGE_CANCELLED, user);
        }
        Ok(tx.commit().await?)
    }

    /// What the holder of a link is asked, without using it.
    pub async fn open_email_change(&self, ctx: &Ctx, token: &Secret) -> Result<(EmailChange, Mailbox), IdentityError> {
        let hash = self.link_hash(token);
        let (asked, _) = self.asked(ctx, &hash).await?;
        let side = asked.side(&hash);
        let used = match side {
            Mailbox::Old => asked.change.old_confirmed,
            Mailbox::New => asked.change.new_confirmed,
        };
        if used { Err(IdentityError::LinkInvalid) } else { Ok((asked.change, side)) }
    }

    /// One of the two mailboxes says yes; with the second one the address changes.
    pub async fn confirm_email_change(&self, ctx: &Ctx, token: &Secret) -> Result<EmailChanged, IdentityError> {
        let hash = self.link_hash(token);
        let (found, _) = self.asked(ctx, &hash).await?;
        let (user, now) = (found.user_id, ctx.now());
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        let asked = store::email_changes::confirm(&tx, &hash, now).await?.ok_or(IdentityError::LinkInvalid)?;
        let account = store::users::find_user(&tx, user).await?.ok_or(IdentityError::LinkInvalid)?;
        if !is_about(&asked, &account) {
            return Err(IdentityError::LinkInvalid);
        }
        let side = match asked.side(&hash) {
            Mailbox::Old => "old",
            Mailbox::New => "new",
        };
        let entry = Entry::new(&actions::EMAIL_CHANGE_CONFIRMED, "user").of(user).detail("side", side);
        self.inner.kit.audit.record(ctx, &tx, entry.by(user, None, account.user.email.as_str()));
        if !(asked.change.old_confirmed && asked.change.new_confirmed) {
            tx.commit().await?;
            return Ok(EmailChanged::WaitsForOther);
        }
        let revoked = self.change_email(ctx, &tx, &asked, &account, now).await?;
        tx.commit().await?;
        self.announce(revoked);
        tracing::info!(target: "identity", user_id = %user, "the account has another address");
        Ok(EmailChanged::Done)
    }

    /// Everything that hangs on the old address goes with it; what has to be announced after the commit is returned.
    async fn change_email(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        asked: &Asked,
        before: &Account,
        now: Timestamp,
    ) -> Result<Vec<crate::revocations::Revocation>, IdentityError> {
        let user = asked.user_id;
        let epoch = store::users::change_email(tx, before, &asked.change.email, now).await.map_err(taken)?;
        let epoch = epoch.ok_or(IdentityError::LinkInvalid)?;
        store::email_changes::remove(tx, user).await?;
        store::links::void_links(tx, user, Purpose::ChoosePassword).await?;
        store::links::void_links(tx, user, Purpose::VerifyEmail).await?;
        // Codes that were sent to the old address.
        store::factors::challenges::void_all(tx, user).await?;
        store::factors::trusted::forget_trusted(tx, user).await?;
        let ended = store::sessions::delete_sessions(tx, user, Some(asked.session_id)).await?;
        let mut revoked = self.revoke_sessions(tx, &ended, now).await?;
        // Whatever says the old address is void at once, on every replica: the session that stays is looked up again.
        revoked.push(self.revoke(tx, Subject::User(user), epoch, now).await?);
        let mails = ChangeMails(&self.inner.mails);
        for to in [&before.user.email, &asked.change.email] {
            let notice = mails.changed(&before.user, to, &asked.change.email, ctx.client_ip(), now);
            self.inner.kit.notify.send(ctx, tx, notice).await?;
        }
        let entry = Entry::new(&actions::EMAIL_CHANGED, "user").of(user).detail("sessions", ended.len());
        let entry = entry.personal("from", Shown(before.user.email.as_str())).personal("to", Shown(asked.change.email.as_str()));
        self.inner.kit.audit.record(ctx, tx, entry.by(user, None, asked.change.email.as_str()));
        self.publish(ctx, tx, Event::EmailChanged { user_id: user, email: asked.change.email.to_string() }).await?;
        Ok(revoked)
    }

    /// "This was not me", by the holder of either link. From the old mailbox it also ends every session: somebody who can show that
    /// they are the owner asked, and was not.
    pub async fn refuse_email_change(&self, ctx: &Ctx, token: &Secret) -> Result<Mailbox, IdentityError> {
        let hash = self.link_hash(token);
        let (asked, account) = self.asked(ctx, &hash).await?;
        let (user, now, side) = (asked.user_id, ctx.now(), asked.side(&hash));
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        if !store::email_changes::remove(&tx, user).await? {
            return Err(IdentityError::LinkInvalid);
        }
        let mut revoked = Vec::new();
        let mut entry = Entry::new(&actions::EMAIL_CHANGE_REFUSED, "user").of(user);
        if side == Mailbox::Old {
            let ended = store::sessions::delete_sessions(&tx, user, None).await?;
            store::factors::trusted::forget_trusted(&tx, user).await?;
            revoked = self.revoke_sessions(&tx, &ended, now).await?;
            entry = entry.detail("sessions", ended.len()).by(user, None, account.user.email.as_str());
            self.publish(ctx, &tx, Event::SessionsRevoked { user_id: user }).await?;
        }
        self.inner.kit.audit.record(ctx, &tx, entry);
        tx.commit().await?;
        self.announce(revoked);
        tracing::warn!(target: "identity", user_id = %user, "another address was asked for, and refused by mail");
        Ok(side)
    }

    /// What a token belongs to, if the account is still as it was when that was asked for.
    async fn asked(&self, ctx: &Ctx, hash: &str) -> Result<(Asked, Account), IdentityError> {
        let read = self.inner.kit.db.read();
        let asked = store::email_changes::find_change(read, hash, ctx.now()).await?.ok_or(IdentityError::LinkInvalid)?;
        let account = store::users::find_user(read, asked.user_id).await?.ok_or(IdentityError::LinkInvalid)?;
        if is_about(&asked, &account) { Ok((asked, account)) } else { Err(IdentityError::LinkInvalid) }
    }
}

/// Neither address nor password has changed since, and nobody has disabled the account.
fn is_about(asked: &Asked, account: &Account) -> bool {
    asked.old_email == account.user.email && asked.bound_to == account.password_changed_at && account.user.disabled_at.is_none()
}
