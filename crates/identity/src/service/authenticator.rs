//! The port that the rest of the product asks: who is this? Tokens are checked in memory; cookies too, most of the time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use baluarte_db::DbError;
use baluarte_kernel::{AuthError, Authenticator, BoxFuture, Credential, Principal, Timestamp, UpstreamIdentity};

use super::Identity;
use crate::{
    api_key,
    store::{self, sessions::Live},
    token::Issuer,
};

/// A cookie or a key that was looked up is believed for so long before it is looked up again.
pub(super) const FRESH: Duration = Duration::from_secs(60);
/// After the database was found away, nobody waits for it again until then.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest that a request waits to learn whether its cookie is good.
const PATIENCE: Duration = Duration::from_secs(2);
/// Cookies in memory at most, and access tokens, and keys.
const CACHED: usize = 50_000;
/// Sessions whose last use is waiting to be written, at most, and keys.
const TOUCHED: usize = 50_000;
/// No cookie of ours is longer.
const MAX_COOKIE_BYTES: usize = 128;

pub(super) struct Port(pub(super) Identity);

impl Authenticator for Port {
    fn authenticate(&self, credential: Credential) -> BoxFuture<'_, Result<Arc<Principal>, AuthError>> {
        Box::pin(async move {
            match credential {
                Credential::Bearer(token) if token.starts_with(api_key::PREFIX) => self.0.api_key(&token).await,
                Credential::Bearer(token) => self.0.bearer(&token).await,
                Credential::SessionCookie(value) => self.0.cookie(&value).await,
            }
        })
    }

    fn revocations(&self) -> u64 {
        self.0.inner.revoked.changes()
    }

    fn is_revoked(&self, principal: &Principal) -> bool {
        self.0.inner.revoked.is_revoked(principal)
    }

    fn is_own(&self, token: &str) -> bool {
        let inner = &self.0.inner;
        inner.issuer.is_own(&inner.keys.load(), token)
    }

    fn upstream_identity(&self, principal: &Principal, audience: &str, plan: &str) -> UpstreamIdentity {
        let inner = &self.0.inner;
        inner.issuer.upstream_identity(&inner.keys.load(), principal, audience, plan, inner.kit.clock.now())
    }
}

impl Identity {
    async fn bearer(&self, token: &str) -> Result<Arc<Principal>, AuthError> {
        let now = self.inner.kit.clock.now();
        // A signature costs fifty times as much to check as this to look up. Only what was verified is kept.
        let hash = hex::encode(self.inner.kit.secrets.keyed_hash("identity.access_token", token.as_bytes()));
        match self.inner.tokens.find(&hash) {
            Some(known) if now < known.expires_at => return self.unless_revoked(known),
            Some(_) => self.inner.tokens.forget(&hash),
            None => {}
        }
        let kid = Issuer::key_id(token).ok_or(AuthError::Invalid)?;
        if self.inner.keys.load().verifier(&kid).is_none() {
            // Another replica may have made a key that we have not heard of.
            self.look_for_keys().await;
        }
        let keys = self.inner.keys.load();
        let principal = self.inner.issuer.verify(&keys, token, now).map(Arc::new).ok_or(AuthError::Invalid)?;
        self.inner.tokens.keep(hash, principal.clone());
        self.unless_revoked(principal)
    }

    fn unless_revoked(&self, principal: Arc<Principal>) -> Result<Arc<Principal>, AuthError> {
        if self.inner.revoked.is_revoked(&principal) { Err(AuthError::Revoked) } else { Ok(principal) }
    }

    async fn cookie(&self, value: &str) -> Result<Arc<Principal>, AuthError> {
        if value.is_empty() || value.len() > MAX_COOKIE_BYTES {
            return Err(AuthError::Invalid);
        }
        let now = self.inner.kit.clock.now();
        let hash = self.cookie_hash(value);
        let look = async {
            let found = store::sessions::find_by_cookie(self.inner.kit.db.read(), &hash).await?;
            Ok(found.filter(|live| self.is_in_use(live, now)).map(|live| {
                if now.since(live.session.last_seen_at) >= FRESH {
                    self.inner.touched.note(live.session.id, now);
                }
                let ends_at = live.session.expires_at;
                (live.principal(now.plus(FRESH).min(ends_at)), ends_at)
            }))
        };
        self.believed(&self.inner.cookies, &hash, now, look).await
    }

