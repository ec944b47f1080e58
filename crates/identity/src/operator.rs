//! What those who help to run the place see of an account, and what they can do to it.

use baluarte_audit::Recorded;
use baluarte_kernel::{Page, Timestamp};
use baluarte_notify::Stored;

use crate::{Alert, Factor, FactorKind, Passkey, Role, Session, TrustedDevice, User, permissions::Permission};

/// Something that is done to somebody's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Ends all sessions; nobody can sign in to it until it is enabled again.
    Disable,
    Enable,
    SetRole(Role),
    /// Signs them out everywhere.
    EndSessions,
    /// Clears the counts of failed attempts.
    Unblock,
    /// The password does not sign in any more; its owner is mailed a link to choose another one. Nobody else ever sets one.
    RequireReset,
    /// One that its owner has lost.
    RemoveFactor(FactorKind),
    /// All of them, recovery codes included.
    RemoveFactors,
}

impl Act {
    pub const fn permission(&self) -> Permission {
        match self {
            Self::Disable | Self::Enable => Permission::Disable,
            Self::SetRole(_) => Permission::GiveRoles,
            Self::EndSessions => Permission::EndSessions,
            Self::Unblock => Permission::Unblock,
            Self::RequireReset => Permission::RequireReset,
            Self::RemoveFactor(_) | Self::RemoveFactors => Permission::RemoveFactors,
        }
    }

    /// Takes a fresh proof of who acts. What only makes an account safer, at once, does not.
    pub const fn is_sensitive(&self) -> bool {
        !matches!(self, Self::EndSessions | Self::Unblock)
    }

    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::SetRole(_) => "set_role",
            Self::EndSessions => "end_sessions",
            Self::Unblock => "unblock",
            Self::RequireReset => "require_reset",
            Self::RemoveFactor(_) => "remove_factor",
            Self::RemoveFactors => "remove_factors",
        }
    }
}

/// Failed attempts on an account.
#[derive(Debug, Clone)]
pub struct Throttled {
    /// `sign_in` or `second_factor`.
    pub what: &'static str,
    /// From this network; `None`: from anywhere.
    pub network: Option<String>,
    pub failures: u32,
    /// Until when attempts are refused.
    pub blocked_until: Option<Timestamp>,
}

/// An account as those who help to run the place see it.
#[derive(Debug)]
pub struct UserDetails {
    pub user: User,
    pub factors: Vec<Factor>,
    pub passkeys: Vec<Passkey>,
    pub recovery_codes: u32,
    /// The latest.
    pub sessions: Page<Session>,
    pub trusted: Vec<TrustedDevice>,
    pub throttles: Vec<Throttled>,
    /// What its owner should know, such as a refresh token that was used twice.
    pub alerts: Vec<Alert>,
    /// What was sent to them lately, without what it said.
    pub messages: Vec<Stored>,
    /// What they did and what was done to them lately.
    pub entries: Vec<Recorded>,
    /// What the caller may do to this account.
    pub may: Vec<Permission>,
}
