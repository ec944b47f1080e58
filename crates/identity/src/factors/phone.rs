//! Telephone numbers as factors: sealed where they are stored, hinted at where they are shown.

use baluarte_kernel::UserId;
use baluarte_notify::Phone;
use baluarte_secrets::{Secrets, SecretsError};

/// For the database: bound to its owner, so that it is worth nothing in another row.
pub(crate) fn seal(secrets: &Secrets, user: UserId, phone: &Phone) -> String {
    secrets.seal(&context(user), phone.as_str().as_bytes())
}

pub(crate) fn open(secrets: &Secrets, user: UserId, sealed: &str) -> Result<Phone, SecretsError> {
    let bytes = secrets.open(&context(user), sealed)?;
    std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).ok_or(SecretsError::CannotOpen)
}

/// `+351•••78`: enough to know which telephone, not enough to learn the number.
pub(crate) fn hint(phone: &Phone) -> String {
    let text = phone.as_str();
    format!("{}•••{}", &text[..text.len().min(4)], &text[text.len() - 2..])
}

fn context(user: UserId) -> String {
    format!("identity.phone.{user}")
}

#[cfg(test)]
mod tests {
    use baluarte_kernel::Secret;

    use super::*;

    #[test]
    fn a_stored_number_is_readable_for_its_owner_and_nobody_else() {
        let secrets = Secrets::new(&Secret::new("k"), &Secret::new("s"));
        let (ana, zoe) = (UserId::generate(), UserId::generate());
        let phone: Phone = "+351 912 345 678".parse().unwrap();
        let sealed = seal(&secrets, ana, &phone);
        assert!(!sealed.contains("912345678"));
        assert_eq!(open(&secrets, ana, &sealed).ok(), Some(phone));
        assert!(open(&secrets, zoe, &sealed).is_err());
    }

    #[test]
    fn a_hint_tells_the_telephone_and_not_the_number() {
        assert_eq!(hint(&"+351912345678".parse().unwrap()), "+351•••78");
        assert_eq!(hint(&"+1234567".parse().unwrap()), "+123•••67");
    }
}
