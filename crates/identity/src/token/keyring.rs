//! The keys that sign tokens. Which one signs follows from their times alone, so that replicas agree without talking.

use std::{fmt, time::Duration};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use baluarte_kernel::Timestamp;
use baluarte_secrets::Secrets;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::IdentityError;

/// Binds the sealed private keys to their purpose.
const SEALED_AS: &str = "identity.signing_key";
/// A key is published for so long before it signs, so that whoever caches the set has it in time.
const LEAD: Duration = Duration::from_secs(86_400);
/// Longer than any clock is wrong and any cache old.
const MARGIN: Duration = Duration::from_secs(300);

/// A row of `signing_keys`.
#[derive(Debug, Clone)]
pub(crate) struct StoredKey {
    pub(crate) kid: String,
    pub(crate) generation: i64,
    /// The 32 bytes of the public key, base64url.
    pub(crate) public_key: String,
    /// PKCS#8, sealed.
    pub(crate) private_key: String,
    pub(crate) created_at: Timestamp,
    pub(crate) active_from: Timestamp,
}

/// All keys that are published: the one that signs, the next one, and earlier ones whose tokens are still good.
pub(crate) struct Keyring {
    /// By the moment from which they sign; at least one can sign.
    keys: Vec<Key>,
    jwks: String,
}

struct Key {
    kid: String,
    generation: i64,
    active_from: Timestamp,
    public: DecodingKey,
    /// Absent when it was sealed with another SECRET_KEY: then it only verifies.
    private: Option<Ed25519KeyPair>,
}

/// A key to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewKey {
    pub(crate) generation: i64,
    pub(crate) active_from: Timestamp,
}

/// What rotation asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) make: Option<NewKey>,
    /// Nothing that these signed is still good.
    pub(crate) retire: Vec<String>,
}

impl StoredKey {
    pub(crate) fn generate(new: NewKey, secrets: &Secrets, now: Timestamp) -> Result<Self, IdentityError> {
        let failed = |_| IdentityError::Internal("an Ed25519 key could not be made".to_owned());
        let pair = Ed25519KeyPair::generate().map_err(failed)?;
        // Version 1 of PKCS#8: the only one that every reader of Ed25519 keys takes.
        let private: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
        let public_key = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        Ok(Self {
            kid: thumbprint(&public_key),
            generation: new.generation,
            private_key: secrets.seal(SEALED_AS, private.as_ref()),
            public_key,
            created_at: now,
            active_from: new.active_from,
        })
    }
}

/// RFC 7638: the same key has the same name everywhere.
fn thumbprint(x: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

impl Keyring {
    /// Opens the rows. Fails with what to do when none of them can sign.
    pub(crate) fn open(rows: &[StoredKey], secrets: &Secrets) -> Result<Self, NoKey> {
        let mut rows: Vec<_> = rows.iter().collect();
        rows.sort_by_key(|row| (row.active_from, row.generation));
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            let Ok(public) = DecodingKey::from_ed_components(&row.public_key) else {
                tracing::error!(target: "identity", kid = row.kid, "the public part of a signing key is damaged");
                continue;
            };
            let private = secrets.open(SEALED_AS, &row.private_key).ok().and_then(|der| Ed25519KeyPair::from_pkcs8(&der).ok());
            keys.push(Key { kid: row.kid.clone(), generation: row.generation, active_from: row.active_from, public, private });
        }
        if keys.iter().all(|key| key.private.is_none()) {
            return Err(NoKey { next_generation: rows.iter().map(|row| row.generation).max().unwrap_or(0) + 1 });
        }
        let jwks = Jwks { keys: rows.iter().map(|row| Jwk::of(row)).collect() };
        let jwks = serde_json::to_string(&jwks).expect("strings serialise");
        Ok(Self { keys, jwks })
    }

    /// The key that signs now: the last one whose time has come.
    fn signer(&self, now: Timestamp) -> (&str, &Ed25519KeyPair) {
        let able = || self.keys.iter().filter_map(|key| Some((key, key.private.as_ref()?)));
        let (key, private) =
            able().rfind(|(key, _)| key.active_from <= now).or_else(|| able().next()).expect("one key can sign, open() saw to it");
        (&key.kid, private)
    }

    /// A compact JWS over these claims.
    pub(crate) fn sign(&self, typ: &str, claims: &impl Serialize, now: Timestamp) -> String {
        let (kid, private) = self.signer(now);
        let header = format!(r#"{{"alg":"EdDSA","typ":"{typ}","kid":"{kid}"}}"#);
        let claims = serde_json::to_vec(claims).expect("strings and numbers serialise");
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = private.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        token
    }

    pub(crate) fn verifier(&self, kid: &str) -> Option<&DecodingKey> {
        self.keys.iter().find(|key| key.kid == kid).map(|key| &key.public)
    }

    /// How many only verify: they were sealed with another SECRET_KEY.
    pub(crate) fn sealed_otherwise(&self) -> usize {
        self.keys.iter().filter(|key| key.private.is_none()).count()
    }

    /// The public keys as a JSON Web Key Set.
    pub(crate) fn jwks(&self) -> &str {
        &self.jwks
    }

    /// Makes the next key ahead of its time and forgets keys whose last token (`token_lifetime`) has expired.
    pub(crate) fn plan(&self, rotation: Duration, token_lifetime: Duration, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let lead = LEAD.min(rotation / 4);
        if let Some(last) = self.keys.last() {
            let due = last.active_from.plus(rotation);
            if now.plus(lead) >= due {
                let generation = self.keys.iter().map(|key| key.generation).max().unwrap_or(0) + 1;
                // After a long stop the moment has passed: still publish ahead of use.
                plan.make = Some(NewKey { generation, active_from: due.max(now.plus(lead)) });
            }
        }
        for pair in self.keys.windows(2) {
            if let [key, successor] = pair
                && successor.active_from.plus(token_lifetime).plus(MARGIN) <= now
            {
                plan.retire.push(key.kid.clone());
            }
        }
        plan
    }
}

/// None of the stored keys can sign: there is none yet, or SECRET_KEY has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoKey {
    pub(crate) next_generation: i64,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.kid)).finish()
    }
}

