//! Who signed in, as the provider has signed it (OpenID Connect Core, 3.1.3.7).

use std::time::Duration;

use baluarte_kernel::Timestamp;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::Value;

use super::{LoginError, keys::Keys};

/// Providers put groups and pictures into theirs.
const MAX_BYTES: usize = 64 * 1024;
/// Clocks differ.
const SKEW: Duration = Duration::from_secs(120);
/// A token that was asked for a moment ago was made a moment ago.
const FRESH: Duration = Duration::from_secs(600);
/// OpenID Connect Core, 2.
const MAX_SUBJECT: usize = 255;

/// What a token must say.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    /// With `{tenantid}` where that may be any directory of Microsoft's.
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
    /// Empty: not announced.
    pub(crate) algorithms: &'a [String],
    pub(crate) now: Timestamp,
}

/// What is read of a header before it is trusted.
#[derive(Debug, Deserialize)]
pub(crate) struct Head {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: Seconds,
    iat: Seconds,
    nbf: Option<Seconds>,
    nonce: Option<String>,
    pub(crate) auth_time: Option<Seconds>,
    #[serde(default)]
    pub(crate) amr: Value,
    tid: Option<String>,
    #[serde(flatten)]
    pub(crate) profile: Profile,
}

/// What a token or `userinfo` tells of a person; nothing in it is taken for granted.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Profile {
    pub(crate) email: Option<Value>,
    pub(crate) email_verified: Option<Value>,
    /// Microsoft: the owner of the domain has proven it.
    pub(crate) xms_edov: Option<Value>,
    pub(crate) name: Option<Value>,
    pub(crate) preferred_username: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn each(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(all) => all,
        }
    }
}

/// Seconds since 1970; some write a fraction (RFC 7519, 2).
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(from = "f64")]
pub(crate) struct Seconds(i64);

impl From<f64> for Seconds {
    #[expect(clippy::cast_possible_truncation, reason = "beyond the range is beyond any time")]
    fn from(seconds: f64) -> Self {
        Self(seconds as i64)
    }
}

impl Seconds {
    pub(crate) fn at(self) -> Timestamp {
        // No token is from before 1970 or after the year 9999.
        Timestamp::from_unix_seconds(self.0.clamp(0, 253_402_300_799))
    }
}

impl Head {
    pub(crate) fn read(token: &str) -> Result<Self, LoginError> {
        let bad = || LoginError::not_taken("its id_token is no JSON Web Token");
        if token.len() > MAX_BYTES {
            return Err(LoginError::not_taken(format!("its id_token is longer than {MAX_BYTES} bytes")));
        }
        let (head, _) = token.split_once('.').ok_or_else(bad)?;
        let head: Self = URL_SAFE_NO_PAD.decode(head).ok().and_then(|head| serde_json::from_slice(&head).ok()).ok_or_else(bad)?;
        // Extensions that must be understood and are not.
        if head.crit.is_some() {
            return Err(LoginError::not_taken("its id_token demands an extension (crit)"));
        }
        Ok(head)
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// One that we take and, where the provider says which it uses, that it uses.
    pub(crate) fn algorithm(&self, announced: &[String]) -> Result<Algorithm, LoginError> {
        let known = super::keys::ALGORITHMS.into_iter().find(|known| format!("{known:?}") == self.alg);
        let meant = announced.is_empty() || announced.contains(&self.alg);
        let printable: String = self.alg.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
        known.filter(|_| meant).ok_or_else(|| {
            LoginError::not_taken(format!("its id_token is signed with {printable:?}; taken are RS256, ES256 and EdDSA, as announced"))
        })
    }
}

/// The claims, if the token is for us, for this attempt and for now.
pub(crate) fn verify(token: &str, keys: &Keys, expected: &Expected<'_>) -> Result<Claims, LoginError> {
    let head = Head::read(token)?;
    let algorithm = head.algorithm(expected.algorithms)?;
    let mut validation = Validation::new(algorithm);
    // Against our own clock and rules, below.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let mut refused = None;
    for key in keys.fitting(head.kid(), algorithm) {
        match jsonwebtoken::decode::<Claims>(token, &key.key, &validation) {
            Ok(signed) => return check(signed.claims, key.issuer.as_deref(), expected),
            Err(err) => refused = Some(err),
        }
    }
    Err(LoginError::not_taken(match refused.map(|err| err.into_kind()) {
        None => "its id_token is signed with a key that it does not publish",
        Some(jsonwebtoken::errors::ErrorKind::Json(_)) => "its id_token lacks a claim, or one has the wrong type",
        Some(_) => "its id_token is not signed with the key that it names",
    }))
}

fn check(claims: Claims, of_key: Option<&str>, expected: &Expected<'_>) -> Result<Claims, LoginError> {
    let no = |why: &str| Err(LoginError::not_taken(why));
    let now = expected.now;
    if !is_issuer(expected.issuer, &claims) || of_key.is_some_and(|issuer| !is_issuer(issuer, &claims)) {
        return no("its id_token was issued by somebody else (iss)");
    }
    let audience = claims.aud.each();
    if !audience.iter().any(|one| one == expected.client_id) {
        return no("its id_token is for somebody else (aud)");
    }
    if (audience.len() > 1 || claims.azp.is_some()) && claims.azp.as_deref() != Some(expected.client_id) {
        return no("its id_token was made for somebody else (azp)");
    }
    if claims.exp.at().plus(SKEW) <= now {
        return no("its id_token has expired; do both clocks go right?");
    }
    if claims.iat.at() > now.plus(SKEW) || claims.nbf.is_some_and(|nbf| nbf.at() > now.plus(SKEW)) {
        return no("its id_token is from the future; do both clocks go right?");
    }
    if claims.iat.at().plus(FRESH) <= now {
        return no("its id_token is old; do both clocks go right?");
    }
    let nonce = claims.nonce.as_deref().unwrap_or_default();
    if !baluarte_secrets::equal(nonce.as_bytes(), expected.nonce.as_bytes()) {
        return no("its id_token is of another attempt (nonce)");
    }
    check_subject(&claims.sub)?;
    Ok(claims)
}

pub(crate) fn check_subject(subject: &str) -> Result<(), LoginError> {
    let sound = !subject.is_empty() && subject.len() <= MAX_SUBJECT && subject.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if sound { Ok(()) } else { Err(LoginError::not_taken("its name for the person (sub) cannot be one")) }
}

/// Microsoft's `common` endpoints name an issuer with a gap for the directory, which the token names.
fn is_issuer(pattern: &str, claims: &Claims) -> bool {
    match (pattern.contains(TENANT), &claims.tid) {
        (false, _) => pattern == claims.iss,
        (true, Some(tid)) => is_guid(tid) && pattern.replace(TENANT, tid) == claims.iss,
        (true, None) => false,
    }
}

pub(crate) const TENANT: &str = "{tenantid}";

pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| if matches!(at, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}

impl Profile {
    /// Some providers write `"true"`, Microsoft writes 1.
    pub(crate) fn is_true(value: Option<&Value>) -> bool {
        match value {
            Some(Value::Bool(yes)) => *yes,
            Some(Value::String(text)) => text == "true" || text == "1",
            Some(Value::Number(number)) => number.as_i64() == Some(1),
            _ => false,
        }
    }

    pub(crate) fn text(value: Option<&Value>) -> Option<&str> {
        value.and_then(Value::as_str)
    }
}
