use std::str::FromStr;

use baluarte_jobs::JobId;
use baluarte_kernel::{Event, Id, Kind, Timestamp};

/// Marks the identifiers of endpoints.
pub enum EndpointKind {}
impl Kind for EndpointKind {
    const PREFIX: &'static str = "whe";
}
pub type EndpointId = Id<EndpointKind>;

/// Marks the identifiers of deliveries.
pub enum DeliveryKind {}
impl Kind for DeliveryKind {
    const PREFIX: &'static str = "whd";
}
pub type DeliveryId = Id<DeliveryKind>;

/// The event that shows that an endpoint works.
pub const TEST_EVENT: &str = "webhook.test";

/// Which events an endpoint wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted(Vec<String>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no event; there are {names}", names = Event::NAMES.join(", "))]
pub struct UnknownEvent(pub String);

impl Wanted {
    /// None at all: every event, those of later versions included.
    pub fn new(mut names: Vec<String>) -> Result<Self, UnknownEvent> {
        names.sort();
        names.dedup();
        match names.iter().find(|name| !Event::NAMES.contains(&name.as_str())) {
            Some(unknown) => Err(UnknownEvent(unknown.clone())),
            None => Ok(Self(names)),
        }
    }

    /// As it was stored, perhaps by a version that knew other events.
    pub(crate) fn stored(names: Vec<String>) -> Self {
        Self(names)
    }

    pub fn names(&self) -> &[String] {
        &self.0
    }

    pub fn covers(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|wanted| wanted == name)
    }
}

/// Why an endpoint gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisabledReason {
    /// Somebody said so.
    Operator,
    /// It answered 410.
    Gone,
    /// It failed for too long.
    Failing,
}

impl DisabledReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    pub(crate) fn stored(text: &str) -> Option<Self> {
        [Self::Operator, Self::Gone, Self::Failing].into_iter().find(|reason| reason.as_str() == text)
    }
}

/// Where events are sent.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub id: EndpointId,
    pub url: String,
    pub description: String,
    pub events: Wanted,
    pub enabled: bool,
    pub disabled_reason: Option<DisabledReason>,
    pub disabled_at: Option<Timestamp>,
    pub failing_since: Option<Timestamp>,
    pub last_success_at: Option<Timestamp>,
    /// Until when the secret before the present one signs, too.
    pub previous_until: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What an operator says about a new endpoint, as it came.
#[derive(Debug, Clone, Default)]
pub struct NewEndpoint {
    pub url: String,
    pub description: String,
    pub events: Vec<String>,
    /// One is made when it is absent.
    pub secret: Option<baluarte_kernel::Secret>,
    pub enabled: bool,
}

/// What is to be different; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct EndpointChange {
    pub url: Option<String>,
    pub description: Option<String>,
    pub events: Option<Vec<String>>,
    pub enabled: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    Waiting,
    Delivered,
    Failed,
    /// No call was made: the endpoint was disabled, or whom it was about is gone.
    Skipped,
}

impl DeliveryState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is one of waiting, delivered, failed, skipped")]
pub struct BadState;

impl FromStr for DeliveryState {
    type Err = BadState;
    fn from_str(text: &str) -> Result<Self, BadState> {
        [Self::Waiting, Self::Delivered, Self::Failed, Self::Skipped].into_iter().find(|state| state.as_str() == text).ok_or(BadState)
    }
}

/// One event to one endpoint.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: DeliveryId,
    pub endpoint_id: EndpointId,
    /// Also the `webhook-id`.
    pub event_id: String,
    pub event: String,
    pub state: DeliveryState,
    /// How often it was started again.
    pub generation: i64,
    pub job_id: Option<JobId>,
    pub attempts: i64,
    /// Of the last answer.
    pub status: Option<i64>,
    pub error: Option<String>,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_events_that_exist_can_be_wanted_and_none_means_all() {
        let wanted = Wanted::new(vec!["user.deleted".into(), "user.deleted".into()]).unwrap();
        assert_eq!(wanted.names(), ["user.deleted"]);
        assert!(wanted.covers("user.deleted") && !wanted.covers("user.registered"));
        assert!(Wanted::default().covers("user.registered"));
        assert!(Wanted::new(vec!["user.delete".into()]).unwrap_err().to_string().contains("user.deleted"));
    }
}
