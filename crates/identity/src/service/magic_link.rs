//! Signing in with a link from the mailbox. It opens nothing but the browser that asked for it, so that nobody gets in with a link
//! that they had sent to somebody else; whoever reads the mail on another device types its code where they asked.

use baluarte_audit::Entry;
use baluarte_db::Tx;
use baluarte_kernel::{Ctx, Event, Period, Secret, Timestamp};
use baluarte_web::ReturnTo;
use http::HeaderValue;
use rand::RngExt as _;

use super::{Identity, factors::Standing, sign_in::Opening};
use crate::{
    Email, EmailVerification, IdentityError, LinkProof, MagicLinkMode, SessionCookie, SessionKind, Welcome, actions,
    factors::digits,
    revocations::{Revocation, Subject},
    store::{
        self,
        links::Purpose,
        magic_links::{MagicLink, NewMagicLink},
        users::Account,
    },
};

/// How long a link and its code work.
const LIFETIME: Period = Period::from_secs(600);

impl Identity {
    pub fn has_magic_links(&self) -> bool {
        self.inner.config.magic_link == MagicLinkMode::On
    }

    /// Mails a link, after it has answered: the same way whether or not there is an account. The cookie says which browser asked;
    /// `browser` is what it has already.
    pub async fn ask_magic_link(
        &self,
        ctx: &Ctx,
        email: &str,
        browser: Option<Secret>,
        return_to: &str,
    ) -> Result<SessionCookie, IdentityError> {
        self.require_magic_links()?;
        let value = browser.filter(is_ours).unwrap_or_else(|| Secret::new(baluarte_secrets::random_token()));
        if let Ok(email) = email.parse::<Email>() {
            let (identity, ctx, browser_hash) = (self.clone(), ctx.clone(), self.browser_hash(&value));
            let return_to = ReturnTo::parse(return_to).map(|path| path.to_string()).unwrap_or_default();
            self.afterwards("a link to sign in", async move { identity.mail_magic_link(&ctx, &email, browser_hash, &return_to).await })?;
        }
        Ok(SessionCookie { value, max_age: LIFETIME.get() })
    }

    async fn mail_magic_link(&self, ctx: &Ctx, email: &Email, browser_hash: String, return_to: &str) -> Result<(), IdentityError> {
        let now = ctx.now();
        let tx = self.inner.kit.db.begin().await?;
        let Some(account) = store::users::find_user_by_email(&tx, email).await? else { return Ok(()) };
        if account.user.disabled_at.is_some() {
            return Ok(());
        }
        if !self.may_mail(&tx, "magic-link", email, now).await? {
            return Ok(tx.commit().await?);
        }
        let token = Secret::new(baluarte_secrets::random_token());
        let code = Secret::new(format!("{:08}", rand::rng().random_range(0..100_000_000_u32)));
        let link = NewMagicLink {
            token_hash: self.link_hash(&token),
            code_hash: self.magic_code_hash(&browser_hash, &code),
            browser_hash,
            user_id: account.user.id,
            email,
            bound_to: account.password_changed_at,
            return_to,
            expires_at: now.plus(LIFETIME.get()),
        };
        store::magic_links::put_link(&tx, link, now).await?;
        let mail = self.inner.mails.magic_link(&account.user, &token, &code, ctx.client_ip(), LIFETIME, now);
        self.inner.kit.notify.send(ctx, &tx, mail).await?;
        self.record_user(ctx, &tx, &actions::MAGIC_LINK_MAILED, account.user.id);
        tx.commit().await?;
        tracing::info!(target: "identity", user_id = %account.user.id, "a link to sign in was mailed");
        Ok(())
    }

    /// Whether a link works here, without using it. [`IdentityError::OtherBrowser`] when it was asked for in another one.
    pub async fn open_magic_link(&self, ctx: &Ctx, token: &Secret, browser: Option<&Secret>) -> Result<(), IdentityError> {
        self.require_magic_links()?;
        self.find_magic_link(ctx, token, browser).await.map(drop)
    }

    /// Takes what the mail says and opens a session, or asks for a second factor; and where its owner wanted to go.
    pub async fn sign_in_by_link(
        &self,
        ctx: &Ctx,
        proof: LinkProof<'_>,
        browser: Option<&Secret>,
        kind: SessionKind,
        device: Option<&Secret>,
    ) -> Result<(Welcome, String), IdentityError> {
        self.require_magic_links()?;
        let link = match proof {
            LinkProof::Token(token) => self.find_magic_link(ctx, token, browser).await?,
            LinkProof::Code(code) => self.find_typed_link(ctx, code, browser.ok_or(IdentityError::LinkInvalid)?).await?,
        };
        let account = self.use_magic_link(ctx, &link).await?;
        if self.inner.config.email_verification == EmailVerification::Required && account.user.email_verified_at.is_none() {
            self.record_refusal(ctx, &account, "not_verified").await?;
            return Err(IdentityError::EmailNotVerified);
        }
        let factor_at = match self.standing(ctx, &account, kind, device).await? {
            Standing::Enough(factor_at) => factor_at,
            Standing::Asked(step) => return Ok((Welcome::SecondStep(step), link.return_to)),
        };
        let arrival = self.arrival_in(ctx, &account, device).await?;
        let tx = self.inner.kit.db.begin().await?;
        let opening = Opening { kind, stronger_hash: None, factor_at };
        let (signed_in, revoked) = self.open_session(ctx, &tx, &arrival, &account, opening).await?;
        tx.commit().await?;
        self.announce(revoked);
        Ok((Welcome::In(Box::new(signed_in)), link.return_to))
    }

