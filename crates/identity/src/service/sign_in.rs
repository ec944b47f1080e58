//! Signing in: throttled by account and network, the same work and the same words whether or not there is an account.

use std::time::Duration;

use baluarte_audit::{Action, Entry};
use baluarte_db::Tx;
use baluarte_kernel::{Actor, CredentialKind, Ctx, Secret, SessionId, Timestamp};
use tokio::sync::SemaphorePermit;

use super::{Identity, factors::Standing};
use crate::{
    Email, EmailVerification, Granted, IdentityError, SessionCookie, SessionKind, SignIn, SignedIn, TokenPair, UserId, Welcome, actions,
    password::{Busy, PATIENCE, Verified},
    revocations::Revocation,
    store::{self, sessions::NewSession, users::Account},
    throttle::{self, Counter, FORGET_AFTER, HOUR, Keys, REMEMBER_PLACE},
    token::{AccessToken, RefreshSalt, RefreshToken},
};

/// Attempts that may wait for their turn; beyond, nobody would be served before giving up.
pub(super) const WAITING: usize = 256;
/// What is kept of how a client calls itself, in characters.
const USER_AGENT: usize = 300;

/// From where somebody comes.
pub(super) struct Arrival {
    keys: Keys,
    network: String,
    /// Somebody with this account signed in from this network before.
    known_place: bool,
    device: Device,
}

/// Which browser somebody comes with.
#[derive(Clone)]
enum Device {
    /// Nobody asked for it: a second step, a passkey.
    Unasked,
    /// It showed no cookie of ours.
    Unknown,
    /// It showed one; by its keyed hash. `known`: the account's owner signed in with it before.
    Shown { hash: String, known: bool },
}

impl Device {
    const fn is_known(&self) -> bool {
        matches!(self, Self::Shown { known: true, .. })
    }
}

impl Arrival {
    pub(super) fn of(identity: &Identity, ctx: &Ctx, account: &Account, known_place: bool) -> Self {
        let network = throttle::network(ctx.client_ip());
        let keys = Keys::new(&identity.inner.kit.secrets, account.user.email.as_str(), &network);
        Self { keys, network, known_place, device: Device::Unasked }
    }

    /// Nobody with this account came like that before: not in this browser, or, for programs, not from this network.
    fn is_new(&self, kind: SessionKind) -> bool {
        match (&self.device, kind) {
            (Device::Unasked, _) | (_, SessionKind::Tokens) => !self.known_place,
            (Device::Unknown | Device::Shown { .. }, SessionKind::Cookie) => !self.device.is_known(),
        }
    }
}

/// The session to be.
pub(super) struct Opening {
    pub(super) kind: SessionKind,
    /// The same password under stronger parameters.
    pub(super) stronger_hash: Option<String>,
    /// When a second factor was proven, now or when this browser came to be trusted.
    pub(super) factor_at: Option<Timestamp>,
}

/// An attempt that may go on.
struct Attempt<'a> {
    account: Option<Account>,
    arrival: Arrival,
    /// One attempt counts before the next one looks.
    _turn: SemaphorePermit<'a>,
}

impl From<Busy> for IdentityError {
    fn from(Busy: Busy) -> Self {
        Self::Busy
    }
}

impl Identity {
    /// Checks the password and opens a session, or asks for a second factor.
    pub async fn sign_in(&self, ctx: &Ctx, attempt: SignIn) -> Result<Welcome, IdentityError> {
        let email = attempt.email.parse::<Email>().ok();
        let attempted = self.admit(ctx, email.as_ref(), &attempt.email, attempt.device.as_ref()).await?;
        let hash = attempted.account.as_ref().and_then(|account| account.password_hash.clone());
        let verified = self.inner.passwords.verify(&attempt.password, hash).await?;
        let (Some(account), Verified::Right | Verified::RightButWeak) = (&attempted.account, verified) else {
            let typed = email.as_ref().map_or(attempt.email.as_str(), Email::as_str);
            self.count_failure(ctx, typed, &attempted, &actions::SIGN_IN_FAILED).await?;
            tracing::info!(target: "identity", user_id = attempted.account.as_ref().map(|a| a.user.id.to_string()), "sign-in failed");
            return Err(IdentityError::WrongCredentials);
        };
        // Only whoever knows the password learns these.
        if account.user.disabled_at.is_some() {
            self.record_refusal(ctx, account, "disabled").await?;
            return Err(IdentityError::AccountDisabled);
        }
        if account.user.reset_required_at.is_some() {
            self.record_refusal(ctx, account, "reset_required").await?;
            return Err(IdentityError::ResetRequired);
        }
        if self.inner.config.email_verification == EmailVerification::Required && account.user.email_verified_at.is_none() {
            self.record_refusal(ctx, account, "not_verified").await?;
            return Err(IdentityError::EmailNotVerified);
        }
        let stronger = match verified {
            Verified::RightButWeak => Some(self.inner.passwords.hash(&attempt.password).await?),
            Verified::Right | Verified::Wrong => None,
        };
        let factor_at = match self.standing(ctx, account, attempt.session, attempt.device.as_ref()).await? {
            Standing::Enough(factor_at) => factor_at,
            Standing::Asked(step) => return Ok(Welcome::SecondStep(step)),
        };
        let tx = self.inner.kit.db.begin().await?;
        let opening = Opening { kind: attempt.session, stronger_hash: stronger, factor_at };
        let (signed_in, revoked) = self.open_session(ctx, &tx, &attempted.arrival, account, opening).await?;
        tx.commit().await?;
        self.announce(revoked);
        Ok(Welcome::In(Box::new(signed_in)))
    }

