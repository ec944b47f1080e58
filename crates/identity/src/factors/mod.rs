//! Second factors: what somebody proves besides the password. No input or output here.

mod code;
mod mails;
pub(crate) mod passkey;
pub(crate) mod phone;
mod qr;
mod totp;

use std::time::Duration;

use baluarte_kernel::{Id, Kind, Secret, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::passkey::{Assertion, CreationOptions, NewCredential, RequestOptions};
pub(crate) use self::{
    code::{OneTimeCode, RecoveryCode, digits},
    mails::{CodeFor, FactorMails},
    qr::QrPath,
    totp::Seed,
};
use crate::SignedIn;

/// Wrong answers that one attempt to sign in bears, whatever the method.
pub(crate) const TRIES: u32 = 5;
/// Codes that are sent for one attempt.
pub(crate) const SENDS: u32 = 5;
/// An attempt, and with it every code sent for it, is good for so long.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(600);
/// Before another code may be asked for.
pub(crate) const RESEND: Duration = Duration::from_secs(30);
/// Codes that one person is sent in an hour, over all attempts.
pub(crate) const CODES_PER_HOUR: u32 = 15;
/// Text messages that one person is sent in an hour and in a day, over all attempts and numbers: they cost money, and whoever
/// pumps them has as many numbers as they like. What all people together may cost is the guard's affair (`notify.sms_guard`).
pub(crate) const SMS_PER_HOUR: u32 = 5;
pub(crate) const SMS_PER_DAY: u32 = 10;
/// Passkeys of one person.
pub(crate) const MAX_PASSKEYS: usize = 20;
/// After signing in or proving a factor, factors may be changed without being asked again.
pub(crate) const FRESH: Duration = Duration::from_secs(600);
/// An enrolment that was begun may be finished for so long.
pub(crate) const PENDING: Duration = Duration::from_secs(3_600);
/// After so many wrong answers over all attempts the owner is told that somebody knows the password.
pub(crate) const TELL_AFTER: u32 = 10;

/// What an account can have besides its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FactorKind {
    /// An authenticator app (RFC 6238).
    Totp,
    /// Codes by e-mail.
    Email,
    /// Codes by text message.
    Sms,
    /// Keys in people's devices (Web Authentication), one or several.
    Passkey,
}

impl FactorKind {
    /// The strongest first.
    pub(crate) const ALL: [Self; 4] = [Self::Passkey, Self::Totp, Self::Sms, Self::Email];

    /// Its codes are sent.
    pub(crate) const fn is_sent(self) -> bool {
        matches!(self, Self::Email | Self::Sms)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Passkey => "passkey",
        }
    }
}

impl std::str::FromStr for FactorKind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// How the second question of a sign-in can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    Totp,
    Email,
    Sms,
    Passkey,
    /// A code on paper.
    Recovery,
}

impl Method {
    pub(crate) const ALL: [Self; 5] = [Self::Passkey, Self::Totp, Self::Sms, Self::Email, Self::Recovery];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Passkey => "passkey",
            Self::Recovery => "recovery",
        }
    }

    /// The factor that answers; recovery codes are none, they stand in for one.
    pub const fn kind(self) -> Option<FactorKind> {
        match self {
            Self::Totp => Some(FactorKind::Totp),
            Self::Email => Some(FactorKind::Email),
            Self::Sms => Some(FactorKind::Sms),
            Self::Passkey => Some(FactorKind::Passkey),
            Self::Recovery => None,
        }
    }
}

impl From<FactorKind> for Method {
    fn from(kind: FactorKind) -> Self {
        match kind {
            FactorKind::Totp => Self::Totp,
            FactorKind::Email => Self::Email,
            FactorKind::Sms => Self::Sms,
            FactorKind::Passkey => Self::Passkey,
        }
    }
}

/// What the operator demands of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MfaPolicy {
    /// Nobody sets one up; those who have one are still asked for it.
    Off,
    /// Whoever wants to.
    #[default]
    Optional,
    /// Everybody: whoever has none sets one up before the first session begins.
    Required,
}

/// A factor that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    pub kind: FactorKind,
    pub confirmed_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

/// What somebody has set up.
#[derive(Debug, Clone)]
pub struct Factors {
    pub policy: MfaPolicy,
    pub factors: Vec<Factor>,
    /// Recovery codes that were not used yet.
    pub recovery_codes: u32,
    /// Whether codes can be sent to the account's address.
    pub email_available: bool,
    /// Whether text messages can be sent.
    pub sms_available: bool,
    /// Where codes by text message go, mostly hidden.
    pub phone: Option<String>,
    /// Signed in or proven lately enough to change something without being asked again.
    pub fresh: bool,
}

