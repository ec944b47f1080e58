//! What has happened in the product, in the past tense: what components tell each other, and webhooks tell the world.

use serde::{Deserialize, Serialize};

use crate::{Ctx, Id, Kind, Timestamp, UserId};

/// Marks the identifiers of events.
pub enum EventKind {}
impl Kind for EventKind {
    const PREFIX: &'static str = "evt";
}
pub type EventId = Id<EventKind>;

/// A fact. Its name and the fields of its data are a promise to whoever listens: add fields, never change or take away
/// one; what has to differ gets a new name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum Event {
    #[serde(rename = "user.registered")]
    UserRegistered { user_id: UserId, email: String, name: String },
    #[serde(rename = "user.verified")]
    UserVerified { user_id: UserId, email: String },
    /// From now on this is their address, and proven.
    #[serde(rename = "user.email_changed")]
    EmailChanged { user_id: UserId, email: String },
    #[serde(rename = "user.disabled")]
    UserDisabled { user_id: UserId },
    #[serde(rename = "user.enabled")]
    UserEnabled { user_id: UserId },
    #[serde(rename = "user.deleted")]
    UserDeleted { user_id: UserId },
    #[serde(rename = "user.role_changed")]
    RoleChanged { user_id: UserId, role: String },
    #[serde(rename = "user.password_changed")]
    PasswordChanged { user_id: UserId },
    #[serde(rename = "user.sessions_revoked")]
    SessionsRevoked { user_id: UserId },
    #[serde(rename = "user.plan_changed")]
    PlanChanged { user_id: UserId, plan: String },
    /// `totp`, `email` or `passkey`: it is asked for from now on.
    #[serde(rename = "user.factor_added")]
    FactorAdded { user_id: UserId, factor: String },
    #[serde(rename = "user.factor_removed")]
    FactorRemoved { user_id: UserId, factor: String },
    /// Nothing is sent there any more; `reason`: `gone` or `failing`.
    #[serde(rename = "webhook.disabled")]
    WebhookDisabled { endpoint_id: String, reason: String },
}

impl Event {
    /// Every name there is, for whoever lets people choose.
    pub const NAMES: [&'static str; 13] = [
        "user.registered",
        "user.verified",
        "user.email_changed",
        "user.disabled",
        "user.enabled",
        "user.deleted",
        "user.role_changed",
        "user.password_changed",
        "user.sessions_revoked",
        "user.plan_changed",
        "user.factor_added",
        "user.factor_removed",
        "webhook.disabled",
    ];

    /// The stable name: `user.registered`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UserRegistered { .. } => "user.registered",
            Self::UserVerified { .. } => "user.verified",
            Self::EmailChanged { .. } => "user.email_changed",
            Self::UserDisabled { .. } => "user.disabled",
            Self::UserEnabled { .. } => "user.enabled",
            Self::UserDeleted { .. } => "user.deleted",
            Self::RoleChanged { .. } => "user.role_changed",
            Self::PasswordChanged { .. } => "user.password_changed",
            Self::SessionsRevoked { .. } => "user.sessions_revoked",
            Self::PlanChanged { .. } => "user.plan_changed",
            Self::FactorAdded { .. } => "user.factor_added",
            Self::FactorRemoved { .. } => "user.factor_removed",
            Self::WebhookDisabled { .. } => "webhook.disabled",
        }
    }

    /// Whom it is about.
    pub const fn user_id(&self) -> Option<UserId> {
        match self {
            Self::UserRegistered { user_id, .. }
            | Self::UserVerified { user_id, .. }
            | Self::EmailChanged { user_id, .. }
            | Self::UserDisabled { user_id }
            | Self::UserEnabled { user_id }
            | Self::UserDeleted { user_id }
            | Self::RoleChanged { user_id, .. }
            | Self::PasswordChanged { user_id }
            | Self::SessionsRevoked { user_id }
            | Self::PlanChanged { user_id, .. }
            | Self::FactorAdded { user_id, .. }
            | Self::FactorRemoved { user_id, .. } => Some(*user_id),
            Self::WebhookDisabled { .. } => None,
        }
    }
}

/// An event as it travels: `{"id":"evt_…","version":1,"timestamp":"…","type":"user.deleted","data":{…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    pub id: EventId,
    /// Of this envelope and the rules of its data.
    pub version: u32,
    /// When it happened.
    pub timestamp: Timestamp,
    #[serde(flatten)]
    pub event: Event,
}

impl Published {
    pub const VERSION: u32 = 1;

    pub fn new(ctx: &Ctx, event: Event) -> Self {
        Self { id: EventId::generate(), version: Self::VERSION, timestamp: ctx.now(), event }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Webhooks of other people's programs switch on these.
    #[test]
    fn an_event_is_written_as_it_was_released() {
        let text = r#"{"id":"evt_0192f0c1d2e37000a1b2c3d4e5f60718","version":1,"timestamp":"2025-11-22T00:00:00Z","type":"user.registered","data":{"user_id":"usr_0192f0c1d2e37000a1b2c3d4e5f60718","email":"zoe@example.com","name":"Zoë"}}"#;
        let read: Published = serde_json::from_str(text).expect("it reads what it wrote");
        assert_eq!(serde_json::to_string(&read).ok().as_deref(), Some(text));
    }

    #[test]
    fn every_event_is_listed_under_the_name_it_is_written_with() {
        let user_id = UserId::generate();
        let (email, name) = (String::new(), String::new());
        let all = [
            Event::UserRegistered { user_id, email: email.clone(), name },
            Event::UserVerified { user_id, email: email.clone() },
            Event::EmailChanged { user_id, email },
            Event::UserDisabled { user_id },
            Event::UserEnabled { user_id },
            Event::UserDeleted { user_id },
            Event::RoleChanged { user_id, role: String::new() },
            Event::PasswordChanged { user_id },
            Event::SessionsRevoked { user_id },
            Event::PlanChanged { user_id, plan: String::new() },
            Event::FactorAdded { user_id, factor: String::new() },
            Event::FactorRemoved { user_id, factor: String::new() },
            Event::WebhookDisabled { endpoint_id: String::new(), reason: String::new() },
        ];
        let written = all.iter().map(|event| serde_json::to_value(event).expect("events are JSON")["type"].clone());
        assert!(written.eq(Event::NAMES.map(serde_json::Value::from)));
        assert!(all.iter().map(Event::name).eq(Event::NAMES));
    }
}
