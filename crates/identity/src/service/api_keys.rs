//! API keys: made, replaced and revoked by their owner, and recognised at the door.

use std::{sync::Arc, time::Duration};

use baluarte_audit::{Entry, Shown};
use baluarte_kernel::{ApiKeyId, AuthError, Ctx, Period, Principal, Timestamp, UserId, scope};

use super::{Identity, authenticator::FRESH};
use crate::{
    ApiKey, CreatedApiKey, IdentityError, NewApiKey, Role, actions,
    api_key::{self, MOST_SCOPES},
    revocations::{Revocation, Subject},
    store::{self, api_keys::NewRow},
};

/// Keys that one person may have, without those that have been replaced.
const MOST_KEYS: usize = 25;
/// With them: replaced ones work beside their successors for a while.
const MOST_ROWS: usize = 2 * MOST_KEYS;
/// A key that is over is shown for so long.
const SHOWN: Duration = Duration::from_secs(30 * 86_400);
/// How long a replaced key may go on beside its successor.
pub(crate) const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 86_400);

impl Identity {
    /// One's own, the newest first; those that are over for a month.
    pub async fn list_api_keys(&self, ctx: &Ctx) -> Result<Vec<ApiKey>, IdentityError> {
        Ok(store::api_keys::list(self.inner.kit.db.read(), ctx.user()?.user_id).await?)
    }

    /// What the caller may give a key: the product's scopes, those that routes ask for, and those that the operator named.
    pub fn offered_scopes(&self, ctx: &Ctx) -> Result<Vec<String>, IdentityError> {
        Ok(self.scopes_for(ctx.user()?.has_role(Principal::ADMIN)))
    }

    fn scopes_for(&self, admin: bool) -> Vec<String> {
        let own = scope::OWN.iter().map(|name| (*name).to_owned());
        let routes = self.inner.route_scopes.load();
        let mut all: Vec<String> = own.filter(|name| admin || !scope::needs_admin(name)).collect();
        for name in routes.iter().chain(&self.inner.config.api_key_scopes) {
            if !all.contains(name) && api_key::is_scope(name) && (admin || !scope::needs_admin(name)) {
                all.push(name.clone());
            }
        }
        all
    }

    /// The scopes that the gateway's routes ask for, now and after each reload.
    pub fn set_route_scopes(&self, scopes: Vec<String>) {
        self.inner.route_scopes.store(Arc::new(scopes));
    }

