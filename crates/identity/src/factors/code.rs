//! Codes that people type: by mail, and from paper.

use baluarte_kernel::Secret;
use baluarte_secrets::Secrets;
use rand::RngExt as _;

/// Six digits that are sent.
#[derive(Debug)]
pub(crate) struct OneTimeCode;

impl OneTimeCode {
    const DIGITS: usize = 6;

    pub(crate) fn generate() -> Secret {
        // The operating system seeds it and it is cryptographically strong; every number is as likely as every other.
        Secret::new(format!("{:06}", rand::rng().random_range(0..1_000_000_u32)))
    }

    /// As stored: bound to the attempt it was sent for, so that it answers no other.
    pub(crate) fn hash(secrets: &Secrets, attempt: &str, typed: &str) -> String {
        let value = format!("{attempt}\0{}", digits(typed));
        hex::encode(secrets.keyed_hash("identity.factor_code", value.as_bytes()))
    }
}

/// What people type around the digits (spaces, hyphens) does not matter. Long input is cut: no code is longer.
pub(crate) fn digits(typed: &str) -> String {
    typed.chars().filter(char::is_ascii_digit).take(2 * OneTimeCode::DIGITS).collect()
}

/// A code on paper: twelve characters of Crockford's Base32, 60 bits.
#[derive(Debug)]
pub(crate) struct RecoveryCode;

impl RecoveryCode {
    /// How many somebody is given.
    pub(crate) const COUNT: usize = 10;
    const CHARS: usize = 12;
    /// Without I, L, O and U, which are misread.
    const ALPHABET: &'static [u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    pub(crate) fn generate() -> Secret {
        let mut rng = rand::rng();
        let mut code = String::with_capacity(Self::CHARS + 2);
        for at in 0..Self::CHARS {
            if at > 0 && at % 4 == 0 {
                code.push('-');
            }
            code.push(char::from(Self::ALPHABET[rng.random_range(0..Self::ALPHABET.len())]));
        }
        Secret::new(code)
    }

    pub(crate) fn sheet() -> Vec<Secret> {
        (0..Self::COUNT).map(|_| Self::generate()).collect()
    }

    /// As stored: bound to the person. However it was typed, with misread letters put right.
    pub(crate) fn hash(secrets: &Secrets, user: &str, typed: &str) -> String {
        let value = format!("{user}\0{}", Self::normal(typed));
        hex::encode(secrets.keyed_hash("identity.recovery_code", value.as_bytes()))
    }

    fn normal(typed: &str) -> String {
        let letters = typed.chars().filter(char::is_ascii_alphanumeric).take(2 * Self::CHARS);
        letters
            .map(|c| match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn secrets() -> Secrets {
        Secrets::new(&Secret::new("k"), &Secret::new("s"))
    }

    #[test]
    fn asvs_6_5_4_a_code_has_six_random_digits() {
        let codes: HashSet<String> = (0..2_000).map(|_| OneTimeCode::generate().expose().to_owned()).collect();
        assert!(codes.iter().all(|code| code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit())));
        assert!(codes.len() > 1_950, "they are spread: {}", codes.len());
    }

    #[test]
    fn asvs_6_5_2_recovery_codes_have_sixty_bits_and_are_stored_under_a_key() {
        let sheet = RecoveryCode::sheet();
        let all: HashSet<&str> = sheet.iter().map(Secret::expose).collect();
        assert_eq!(all.len(), RecoveryCode::COUNT);
        for code in all {
            assert_eq!((code.len(), code.matches('-').count()), (14, 2), "{code}");
        }
        assert_eq!(RecoveryCode::ALPHABET.iter().collect::<HashSet<_>>().len(), 32);
        let other = Secrets::new(&Secret::new("other"), &Secret::new("s"));
        assert_ne!(RecoveryCode::hash(&secrets(), "usr_1", "A"), RecoveryCode::hash(&other, "usr_1", "A"));
        assert_ne!(RecoveryCode::hash(&secrets(), "usr_1", "A"), RecoveryCode::hash(&secrets(), "usr_2", "A"));
    }

    #[test]
    fn a_code_may_be_typed_as_people_type() {
        let of = |typed| RecoveryCode::hash(&secrets(), "usr_1", typed);
        assert_eq!(of("ABCD-0123-EFGH"), of(" abcd oI23 efgh "));
        assert_ne!(of("ABCD-0123-EFGH"), of("ABCD-0123-EFGJ"));
        let sent = |typed| OneTimeCode::hash(&secrets(), "attempt", typed);
        assert_eq!(sent("123456"), sent(" 123 456"));
        assert_ne!(sent("123456"), sent("123457"));
        assert_ne!(sent("123456"), OneTimeCode::hash(&secrets(), "other", "123456"));
    }
}
