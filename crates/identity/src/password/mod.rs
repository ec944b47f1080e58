//! Passwords: which are good enough, and how they are hashed without hurting anybody else.

mod common;
mod context;
mod hash;
mod imported;
mod pool;
pub mod tune;

use baluarte_kernel::Secret;
use unicode_normalization::UnicodeNormalization;

use crate::model::{Email, Name, fold};

pub use self::imported::BadImport;
pub(crate) use self::pool::{Busy, PATIENCE, PasswordPool, Verified};
pub(crate) use self::{
    context::Context,
    imported::{Imported, Work},
};

/// Why a password cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    #[error("a password has at least {MIN_CHARS} characters")]
    TooShort,
    #[error("a password has at most {MAX_CHARS} characters")]
    TooLong,
    #[error("that password is among the first that attackers try")]
    Common,
    #[error("a password must not be little more than the account's own address or name, or this site's name")]
    Personal,
}

/// NIST SP 800-63B and OWASP ASVS 6.2: length is what counts; there are no rules of composition.
const MIN_CHARS: usize = 8;
const MAX_CHARS: usize = 256;

/// Refuses what is too short, too long, or what an attacker tries first.
pub(crate) fn check(password: &Secret, email: &Email, name: &Name) -> Result<(), BadPassword> {
    let folded = check_alone(password)?;
    if context::is_personal(folded.expose(), email, name) { Err(BadPassword::Personal) } else { Ok(()) }
}

/// The same without what takes knowing whose it is. Gives the password as it is compared.
pub(crate) fn check_alone(password: &Secret) -> Result<Secret, BadPassword> {
    // Four bytes are the longest a character gets, before anything is copied.
    if password.expose().len() > 4 * MAX_CHARS {
        return Err(BadPassword::TooLong);
    }
    let text = normalised(password);
    match text.expose().chars().count() {
        count if count < MIN_CHARS => return Err(BadPassword::TooShort),
        count if count > MAX_CHARS => return Err(BadPassword::TooLong),
        _ => {}
    }
    let folded = Secret::new(fold(text.expose()));
    if common::is_common(folded.expose()) {
        return Err(BadPassword::Common);
    }
    Ok(folded)
}

/// The same keys give the same password on every keyboard and system.
fn normalised(password: &Secret) -> Secret {
    Secret::new(password.expose().nfc().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(password: &str) -> Result<(), BadPassword> {
        check(&Secret::new(password), &"tabernera@example.com".parse().unwrap(), &"Rosa Díaz Ñ".parse().unwrap())
    }

    #[test]
    fn asvs_6_2_1_and_6_2_9_length_is_what_counts() {
        assert_eq!(judge("kd7fh2x"), Err(BadPassword::TooShort));
        assert_eq!(judge("ñañañañ"), Err(BadPassword::TooShort), "characters count, not bytes");
        assert_eq!(judge("kd7fh2xq"), Ok(()));
        assert_eq!(judge(&"kd7f".repeat(64)), Ok(()));
        assert_eq!(judge(&"kd7f".repeat(65)), Err(BadPassword::TooLong));
        assert_eq!(judge(&"🐢".repeat(300)), Err(BadPassword::TooLong));
    }

    #[test]
    fn asvs_6_2_5_there_are_no_rules_of_composition() {
        for password in ["correct horse battery staple", "nur kleine buchstaben", "        x       ", "ปลาทูทอดกรอบ"]
        {
            assert_eq!(judge(password), Ok(()), "{password}");
        }
    }

    #[test]
    fn asvs_6_2_4_what_attackers_try_first_is_refused() {
        for password in ["password", "PASSWORD1", "12345678", "qwertyuiop", "zzzzzzzzzzzz"] {
            assert_eq!(judge(password), Err(BadPassword::Common), "{password}");
        }
        for password in ["Tabernera@example.com", "tabernera", "ROSA DÍAZ Ñ"] {
            assert_eq!(judge(password), Err(BadPassword::Personal), "{password}");
        }
    }

    #[test]
    fn asvs_6_2_11_what_is_little_more_than_a_word_of_the_place_or_the_person_is_refused() {
        let context = Context::new("https://app.tienda-anil.example", "Tienda Añil", &["figura".to_owned()]);
        let judge = |password: &str| {
            let (email, name) = ("tabernera@example.com".parse().unwrap(), "Rosa Díaz Ñandú".parse().unwrap());
            context.check(&Secret::new(password), &email, &name)
        };
        for password in
            ["TiendaAñil2026!", "tienda-anil 12345", "tabernera_99", "RosaDíaz1984", "ñandú-ñandú", "x1tabernera2", "figura-2026"]
        {
            assert_eq!(judge(password), Err(BadPassword::Personal), "{password}");
        }
        for password in ["la tienda de mi abuela", "rosado de verano", "tabernera corre lejos", "kd7fh2xq"] {
            assert_eq!(judge(password), Ok(()), "{password}");
        }
    }
}
