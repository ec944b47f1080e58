//! Authenticator apps: RFC 6238 with SHA-1, six digits and steps of thirty seconds, which is what all of them can do.

use aws_lc_rs::rand;
use baluarte_kernel::{Secret, Timestamp, UserId};
use baluarte_secrets::{Secrets, SecretsError};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use totp_rs::{Builder, Totp};

use super::code;

const STEP_SECONDS: u64 = 30;
/// RFC 4226, section 4: 160 bits are recommended.
const BYTES: usize = 20;

/// The secret that app and server share.
pub(crate) struct Seed([u8; BYTES]);

impl Seed {
    pub(crate) fn generate() -> Self {
        let mut bytes = [0; BYTES];
        rand::fill(&mut bytes).expect("the system has randomness; without it nothing here is safe");
        Self(bytes)
    }

    /// For the database: bound to its owner, so that it is worth nothing in another row.
    pub(crate) fn seal(&self, secrets: &Secrets, user: UserId) -> String {
        secrets.seal(&context(user), &self.0)
    }

    pub(crate) fn open(secrets: &Secrets, user: UserId, sealed: &str) -> Result<Self, SecretsError> {
        let bytes = secrets.open(&context(user), sealed)?;
        bytes.try_into().map(Self).map_err(|_| SecretsError::CannotOpen)
    }

    /// For people who type it.
    pub(crate) fn base32(&self) -> Secret {
        Secret::new(self.totp().secret().to_base32())
    }

    /// For the QR code.
    pub(crate) fn url(&self, site: &str, email: &str) -> Secret {
        let plain = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (issuer, account, secret) = (plain(site), plain(email), self.base32());
        Secret::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period={STEP_SECONDS}",
            secret.expose()
        ))
    }

    /// The step that a code belongs to: this one, the one before or the one after. Compared in constant time.
    pub(crate) fn step_of(&self, typed: &str, now: Timestamp) -> Option<i64> {
        let typed = code::digits(typed);
        let now = u64::try_from(now.unix_seconds()).ok()?;
        // Six characters or none: the crate reads them as a number.
        if typed.len() != 6 {
            return None;
        }
        self.totp().check(&typed, now).and_then(|step| i64::try_from(step).ok())
    }

    fn totp(&self) -> Totp {
        Builder::new().with_secret(self.0.to_vec()).with_skew(1).with_step_duration(STEP_SECONDS).build_noncompliant()
    }
}

fn context(user: UserId) -> String {
    format!("identity.totp.{user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, cut to six digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let seed = Seed(*b"12345678901234567890");
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")] {
            assert_eq!(seed.step_of(code, Timestamp::from_unix_seconds(seconds)), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn asvs_6_5_5_a_code_is_good_for_its_step_and_the_neighbours() {
        let seed = Seed(*b"12345678901234567890");
        let at = |seconds: i64| seed.step_of("005924", Timestamp::from_unix_seconds(seconds));
        let start = 1_234_567_890 / 30 * 30;
        assert_eq!([start - 30, start, start + 59].map(at), [Some(start / 30); 3]);
        assert_eq!([start - 31, start + 60].map(at), [None; 2]);
    }

    #[test]
    fn what_is_not_six_digits_is_no_code() {
        let seed = Seed(*b"12345678901234567890");
        let now = Timestamp::from_unix_seconds(1_234_567_890);
        for typed in ["", "5924", "0005924", "00592", "abcdef", "-05924"] {
            assert_eq!(seed.step_of(typed, now), None, "{typed}");
        }
        assert!(seed.step_of("005 924", now).is_some());
    }

    #[test]
    fn a_sealed_secret_opens_for_its_owner_and_nobody_else() {
        let secrets = Secrets::new(&Secret::new("k"), &Secret::new("s"));
        let (ana, zoe) = (UserId::generate(), UserId::generate());
        let seed = Seed::generate();
        let sealed = seed.seal(&secrets, ana);
        assert_eq!(Seed::open(&secrets, ana, &sealed).map(|seed| seed.0).ok(), Some(seed.0));
        assert!(Seed::open(&secrets, zoe, &sealed).is_err());
    }

    #[test]
    fn the_address_for_apps_names_site_and_account() {
        let url = Seed(*b"12345678901234567890").url("shop.example:8443", "zoe+a@example.com");
        assert_eq!(
            url.expose(),
            "otpauth://totp/shop%2Eexample%3A8443:zoe%2Ba%40example%2Ecom?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=shop%2Eexample%3A8443&algorithm=SHA1&digits=6&period=30"
        );
    }
}