    /// Asks for a fresh proof of who it is; the key is in the answer and nowhere else.
    pub async fn create_api_key(&self, ctx: &Ctx, new: NewApiKey) -> Result<CreatedApiKey, IdentityError> {
        let (account, now) = (self.my_account(ctx).await?, ctx.now());
        let scopes = self.judged_scopes(new.scopes, &account.user.role)?;
        let longest = now.plus(self.inner.config.api_key_lifetime.get());
        let expires_at = match new.expires_at {
            None => longest,
            Some(at) if at > now && at <= longest => at,
            Some(_) => {
                let longest = self.inner.config.api_key_lifetime;
                return Err(IdentityError::BadApiKey("expires_at", format!("is in the future, and {longest} ahead at most")));
            }
        };
        self.require_fresh_proof(ctx, account.user.id).await?;
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, account.user.id).await?;
        let held = store::api_keys::list(&tx, account.user.id).await?;
        if held.iter().filter(|key| key.expires_at > now && key.replaced_by.is_none()).count() >= MOST_KEYS {
            return Err(IdentityError::TooManyApiKeys);
        }
        let made = make(new.name.to_string(), scopes, expires_at, now);
        store::api_keys::insert(&tx, row(&made, account.user.id)).await?;
        self.inner.kit.audit.record(ctx, &tx, about(Entry::new(&actions::API_KEY_CREATED, "api_key"), &made.key));
        let mail = self.inner.mails.api_key_created(&account.user, &made.key, ctx.client_ip(), now);
        self.inner.kit.notify.send(ctx, &tx, mail).await?;
        tx.commit().await?;
        tracing::info!(target: "identity", user_id = %account.user.id, key_id = %made.key.id, "made an API key");
        Ok(made)
    }

    /// Another key with the same name, scopes and span of life. The one before works for `overlap` more, or ends at once.
    pub async fn rotate_api_key(&self, ctx: &Ctx, id: ApiKeyId, overlap: Option<Period>) -> Result<CreatedApiKey, IdentityError> {
        let overlap = overlap.map(Period::get);
        // Shorter ones would end later than they say: what is known of a key is believed for a minute.
        if overlap.is_some_and(|overlap| overlap < FRESH || overlap > LONGEST_OVERLAP) {
            return Err(IdentityError::BadApiKey("overlap", "is \"1m\" to \"30d\", or null to end the old key at once".to_owned()));
        }
        let (account, now) = (self.my_account(ctx).await?, ctx.now());
        let user = account.user.id;
        self.require_fresh_proof(ctx, user).await?;
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        let held = store::api_keys::list(&tx, user).await?;
        let old = held.iter().find(|key| key.id == id && key.expires_at > now).ok_or(IdentityError::ApiKeyNotFound)?;
        if held.iter().filter(|key| key.expires_at > now).count() >= MOST_ROWS {
            return Err(IdentityError::TooManyApiKeys);
        }
        let span = old.expires_at.since(old.created_at).min(self.inner.config.api_key_lifetime.get());
        // What its owner may not give any more is not passed on.
        let offered = self.scopes_for(account.user.role.is_admin());
        let scopes: Vec<String> = old.scopes.iter().filter(|name| !scope::needs_admin(name) || offered.contains(name)).cloned().collect();
        let made = make(old.name.clone(), scopes, now.plus(span), now);
        let until = now.plus(overlap.unwrap_or_default());
        if !store::api_keys::replace(&tx, id, user, made.key.id, until, now).await? {
            return Err(IdentityError::ApiKeyReplaced);
        }
        let revoked = match overlap {
            Some(_) => None,
            None => {
                store::api_keys::delete(&tx, id, user).await?;
                Some(self.revoke(&tx, Subject::ApiKey(id), Revocation::EVERY, now).await?)
            }
        };
        store::api_keys::insert(&tx, row(&made, user)).await?;
        let entry = about(Entry::new(&actions::API_KEY_ROTATED, "api_key"), &made.key).detail("replaces", id);
        self.inner.kit.audit.record(ctx, &tx, entry.detail("overlap_ms", overlap.unwrap_or_default()));
        let mail = self.inner.mails.api_key_created(&account.user, &made.key, ctx.client_ip(), now);
        self.inner.kit.notify.send(ctx, &tx, mail).await?;
        tx.commit().await?;
        self.announce(revoked.into_iter().collect());
        tracing::info!(target: "identity", user_id = %user, key_id = %made.key.id, replaces = %id, "rotated an API key");
        Ok(made)
    }

    /// It stops working on every replica within a second.
    pub async fn revoke_api_key(&self, ctx: &Ctx, id: ApiKeyId) -> Result<(), IdentityError> {
        let (user, now) = (ctx.user()?.user_id, ctx.now());
        let tx = self.inner.kit.db.begin().await?;
        if !store::api_keys::delete(&tx, id, user).await? {
            return Err(IdentityError::ApiKeyNotFound);
        }
        let revoked = self.revoke(&tx, Subject::ApiKey(id), Revocation::EVERY, now).await?;
        self.inner.kit.audit.record(ctx, &tx, Entry::new(&actions::API_KEY_REVOKED, "api_key").of(id));
        tx.commit().await?;
        self.announce(vec![revoked]);
        tracing::info!(target: "identity", user_id = %user, key_id = %id, "revoked an API key");
        Ok(())
    }

    /// Sorted, each once, and only what the caller may give.
    fn judged_scopes(&self, mut scopes: Vec<String>, role: &Role) -> Result<Vec<String>, IdentityError> {
        let offered = self.scopes_for(role.is_admin());
        let unknown = scopes.iter().find(|name| !offered.contains(name));
        if scopes.is_empty() || scopes.len() > MOST_SCOPES || unknown.is_some() {
            return Err(IdentityError::BadApiKey("scopes", format!("names 1 to {MOST_SCOPES} of {}", offered.join(", "))));
        }
        scopes.sort_unstable();
        scopes.dedup();
        Ok(scopes)
    }

    /// Whose key it is. A look-up a minute for each key in use; what is none of ours is seen without one.
    pub(super) async fn api_key(&self, text: &str) -> Result<Arc<Principal>, AuthError> {
        if !api_key::is_sound(text) {
            return Err(AuthError::Invalid);
        }
        let now = self.inner.kit.clock.now();
        let hash = api_key::hash(text);
        let look = async {
            let found = store::api_keys::find(self.inner.kit.db.read(), &hash).await?;
            Ok(found.filter(|live| live.is_alive(now)).map(|live| {
                if live.last_used_at.is_none_or(|at| now.since(at) >= FRESH) {
                    self.inner.touched_keys.note(live.id, now);
                }
                let ends_at = live.expires_at;
                (live.into_principal(now.plus(FRESH).min(ends_at)), ends_at)
            }))
        };
        self.believed(&self.inner.api_keys, &hash, now, look).await
    }
}

/// Keys that ended before this are forgotten.
pub(super) fn over_since(now: Timestamp) -> Timestamp {
    now.minus(SHOWN)
}

fn make(name: String, scopes: Vec<String>, expires_at: Timestamp, now: Timestamp) -> CreatedApiKey {
    let secret = api_key::generate();
    let hint = api_key::hint(secret.expose());
    let key = ApiKey { id: ApiKeyId::generate(), name, hint, scopes, created_at: now, expires_at, last_used_at: None, replaced_by: None };
    CreatedApiKey { key, secret }
}

fn row(made: &CreatedApiKey, user_id: UserId) -> NewRow<'_> {
    NewRow { key: &made.key, user_id, key_hash: api_key::hash(made.secret.expose()) }
}

fn about(entry: Entry, key: &ApiKey) -> Entry {
    entry.of(key.id).detail("scopes", Shown(&key.scopes.join(" "))).personal("name", Shown(&key.name))
}
