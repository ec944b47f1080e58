//! Access tokens (RFC 9068) and upstream identities: both signed by the same keys, told apart by `typ`.

use std::{sync::Arc, time::Duration};

use baluarte_kernel::{
    ApiKeyId, CredentialKind, Principal, Secret, SessionId, Timestamp, UPSTREAM_IDENTITY_LIFETIME, UpstreamIdentity, UserId,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation};
use serde::{Deserialize, Serialize};

use super::Keyring;
use crate::model::User;

const ACCESS_TYPE: &str = "at+jwt";
/// Never the type of an access token, so that an upstream cannot use what it was sent against us.
const UPSTREAM_TYPE: &str = "baluarte-identity+jwt";
/// What else of ours may be sent as a token: API keys and refresh tokens.
const PREFIXES: [&str; 2] = [crate::api_key::PREFIX, super::refresh::PREFIX];
/// Far longer than any token of ours; what is longer is refused before anybody decodes it.
const MAX_BYTES: usize = 4_096;

/// Makes and reads tokens in the name of this installation.
#[derive(Debug)]
pub(crate) struct Issuer {
    issuer: String,
    audience: String,
    lifetime: Duration,
    validation: Validation,
}

/// What an access token is made from.
#[derive(Debug)]
pub(crate) struct AccessToken<'a> {
    pub(crate) user: &'a User,
    pub(crate) epoch: u64,
    pub(crate) session_id: SessionId,
    /// Which refresh of the session it belongs to: the same refresh gives the same token.
    pub(crate) seq: u32,
    pub(crate) issued_at: Timestamp,
    /// When its owner last showed who they are.
    pub(crate) proven_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct AccessClaims {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SessionId,
    role: String,
    name: String,
    email: String,
    iat: i64,
    exp: i64,
    jti: String,
    /// Credentials of an earlier epoch were revoked together.
    epoch: u64,
    /// When the person last showed who they are (OpenID Connect Core, 2); tokens from before this was told do not say.
    #[serde(default)]
    auth_time: i64,
}

/// Who issued a token.
#[derive(Deserialize)]
struct Issued {
    iss: String,
}

#[derive(Serialize)]
struct UpstreamClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<SessionId>,
    /// The API key, and what it may (RFC 8693, 4.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<ApiKeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    email: &'a str,
    name: &'a str,
    role: &'a str,
    plan: &'a str,
    iat: i64,
    exp: i64,
}

impl Issuer {
    /// `lifetime`: of access tokens.
    pub(crate) fn new(issuer: &str, audience: &str, lifetime: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // Against our own clock, below.
        validation.validate_exp = false;
        Self { issuer: issuer.to_owned(), audience: audience.to_owned(), lifetime, validation }
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    pub(crate) fn access_token(&self, keys: &Keyring, token: &AccessToken<'_>, now: Timestamp) -> Secret {
        let iat = token.issued_at.unix_seconds();
        let claims = AccessClaims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: token.user.id,
            sid: token.session_id,
            role: token.user.role.to_string(),
            name: token.user.name.to_string(),
            email: token.user.email.to_string(),
            iat,
            exp: self.expiry(iat),
            jti: format!("{}.{}", token.session_id, token.seq),
            epoch: token.epoch,
            auth_time: token.proven_at.unix_seconds(),
        };
        Secret::new(keys.sign(ACCESS_TYPE, &claims, now))
    }

