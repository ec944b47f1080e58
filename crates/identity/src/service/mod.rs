//! What identity does, one method for each use case. Both doors, API and pages, come through here.

mod accounts;
mod admin;
mod api_keys;
mod authenticator;
mod cookies;
mod details;
mod email_change;
mod factors;
mod import;
mod invitations;
mod logins;
mod magic_link;
mod notices;
mod operator;
mod passwords;
mod refresh;
mod registration;
mod sessions;
mod sign_in;
mod upkeep;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use baluarte_audit::{Action, Entry};
use baluarte_component::{Component, Kit};
use baluarte_db::{Batch, DbError, Tx};
use baluarte_kernel::{ApiKeyId, Authenticator, Ctx, Entitlements, Event, Principal, Secret, SessionId, Timestamp, UserId};
use tokio::sync::Semaphore;

use self::{
    authenticator::{Cache, DatabaseHealth, Known, OncePerSecond, Port, Touched},
    refresh::Rotation,
};
use crate::{
    IdentityConfig, IdentityError,
    mails::Mails,
    oidc::{LoginMails, Providers},
    password::{self, PasswordPool},
    revocations::{self, Revocation, Revoked, Subject},
    store::{self, users::Account},
    token::{Issuer, Keyring},
};

pub use self::logins::{Arrived, Departure, Returned, ToConnect, WaysIn};

/// Accounts, sessions, tokens and passwords. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

struct Inner {
    kit: Kit,
    config: IdentityConfig,
    entitlements: Arc<dyn Entitlements>,
    issuer: Issuer,
    keys: ArcSwap<Keyring>,
    revoked: Revoked,
    passwords: PasswordPool,
    /// As many as passwords are hashed at once: what one attempt learns, the next one on the account already counts.
    attempts: Semaphore,
    /// Those who wait for their turn to attempt.
    waiting: Semaphore,
    /// Work that goes on after it was answered, so that the time an answer takes tells nothing.
    afterwards: Arc<Semaphore>,
    rotations: Batch<Rotation, bool>,
    cookies: Cache<Known>,
    api_keys: Cache<Known>,
    tokens: Cache<Arc<Principal>>,
    touched: Touched<SessionId>,
    touched_keys: Touched<ApiKeyId>,
    /// What the gateway's routes ask of API keys.
    route_scopes: ArcSwap<Vec<String>>,
    database: DatabaseHealth,
    key_looks: OncePerSecond,
    mails: Mails,
    /// What passwords must not consist of.
    context: password::Context,
    providers: Providers,
}

/// Answers whose work is still going on.
const AFTERWARDS: usize = 64;
/// Refreshes in one commit.
const ROTATIONS: usize = 256;

impl Identity {
    /// Loads keys and revocations and keeps both fresh. The tables must be there.
    pub async fn start(kit: &Kit, config: &IdentityConfig, entitlements: Arc<dyn Entitlements>) -> Result<Self, IdentityError> {
        let audience = if config.audience.is_empty() { &*kit.public_url } else { &config.audience };
        let keys = upkeep::load_keys(kit).await?;
        if keys.sealed_otherwise() > 0 {
            tracing::warn!(target: "identity", keys = keys.sealed_otherwise(), "signing keys are sealed with another SECRET_KEY: they only verify");
        }
        let passwords = PasswordPool::start(config).map_err(|err| IdentityError::Internal(format!("threads for passwords: {err}")))?;
        let inner = Inner {
            issuer: Issuer::new(&kit.public_url, audience, config.access_token_lifetime.get()),
            keys: ArcSwap::from_pointee(keys),
            revoked: Revoked::default(),
            attempts: Semaphore::new(passwords.threads()),
            passwords,
            waiting: Semaphore::new(sign_in::WAITING),
            afterwards: Arc::new(Semaphore::new(AFTERWARDS)),
            rotations: refresh::rotations(kit.db.clone(), ROTATIONS),
            cookies: Cache::default(),
            api_keys: Cache::default(),
            tokens: Cache::default(),
            touched: Touched::default(),
            touched_keys: Touched::default(),
            route_scopes: ArcSwap::default(),
            database: DatabaseHealth::default(),
            key_looks: OncePerSecond::default(),
            mails: Mails::new(&kit.public_url, &kit.brand),
            context: password::Context::new(&kit.public_url, &kit.brand, &config.password_words),
            providers: Providers::new(&config.providers, &kit.public_url)
                .map_err(|err| IdentityError::Internal(format!("the client for providers: {err}")))?,
            kit: kit.clone(),
            config: config.clone(),
            entitlements,
        };
        let identity = Self { inner: Arc::new(inner) };
        identity.weigh_imported_passwords().await?;
        identity.keep_up().await?;
        Ok(identity)
    }

