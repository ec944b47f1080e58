//! The nouns of identity: parsed once at the edge, trusted afterwards. Nothing here knows of databases or HTTP.

use std::{fmt, net::IpAddr, str::FromStr};

use baluarte_kernel::{Locale, Secret, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::factors::FactorKind;

mod invitations;
mod sessions;

pub use invitations::{Acceptance, CreatedInvitation, Invitation, InvitationId, InvitationKind, NewInvitation};
pub use sessions::{Granted, Refreshed, Session, SessionCookie, SessionKind, SignIn, SignedIn, TokenPair};

/// An address that we are willing to send mail to: trimmed, lower case, NFC, plausible.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// The text is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an e-mail address")]
pub struct BadEmail;

impl Email {
    /// RFC 5321, 4.5.3.1.3, without the angle brackets.
    const MAX_BYTES: usize = 254;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = BadEmail;
    fn from_str(text: &str) -> Result<Self, BadEmail> {
        // Before normalising: four times the limit holds every spelling of a valid address.
        if text.len() > 4 * Self::MAX_BYTES {
            return Err(BadEmail);
        }
        let address: String = text.trim().nfc().collect::<String>().to_lowercase().nfc().collect();
        let (local, domain) = address.rsplit_once('@').ok_or(BadEmail)?;
        // Nothing that could become a second header, a second recipient or a display name in a message.
        let printable = address.chars().all(|c| !deceives(c) && !c.is_whitespace() && !"<>()[]\\,;:\"".contains(c));
        let dotted =
            domain.contains('.') && domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
        let named = domain.chars().all(|c| c.is_alphanumeric() || c == '.' || c == '-');
        let local_fits = !local.is_empty() && local.len() <= 64 && !local.contains('@');
        if address.len() <= Self::MAX_BYTES && printable && dotted && named && local_fits { Ok(Self(address)) } else { Err(BadEmail) }
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What somebody wants to be called: 1 to 100 characters, no control characters, NFC, trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

/// The text cannot be a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {} characters and no line breaks", Name::MAX_CHARS)]
pub struct BadName;

impl Name {
    pub const MAX_CHARS: usize = 100;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How names are compared when people search for each other.
    pub fn folded(&self) -> String {
        fold(&self.0)
    }
}

/// Case folding good enough for search; the databases' own `lower()` knows only ASCII.
pub(crate) fn fold(text: &str) -> String {
    text.nfc().collect::<String>().to_lowercase()
}

impl FromStr for Name {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        if text.len() > 16 * Self::MAX_CHARS {
            return Err(BadName);
        }
        let name: String = text.trim().nfc().collect();
        let count = name.chars().count();
        if count == 0 || count > Self::MAX_CHARS || name.chars().any(deceives) { Err(BadName) } else { Ok(Self(name)) }
    }
}

/// Invisible characters and direction overrides, which make one text look like another.
fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || ('\u{e0000}'..='\u{e007f}').contains(&c)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `user`, one of those in [`POSTS`](crate::permissions::POSTS), or one that the operator made up for `access = "role:NAME"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role(String);

/// The text cannot be a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role has 1 to 32 lower-case letters, digits, hyphens or underscores")]
pub struct BadRole;

impl Role {
    pub fn user() -> Self {
        Self("user".to_owned())
    }
    pub fn admin() -> Self {
        Self(baluarte_kernel::Principal::ADMIN.to_owned())
    }
    /// Administrators and owners.
    pub fn is_admin(&self) -> bool {
        self.0 == baluarte_kernel::Principal::ADMIN || self.is_owner()
    }
    pub fn is_owner(&self) -> bool {
        self.0 == baluarte_kernel::Principal::OWNER
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Role {
    type Err = BadRole;
    fn from_str(text: &str) -> Result<Self, BadRole> {
        let fits = (1..=32).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        if fits { Ok(Self(text.to_owned())) } else { Err(BadRole) }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub email: Email,
    pub name: Name,
    pub role: Role,
    /// The language of mails to them.
    pub locale: Locale,
    /// When they proved that the address is theirs.
    pub email_verified_at: Option<Timestamp>,
    /// Since when they may not sign in.
    pub disabled_at: Option<Timestamp>,
    /// Since when the password does not sign in, until another one is chosen.
    pub reset_required_at: Option<Timestamp>,
    pub last_sign_in_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// What others may know of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub id: UserId,
    pub name: Name,
}

/// Somebody who wants an account.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub email: Email,
    pub name: Name,
    /// Not yet judged; the service refuses it with [`BadPassword`](crate::BadPassword).
    pub password: Secret,
}

/// What became of a registration.
#[derive(Debug, Clone)]
pub enum Registered {
    /// The account exists and its owner may sign in.
    Created(User),
    /// Look into the mailbox: said whether or not the address already had an account.
    CheckYourMail,
}

/// What an administrator or the operator creates.
#[derive(Debug, Clone)]
pub struct NewAccount {
    pub email: Email,
    pub name: Name,
    pub role: Role,
    /// Without one, a link to choose it is made.
    pub password: Option<Secret>,
}

/// An account made by an administrator or the operator.
#[derive(Debug, Clone)]
pub struct CreatedAccount {
    pub user: User,
    /// Where its owner chooses a password, once; present when none was given.
    pub set_password_url: Option<Secret>,
}

/// Changes to one's own profile; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct ProfileChange {
    pub name: Option<Name>,
    pub locale: Option<Locale>,
}

/// Another address that an account is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailChange {
    pub email: Email,
    /// Whoever reads the present address has said yes.
    pub old_confirmed: bool,
    /// Whoever reads the new one has.
    pub new_confirmed: bool,
    pub expires_at: Timestamp,
}

/// One of the two addresses of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mailbox {
    Old,
    New,
}

/// What became of a change when one of the mailboxes said yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailChanged {
    WaitsForOther,
    Done,
}

/// What somebody brings back from a mail with a link to sign in.
#[derive(Debug, Clone, Copy)]
pub enum LinkProof<'a> {
    /// Out of the link.
    Token(&'a Secret),
    /// Typed, by whoever reads the mail on another device.
    Code(&'a Secret),
}

/// Something that the owner of an account should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    pub kind: AlertKind,
    /// As the client called itself; cut to 300 characters.
    pub user_agent: Option<String>,
    pub ip: Option<IpAddr>,
    pub at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertKind {
    /// A refresh token was used a second time: somebody has a copy.
    RefreshReused,
}

impl AlertKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RefreshReused => "refresh_reused",
        }
    }

    pub(crate) fn from_stored(text: &str) -> Option<Self> {
        (text == Self::RefreshReused.as_str()).then_some(Self::RefreshReused)
    }
}

/// Which accounts an administrator wants to see.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Part of the address or of the name.
    pub query: Option<String>,
    pub role: Option<Role>,
    pub disabled: Option<bool>,
    pub state: Option<AccountState>,
    pub factor: Option<FactorFilter>,
    /// Plans are not stored with accounts: a page may be short although there is a next one.
    pub plan: Option<String>,
}

/// How an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// May sign in.
    Active,
    Disabled,
    /// The address was never confirmed.
    Unverified,
    /// The password is void until another one is chosen.
    ResetRequired,
}

impl AccountState {
    pub const ALL: [Self; 4] = [Self::Active, Self::Disabled, Self::Unverified, Self::ResetRequired];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Unverified => "unverified",
            Self::ResetRequired => "reset_required",
        }
    }
}

/// Who has set up what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorFilter {
    None,
    Any,
    Kind(FactorKind),
}

/// The text names no filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is none of: {0}")]
pub struct BadFilter(&'static str);

impl FromStr for AccountState {
    type Err = BadFilter;
    fn from_str(text: &str) -> Result<Self, BadFilter> {
        let bad = BadFilter("active, disabled, unverified, reset_required");
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(bad)
    }
}

impl FromStr for FactorFilter {
    type Err = BadFilter;
    fn from_str(text: &str) -> Result<Self, BadFilter> {
        match text {
            "none" => Ok(Self::None),
            "any" => Ok(Self::Any),
            kind => kind.parse().map(Self::Kind).map_err(|()| BadFilter("none, any, totp, email, sms, passkey")),
        }
    }
}

/// Why something was done to somebody's account: kept in the audit log. 1 to 300 characters on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

/// The text cannot be a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reason has 1 to {} characters and no line breaks", Reason::MAX_CHARS)]
pub struct BadReason;

impl Reason {
    pub const MAX_CHARS: usize = 300;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Nothing where nothing was written.
    pub fn optional(text: &str) -> Result<Option<Self>, BadReason> {
        if text.trim().is_empty() { Ok(None) } else { text.parse().map(Some) }
    }
}

impl FromStr for Reason {
    type Err = BadReason;
    fn from_str(text: &str) -> Result<Self, BadReason> {
        if text.len() > 8 * Self::MAX_CHARS {
            return Err(BadReason);
        }
        let reason: String = text.trim().nfc().collect();
        let count = reason.chars().count();
        if count == 0 || count > Self::MAX_CHARS || reason.chars().any(deceives) { Err(BadReason) } else { Ok(Self(reason)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        let plain: Email = "zoe@example.com".parse().unwrap();
        assert_eq!("  ZOE@Example.COM ".parse(), Ok(plain));
        assert_eq!("Jose\u{301}@example.com".parse::<Email>(), "jos\u{e9}@example.com".parse());
    }

    #[test]
    fn implausible_addresses_are_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        for text in [
            "",
            "a",
            "a@",
            "@b.c",
            "a@b",
            "a b@c.d",
            "a@b..c",
            "a@-b.c",
            "a@b.c\r\nBcc: x@y.z",
            "<a@b.c>",
            "a@b.c,d@e.f",
            "a@b@c.d",
            "a@b_c.d",
            &long,
        ] {
            assert_eq!(text.parse::<Email>(), Err(BadEmail), "{text:?}");
        }
    }

    #[test]
    fn nothing_invisible_makes_an_address_or_a_name_look_like_another() {
        for c in ['\u{ad}', '\u{200b}', '\u{200d}', '\u{202e}', '\u{2066}', '\u{feff}', '\u{e0061}'] {
            assert_eq!(format!("zo{c}e@example.com").parse::<Email>(), Err(BadEmail), "{c:?}");
            assert_eq!(format!("Zo{c}e").parse::<Name>(), Err(BadName), "{c:?}");
        }
    }

    #[test]
    fn names_keep_their_letters_and_lose_their_margins() {
        assert_eq!(" Zoë  Ñandú ".parse::<Name>().map(|name| name.to_string()), Ok("Zoë  Ñandú".to_owned()));
        for text in ["", "  ", "a\nb", "admin\u{202e}", &"x".repeat(101)] {
            assert_eq!(text.parse::<Name>(), Err(BadName), "{text:?}");
        }
    }

    #[test]
    fn roles_are_plain_words() {
        assert!("shop-staff_2".parse::<Role>().is_ok());
        for text in ["", "Admin", "a b", "a,b", "é", &"r".repeat(33)] {
            assert!(text.parse::<Role>().is_err(), "{text:?}");
        }
    }
}
