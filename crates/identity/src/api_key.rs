//! API keys: what they look like and what is known of one. No input or output.

use baluarte_kernel::{ApiKeyId, Secret, Timestamp};
use sha2::{Digest, Sha256};

use crate::Name;

/// What every key of ours begins with: leak scanners look for it.
pub(crate) const PREFIX: &str = "blt_";
/// 238 bits of chance.
const RANDOM: usize = 40;
/// The least that holds 32 bits.
const CHECK: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Scopes of one key at most, and characters of one.
pub(crate) const MOST_SCOPES: usize = 32;
const LONGEST_SCOPE: usize = 64;

/// A key that somebody has been given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    /// How it begins.
    pub hint: String,
    pub scopes: Vec<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// To the minute.
    pub last_used_at: Option<Timestamp>,
    /// The one that was made in its place.
    pub replaced_by: Option<ApiKeyId>,
}

/// What somebody wants a key for.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    pub name: Name,
    pub scopes: Vec<String>,
    /// The longest that is allowed when absent.
    pub expires_at: Option<Timestamp>,
}

/// A key, this once.
#[derive(Debug, Clone)]
pub struct CreatedApiKey {
    pub key: ApiKey,
    pub secret: Secret,
}

/// `blt_`, forty random characters and six that check the rest.
pub(crate) fn generate() -> Secret {
    let mut text = String::with_capacity(PREFIX.len() + RANDOM + CHECK);
    text.push_str(PREFIX);
    while text.len() < PREFIX.len() + RANDOM {
        for byte in rand::random::<[u8; RANDOM]>() {
            // Four times the alphabet: what is beyond would make its beginning likelier.
            if byte < 248 && text.len() < PREFIX.len() + RANDOM {
                text.push(char::from(DIGITS[usize::from(byte) % DIGITS.len()]));
            }
        }
    }
    let check = checksum(&text);
    text.push_str(&check);
    Secret::new(text)
}

/// The first four bytes of SHA-256 over what is before them, as a number of base 62.
fn checksum(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let mut number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    let mut digits = [b'0'; CHECK];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

/// Whether a text can be a key of ours at all: neither a typing error nor an invention needs a look into the database.
pub(crate) fn is_sound(text: &str) -> bool {
    let sound = text.len() == PREFIX.len() + RANDOM + CHECK
        && text.strip_prefix(PREFIX).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphanumeric()));
    sound && {
        let (body, check) = text.split_at(PREFIX.len() + RANDOM);
        checksum(body) == check
    }
}

/// Under which it is stored.
pub(crate) fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// How it begins: enough to tell one's keys apart, and far too little to guess the rest.
pub(crate) fn hint(text: &str) -> String {
    text.chars().take(PREFIX.len() + 4).collect()
}

/// A scope's name has the characters that routes allow.
pub(crate) fn is_scope(name: &str) -> bool {
    (1..=LONGEST_SCOPE).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_form_that_leak_scanners_are_told() {
        let key = generate();
        let text = key.expose();
        assert!(text.starts_with("blt_") && text.len() == 50 && text[4..].bytes().all(|b| b.is_ascii_alphanumeric()), "{text}");
        assert!(is_sound(text));
        assert_ne!(generate(), key);
        assert_eq!(hint(text), text[..8]);
    }

    #[test]
    fn the_checksum_is_the_documented_one() {
        // As the example in docs/api-keys.md computes it.
        assert!(is_sound(&format!("blt_{}{}", "0".repeat(40), "1bNQGD")), "{}", checksum(&format!("blt_{}", "0".repeat(40))));
    }

    #[test]
    fn every_typing_error_is_seen_without_a_database() {
        let key = generate();
        let text = key.expose();
        for at in 0..text.len() {
            let mut other = text.as_bytes().to_vec();
            other[at] = if other[at] == b'a' { b'b' } else { b'a' };
            assert!(!is_sound(std::str::from_utf8(&other).unwrap()), "{at}");
        }
        for wrong in ["", "blt_", &text[..49], &format!("{text}a"), &format!("{} ", &text[..49]), &text.replace("blt_", "BLT_")] {
            assert!(!is_sound(wrong), "{wrong}");
        }
    }
}
