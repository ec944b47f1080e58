//! Signing in, and what it gives.

use std::{net::IpAddr, time::Duration};

use baluarte_kernel::{Secret, SessionId, Timestamp};

use super::User;

/// What signing in should give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionKind {
    /// An access token and a refresh token.
    #[default]
    Tokens,
    /// A cookie for a browser.
    Cookie,
}

impl SessionKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Cookie => "cookie",
        }
    }
}

/// Somebody at the door.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// As typed: an address that cannot exist is refused like one that does not.
    pub email: String,
    pub password: Secret,
    pub session: SessionKind,
    /// The cookie that this browser is known by, as it was sent.
    pub device: Option<Secret>,
}

/// They are in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub user: User,
    pub session_id: SessionId,
    pub granted: Granted,
    /// What this browser is known by from now on, where that is new.
    pub device: Option<SessionCookie>,
    /// A factor was set up on the way: shown once.
    pub recovery_codes: Vec<Secret>,
}

/// What they carry from now on.
#[derive(Debug, Clone)]
pub enum Granted {
    Cookie(SessionCookie),
    Tokens(TokenPair),
}

/// The value of the session cookie and how long the browser keeps it.
#[derive(Debug, Clone)]
pub struct SessionCookie {
    pub value: Secret,
    pub max_age: Duration,
}

/// An access token and the refresh token that follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPair {
    pub access_token: Secret,
    /// Time that is left for the access token.
    pub expires_in: Duration,
    pub refresh_token: Secret,
}

/// A refreshed session.
#[derive(Debug, Clone)]
pub struct Refreshed {
    pub user: User,
    pub tokens: TokenPair,
}

/// A signed-in device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub kind: SessionKind,
    /// As the client called itself; cut to 300 characters.
    pub user_agent: Option<String>,
    /// Where it signed in.
    pub ip: Option<IpAddr>,
    pub created_at: Timestamp,
    /// To the minute.
    pub last_seen_at: Timestamp,
    pub expires_at: Timestamp,
    /// The one that asks.
    pub current: bool,
}
