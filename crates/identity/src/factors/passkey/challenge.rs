//! Challenges that need no place in the database until they are used: a stranger who asks for a thousand has written nothing.
//!
//! A challenge says when it is over and carries a keyed hash over that, its nonce, what it is for and whose it is. That it is used
//! once is the store's affair: the first use leaves a row.

use std::time::Duration;

use baluarte_kernel::Timestamp;
use baluarte_secrets::Secrets;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// How long a challenge is good.
pub(crate) const CHALLENGE: Duration = Duration::from_secs(300);
const NONCE: usize = 16;

/// What a challenge is for, with whose it is: good for nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose<'a> {
    /// Person and session.
    Register(&'a str),
    /// The browser says who it is.
    SignIn,
    /// The attempt, by the hash under which it is stored.
    SecondStep(&'a str),
    /// The session that shows that it is still its owner.
    Confirm(&'a str),
}

impl Purpose<'_> {
    fn context(&self) -> String {
        match self {
            Self::Register(whose) => format!("register\0{whose}"),
            Self::SignIn => "sign_in".to_owned(),
            Self::SecondStep(whose) => format!("second_step\0{whose}"),
            Self::Confirm(whose) => format!("confirm\0{whose}"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Challenges<'a>(pub(crate) &'a Secrets);

impl Challenges<'_> {
    pub(crate) fn make(self, purpose: Purpose<'_>, now: Timestamp) -> String {
        let mut nonce = [0; NONCE];
        aws_lc_rs::rand::fill(&mut nonce).expect("the system has randomness; without it nothing here is safe");
        let until = now.plus(CHALLENGE).micros().to_be_bytes();
        URL_SAFE_NO_PAD.encode([&nonce[..], &until, &self.mac(purpose, &nonce, until)].concat())
    }

    /// Whether it was made here for this, and is not over. Says nothing about whether it was used.
    pub(crate) fn is_good(self, challenge: &str, purpose: Purpose<'_>, now: Timestamp) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(challenge) else { return false };
        let Some((nonce, rest)) = bytes.split_at_checked(NONCE) else { return false };
        let Some((until, mac)) = rest.split_first_chunk::<8>() else { return false };
        let over = Timestamp::from_micros(i64::from_be_bytes(*until)) <= now;
        baluarte_secrets::equal(mac, &self.mac(purpose, nonce, *until)) && !over
    }

    /// Under which its use is remembered.
    pub(crate) fn hash(self, challenge: &str) -> String {
        hex::encode(self.0.keyed_hash("identity.used_challenge", challenge.as_bytes()))
    }

    fn mac(self, purpose: Purpose<'_>, nonce: &[u8], until: [u8; 8]) -> [u8; 32] {
        self.0.keyed_hash("identity.passkey_challenge", &[nonce, &until, purpose.context().as_bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use baluarte_kernel::Secret;

    use super::*;

    #[test]
    fn a_challenge_is_good_for_what_it_was_made_for_and_for_five_minutes() {
        let secrets = Secrets::new(&Secret::new("k"), &Secret::new("s"));
        let (challenges, now) = (Challenges(&secrets), Timestamp::from_unix_seconds(1_800_000_000));
        let made = challenges.make(Purpose::SecondStep("a"), now);
        let good = |purpose, seconds| challenges.is_good(&made, purpose, now.plus(Duration::from_secs(seconds)));
        assert!(good(Purpose::SecondStep("a"), 0) && good(Purpose::SecondStep("a"), 299));
        assert!(!good(Purpose::SecondStep("a"), 300));
        assert!(
            !good(Purpose::SecondStep("b"), 0)
                && !good(Purpose::SignIn, 0)
                && !good(Purpose::Confirm("a"), 0)
                && !good(Purpose::Register("a"), 0)
        );
        assert_ne!(made, challenges.make(Purpose::SecondStep("a"), now));
    }

    #[test]
    fn what_was_not_made_here_is_not_good() {
        let (ours, others) = (Secrets::new(&Secret::new("k"), &Secret::new("s")), Secrets::new(&Secret::new("x"), &Secret::new("s")));
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let made = Challenges(&others).make(Purpose::SignIn, now);
        assert!(!Challenges(&ours).is_good(&made, Purpose::SignIn, now));
        for damaged in ["", "AAAA", &made[..made.len() - 1], &"A".repeat(75)] {
            assert!(!Challenges(&ours).is_good(damaged, Purpose::SignIn, now), "{damaged}");
        }
    }
}
