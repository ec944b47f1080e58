#![doc = include_str!("../README.md")]

mod actions;
mod api_key;
mod config;
mod error;
mod factors;
#[cfg(any(test, feature = "fuzzed"))]
#[doc(hidden)]
pub mod fuzzed;
#[cfg(test)]
mod gaps;
mod http;
mod import;
mod mails;
mod model;
mod oidc;
mod operator;
mod pages;
mod password;
pub mod permissions;
mod revocations;
mod service;
mod store;
mod throttle;
mod token;

use baluarte_db::{Migration, Migrations};

pub use actions::ACTIONS;
pub use api_key::{ApiKey, CreatedApiKey, NewApiKey};
use baluarte_kernel::UserId;
pub use config::{EmailVerification, IdentityConfig, MagicLinkMode, Registration};
pub use error::IdentityError;
pub use factors::{
    Answer, Assertion, CreationOptions, EmailEnrolment, Factor, FactorKind, Factors, Method, MfaPolicy, NewCredential, OpenConfirmation,
    OpenStep, Passkey, PasskeyId, Proof, Reauthentication, RequestOptions, SecondStep, TotpEnrolment, TrustedDevice, TrustedDeviceId,
    Welcome,
};
pub use http::{NamedLimit, PROBLEMS};
pub use import::{ImportLine, ImportReport, ImportedUser};
pub use mails::samples;
pub use model::{
    Acceptance, AccountState, Alert, AlertKind, BadEmail, BadFilter, BadName, BadReason, BadRole, CreatedAccount, CreatedInvitation, Email,
    EmailChange, EmailChanged, FactorFilter, Granted, Invitation, InvitationId, InvitationKind, LinkProof, Mailbox, Name, NewAccount,
    NewInvitation, NewUser, Person, ProfileChange, Reason, Refreshed, Registered, Role, Session, SessionCookie, SessionKind, SignIn,
    SignedIn, TokenPair, User, UserFilter,
};
pub use oidc::{
    Errand, Login, LoginError, LoginId, ProviderAnswer, ProviderConfig, ProviderFactor, ProviderKind, ProviderName, check_providers,
    redirect_uris,
};
pub use operator::{Act, Throttled, UserDetails};
pub use password::{BadImport, BadPassword, tune};
pub use service::{Arrived, Departure, Identity, Returned, ToConnect, WaysIn};

/// Identity's tables.
pub const MIGRATIONS: Migrations = Migrations {
    component: "identity",
    steps: &[
        Migration::common("0001_accounts", include_str!("../migrations/0001_accounts.sql")),
        Migration::common("0002_registrations", include_str!("../migrations/0002_registrations.sql")),
        Migration::common("0003_factors", include_str!("../migrations/0003_factors.sql")),
        Migration::common("0004_text_messages", include_str!("../migrations/0004_text_messages.sql")),
        Migration::common("0005_passkeys", include_str!("../migrations/0005_passkeys.sql")),
        Migration::common("0006_step_up", include_str!("../migrations/0006_step_up.sql")),
        Migration::common("0007_email_changes", include_str!("../migrations/0007_email_changes.sql")),
        Migration::common("0008_magic_links", include_str!("../migrations/0008_magic_links.sql")),
        Migration::common("0008_invitations", include_str!("../migrations/0008_invitations.sql")),
        Migration::common("0009_api_keys", include_str!("../migrations/0009_api_keys.sql")),
        Migration::common("0010_imported_passwords", include_str!("../migrations/0010_imported_passwords.sql")),
        Migration::common("0011_logins", include_str!("../migrations/0011_logins.sql")),
        Migration::common("0013_operators", include_str!("../migrations/0013_operators.sql")),
        Migration::common("0014_devices", include_str!("../migrations/0014_devices.sql")),
    ],
};
