use baluarte_kernel::{Id, Kind, Locale, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) enum MessageKind {}
impl Kind for MessageKind {
    const PREFIX: &'static str = "msg";
}
pub(crate) type MessageId = Id<MessageKind>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Email,
    Sms,
}

impl Channel {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }

    pub(crate) fn from_stored(text: &str) -> Option<Self> {
        [Self::Email, Self::Sms].into_iter().find(|channel| channel.as_str() == text)
    }
}

/// A message as its template made it.
#[derive(Debug, Clone)]
pub struct Message {
    pub channel: Channel,
    pub to: String,
    pub locale: Locale,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    /// Which template: `identity.verify_email`.
    pub kind: &'static str,
    /// Not worth sending after this moment.
    pub useful_until: Timestamp,
}

/// What is sealed: it holds one-time links and codes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: Option<String>,
}

/// A message that it is our turn to deliver.
pub(crate) struct Claimed {
    pub(crate) id: MessageId,
    pub(crate) channel: Channel,
    pub(crate) to: String,
    pub(crate) kind: String,
    pub(crate) sealed: String,
    /// This one included.
    pub(crate) attempts: u32,
    pub(crate) useful_until: Timestamp,
    /// Whoever holds it may write the outcome.
    pub(crate) claim: String,
}

/// How a message ended, or when it is tried again.
pub(crate) enum Outcome {
    Sent,
    /// It will never arrive.
    Failed(String),
    /// Its moment has passed.
    Expired,
    Retry {
        at: Timestamp,
        error: String,
    },
}
