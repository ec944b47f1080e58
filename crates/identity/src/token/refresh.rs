//! Refresh tokens: computed, not stored. A session's n-th token is a function of the session, its salt and n, so that
//! whoever asks twice gets the same child, and nothing in the database can be used to sign in.

use std::time::Duration;

use baluarte_kernel::{Secret, SessionId};
use baluarte_secrets::Secrets;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

/// How long the previous token of a session still answers with the current one: a retry after a lost answer is not theft.
pub(crate) const REFRESH_GRACE: Duration = Duration::from_secs(10);

/// Makes leaked tokens findable.
pub(super) const PREFIX: &str = "blr_";
const CONTEXT: &str = "identity.refresh_token";
const ID_BYTES: usize = 16;
const SEQ_BYTES: usize = 4;
const MAC_BYTES: usize = 32;

/// 256 random bits of each session: without them SECRET_KEY alone would make every token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefreshSalt(String);

impl RefreshSalt {
    pub(crate) fn generate() -> Self {
        Self(hex::encode(rand::random::<[u8; 32]>()))
    }
    pub(crate) fn from_stored(text: String) -> Self {
        Self(text)
    }
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A token as presented: which session it claims to be of, and which of its tokens. Not proven until [`matches`](Self::matches).
#[derive(Clone, Copy)]
pub(crate) struct RefreshToken {
    pub(crate) session_id: SessionId,
    /// The first token of a session is number 0.
    pub(crate) seq: u32,
    mac: [u8; MAC_BYTES],
}

impl RefreshToken {
    /// `None` when it does not have the form of a refresh token.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(PREFIX)?;
        // One token has one spelling, and one length.
        let mut bytes = [0; ID_BYTES + SEQ_BYTES + MAC_BYTES + 2];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        if length != ID_BYTES + SEQ_BYTES + MAC_BYTES {
            return None;
        }
        let (id, rest) = bytes[..length].split_at(ID_BYTES);
        let (seq, mac) = rest.split_at(SEQ_BYTES);
        Some(Self {
            session_id: format!("ses_{}", hex::encode(id)).parse().ok()?,
            seq: u32::from_be_bytes(seq.try_into().ok()?),
            mac: mac.try_into().ok()?,
        })
    }

    /// Did we make it, for this session?
    pub(crate) fn matches(&self, secrets: &Secrets, salt: &RefreshSalt) -> bool {
        mac(secrets, self.session_id, self.seq, salt).ct_eq(&self.mac).into()
    }

    /// The text of a session's token number `seq`.
    pub(crate) fn render(secrets: &Secrets, session_id: SessionId, seq: u32, salt: &RefreshSalt) -> Secret {
        let mut bytes = Vec::with_capacity(ID_BYTES + SEQ_BYTES + MAC_BYTES);
        bytes.extend_from_slice(&session_id.as_u128().to_be_bytes());
        bytes.extend_from_slice(&seq.to_be_bytes());
        bytes.extend_from_slice(&mac(secrets, session_id, seq, salt));
        let mut text = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        Secret::new(text)
    }
}

fn mac(secrets: &Secrets, session_id: SessionId, seq: u32, salt: &RefreshSalt) -> [u8; MAC_BYTES] {
    let mut message = Vec::with_capacity(ID_BYTES + SEQ_BYTES + salt.0.len());
    message.extend_from_slice(&session_id.as_u128().to_be_bytes());
    message.extend_from_slice(&seq.to_be_bytes());
    message.extend_from_slice(salt.0.as_bytes());
    secrets.keyed_hash(CONTEXT, &message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(key: &str) -> Secrets {
        Secrets::new(&Secret::new(format!("{key}, a secret key for tests, longer than 32 bytes")), &Secret::new("salt"))
    }

    #[test]
    fn the_same_session_and_number_give_the_same_token() {
        let (secrets, id, salt) = (secrets("one"), SessionId::generate(), RefreshSalt::generate());
        let text = RefreshToken::render(&secrets, id, 7, &salt);
        assert_eq!(RefreshToken::render(&secrets, id, 7, &salt), text);
        let token = RefreshToken::parse(text.expose()).unwrap();
        assert_eq!((token.session_id, token.seq), (id, 7));
        assert!(token.matches(&secrets, &salt));
    }

    #[test]
    fn nobody_makes_a_token_without_both_the_secret_key_and_the_salt() {
        let (id, salt) = (SessionId::generate(), RefreshSalt::generate());
        let token = RefreshToken::parse(RefreshToken::render(&secrets("one"), id, 0, &salt).expose()).unwrap();
        assert!(!token.matches(&secrets("two"), &salt));
        assert!(!token.matches(&secrets("one"), &RefreshSalt::generate()));
        assert!(!RefreshToken { seq: 1, ..token }.matches(&secrets("one"), &salt));
        assert!(!RefreshToken { session_id: SessionId::generate(), ..token }.matches(&secrets("one"), &salt));
    }

    #[test]
    fn other_texts_are_not_refresh_tokens() {
        let text = RefreshToken::render(&secrets("one"), SessionId::generate(), 0, &RefreshSalt::generate()).expose().to_owned();
        for bad in
            ["", "blr_", &text[4..], &text[..text.len() - 1], &format!("{text}A"), &format!("{text}AAAA"), &format!("{text}="), "blr_ñ"]
        {
            assert!(RefreshToken::parse(bad).is_none(), "{bad}");
        }
    }
}
