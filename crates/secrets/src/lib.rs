#![doc = include_str!("../README.md")]

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    constant_time, hkdf, hmac, rand,
};
use baluarte_kernel::Secret;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error("sealed with another SECRET_KEY, or damaged")]
    CannotOpen,
}

/// Everything derived from `SECRET_KEY`. Cheap to clone; never prints.
#[derive(Clone)]
pub struct Secrets(Arc<Keys>);

struct Keys {
    root: hkdf::Prk,
    /// Also depends on the password salt.
    salted: hkdf::Prk,
    /// Names `SECRET_KEY` in what is sealed, without telling anything about it.
    id: String,
}

/// The first part of everything sealed; another algorithm would get another one.
const VERSION: &str = "v1";
const KEY_LEN: usize = 32;

impl Secrets {
    /// `secret_key`: the configured one, at least 32 bytes of entropy-bearing text in production.
    pub fn new(secret_key: &Secret, password_salt: &Secret) -> Self {
        let extract = |salt: &[u8]| hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret_key.expose().as_bytes());
        let root = extract(b"baluarte");
        let id = derive(&root, "key-id", "")[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        Self(Arc::new(Keys { salted: extract(password_salt.expose().as_bytes()), root, id }))
    }

    /// Encrypts (AES-256-GCM, fresh nonce), bound to `context` such as `identity.signing_key`; the result is printable text:
    /// version, identifier of the key, then nonce and ciphertext in base64url, separated by points.
    pub fn seal(&self, context: &str, plain: &[u8]) -> String {
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce);
        // Zeroized until it is ciphertext.
        let mut inout = Zeroizing::new(plain.to_vec());
        let sealed = self
            .cipher(context)
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), self.header(context), inout.as_mut_slice())
            .expect("a message is shorter than the 64 GiB that AES-GCM takes");
        let body = [nonce.as_slice(), inout.as_slice(), sealed.as_ref()].concat();
        format!("{VERSION}.{}.{}", self.0.id, URL_SAFE_NO_PAD.encode(body))
    }

    /// # Errors
    /// [`SecretsError::CannotOpen`] when it was sealed for another context, with another key, or is not as it was.
    pub fn open(&self, context: &str, sealed: &str) -> Result<Vec<u8>, SecretsError> {
        let cannot = |_| SecretsError::CannotOpen;
        let rest = sealed.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('.')).ok_or(SecretsError::CannotOpen)?;
        let (id, body) = rest.split_once('.').ok_or(SecretsError::CannotOpen)?;
        if id != self.0.id {
            return Err(SecretsError::CannotOpen);
        }
        let mut body = URL_SAFE_NO_PAD.decode(body).map_err(|_| SecretsError::CannotOpen)?;
        if body.len() < NONCE_LEN {
            return Err(SecretsError::CannotOpen);
        }
        let mut inout = body.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&body).map_err(cannot)?;
        let length = self.cipher(context).open_in_place(nonce, self.header(context), &mut inout).map_err(cannot)?.len();
        inout.truncate(length);
        Ok(inout)
    }

    /// Was it sealed with the present `SECRET_KEY`? Says nothing about whether it opens.
    pub fn is_current(&self, sealed: &str) -> bool {
        sealed.split('.').nth(1) == Some(self.0.id.as_str())
    }

    /// HMAC-SHA-256 under a key of its own for each context: for tokens that are looked up by their hash.
    pub fn keyed_hash(&self, context: &str, value: &[u8]) -> [u8; 32] {
        keyed_hash(&self.0.root, context, value)
    }

    /// The same with `SECURITY_PASSWORD_SALT` mixed in: changing the salt voids every token hashed so.
    pub fn keyed_hash_salted(&self, context: &str, value: &[u8]) -> [u8; 32] {
        keyed_hash(&self.0.salted, context, value)
    }

    fn cipher(&self, context: &str) -> LessSafeKey {
        let key = derive(&self.0.root, "seal", context);
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice()).expect("the key has the length of AES-256"))
    }

    /// Authenticated with the ciphertext, so that neither can be moved to another place.
    fn header(&self, context: &str) -> Aad<String> {
        Aad::from(format!("{VERSION}.{}.{context}", self.0.id))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets([redacted])")
    }
}

/// A fresh random token: 32 bytes from the system, as base64url without padding.
pub fn random_token() -> String {
    let mut bytes = Zeroizing::new([0; 32]);
    fill_random(bytes.as_mut_slice());
    URL_SAFE_NO_PAD.encode(bytes.as_slice())
}

/// Compares without telling by its duration where the difference is; lengths are not secret.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

fn keyed_hash(root: &hkdf::Prk, context: &str, value: &[u8]) -> [u8; 32] {
    let key = derive(root, "hash", context);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), value);
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    out
}

