use std::time::Duration;

use baluarte_db::DbError;
use baluarte_kernel::UserId;
use baluarte_notify::SmsRefused;

use crate::{oidc::LoginError, password::BadPassword};

/// What identity can refuse, in its own words.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("nobody may register here")]
    RegistrationClosed,
    #[error("registering needs an invitation")]
    InvitationNeeded,
    #[error("that address already has an account")]
    EmailTaken,
    #[error(transparent)]
    BadPassword(#[from] BadPassword),
    /// No such account or another password: nobody learns which.
    #[error("wrong address or password")]
    WrongCredentials,
    /// Somebody signed in is asked for their password again and got it wrong.
    #[error("wrong password")]
    WrongPassword,
    #[error("the address has not been confirmed yet")]
    EmailNotVerified,
    #[error("the account is disabled")]
    AccountDisabled,
    /// Whoever runs the place asked for another password; only whoever knows the old one learns it.
    #[error("a new password has to be chosen first")]
    ResetRequired,
    /// Too many failures for this account from there.
    #[error("too many failed attempts")]
    TooManyAttempts { retry_after: Duration },
    /// More passwords are waiting to be hashed than is healthy.
    #[error("too many passwords at once")]
    Busy,
    /// Not one of ours, damaged, expired, or of a session that ended.
    #[error("the refresh token is not valid")]
    RefreshInvalid,
    /// It was used long ago: somebody has a copy. The session has ended.
    #[error("the refresh token was used before")]
    RefreshReused,
    /// A link from a mail: used, too old, replaced by a newer one, or damaged.
    #[error("the link is not valid any more")]
    LinkInvalid,
    #[error("that is the account's address already")]
    SameEmail,
    /// Nothing can be confirmed by mail where none can be sent.
    #[error("this installation sends no mail")]
    NoMail,
    #[error("links to sign in are switched off")]
    MagicLinksOff,
    /// It opens only the browser that asked for it.
    #[error("the link was asked for in another browser")]
    OtherBrowser,
    /// Whoever holds a link without an address could make themselves administrator.
    #[error("an administrator is invited by address")]
    InvitationNeedsEmail,
    #[error("too many open invitations")]
    TooManyInvitations,
    #[error("no such invitation")]
    InvitationNotFound,
    /// The link was not sent to one, so whoever accepts names theirs.
    #[error("an address is missing")]
    AddressMissing,
    /// Enough of a kind were asked for in an hour.
    #[error("too many mails")]
    TooManyMails { retry_after: Duration },
    /// The attempt to sign in is over: too old, answered, answered wrongly too often, or never ours.
    #[error("signing in has to begin again")]
    SecondStepOver,
    /// The second answer of a sign-in.
    #[error("wrong code")]
    WrongCode,
    /// Somebody signed in gave it.
    #[error("not the right code")]
    BadCode,
    /// Another code was sent a moment ago, or enough of them.
    #[error("too soon for another code")]
    CodeTooSoon { retry_after: Duration },
    /// Not set up for this account, or codes cannot be sent that way.
    #[error("that second factor is not available")]
    FactorUnavailable,
    /// No telephone number in the international form, or text messages do not go there.
    #[error("no text message is sent to that number: {0}")]
    PhoneRefused(SmsRefused),
    #[error("that second factor is in force already")]
    FactorExists,
    #[error("no such second factor")]
    FactorNotFound,
    /// The role demands one.
    #[error("the last second factor has to stay")]
    FactorRequired,
    #[error("second factors are switched off for this role")]
    FactorsOff,
    /// Something sensitive, and the last proof of who it is was a while ago.
    #[error("asks for the password or a code")]
    ReauthenticationNeeded,
    /// Too sensitive for a session alone: the second factor has to be proven again first.
    #[error("asks for the second factor again")]
    ConfirmationNeeded,
    /// What a browser made is not what was asked for, or came too late.
    #[error("not a passkey for here and now")]
    BadPasskey,
    /// Signing in with one: nobody learns why not.
    #[error("that passkey is not taken")]
    PasskeyRefused,
    #[error("that passkey is set up already")]
    PasskeyExists,
    #[error("no more passkeys for this account")]
    TooManyPasskeys,
    #[error("no such passkey")]
    PasskeyNotFound,
    #[error("no such trusted device")]
    TrustedDeviceNotFound,
    /// What is wrong with a field of a key that is to be.
    #[error("{0} {1}")]
    BadApiKey(&'static str, String),
    #[error("no more API keys for this account")]
    TooManyApiKeys,
    #[error("no such API key")]
    ApiKeyNotFound,
    #[error("that API key has been replaced")]
    ApiKeyReplaced,
    /// An account elsewhere.
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error("no user {0}")]
    UserNotFound(UserId),
    #[error("no such session")]
    SessionNotFound,
    #[error("somebody has to stay administrator")]
    LastAdmin,
    #[error("somebody has to stay owner")]
    LastOwner,
    /// The other one, or the role to be given, ranks higher than the caller.
    #[error("that is above your own role")]
    Outranked,
    #[error(transparent)]
    BadCursor(#[from] baluarte_kernel::BadCursor),
    #[error(transparent)]
    Forbidden(#[from] baluarte_kernel::Forbidden),
    /// Nobody's request is to blame: a signing key or a thread could not be made.
    #[error("{0}")]
    Internal(String),
    #[error("identity storage")]
    Storage(#[from] DbError),
}
