#![doc = include_str!("../README.md")]

use baluarte_kernel::Secret;

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error("sealed with another SECRET_KEY, or damaged")]
    CannotOpen,
}

/// Everything derived from `SECRET_KEY`. Cheap to clone; never prints.
#[derive(Clone)]
pub struct Secrets {}

impl Secrets {
    /// `secret_key`: the configured one, at least 32 bytes of entropy-bearing text in production.
    pub fn new(_secret_key: &Secret, _password_salt: &Secret) -> Self {
        unimplemented!("secrets")
    }

    /// Encrypts (AES-256-GCM, fresh nonce), bound to `context` such as `identity.signing_key`; the result is printable text.
    pub fn seal(&self, _context: &str, _plain: &[u8]) -> String {
        unimplemented!("secrets")
    }

    pub fn open(&self, _context: &str, _sealed: &str) -> Result<Vec<u8>, SecretsError> {
        unimplemented!("secrets")
    }

    /// HMAC-SHA-256 under a key of its own for each context: for tokens that are looked up by their hash.
    pub fn keyed_hash(&self, _context: &str, _value: &[u8]) -> [u8; 32] {
        unimplemented!("secrets")
    }
}

/// A fresh random token: 32 bytes from the system, as base64url without padding.
pub fn random_token() -> String {
    unimplemented!("secrets")
}