#[derive(Serialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

/// RFC 8037.
#[derive(Serialize)]
struct Jwk {
    kty: &'static str,
    crv: &'static str,
    r#use: &'static str,
    alg: &'static str,
    kid: String,
    x: String,
}

impl Jwk {
    fn of(row: &StoredKey) -> Self {
        Self { kty: "OKP", crv: "Ed25519", r#use: "sig", alg: "EdDSA", kid: row.kid.clone(), x: row.public_key.clone() }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use baluarte_kernel::Secret;

    use super::*;

    pub(in crate::token) fn secrets() -> Secrets {
        Secrets::new(&Secret::new("a secret key for tests, longer than 32 bytes"), &Secret::new("salt"))
    }

    pub(in crate::token) fn key(generation: i64, active_from: Timestamp) -> StoredKey {
        StoredKey::generate(NewKey { generation, active_from }, &secrets(), active_from).unwrap()
    }

    const DAY: Duration = Duration::from_secs(86_400);
    const MONTH: Duration = Duration::from_secs(30 * 86_400);
    const TOKEN: Duration = Duration::from_secs(900);

    fn start() -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000)
    }

    #[test]
    fn the_next_key_is_published_a_day_before_it_signs() {
        let rows = vec![key(1, start())];
        let ring = Keyring::open(&rows, &secrets()).unwrap();
        assert_eq!(ring.plan(MONTH, TOKEN, start().plus(28 * DAY)), Plan::default());
        let due = start().plus(MONTH);
        assert_eq!(ring.plan(MONTH, TOKEN, due.minus(DAY)).make, Some(NewKey { generation: 2, active_from: due }));

        let rows = vec![rows[0].clone(), key(2, due)];
        let ring = Keyring::open(&rows, &secrets()).unwrap();
        assert!(ring.jwks().contains(&rows[1].kid), "published");
        assert_eq!(ring.signer(due.minus(DAY)).0, rows[0].kid, "but not used");
        assert_eq!(ring.signer(due).0, rows[1].kid);
        assert_eq!(ring.plan(MONTH, TOKEN, due), Plan::default(), "the old one stays while its tokens are good");
        assert_eq!(ring.plan(MONTH, TOKEN, due.plus(TOKEN).plus(MARGIN)).retire, [rows[0].kid.clone()]);
    }

    #[test]
    fn after_a_long_stop_the_next_key_is_still_published_ahead() {
        let ring = Keyring::open(&[key(1, start())], &secrets()).unwrap();
        let late = start().plus(10 * MONTH);
        assert_eq!(ring.plan(MONTH, TOKEN, late).make, Some(NewKey { generation: 2, active_from: late.plus(DAY) }));
        assert_eq!(ring.plan(MONTH, TOKEN, late).retire, [] as [&str; 0], "the only key is never forgotten");
    }

    #[test]
    fn a_key_sealed_with_another_secret_key_only_verifies() {
        let other = Secrets::new(&Secret::new("another secret key, also longer than 32 bytes"), &Secret::new("salt"));
        let rows = vec![key(1, start()), StoredKey::generate(NewKey { generation: 2, active_from: start() }, &other, start()).unwrap()];
        let ring = Keyring::open(&rows, &secrets()).unwrap();
        assert_eq!(ring.signer(start()).0, rows[0].kid);
        assert!(ring.verifier(&rows[1].kid).is_some());
        assert_eq!(Keyring::open(&rows[1..], &secrets()).unwrap_err(), NoKey { next_generation: 3 });
        assert_eq!(Keyring::open(&[], &secrets()).unwrap_err(), NoKey { next_generation: 1 });
    }

    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        // RFC 8037, appendix A.3.
        assert_eq!(thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