    fn expiry(&self, iat: i64) -> i64 {
        iat.saturating_add(i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX))
    }

    /// The key a token claims to be signed with; `None` when it is not a token at all.
    pub(crate) fn key_id(token: &str) -> Option<String> {
        if token.len() > MAX_BYTES {
            return None;
        }
        jsonwebtoken::decode_header(token).ok()?.kid
    }

    /// Has this text the form of a token that we issue, whether or not it is still good? Another issuer's tokens have not.
    pub(crate) fn is_own(&self, keys: &Keyring, token: &str) -> bool {
        if PREFIXES.iter().any(|prefix| token.starts_with(prefix)) {
            return true;
        }
        if token.len() > MAX_BYTES {
            return false;
        }
        let Ok(header) = jsonwebtoken::decode_header(token) else { return false };
        match header.typ.as_deref() {
            Some(UPSTREAM_TYPE) => true,
            // Any issuer may call its access tokens that.
            Some(ACCESS_TYPE) => header.kid.is_some_and(|kid| keys.verifier(&kid).is_some()) || self.says_it_issued(token),
            _ => false,
        }
    }

    /// Of a token of which nothing has been verified.
    fn says_it_issued(&self, token: &str) -> bool {
        let claims = token.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
        claims.and_then(|claims| serde_json::from_slice::<Issued>(&claims).ok()).is_some_and(|claims| claims.iss == self.issuer)
    }

    /// Who carries this access token. `None`: not ours, altered, expired, of another type or for another audience.
    pub(crate) fn verify(&self, keys: &Keyring, token: &str, now: Timestamp) -> Option<Principal> {
        let key = keys.verifier(&Self::key_id(token)?)?;
        let data = jsonwebtoken::decode::<AccessClaims>(token, key, &self.validation).ok()?;
        // RFC 8725, 3.11; RFC 7515, 4.1.11: we understand no extension.
        let plain = data.header.crit.is_none() && data.header.zip.is_none();
        let claims = data.claims;
        // A lifetime that was configured shorter since also holds for the tokens that are out: revocations are kept no longer.
        let expires_at = claims.exp.min(self.expiry(claims.iat));
        if data.header.typ.as_deref() != Some(ACCESS_TYPE) || !plain || expires_at <= now.unix_seconds() {
            return None;
        }
        Some(Principal {
            user_id: claims.sub,
            email: claims.email,
            name: claims.name,
            role: claims.role,
            session_id: Some(claims.sid),
            key_id: None,
            scopes: None,
            credential: CredentialKind::AccessToken,
            issued_at: Timestamp::from_unix_seconds(claims.iat),
            proven_at: Timestamp::from_unix_seconds(claims.auth_time),
            epoch: claims.epoch,
            expires_at: Timestamp::from_unix_seconds(expires_at),
        })
    }

    /// Proof for the upstream named `audience` of who is calling; good for a minute, and for nobody else.
    pub(crate) fn upstream_identity(
        &self,
        keys: &Keyring,
        who: &Principal,
        audience: &str,
        plan: &str,
        now: Timestamp,
    ) -> UpstreamIdentity {
        let iat = now.unix_seconds();
        let claims = UpstreamClaims {
            iss: &self.issuer,
            aud: audience,
            sub: who.user_id,
            sid: who.session_id,
            key: who.key_id,
            scope: who.scopes.as_ref().map(|scopes| scopes.join(" ")),
            email: &who.email,
            name: &who.name,
            role: &who.role,
            plan,
            iat,
            exp: iat.saturating_add(UPSTREAM_IDENTITY_LIFETIME.as_secs().cast_signed()),
        };
        let token: Arc<str> = keys.sign(UPSTREAM_TYPE, &claims, now).into();
        // Ten seconds for the request to get there.
        UpstreamIdentity { token, renew_at: now.plus(UPSTREAM_IDENTITY_LIFETIME - Duration::from_secs(10)) }
    }
}

#[cfg(test)]
mod tests {
    use baluarte_kernel::Locale;

    use super::{
        super::keyring::tests::{key, secrets},
        *,
    };
    use crate::{Role, token::StoredKey};

    const LIFETIME: Duration = Duration::from_secs(900);