    async fn find_magic_link(&self, ctx: &Ctx, token: &Secret, browser: Option<&Secret>) -> Result<MagicLink, IdentityError> {
        let found = store::magic_links::find_by_token(self.inner.kit.db.read(), &self.link_hash(token), ctx.now()).await?;
        let link = found.ok_or(IdentityError::LinkInvalid)?;
        match browser.map(|value| self.browser_hash(value)) {
            Some(hash) if hash == link.browser_hash => Ok(link),
            _ => Err(IdentityError::OtherBrowser),
        }
    }

    /// The one this browser asked for, if that is its code. A try is spent whether or not it is.
    async fn find_typed_link(&self, ctx: &Ctx, code: &Secret, browser: &Secret) -> Result<MagicLink, IdentityError> {
        let (hash, now) = (self.browser_hash(browser), ctx.now());
        let found = store::magic_links::find_by_browser(self.inner.kit.db.read(), &hash, now).await?.ok_or(IdentityError::LinkInvalid)?;
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, found.user_id).await?;
        let link = store::magic_links::spend_try(&tx, &hash, now).await?.ok_or(IdentityError::LinkInvalid)?;
        let typed = self.magic_code_hash(&hash, code);
        let right = baluarte_secrets::equal(typed.as_bytes(), link.code_hash.as_bytes());
        if !right {
            let entry = Entry::new(&actions::MAGIC_LINK_WRONG, "user").of(link.user_id).failure();
            self.inner.kit.audit.record_bounded(ctx, &tx, entry);
        }
        tx.commit().await?;
        if right { Ok(link) } else { Err(IdentityError::WrongCode) }
    }

    /// Uses it up and proves the address. Commits: what comes after it, a second factor for instance, does not bring it back.
    async fn use_magic_link(&self, ctx: &Ctx, link: &MagicLink) -> Result<Account, IdentityError> {
        let (user, now) = (link.user_id, ctx.now());
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        if !store::magic_links::take(&tx, link, now).await? {
            return Err(IdentityError::LinkInvalid);
        }
        let account = store::users::find_user(&tx, user).await?.ok_or(IdentityError::LinkInvalid)?;
        let unchanged = account.user.email == link.email && account.password_changed_at == link.bound_to;
        if !unchanged || account.user.disabled_at.is_some() {
            return Err(IdentityError::LinkInvalid);
        }
        store::magic_links::void_links(&tx, user).await?;
        let entry = Entry::new(&actions::MAGIC_LINK_USED, "user").of(user).by(user, None, account.user.email.as_str());
        self.inner.kit.audit.record(ctx, &tx, entry);
        let revoked = self.prove_by_link(ctx, &tx, &account, now).await?;
        let account = store::users::find_user(&tx, user).await?.ok_or(IdentityError::LinkInvalid)?;
        tx.commit().await?;
        self.announce(revoked);
        Ok(account)
    }

    /// The first who shows that they read the mailbox of an account may not be who registered it: that one's password and sessions go.
    /// Where there is a factor, whoever set it up is asked for it, and nothing is proven until they are the same.
    async fn prove_by_link(&self, ctx: &Ctx, tx: &Tx, account: &Account, now: Timestamp) -> Result<Vec<Revocation>, IdentityError> {
        let user = account.user.id;
        if account.user.email_verified_at.is_some() || !store::factors::list_factors(tx, user).await?.is_empty() {
            return Ok(Vec::new());
        }
        let Some(epoch) = store::users::prove_without_password(tx, account, now).await? else { return Ok(Vec::new()) };
        let ended = store::sessions::delete_sessions(tx, user, None).await?;
        let mut revoked = self.revoke_sessions(tx, &ended, now).await?;
        revoked.push(self.revoke(tx, Subject::User(user), epoch, now).await?);
        store::api_keys::delete_all(tx, user).await?;
        store::logins::delete_logins(tx, user).await?;
        store::links::void_links(tx, user, Purpose::VerifyEmail).await?;
        store::links::void_links(tx, user, Purpose::ChoosePassword).await?;
        store::email_changes::remove(tx, user).await?;
        self.record_user(ctx, tx, &actions::EMAIL_VERIFIED, user);
        self.publish(ctx, tx, Event::UserVerified { user_id: user, email: account.user.email.to_string() }).await?;
        Ok(revoked)
    }

    fn require_magic_links(&self) -> Result<(), IdentityError> {
        if self.has_magic_links() { Ok(()) } else { Err(IdentityError::MagicLinksOff) }
    }

    fn browser_hash(&self, value: &Secret) -> String {
        hex::encode(self.inner.kit.secrets.keyed_hash("identity.magic_browser", value.expose().as_bytes()))
    }

    /// Bound to the browser, so that it answers for no other.
    fn magic_code_hash(&self, browser_hash: &str, code: &Secret) -> String {
        let value = format!("{browser_hash}\0{}", digits(code.expose()));
        hex::encode(self.inner.kit.secrets.keyed_hash("identity.magic_code", value.as_bytes()))
    }

    /// `__Host-baluarte-link`: which browser asked for a link to sign in.
    pub(crate) fn link_cookie_name(&self) -> &'static str {
        if self.inner.kit.secure_cookies { "__Host-baluarte-link" } else { "baluarte-link" }
    }

    pub(crate) fn link_cookie(&self, cookie: &SessionCookie) -> HeaderValue {
        self.own_cookie(self.link_cookie_name(), cookie.value.expose(), cookie.max_age.as_secs())
    }

    pub(crate) fn forget_link_cookie(&self) -> HeaderValue {
        self.own_cookie(self.link_cookie_name(), "", 0)
    }
}

/// Of the form that we give.
fn is_ours(value: &Secret) -> bool {
    value.expose().len() == 43 && value.expose().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