fn derive(root: &hkdf::Prk, purpose: &str, context: &str) -> Zeroizing<[u8; KEY_LEN]> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    // The separator cannot be part of a purpose, so no two pairs give the same input.
    let info = [purpose.as_bytes(), b"/", VERSION.as_bytes(), b"/", context.as_bytes()];
    root.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(key.as_mut_slice())).expect("HKDF gives up to 255 hash lengths");
    key
}

fn fill_random(bytes: &mut [u8]) {
    rand::fill(bytes).expect("the system has randomness; without it nothing here is safe");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets(key: &str, salt: &str) -> Secrets {
        Secrets::new(&Secret::new(key), &Secret::new(salt))
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_in_its_context_and_in_no_other(plain: Vec<u8>, context in "[a-z.]{1,30}", other in "[a-z.]{1,30}") {
            let secrets = secrets("k", "s");
            let sealed = secrets.seal(&context, &plain);
            prop_assert_eq!(secrets.open(&context, &sealed).ok(), Some(plain));
            prop_assert!(other == context || secrets.open(&other, &sealed).is_err());
        }

        #[test]
        fn one_changed_character_anywhere_does_not_open(plain: Vec<u8>, at: prop::sample::Index, to in "[A-Za-z0-9_.-]") {
            let secrets = secrets("k", "s");
            let sealed = secrets.seal("c", &plain);
            let at = at.index(sealed.len());
            let changed = format!("{}{to}{}", &sealed[..at], &sealed[at + 1..]);
            prop_assert!(changed == sealed || secrets.open("c", &changed).is_err());
        }

        #[test]
        fn garbage_is_refused_without_a_panic(text: String, body: Vec<u8>) {
            let secrets = secrets("k", "s");
            prop_assert!(secrets.open("c", &text).is_err());
            let shaped = format!("v1.{}.{}", secrets.0.id, URL_SAFE_NO_PAD.encode(body));
            prop_assert!(secrets.open("c", &shaped).is_err());
        }
    }

    #[test]
    fn another_secret_key_opens_nothing_and_is_recognised() {
        let (old, new) = (secrets("old", "s"), secrets("new", "s"));
        let sealed = old.seal("c", b"x");
        assert!(old.is_current(&sealed) && !new.is_current(&sealed));
        assert!(new.open("c", &sealed).is_err());
        // Nor does one whose identifier was put in by hand.
        assert!(new.open("c", &sealed.replace(&old.0.id, &new.0.id)).is_err());
    }

    #[test]
    fn the_same_value_is_never_sealed_to_the_same_text() {
        let secrets = secrets("k", "s");
        assert_ne!(secrets.seal("c", b"x"), secrets.seal("c", b"x"));
    }

    #[test]
    fn a_hash_depends_on_key_and_context_and_on_the_salt_where_asked() {
        let a = secrets("k", "s");
        assert_eq!(a.keyed_hash("c", b"x"), secrets("k", "other").keyed_hash("c", b"x"));
        assert_ne!(a.keyed_hash("c", b"x"), a.keyed_hash("d", b"x"));
        assert_ne!(a.keyed_hash("c", b"x"), secrets("l", "s").keyed_hash("c", b"x"));
        assert_ne!(a.keyed_hash_salted("c", b"x"), secrets("k", "other").keyed_hash_salted("c", b"x"));
        assert_ne!(a.keyed_hash_salted("c", b"x"), a.keyed_hash("c", b"x"));
    }

    /// Stored hashes and sealed values must outlive an update of this program.
    #[test]
    fn derivation_stays_as_it_was_released() {
        let hash = secrets("0123456789abcdef0123456789abcdef", "salt").keyed_hash("identity.session", b"token");
        assert_eq!(URL_SAFE_NO_PAD.encode(hash), "GiGIPeabAlFObCcDfqt-OC-4VOV7aKVL_XuwzLA2MxE");
        let sealed = "v1.05f442dc.BwcHBwcHBwcHBwcHTaEfrl4VG_-XYK_taKNAsl40rP7P";
        assert_eq!(secrets("0123456789abcdef0123456789abcdef", "salt").open("c", sealed).ok().as_deref(), Some(&b"plain"[..]));
    }

    #[test]
    fn tokens_are_long_fresh_and_safe_in_an_address() {
        let (a, b) = (random_token(), random_token());
        assert_ne!(a, b);
        assert_eq!(a.len(), 43);
        assert!(a.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    }

    #[test]
    fn nothing_prints_and_comparison_sees_every_difference() {
        assert_eq!(format!("{:?}", secrets("hunter2", "s")), "Secrets([redacted])");
        assert!(equal(b"abc", b"abc") && !equal(b"abc", b"abd") && !equal(b"abc", b"ab"));
    }
}
