//! Somebody on their way to a provider and back. What belongs to the way travels in a sealed cookie of theirs: nothing is stored until
//! they come back, any replica can take them in, and whoever did not begin in this browser cannot end in it.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use baluarte_kernel::{Secret, SessionId, Timestamp, UserId};
use baluarte_secrets::{Secrets, random_token};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Claimed;

/// Long enough to find a telephone with the second factor of the account there.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(900);
/// To sign in, or register, before an account elsewhere is connected.
pub(crate) const WAITING: Duration = Duration::from_secs(1_800);
/// Attempts that one browser has under way: in several tabs.
pub(crate) const SLOTS: usize = 4;

/// What somebody wants from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Errand {
    SignIn,
    /// Somebody signed in connects the account there.
    Connect(UserId, SessionId),
    /// Somebody signed in shows that it is still them.
    Confirm(UserId, SessionId),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) provider: String,
    pub(crate) state: String,
    pub(crate) nonce: String,
    /// PKCE (RFC 7636).
    pub(crate) verifier: String,
    pub(crate) errand: Errand,
    /// As it came: whoever uses it looks at it first.
    pub(crate) return_to: String,
    pub(crate) expires_at: i64,
}

impl Attempt {
    pub(crate) fn begin(provider: &str, slot: usize, errand: Errand, return_to: &str, now: Timestamp) -> Self {
        Self {
            provider: provider.to_owned(),
            // Says which cookie it is in.
            state: format!("{}{}", slot % SLOTS, random_token()),
            nonce: random_token(),
            verifier: random_token(),
            errand,
            return_to: return_to.to_owned(),
            expires_at: now.plus(ATTEMPT).micros(),
        }
    }

    /// `S256`
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()))
    }

    pub(crate) fn seal(&self, secrets: &Secrets) -> Secret {
        seal(secrets, CONTEXT, self)
    }

    /// The attempt that `state` ends, if it is this one and not over.
    pub(crate) fn open(secrets: &Secrets, sealed: &Secret, provider: &str, state: &str, now: Timestamp) -> Option<Self> {
        let attempt: Self = open(secrets, CONTEXT, sealed)?;
        let ours = attempt.provider == provider && baluarte_secrets::equal(attempt.state.as_bytes(), state.as_bytes());
        (ours && Timestamp::from_micros(attempt.expires_at) > now).then_some(attempt)
    }

    /// In which cookie the attempt is that a provider answers.
    pub(crate) fn slot(state: &str) -> Option<usize> {
        let slot = state.chars().next()?.to_digit(10)? as usize;
        (slot < SLOTS).then_some(slot)
    }
}

const CONTEXT: &str = "identity.login_attempt";
const WAITING_CONTEXT: &str = "identity.login_waiting";

/// An account elsewhere that was shown and is not connected yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) provider: String,
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) label: String,
    /// Only they may connect it; absent: whoever signs in in this browser.
    pub(crate) user: Option<UserId>,
    pub(crate) return_to: String,
    pub(crate) expires_at: i64,
}

impl Shown {
    pub(crate) fn of(provider: &str, claimed: &Claimed, user: Option<UserId>, return_to: &str, now: Timestamp) -> Self {
        Self {
            provider: provider.to_owned(),
            issuer: claimed.issuer.clone(),
            subject: claimed.subject.clone(),
            label: claimed.label.clone(),
            user,
            return_to: return_to.to_owned(),
            expires_at: now.plus(WAITING).micros(),
        }
    }

    pub(crate) fn seal(&self, secrets: &Secrets) -> Secret {
        seal(secrets, WAITING_CONTEXT, self)
    }

    pub(crate) fn open(secrets: &Secrets, sealed: &Secret, now: Timestamp) -> Option<Self> {
        open(secrets, WAITING_CONTEXT, sealed).filter(|shown: &Self| Timestamp::from_micros(shown.expires_at) > now)
    }
}

fn seal<T: Serialize>(secrets: &Secrets, context: &str, value: &T) -> Secret {
    let text = serde_json::to_vec(value).unwrap_or_default();
    Secret::new(secrets.seal(context, &text))
}

fn open<T: DeserializeOwned>(secrets: &Secrets, context: &str, sealed: &Secret) -> Option<T> {
    serde_json::from_slice(&secrets.open(context, sealed.expose()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_ended_by_its_own_answer_in_its_own_time() {
        let secrets = Secrets::new(&Secret::new("k"), &Secret::new("s"));
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let attempt = Attempt::begin("work", 6, Errand::SignIn, "/shop", now);
        let sealed = attempt.seal(&secrets);
        assert_eq!(Attempt::slot(&attempt.state), Some(2));
        let opens = |provider: &str, state: &str, at: Timestamp| Attempt::open(&secrets, &sealed, provider, state, at).is_some();
        assert!(opens("work", &attempt.state, now));
        assert!(!opens("other", &attempt.state, now));
        assert!(!opens("work", &Attempt::begin("work", 6, Errand::SignIn, "/shop", now).state, now));
        assert!(!opens("work", &attempt.state, now.plus(ATTEMPT)));
        let others = Secrets::new(&Secret::new("other"), &Secret::new("s"));
        assert!(Attempt::open(&others, &sealed, "work", &attempt.state, now).is_none());
        // What waits to be connected is no attempt.
        assert!(Shown::open(&secrets, &sealed, now).is_none());
    }

    #[test]
    fn a_state_that_names_no_cookie_is_none_of_ours() {
        for state in ["", "4abc", "x", "é"] {
            assert_eq!(Attempt::slot(state), None, "{state}");
        }
    }

    /// The example of RFC 7636, appendix B.
    #[test]
    fn the_challenge_is_the_hash_of_the_verifier() {
        let mut attempt = Attempt::begin("work", 0, Errand::SignIn, "", Timestamp::from_micros(0));
        attempt.verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        assert_eq!(attempt.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
