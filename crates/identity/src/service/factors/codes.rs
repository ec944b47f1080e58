//! Codes that are sent: by mail and by text message.

use std::time::Duration;

use baluarte_audit::Entry;
use baluarte_db::Tx;
use baluarte_kernel::{Ctx, Secret, Timestamp, UserId};
use baluarte_notify::{Channel, Phone};
use sea_orm::ConnectionTrait;

use super::Identity;
use crate::{
    IdentityError, SessionKind, actions,
    factors::{ATTEMPT, CODES_PER_HOUR, CodeFor, FactorKind, OneTimeCode, RESEND, SENDS, SMS_PER_DAY, SMS_PER_HOUR, phone},
    store::{
        self,
        factors::challenges::{Challenge, NewChallenge, NewCode, Purpose},
        users::Account,
    },
    throttle::{self, DAY, HOUR},
};

/// Where a code goes.
pub(super) enum Way {
    /// To the account's address.
    Email,
    /// To the number that is a factor.
    Sms(Phone),
    /// To a number that becomes one with the code.
    NewPhone(Phone),
}

impl Way {
    const fn kind(&self) -> FactorKind {
        match self {
            Self::Email => FactorKind::Email,
            Self::Sms(_) | Self::NewPhone(_) => FactorKind::Sms,
        }
    }
}

impl Identity {
    /// Whether what a factor needs to be asked for is there.
    pub(super) fn can_ask_for(&self, kind: FactorKind) -> bool {
        match kind {
            FactorKind::Totp => true,
            FactorKind::Passkey => self.knows_passkeys(),
            FactorKind::Email => self.inner.kit.notify.delivers(Channel::Email),
            FactorKind::Sms => self.inner.kit.notify.delivers(Channel::Sms),
        }
    }

    pub(super) fn is_sent_code(&self, challenge: &Challenge, hash: &str, kind: FactorKind, code: &Secret) -> bool {
        let typed = OneTimeCode::hash(&self.inner.kit.secrets, hash, code.expose());
        let right = challenge.code_hash.as_ref().is_some_and(|sent| baluarte_secrets::equal(sent.as_bytes(), typed.as_bytes()));
        right && challenge.sent_by == Some(kind)
    }

    /// Asks whether a way is the account's own: opens the question (which voids the one before) and sends its code.
    pub(super) async fn ask(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        hash: &str,
        purpose: Purpose,
        account: &Account,
        way: &Way,
    ) -> Result<(), IdentityError> {
        let now = ctx.now();
        let question = NewChallenge {
            token_hash: hash.to_owned(),
            user_id: account.user.id,
            purpose,
            session_kind: SessionKind::Cookie,
            bound_to: account.password_changed_at,
            expires_at: now.plus(ATTEMPT),
        };
        store::factors::challenges::open_challenge(tx, question, now).await?;
        let open = store::factors::challenges::find_challenge(tx, hash, now).await?;
        // Five wrong codes: nothing more until this one is over.
        let open = open.ok_or(IdentityError::CodeTooSoon { retry_after: ATTEMPT })?;
        self.put_code(ctx, tx, hash, &open, account, way).await
    }

    /// Puts a code into the attempt and a message with it into the outbox. `open` is the attempt as last read.
    pub(super) async fn put_code(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        hash: &str,
        open: &Challenge,
        account: &Account,
        way: &Way,
    ) -> Result<(), IdentityError> {
        let (user, now, kind) = (account.user.id, ctx.now(), way.kind());
        if !self.can_ask_for(kind) {
            return Err(IdentityError::FactorUnavailable);
        }
        let code = OneTimeCode::generate();
        let stored = OneTimeCode::hash(&self.inner.kit.secrets, hash, code.expose());
        let phone = match way {
            Way::NewPhone(number) => Some(phone::seal(&self.inner.kit.secrets, user, number)),
            Way::Email | Way::Sms(_) => None,
        };
        let new = NewCode { hash: &stored, sent_by: kind, phone: phone.as_deref() };
        if !store::factors::challenges::set_code(tx, hash, &new, now.minus(RESEND), now).await? {
            // Too soon, or too often for this attempt: then only another sign-in gets another code.
            let next = if open.sends >= SENDS { open.expires_at } else { open.code_sent_at.plus(RESEND) };
            return Err(IdentityError::CodeTooSoon { retry_after: next.since(now).max(Duration::from_secs(1)) });
        }
        self.may_send_code(tx, account, kind, now).await?;
        let message = match way {
            Way::Email => {
                let what = match open.purpose {
                    Purpose::SignIn => CodeFor::SignIn,
                    Purpose::Enrol | Purpose::Email | Purpose::Sms => CodeFor::Enrol,
                    Purpose::Confirm => CodeFor::Confirm,
                };
                self.factor_mails().code(&account.user, &code, what, open.expires_at, now)
            }
            Way::Sms(number) | Way::NewPhone(number) => {
                let lifetime = baluarte_kernel::Period::from_secs(open.expires_at.since(now).as_secs());
                self.inner.mails.sms_code(number.as_str(), account.user.locale, &code, lifetime, now).about(user)
            }
        };
        self.inner.kit.notify.send(ctx, tx, message).await?;
        self.record(ctx, tx, account, Entry::new(&actions::CODE_SENT, "user").of(user).detail("kind", kind.as_str()));
        Ok(())
    }

    /// An attacker who knows the password cannot fill the mailbox, nor spend our money, nor use up the owner's codes for long.
    async fn may_send_code(&self, tx: &Tx, account: &Account, kind: FactorKind, now: Timestamp) -> Result<(), IdentityError> {
        let secrets = &self.inner.kit.secrets;
        let (by_mail, by_sms) = ([("code", CODES_PER_HOUR, HOUR)], [("sms", SMS_PER_HOUR, HOUR), ("sms-day", SMS_PER_DAY, DAY)]);
        let (subject, windows) = match kind {
            FactorKind::Sms => (account.user.id.to_string(), &by_sms[..]),
            FactorKind::Email | FactorKind::Totp | FactorKind::Passkey => (account.user.email.to_string(), &by_mail[..]),
        };
        for (what, most, span) in windows {
            let key = throttle::mail_key(secrets, what, &subject);
            if store::throttles::count_in_window(tx, &key, now.plus(*span), now).await? > *most {
                return Err(IdentityError::CodeTooSoon { retry_after: *span });
            }
        }
        Ok(())
    }

    /// The number that is a factor; `None` and a line in the log when it was sealed with another `SECRET_KEY`.
    pub(super) async fn phone_of(&self, conn: &impl ConnectionTrait, user: UserId) -> Result<Option<Phone>, IdentityError> {
        let sealed = store::factors::find_secret(conn, user, FactorKind::Sms).await?;
        Ok(sealed.and_then(|sealed| self.open_phone(user, &sealed)))
    }

    pub(super) fn open_phone(&self, user: UserId, sealed: &str) -> Option<Phone> {
        let opened = phone::open(&self.inner.kit.secrets, user, sealed);
        if opened.is_err() {
            tracing::error!(target: "identity", user_id = %user, "a telephone number was sealed with another SECRET_KEY: `baluarte user reset-mfa` lets its owner set it up again");
        }
        opened.ok()
    }
}