    fn now() -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000)
    }

    fn issuer() -> Issuer {
        Issuer::new("https://shop.example", "https://shop.example", LIFETIME)
    }

    fn ring(rows: &[StoredKey]) -> Keyring {
        Keyring::open(rows, &secrets()).unwrap()
    }

    fn user() -> User {
        User {
            id: UserId::generate(),
            email: "zoe@example.com".parse().unwrap(),
            name: "Zoë".parse().unwrap(),
            role: Role::user(),
            locale: Locale::En,
            email_verified_at: None,
            disabled_at: None,
            reset_required_at: None,
            last_sign_in_at: None,
            created_at: now(),
        }
    }

    fn token(keys: &Keyring, user: &User) -> String {
        let token = AccessToken { user, epoch: 3, session_id: SessionId::generate(), seq: 0, issued_at: now(), proven_at: now() };
        issuer().access_token(keys, &token, now()).expose().to_owned()
    }

    #[test]
    fn a_lifetime_made_shorter_holds_for_the_tokens_that_are_out() {
        let keys = ring(&[key(1, now())]);
        let token = token(&keys, &user());
        let shorter = Issuer::new("https://shop.example", "https://shop.example", Duration::from_secs(60));
        assert!(shorter.verify(&keys, &token, now().plus(Duration::from_secs(59))).is_some());
        assert!(shorter.verify(&keys, &token, now().plus(Duration::from_secs(60))).is_none());
    }

    fn with_header(token: &str, header: &str) -> String {
        let (_, rest) = token.split_once('.').unwrap();
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))
    }

    #[test]
    fn what_we_issued_is_told_from_other_issuers_tokens_whether_or_not_it_is_good() {
        let keys = ring(&[key(1, now())]);
        let own = token(&keys, &user());
        let (front, _) = own.rsplit_once('.').unwrap();
        let principal = issuer().verify(&keys, &own, now()).unwrap();
        let identity = issuer().upstream_identity(&keys, &principal, "shop", "free", now()).token;
        for text in [own.as_str(), &format!("{front}.c2ln"), &identity, "blt_0123", "blr_0123"] {
            assert!(issuer().is_own(&keys, text), "{text}");
        }
        // Of a key that is gone, and of a former issuer.
        assert!(issuer().is_own(&ring(&[key(2, now())]), &own));
        assert!(Issuer::new("https://new.example", "https://new.example", LIFETIME).is_own(&keys, &own));
        let stranger = Issuer::new("https://login.example", "https://login.example", LIFETIME);
        assert!(!stranger.is_own(&ring(&[key(2, now())]), &own));
        for text in ["", "x", "a.b.c", &with_header(&own, r#"{"alg":"EdDSA","typ":"JWT"}"#), &"x".repeat(10_000)] {
            assert!(!issuer().is_own(&keys, text), "{text}");
        }
    }

    #[test]
    fn an_access_token_says_who_carries_it_until_it_expires() {
        let (keys, user) = (ring(&[key(1, now())]), user());
        let token = token(&keys, &user);
        let who = issuer().verify(&keys, &token, now()).unwrap();
        assert_eq!((who.user_id, who.name.as_str(), who.role.as_str(), who.epoch), (user.id, "Zoë", "user", 3));
        assert_eq!(who.expires_at, now().plus(LIFETIME));
        assert!(issuer().verify(&keys, &token, now().plus(LIFETIME - Duration::from_secs(1))).is_some());
        assert!(issuer().verify(&keys, &token, now().plus(LIFETIME)).is_none());
    }

    #[test]
    fn asvs_9_1_2_only_the_one_algorithm_is_accepted() {
        let rows = [key(1, now())];
        let keys = ring(&rows);
        let token = token(&keys, &user());
        for alg in ["none", "HS256", "ES256"] {
            let forged = with_header(&token, &format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{}"}}"#, rows[0].kid));
            assert!(issuer().verify(&keys, &forged, now()).is_none(), "{alg}");
        }
        // Signed with the public key as a secret: the classic confusion.
        let mut header = jsonwebtoken::Header::new(Algorithm::HS256);
        header.typ = Some(ACCESS_TYPE.to_owned());
        header.kid = Some(rows[0].kid.clone());
        let public = URL_SAFE_NO_PAD.decode(&rows[0].public_key).unwrap();
        let claims = serde_json::json!({"iss": "https://shop.example", "aud": "https://shop.example", "sub": UserId::generate(),
            "sid": SessionId::generate(), "role": "admin", "name": "x", "email": "x", "iat": 0, "exp": 9_999_999_999_i64, "jti": "x", "epoch": 9});
        let forged = jsonwebtoken::encode(&header, &claims, &jsonwebtoken::EncodingKey::from_secret(&public)).unwrap();
        assert!(issuer().verify(&keys, &forged, now()).is_none());
    }

    #[test]
    fn asvs_9_2_2_an_upstream_identity_is_not_an_access_token_nor_the_other_way_round() {
        let keys = ring(&[key(1, now())]);
        let who = issuer().verify(&keys, &token(&keys, &user()), now()).unwrap();
        // Even for an upstream that bears the name of our own audience.
        let identity = issuer().upstream_identity(&keys, &who, "https://shop.example", "free", now());
        assert!(issuer().verify(&keys, &identity.token, now()).is_none());
        assert_eq!(jsonwebtoken::decode_header(&*identity.token).unwrap().typ.as_deref(), Some(UPSTREAM_TYPE));
        assert_eq!(identity.renew_at, now().plus(Duration::from_secs(50)));
    }

    #[test]
    fn asvs_9_2_3_tokens_for_others_and_by_others_are_refused() {
        let keys = ring(&[key(1, now())]);
        let user = user();
        let made = AccessToken { user: &user, epoch: 0, session_id: SessionId::generate(), seq: 0, issued_at: now(), proven_at: now() };
        for other in
            [Issuer::new("https://shop.example", "other", LIFETIME), Issuer::new("https://evil.example", "https://shop.example", LIFETIME)]
        {
            let token = other.access_token(&keys, &made, now());
            assert!(issuer().verify(&keys, token.expose(), now()).is_none());
        }
        let stranger = ring(&[key(1, now())]);
        assert!(issuer().verify(&keys, &token(&stranger, &user), now()).is_none(), "another installation's key");
    }

    #[test]
    fn an_altered_token_is_refused() {
        let keys = ring(&[key(1, now())]);
        let token = token(&keys, &user());
        let parts: Vec<_> = token.split('.').collect();
        let mut claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        claims["role"] = "admin".into();
        let forged = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2]);
        for bad in [forged.as_str(), "", "a.b.c", &token[..token.len() - 2], &format!("{token}."), &"x".repeat(5_000)] {
            assert!(issuer().verify(&keys, bad, now()).is_none(), "{bad}");
        }
    }

    #[test]
    fn another_library_verifies_our_tokens_with_the_published_keys() {
        let keys = ring(&[key(1, now()), key(2, now())]);
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(keys.jwks()).unwrap();
        let token = token(&keys, &user());
        let header = jsonwebtoken::decode_header(&token).unwrap();
        let jwk = set.find(header.kid.as_deref().unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["https://shop.example"]);
        let key = jsonwebtoken::DecodingKey::from_jwk(jwk).unwrap();
        let data = jsonwebtoken::decode::<serde_json::Value>(&token, &key, &validation).unwrap();
        assert_eq!(data.claims["email"], "zoe@example.com");
    }
}
