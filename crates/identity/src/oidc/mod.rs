//! Signing in with an account elsewhere: what providers are asked, and what of their answers is taken. Everything goes through the
//! guarded client of `outbound`; nothing here touches the database.

mod attempt;
mod cached;
mod config;
mod error;
mod github;
mod id_token;
mod keys;
mod mails;
mod metadata;
mod provider;

use baluarte_kernel::{Id, Kind, Timestamp};

pub use self::{
    attempt::Errand,
    config::{ProviderConfig, ProviderFactor, ProviderKind},
    error::LoginError,
    provider::{check_providers, redirect_uris},
};
pub(crate) use self::{
    attempt::{ATTEMPT, Attempt, SLOTS, Shown, WAITING},
    config::validate,
    mails::LoginMails,
    provider::Providers,
};
use crate::model::{Email, Name};

/// Accounts elsewhere that one person may connect.
pub(crate) const MAX_LOGINS: usize = 20;

/// Who somebody is, as a provider has proven it to us.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    /// With `subject` what is never given to anybody else.
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) email: Option<Email>,
    /// The provider vouches for it that the address is theirs.
    pub(crate) email_verified: bool,
    pub(crate) name: Option<Name>,
    /// How its owner recognises the account there.
    pub(crate) label: String,
    /// A second factor was asked for there.
    pub(crate) factor: bool,
    /// When they last proved themselves there; not everybody tells.
    pub(crate) proven_at: Option<Timestamp>,
}

/// What the browser brought back.
#[derive(Debug, Clone, Default)]
pub struct ProviderAnswer {
    pub code: baluarte_kernel::Secret,
    /// RFC 9207
    pub iss: String,
    /// An error's name; no code then.
    pub error: String,
}

/// A button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderName {
    pub name: String,
    pub title: String,
}

/// Marks the identifiers of connected accounts.
pub enum LoginKind {}
impl Kind for LoginKind {
    const PREFIX: &'static str = "lgn";
}
pub type LoginId = Id<LoginKind>;

/// An account elsewhere with which somebody signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub id: LoginId,
    /// Its name in the configuration when it was connected.
    pub provider: String,
    /// What people know the provider by.
    pub title: String,
    /// The address or name they have there.
    pub label: String,
    /// The provider is configured: one can sign in with it.
    pub usable: bool,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

/// A word that one may read in a log or on a page: an error's name, a person's name there.
pub(crate) fn printable(text: &str, most: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control() && !('\u{202a}'..='\u{202e}').contains(c) && !('\u{2066}'..='\u{2069}').contains(c))
        .take(most)
        .collect()
}
