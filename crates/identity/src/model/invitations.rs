//! Links with which somebody may create an account.

use baluarte_kernel::{Id, Kind, Locale, Secret, Timestamp, UserId};

use super::{Email, Name, Role};

/// Marks the identifiers of invitations.
pub enum InvitationKind {}
impl Kind for InvitationKind {
    const PREFIX: &'static str = "inv";
}
pub type InvitationId = Id<InvitationKind>;

/// A link with which somebody may create an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    pub id: InvitationId,
    /// Whose address it was sent to; otherwise whoever holds it may accept.
    pub email: Option<Email>,
    pub role: Role,
    /// The account that one sent to an address makes.
    pub user_id: Option<UserId>,
    pub max_uses: u32,
    pub uses: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl Invitation {
    pub fn state(&self, now: Timestamp) -> &'static str {
        if self.uses >= self.max_uses {
            "used"
        } else if self.revoked_at.is_some() {
            "revoked"
        } else if self.expires_at <= now {
            "expired"
        } else {
            "open"
        }
    }
}

/// An invitation to be.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    pub email: Option<Email>,
    pub role: Role,
    /// Counts only without an address.
    pub max_uses: u32,
    /// In a week unless told.
    pub expires_at: Option<Timestamp>,
    /// The language of the mail; whoever invites has one too.
    pub locale: Option<Locale>,
}

/// One that was made, and where it is accepted.
#[derive(Debug, Clone)]
pub struct CreatedInvitation {
    pub invitation: Invitation,
    pub url: Secret,
}

/// Somebody who accepts an invitation.
#[derive(Debug, Clone)]
pub struct Acceptance {
    pub token: Secret,
    pub name: Name,
    /// Counts only where the link was not sent to an address.
    pub email: Option<Email>,
    pub password: Secret,
}
