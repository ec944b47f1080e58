//! Signed requests as Standard Webhooks describes them: whoever receives one can tell that we sent it, and when.

use std::{fmt, str::FromStr};

use aws_lc_rs::hmac;
use baluarte_kernel::{Secret, Timestamp};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, header::InvalidHeaderValue};
use zeroize::Zeroizing;

/// What both sides know: 24 to 64 bytes, written `whsec_` and base64.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Zeroizing<Vec<u8>>);

const PREFIX: &str = "whsec_";
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected whsec_ and 24 to 64 bytes in base64")]
pub struct BadSigningKey;

impl SigningKey {
    /// # Errors
    /// [`BadSigningKey`] for fewer than 24 bytes or more than 64.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadSigningKey> {
        if !LENGTHS.contains(&bytes.len()) {
            return Err(BadSigningKey);
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// As the receiver's library wants it.
    pub fn to_secret(&self) -> Secret {
        let encoded = Zeroizing::new(STANDARD.encode(self.0.as_slice()));
        Secret::new([PREFIX, &encoded].concat())
    }

    fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0));
        context.update(format!("{id}.{seconds}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

impl FromStr for SigningKey {
    type Err = BadSigningKey;
    fn from_str(text: &str) -> Result<Self, BadSigningKey> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(BadSigningKey)?;
        let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| BadSigningKey)?);
        Self::from_bytes(&bytes)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey([redacted])")
    }
}

/// The headers that say who sent a body and when. One signature for each key: while a secret is exchanged there are two,
/// and the receiver knows one of them.
///
/// `id` stays the same for every attempt (it is what the receiver recognises a repetition by) and has no point in it;
/// `at` is the time of this attempt.
///
/// # Errors
/// For an `id` that no header can carry.
pub fn sign(keys: &[SigningKey], id: &str, at: Timestamp, body: &[u8]) -> Result<[(HeaderName, HeaderValue); 3], InvalidHeaderValue> {
    let seconds = at.unix_seconds();
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(id, seconds, body)).collect();
    Ok([
        (HeaderName::from_static("webhook-id"), HeaderValue::from_str(id)?),
        (HeaderName::from_static("webhook-timestamp"), HeaderValue::from(seconds)),
        (HeaderName::from_static("webhook-signature"), HeaderValue::from_str(&signatures.join(" "))?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification's own libraries.
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";

    fn signature(keys: &[SigningKey], body: &str) -> String {
        let [(_, id), (_, at), (_, signature)] = sign(keys, ID, Timestamp::from_unix_seconds(1_614_265_330), body.as_bytes()).unwrap();
        assert!(id == ID && at == "1614265330");
        signature.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_signature_is_the_one_of_the_specification() {
        let key: SigningKey = KEY.parse().unwrap();
        assert_eq!(signature(&[key], r#"{"test": 2432232314}"#), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_a_secret_is_exchanged_both_sign() {
        let (old, new): (SigningKey, SigningKey) = (KEY.parse().unwrap(), SigningKey::from_bytes(&[7; 32]).unwrap());
        let (first, second) = (signature(std::slice::from_ref(&new), "{}"), signature(std::slice::from_ref(&old), "{}"));
        assert_ne!(first, second);
        assert_eq!(signature(&[new, old], "{}"), format!("{first} {second}"));
    }

    #[test]
    fn a_key_reads_back_what_it_writes_and_never_prints() {
        let key: SigningKey = KEY.parse().unwrap();
        assert_eq!(key.to_secret().expose(), KEY);
        assert_eq!(format!("{key:?}"), "SigningKey([redacted])");
        for bad in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_not base64 at all!!"] {
            assert_eq!(bad.parse::<SigningKey>(), Err(BadSigningKey), "{bad}");
        }
    }
}