impl Factors {
    pub fn has(&self, kind: FactorKind) -> bool {
        self.factors.iter().any(|factor| factor.kind == kind)
    }
}

/// What follows the right password.
#[derive(Debug)]
pub enum Welcome {
    In(Box<SignedIn>),
    SecondStep(SecondStep),
}

/// The password was right; a second question is open.
#[derive(Debug, Clone)]
pub struct SecondStep {
    /// Goes with the answer; good for ten minutes and five wrong answers.
    pub mfa_token: Secret,
    /// How it can be answered.
    pub methods: Vec<Method>,
    /// The account has no factor and its role demands one: what can be set up now.
    pub enrol: Vec<FactorKind>,
    pub expires_in: Duration,
}

/// An attempt to sign in that waits for its second answer.
#[derive(Debug, Clone)]
pub struct OpenStep {
    pub methods: Vec<Method>,
    pub enrol: Vec<FactorKind>,
    /// Where codes by mail go, mostly hidden.
    pub address: String,
    /// Where codes by text message go, or where the last one went; mostly hidden.
    pub phone: Option<String>,
    /// How the code that counts was sent.
    pub sent: Option<FactorKind>,
    /// Until another one may be asked for.
    pub resend_in: Duration,
}

/// The second answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub mfa_token: Secret,
    pub method: Method,
    pub code: Secret,
    /// With [`Method::Passkey`], instead of a code.
    pub assertion: Option<Assertion>,
    /// Ask this browser for no factor for a while.
    pub trust_device: bool,
}

/// How somebody who is signed in can show that it is still them.
#[derive(Debug, Clone)]
pub struct OpenConfirmation {
    /// There is no factor: the password it is.
    pub password: bool,
    /// There is neither a factor nor a password: the providers whose accounts are connected.
    pub providers: Vec<crate::ProviderName>,
    pub methods: Vec<Method>,
    /// When they last did in this session.
    pub proven_at: Timestamp,
    pub address: String,
    pub phone: Option<String>,
    pub sent: Option<FactorKind>,
    pub resend_in: Duration,
}

/// What they show: the password, a code or a passkey.
#[derive(Debug, Clone)]
pub struct Proof {
    /// Absent with the password.
    pub method: Option<Method>,
    pub code: Secret,
    pub password: Secret,
    pub assertion: Option<Assertion>,
}

/// What an authenticator app is told, once.
#[derive(Debug, Clone)]
pub struct TotpEnrolment {
    /// Base32, to be typed.
    pub secret: Secret,
    /// The same for a QR code.
    pub otpauth_url: Secret,
}

/// How far the enrolment of an address got.
#[derive(Debug, Clone)]
pub enum EmailEnrolment {
    /// The address was proven before: the factor is in force. Recovery codes, if there were none.
    Confirmed(Vec<Secret>),
    /// A code was sent.
    CodeSent,
}

/// How somebody who is signed in shows that it is still them; nothing: by having signed in lately.
#[derive(Debug, Clone, Default)]
pub struct Reauthentication {
    pub password: Option<Secret>,
    /// From the authenticator app, or a recovery code.
    pub code: Option<Secret>,
}

/// Marks the identifiers of passkeys.
pub enum PasskeyKind {}
impl Kind for PasskeyKind {
    const PREFIX: &'static str = "psk";
}
pub type PasskeyId = Id<PasskeyKind>;

/// A key in somebody's device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    pub id: PasskeyId,
    /// What its owner calls it.
    pub name: String,
    /// A service of its owner's keeps it, and it may be on several devices.
    pub backed_up: bool,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

/// Marks the identifiers of trusted devices.
pub enum TrustedDeviceKind {}
impl Kind for TrustedDeviceKind {
    const PREFIX: &'static str = "tdv";
}
pub type TrustedDeviceId = Id<TrustedDeviceKind>;

/// A browser that is asked for no factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedDevice {
    pub id: TrustedDeviceId,
    pub user_agent: Option<String>,
    pub ip: Option<std::net::IpAddr>,
    /// When a factor was proven there.
    pub proved_at: Timestamp,
    pub last_used_at: Timestamp,
    pub expires_at: Timestamp,
}

/// `z•••@example.com`: enough to know which mailbox, not enough to learn the address.
pub(crate) fn hint(email: &str) -> String {
    let (local, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    let first: String = local.chars().take(1).collect();
    format!("{first}•••@{domain}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_hint_tells_the_mailbox_and_not_the_address() {
        assert_eq!(super::hint("zoe.fernandez@example.com"), "z•••@example.com");
        assert_eq!(super::hint("ñ@example.com"), "ñ•••@example.com");
    }
}