    /// Asks somebody who is signed in for their password again; counts like signing in.
    pub(super) async fn confirm_password(&self, ctx: &Ctx, email: &Email, password: &Secret) -> Result<Account, IdentityError> {
        let attempt = self.admit(ctx, Some(email), email.as_str(), None).await?;
        let hash = attempt.account.as_ref().and_then(|account| account.password_hash.clone());
        match (self.inner.passwords.verify(password, hash).await?, &attempt.account) {
            // Somebody signed in without it, such as with a passkey: it is void all the same.
            (Verified::Right | Verified::RightButWeak, Some(account)) if account.user.reset_required_at.is_some() => {
                Err(IdentityError::ResetRequired)
            }
            (Verified::Right | Verified::RightButWeak, Some(account)) => Ok(account.clone()),
            _ => {
                self.count_failure(ctx, email.as_str(), &attempt, &actions::PASSWORD_WRONG).await?;
                Err(IdentityError::WrongPassword)
            }
        }
    }

    /// Waits for a turn and refuses whoever has failed too often.
    async fn admit<'a>(
        &'a self,
        ctx: &Ctx,
        email: Option<&Email>,
        typed: &str,
        device: Option<&Secret>,
    ) -> Result<Attempt<'a>, IdentityError> {
        let turn = match self.inner.attempts.try_acquire() {
            Ok(turn) => turn,
            Err(_) => {
                // Those who would be refused anyway do not wait.
                self.look(ctx, email, typed, device).await?;
                let _place = self.inner.waiting.try_acquire().map_err(|_| IdentityError::Busy)?;
                let turn = tokio::time::timeout(PATIENCE, self.inner.attempts.acquire()).await;
                turn.ok().and_then(Result::ok).ok_or(IdentityError::Busy)?
            }
        };
        let (account, arrival) = self.look(ctx, email, typed, device).await?;
        Ok(Attempt { account, arrival, _turn: turn })
    }

    /// The account, and whether an attempt on it from here may go on: the same reads whether or not there is one.
    async fn look(
        &self,
        ctx: &Ctx,
        email: Option<&Email>,
        typed: &str,
        device: Option<&Secret>,
    ) -> Result<(Option<Account>, Arrival), IdentityError> {
        let (read, now) = (self.inner.kit.db.read(), ctx.now());
        let account = match email {
            Some(email) => store::users::find_user_by_email(read, email).await?,
            None => None,
        };
        let (network, account_name) = (throttle::network(ctx.client_ip()), email.map_or(typed, Email::as_str));
        let keys = Keys::new(&self.inner.kit.secrets, account_name, &network);
        let nobody = || UserId::generate();
        let id = account.as_ref().map_or_else(nobody, |account| account.user.id);
        let since = now.minus(REMEMBER_PLACE);
        let known_place = store::places::list_places(read, id, since).await?.contains(&network);
        let device = self.shown(id, device, since).await?;
        let arrival = Arrival { keys, network, known_place, device };
        let mut blocked_until = Timestamp::default();
        for (_, key) in self.counted(ctx, account_name, &arrival) {
            blocked_until = blocked_until.max(store::throttles::find(read, &key, now).await?.blocked_until);
        }
        match throttle::wait(blocked_until, now) {
            Some(retry_after) => Err(IdentityError::TooManyAttempts { retry_after }),
            None => Ok((account, arrival)),
        }
    }

    /// How somebody comes in without a password: with a link from the mailbox, with an account elsewhere.
    pub(super) async fn arrival_in(&self, ctx: &Ctx, account: &Account, device: Option<&Secret>) -> Result<Arrival, IdentityError> {
        let user = account.user.id;
        let arrival = Arrival::of(self, ctx, account, self.is_known_place(ctx, user).await?);
        Ok(Arrival { device: self.shown(user, device, ctx.now().minus(REMEMBER_PLACE)).await?, ..arrival })
    }

    async fn shown(&self, user: UserId, cookie: Option<&Secret>, since: Timestamp) -> Result<Device, IdentityError> {
        Ok(match cookie.filter(|value| is_token(value.expose())).map(|value| self.device_hash(value)) {
            Some(hash) => Device::Shown { known: store::devices::is_known(self.inner.kit.db.read(), user, &hash, since).await?, hash },
            None => Device::Unknown,
        })
    }

    /// Where a failure counts, and what holds an attempt back. In a browser that its owner used before, nothing but the attempts in
    /// that browser: whoever hammers the account, or the neighbours of its owner's network, do not lock them out.
    fn counted(&self, ctx: &Ctx, account: &str, arrival: &Arrival) -> Vec<(Counter, String)> {
        let secrets = &self.inner.kit.secrets;
        match &arrival.device {
            Device::Shown { hash, known: true } => vec![(Counter::Device, throttle::device_key(secrets, account, hash))],
            // Failures next to the owner's own sign-ins say nothing about the rest of the world, nor the other way round.
            _ if arrival.known_place => vec![(Counter::FromNetwork, arrival.keys.from_network.clone())],
            _ => {
                let own = arrival.keys.each().map(|(counter, key)| (counter, key.to_owned()));
                own.into_iter().chain(throttle::around(secrets, ctx.client_ip())).collect()
            }
        }
    }

    async fn count_failure(&self, ctx: &Ctx, typed: &str, attempt: &Attempt<'_>, action: &'static Action) -> Result<(), IdentityError> {
        let now = ctx.now();
        let tx = self.inner.kit.db.begin().await?;
        let mut blocked = Duration::ZERO;
        let mut counted = self.counted(ctx, typed, &attempt.arrival);
        // In one order, so that of two that count at once neither waits for the other while it is waited for.
        counted.sort_by(|one, other| one.1.cmp(&other.1));
        for (counter, key) in counted {
            let failures = match counter {
                // So many strangers share these that they begin anew every hour.
                Counter::Address | Counter::Subnet => store::throttles::count_in_window(&tx, &key, now.plus(HOUR), now).await?,
                Counter::FromNetwork | Counter::Anywhere | Counter::Device => {
                    store::throttles::count(&tx, &key, now.plus(FORGET_AFTER), now).await?.count
                }
            };
            let delay = counter.delay(failures);
            if !delay.is_zero() {
                store::throttles::block(&tx, &key, now.plus(delay)).await?;
                blocked = blocked.max(delay);
            }
        }
        // What was typed is left out where there is no such account: it may be a password in the wrong field.
        let user = attempt.account.as_ref().map(|account| account.user.id);
        let entry = Entry::new(action, "user").of(user).failure().detail("known", user.is_some()).detail("blocked_ms", blocked);
        self.inner.kit.audit.record_bounded(ctx, &tx, entry);
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn record_refusal(&self, ctx: &Ctx, account: &Account, why: &'static str) -> Result<(), IdentityError> {
        let tx = self.inner.kit.db.begin().await?;
        let entry = Entry::new(&actions::SIGN_IN_REFUSED, "user").of(account.user.id).failure().detail("reason", why);
        self.inner.kit.audit.record_bounded(ctx, &tx, entry);
        Ok(tx.commit().await?)
    }

    /// In the caller's transaction; what has to be announced after its commit is returned.
    pub(super) async fn open_session(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        arrival: &Arrival,
        account: &Account,
        opening: Opening,
    ) -> Result<(SignedIn, Vec<Revocation>), IdentityError> {
        let Opening { kind, stronger_hash, factor_at } = opening;
        let now = ctx.now();
        let config = &self.inner.config;
        let session_id = SessionId::generate();
        let (cookie, salt, lifetime) = match kind {
            SessionKind::Cookie => (Some(Secret::new(baluarte_secrets::random_token())), None, config.session_lifetime),
            SessionKind::Tokens => (None, Some(RefreshSalt::generate()), config.refresh_lifetime),
        };
        if !store::users::mark_sign_in(tx, account, now).await? {
            // The password was changed while it was being verified.
            return Err(IdentityError::WrongCredentials);
        }
        // A factor may have come into force while the password was being verified: then this one begins again.
        if factor_at.is_none() && !store::factors::list_factors(tx, account.user.id).await?.is_empty() {
            return Err(IdentityError::Busy);
        }
        if let (Some(old), Some(new)) = (&account.password_hash, &stronger_hash) {
            store::users::rehash(tx, account.user.id, old, new).await?;
        }
        let session = NewSession {
            id: session_id,
            account,
            kind,
            cookie_hash: cookie.as_ref().map(|value| self.cookie_hash(value.expose())),
            refresh_salt: salt.as_ref(),
            user_agent: ctx.user_agent.as_deref().map(printable),
            ip: ctx.client_ip().map(|ip| ip.to_canonical().to_string()),
            expires_at: now.plus(lifetime.get()),
            factor_at,
        };
        store::sessions::insert_session(tx, session, now).await?;
        let mut ended = store::sessions::trim(tx, account.user.id).await?;
        ended.extend(self.end_replaced(ctx, tx, kind).await?);
        let first = account.user.last_sign_in_at.is_none();
        store::places::remember_place(tx, account.user.id, &arrival.network, now).await?;
        store::throttles::clear(tx, &[arrival.keys.from_network.clone(), arrival.keys.anywhere.clone()]).await?;
        let device = self.remember_device(tx, arrival, account, kind, now).await?;
        if config.sign_in_notice && arrival.is_new(kind) && !first {
            self.tell_of_sign_in(ctx, tx, account, session_id).await?;
        }
        let revoked = self.revoke_sessions(tx, &ended, now).await?;
        let entry = Entry::new(&actions::SESSION_BEGUN, "session").of(session_id).by(
            account.user.id,
            Some(session_id),
            account.user.email.as_str(),
        );
        let entry = entry.detail("kind", kind.as_str()).detail("known_place", arrival.known_place).detail("ended", ended.len());
        self.inner.kit.audit.record(ctx, tx, entry.detail("second_factor", factor_at.is_some()));
        tracing::info!(target: "identity", user_id = %account.user.id, session_id = %session_id, kind = kind.as_str(), "signed in");

        let granted = match (cookie, salt) {
            (Some(value), _) => Granted::Cookie(SessionCookie { value, max_age: lifetime.get() }),
            (None, salt) => {
                // Every session that is not a cookie's has a salt.
                let salt = salt.unwrap_or_else(RefreshSalt::generate);
                let token = AccessToken {
                    user: &account.user,
                    epoch: account.epoch,
                    session_id,
                    seq: 0,
                    issued_at: now,
                    proven_at: factor_at.unwrap_or(now),
                };
                Granted::Tokens(self.token_pair(&token, &salt, now))
            }
        };
        let mut user = account.user.clone();
        user.last_sign_in_at = Some(now);
        Ok((SignedIn { user, session_id, granted, device, recovery_codes: Vec::new() }, revoked))
    }

    /// A browser that signs in is known from now on; one that had no cookie of ours gets one.
    async fn remember_device(
        &self,
        tx: &Tx,
        arrival: &Arrival,
        account: &Account,
        kind: SessionKind,
        now: Timestamp,
    ) -> Result<Option<SessionCookie>, IdentityError> {
        let (hash, cookie) = match (&arrival.device, kind) {
            (Device::Shown { hash, .. }, SessionKind::Cookie) => (hash.clone(), None),
            (Device::Unknown, SessionKind::Cookie) => {
                let value = Secret::new(baluarte_secrets::random_token());
                (self.device_hash(&value), Some(SessionCookie { value, max_age: REMEMBER_PLACE }))
            }
            (Device::Unasked, _) | (_, SessionKind::Tokens) => return Ok(None),
        };
        store::devices::remember(tx, account.user.id, &hash, now).await?;
        // What was tried in it before is forgiven with the rest.
        let key = throttle::device_key(&self.inner.kit.secrets, account.user.email.as_str(), &hash);
        store::throttles::clear(tx, &[key]).await?;
        Ok(cookie)
    }

    /// A browser that signs in again leaves its earlier session behind: it ends.
    async fn end_replaced(&self, ctx: &Ctx, tx: &Tx, kind: SessionKind) -> Result<Option<SessionId>, IdentityError> {
        let Actor::User(before) = &ctx.actor else { return Ok(None) };
        let (CredentialKind::SessionCookie, SessionKind::Cookie, Some(id)) = (before.credential, kind, before.session_id) else {
            return Ok(None);
        };
        Ok(store::sessions::delete_session(tx, id, before.user_id).await?.then_some(id))
    }

    pub(super) fn token_pair(&self, token: &AccessToken<'_>, salt: &RefreshSalt, now: Timestamp) -> TokenPair {
        let expires_at = Timestamp::from_unix_seconds(token.issued_at.unix_seconds()).plus(self.inner.issuer.lifetime());
        TokenPair {
            access_token: self.inner.issuer.access_token(&self.inner.keys.load(), token, now),
            expires_in: expires_at.since(now),
            refresh_token: RefreshToken::render(&self.inner.kit.secrets, token.session_id, token.seq, salt),
        }
    }

    pub(super) fn cookie_hash(&self, value: &str) -> String {
        hex::encode(self.inner.kit.secrets.keyed_hash("identity.session_cookie", value.as_bytes()))
    }
}

/// Has this text the form of what we put into cookies? Nobody chooses a short one for themselves.
fn is_token(text: &str) -> bool {
    text.len() >= 43 && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(USER_AGENT).collect()
}