    pub fn component(&self) -> Component {
        Component { api: crate::http::routes(self.clone()), pages: crate::pages::routes(self.clone()), ..Component::named("identity") }
    }

    pub fn authenticator(&self) -> Arc<dyn Authenticator> {
        Arc::new(Port(self.clone()))
    }

    pub fn config(&self) -> &IdentityConfig {
        &self.inner.config
    }

    /// The name of somebody's plan, as shown with an account.
    pub fn plan_of(&self, user: UserId) -> Arc<str> {
        self.inner.entitlements.plan_of(user).name
    }

    /// The public keys as a JSON Web Key Set.
    pub(crate) fn jwks(&self) -> String {
        self.inner.keys.load().jwks().to_owned()
    }

    /// Answers whose mails are still being written; zero at rest.
    pub fn unfinished(&self) -> usize {
        AFTERWARDS - self.inner.afterwards.available_permits()
    }

    pub(crate) fn kit(&self) -> &Kit {
        &self.inner.kit
    }

    // ── what several use cases need ──

    fn login_mails(&self) -> LoginMails<'_> {
        LoginMails(&self.inner.mails)
    }

    /// Keeps an entry about an account with the transaction.
    fn record_user(&self, ctx: &Ctx, tx: &Tx, action: &'static Action, user: UserId) {
        self.inner.kit.audit.record(ctx, tx, Entry::new(action, "user").of(user));
    }

    /// The caller's own account.
    async fn my_account(&self, ctx: &Ctx) -> Result<Account, IdentityError> {
        let id = ctx.user()?.user_id;
        store::users::find_user(self.inner.kit.db.read(), id).await?.ok_or(IdentityError::UserNotFound(id))
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

    /// The hash under which the token of a link is stored.
    fn link_hash(&self, token: &Secret) -> String {
        hex::encode(self.inner.kit.secrets.keyed_hash_salted("identity.link", token.expose().as_bytes()))
    }

    /// How long idle sessions of cookies and of tokens have been unused by now, at least.
    fn idle_since(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        (now.minus(self.inner.config.session_idle.get()), now.minus(self.inner.config.refresh_idle.get()))
    }

    /// Writes down that sessions have ended; tell everybody with [`Self::announce`] after the commit.
    async fn revoke_sessions(&self, tx: &Tx, ended: &[SessionId], now: Timestamp) -> Result<Vec<Revocation>, DbError> {
        let mut revocations = Vec::with_capacity(ended.len());
        for id in ended {
            revocations.push(self.revoke(tx, Subject::Session(*id), Revocation::EVERY, now).await?);
        }
        Ok(revocations)
    }

    /// Whoever wants to hear of it does, after the caller's commit.
    async fn publish(&self, ctx: &Ctx, tx: &Tx, event: Event) -> Result<(), DbError> {
        self.inner.kit.jobs.publish(ctx, tx, event).await.map(drop)
    }

    /// Writes down that what somebody carries from before `epoch` is void.
    async fn revoke(&self, tx: &Tx, subject: Subject, epoch: u64, now: Timestamp) -> Result<Revocation, DbError> {
        let revocation = Revocation { subject, epoch, expires_at: now.plus(self.longest_credential()) };
        store::revocations::insert_revocation(tx, &revocation, now).await?;
        Ok(revocation)
    }

    /// Every replica obeys within a second: this one at once, those that hear the hint a moment later, the rest when they
    /// look into the database.
    fn announce(&self, revocations: Vec<Revocation>) {
        if revocations.is_empty() {
            return;
        }
        self.inner.revoked.add(&revocations);
        let identity = self.clone();
        // In pieces that fit into a message; nobody waits for Redis to sign out.
        self.inner.kit.tasks.spawn(async move {
            for piece in revocations.chunks(100) {
                if let Err(err) = identity.inner.kit.backplane.publish(upkeep::TOPIC, &revocations::encode(piece)).await {
                    tracing::debug!(target: "identity", error = %err, "revocations were not announced; replicas find them in the database");
                }
            }
        });
    }

    /// No credential that is checked from memory lives longer.
    fn longest_credential(&self) -> Duration {
        self.inner.issuer.lifetime() + Duration::from_secs(60)
    }
}