    /// What was looked up lately is believed; `look` finds whose it is and when it ends, however busy.
    pub(super) async fn believed(
        &self,
        cache: &Cache<Known>,
        hash: &str,
        now: Timestamp,
        look: impl Future<Output = Result<Option<(Principal, Timestamp)>, DbError>>,
    ) -> Result<Arc<Principal>, AuthError> {
        let known = cache.find(hash).filter(|known| !self.inner.revoked.is_revoked(&known.principal));
        if let Some(known) = &known
            && now < known.checked_at.plus(FRESH)
            && now < known.principal.expires_at
        {
            return Ok(known.principal.clone());
        }
        if self.inner.database.is_away(now) {
            return self.remembered(known, now);
        }
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(Ok(Some((principal, ends_at)))) => {
                let principal = Arc::new(principal);
                // Ended between the read and here.
                if self.inner.revoked.is_revoked(&principal) {
                    return Err(AuthError::Revoked);
                }
                cache.keep(hash.to_owned(), Known { principal: principal.clone(), checked_at: now, ends_at });
                Ok(principal)
            }
            Ok(Ok(None)) => {
                cache.forget(hash);
                Err(AuthError::Invalid)
            }
            Ok(Err(err)) => {
                // That the database is away it says itself, once.
                if !self.inner.kit.db.is_away() {
                    tracing::warn!(target: "identity", error = %err, "a credential could not be looked up");
                }
                self.inner.database.gone(now);
                self.remembered(known, now)
            }
            Err(_) => {
                self.inner.database.gone(now);
                self.remembered(known, now)
            }
        }
    }

    fn is_in_use(&self, live: &Live, now: Timestamp) -> bool {
        let seen = self.inner.touched.last(live.session.id);
        live.is_alive(self.inner.config.session_idle.get(), seen, now) && self.is_proven_enough(live)
    }

    /// While the database is away, a session or a key seen lately goes on for at most an access token's life.
    fn remembered(&self, known: Option<Known>, now: Timestamp) -> Result<Arc<Principal>, AuthError> {
        let known = known.ok_or(AuthError::Unavailable)?;
        let limit = known.checked_at.plus(self.inner.issuer.lifetime()).min(known.ends_at);
        if now >= limit {
            return Err(AuthError::Unavailable);
        }
        Ok(Arc::new(Principal { expires_at: limit.min(now.plus(FRESH)), ..(*known.principal).clone() }))
    }
}

/// A cookie or a key that was good when it was last looked up.
#[derive(Debug, Clone)]
pub(super) struct Known {
    principal: Arc<Principal>,
    checked_at: Timestamp,
    /// When it ends, however busy.
    ends_at: Timestamp,
}

/// Two generations: when the young one is full, the old one goes. What is used stays.
#[derive(Debug)]
pub(super) struct Cache<V>(Mutex<Generations<V>>);

type Kept<V> = HashMap<String, V, ahash::RandomState>;

#[derive(Debug)]
struct Generations<V> {
    young: Kept<V>,
    old: Kept<V>,
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self(Mutex::new(Generations { young: Kept::default(), old: Kept::default() }))
    }
}

impl<V: Clone> Cache<V> {
    fn find(&self, hash: &str) -> Option<V> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.young.get(hash) {
            return Some(known.clone());
        }
        let (hash, known) = kept.old.remove_entry(hash)?;
        kept.insert(hash, known.clone());
        Some(known)
    }

    fn keep(&self, hash: String, known: V) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(hash, known);
    }

    fn forget(&self, hash: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.young.remove(hash);
        kept.old.remove(hash);
    }
}

impl<V> Generations<V> {
    fn insert(&mut self, hash: String, known: V) {
        if self.young.len() >= CACHED / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, known);
    }
}

/// When sessions or keys were last used, until it is written down.
#[derive(Debug)]
pub(super) struct Touched<K>(Mutex<HashMap<K, Timestamp, ahash::RandomState>>);

impl<K> Default for Touched<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Eq + Hash> Touched<K> {
    /// Beyond the bound it is forgotten: the time of last use is coarse anyway.
    pub(super) fn note(&self, id: K, at: Timestamp) {
        let mut touched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if touched.len() < TOUCHED {
            touched.insert(id, at);
        }
    }

    /// What is not written down yet.
    fn last(&self, id: K) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    pub(super) fn take(&self) -> Vec<(K, Timestamp)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }
}

/// Whether it makes sense to ask the database, in microseconds of the clock.
#[derive(Debug, Default)]
pub(super) struct DatabaseHealth(AtomicI64);

impl DatabaseHealth {
    fn gone(&self, now: Timestamp) {
        self.0.store(now.plus(PAUSE).micros(), Ordering::Relaxed);
    }

    pub(super) fn is_away(&self, now: Timestamp) -> bool {
        now.micros() < self.0.load(Ordering::Relaxed)
    }
}

/// Lets one caller a second pass.
#[derive(Debug, Default)]
pub(super) struct OncePerSecond(AtomicI64);

impl OncePerSecond {
    pub(super) fn may(&self, now: Timestamp) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        now.micros().saturating_sub(last) >= 1_000_000
            && self.0.compare_exchange(last, now.micros(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use baluarte_kernel::{CredentialKind, UserId};

    use super::*;

    fn known() -> Known {
        let principal = Principal {
            user_id: UserId::generate(),
            email: String::new(),
            name: String::new(),
            role: "user".to_owned(),
            session_id: None,
            key_id: None,
            scopes: None,
            credential: CredentialKind::SessionCookie,
            issued_at: Timestamp::default(),
            proven_at: Timestamp::default(),
            epoch: 0,
            expires_at: Timestamp::default(),
        };
        Known { principal: Arc::new(principal), checked_at: Timestamp::default(), ends_at: Timestamp::default() }
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let cache = Cache::default();
        cache.keep("used".to_owned(), known());
        for n in 0..2 * CACHED {
            cache.keep(n.to_string(), known());
            assert!(cache.find("used").is_some(), "{n}");
        }
        let kept = cache.0.lock().unwrap();
        assert!(kept.young.len() + kept.old.len() <= CACHED);
    }
}
