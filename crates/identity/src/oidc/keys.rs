//! A provider's public keys, as far as we take signatures by them.

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use super::LoginError;

/// Keys that one provider may publish.
const MOST: usize = 64;

/// What signs tokens that we take. Nothing that is made with a shared secret, and never nothing.
pub(crate) const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

#[derive(Debug)]
pub(crate) struct Keys(Vec<Key>);

#[derive(Debug)]
pub(crate) struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    pub(crate) key: DecodingKey,
    /// Microsoft: whose tokens it signs.
    pub(crate) issuer: Option<String>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Keys {
    /// Keys that we cannot use are passed over: providers publish them for others.
    pub(crate) fn read(body: &[u8]) -> Result<Self, LoginError> {
        let set: Set = serde_json::from_slice(body).map_err(|_| LoginError::not_taken("its keys are no JSON Web Key Set"))?;
        if set.keys.len() > MOST {
            return Err(LoginError::not_taken(format!("it publishes more than {MOST} keys")));
        }
        Ok(Self(set.keys.into_iter().filter_map(Key::read).collect()))
    }

    /// Those that may have signed a token with this header.
    pub(crate) fn fitting(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Key> {
        // A token that names no key may be of any; a set with a key that has no name may mean it.
        self.0.iter().filter(move |key| key.algorithm == algorithm && (kid.is_none() || key.kid.is_none() || key.kid.as_deref() == kid))
    }

    pub(crate) fn knows(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        self.fitting(kid, algorithm).next().is_some()
    }
}

impl Key {
    fn read(value: Value) -> Option<Self> {
        let issuer = value.get("issuer").and_then(Value::as_str).map(str::to_owned);
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
            _ => return None,
        };
        let meant = jwk.common.key_algorithm.is_none_or(|named| Algorithm::try_from(named).is_ok_and(|named| named == algorithm));
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        (signs && meant).then_some(Self { kid: jwk.common.key_id, algorithm, key, issuer })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(keys: &Value) -> Keys {
        Keys::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn only_keys_of_the_right_kind_for_signatures_are_kept() {
        let set = keys(&json!([
            { "kty": "oct", "k": "c2VjcmV0", "kid": "a" },
            { "kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "RS256" },
            { "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "b", "use": "enc" },
            { "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "c", "alg": "PS512" },
            { "kty": "EC", "crv": "P-384", "x": "AQAB", "y": "AQAB", "kid": "d" },
            { "kty": "future", "kid": "e" },
            "no key at all",
            { "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "f", "use": "sig", "alg": "RS256" },
            { "kty": "OKP", "crv": "Ed25519", "x": "AQAB", "kid": "g" },
        ]));
        assert_eq!(set.0.len(), 2);
        assert!(set.knows(Some("f"), Algorithm::RS256) && set.knows(None, Algorithm::EdDSA) && set.knows(Some("g"), Algorithm::EdDSA));
        for (kid, algorithm) in [("a", Algorithm::HS256), ("f", Algorithm::EdDSA), ("g", Algorithm::RS256), ("b", Algorithm::RS256)] {
            assert!(!set.knows(Some(kid), algorithm), "{kid}");
        }
    }

    #[test]
    fn a_set_is_a_set_and_not_endless() {
        assert!(Keys::read(b"[]").is_err());
        let many = vec![json!({}); MOST + 1];
        assert!(Keys::read(json!({ "keys": many }).to_string().as_bytes()).is_err());
    }
}
