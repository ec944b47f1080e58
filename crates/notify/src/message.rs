use baluarte_kernel::{Id, Kind, Locale, Timestamp, UserId};
use serde::{Deserialize, Serialize};

pub enum MessageKind {}
impl Kind for MessageKind {
    const PREFIX: &'static str = "msg";
}
pub type MessageId = Id<MessageKind>;

pub enum SuppressionKind {}
impl Kind for SuppressionKind {
    const PREFIX: &'static str = "sup";
}
pub type SuppressionId = Id<SuppressionKind>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Email,
    Sms,
}

impl Channel {
    pub const ALL: [Self; 2] = [Self::Email, Self::Sms];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }

    pub(crate) fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == text)
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
    /// Whom it is for, where that is somebody with an account: when that is deleted, nothing of the message stays.
    pub about: Option<UserId>,
}

impl Message {
    /// It is for this person.
    #[must_use]
    pub fn about(self, user: UserId) -> Self {
        Self { about: Some(user), ..self }
    }
}

/// What is sealed: it holds one-time links and codes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: Option<String>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A job delivers it.
    Queued,
    /// A provider has it.
    Sent,
    /// A provider says that it has arrived.
    Delivered,
    /// A provider took it and could not deliver it.
    Bounced,
    /// Nobody took it.
    Failed,
    /// Its moment passed first.
    Expired,
    /// Nothing is sent to that address for now.
    Suppressed,
    /// The guard did not let it pass.
    Refused,
}

impl State {
    pub const ALL: [Self; 8] =
        [Self::Queued, Self::Sent, Self::Delivered, Self::Bounced, Self::Failed, Self::Expired, Self::Suppressed, Self::Refused];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Suppressed => "suppressed",
            Self::Refused => "refused",
        }
    }

    /// `waiting` is how versions before the job queue called it.
    pub(crate) fn from_stored(text: &str) -> Option<Self> {
        if text == "waiting" {
            return Some(Self::Queued);
        }
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A message as the operator sees it; its content is nobody's business but the recipient's.
#[derive(Debug, Clone)]
pub struct Stored {
    pub id: MessageId,
    pub channel: Channel,
    pub to: String,
    pub locale: String,
    pub kind: String,
    pub state: State,
    /// Times it was handed to a provider.
    pub attempts: u32,
    pub provider: Option<String>,
    /// The provider's own name for it.
    pub provider_reference: Option<String>,
    pub last_error: Option<String>,
    pub useful_until: Timestamp,
    pub created_at: Timestamp,
    /// Since when it has been in its state, once that is not `queued`.
    pub ended_at: Option<Timestamp>,
    pub(crate) sealed: Option<String>,
    /// Somebody is handing it over, or was when their process ended.
    pub(crate) trying_since: Option<Timestamp>,
    /// It has been counted in the budgets.
    pub(crate) counted: bool,
    /// Whom it is for.
    pub about: Option<UserId>,
}

impl Stored {
    /// The recipient as it may be shown to everybody who looks at lists: `z…@example.com`, `+351…78`.
    pub fn redacted_to(&self) -> String {
        redacted(self.channel, &self.to)
    }
}

/// Which messages an operator wants to see.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    pub channel: Option<Channel>,
    pub state: Option<State>,
    pub kind: Option<String>,
    /// The whole address or number.
    pub to: Option<String>,
    pub about: Option<UserId>,
}

/// An address to which nothing is sent for now.
#[derive(Debug, Clone)]
pub struct Suppression {
    pub id: SuppressionId,
    pub channel: Channel,
    /// As far as to recognise it: the whole address is stored nowhere.
    pub address: String,
    /// `bounced`, `complained`, `opted-out` or `operator`.
    pub reason: String,
    /// What the provider said.
    pub detail: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// What the address is found by.
    pub(crate) key: String,
    pub(crate) about: Option<UserId>,
}

pub(crate) fn redacted(channel: Channel, to: &str) -> String {
    match (channel, to.rsplit_once('@')) {
        (Channel::Email, Some((local, domain))) => format!("{}…@{domain}", local.chars().next().unwrap_or_default()),
        (Channel::Email, None) => "…".to_owned(),
        (Channel::Sms, _) => {
            let (start, end): (String, Vec<char>) = (to.chars().take(4).collect(), to.chars().rev().take(2).collect());
            format!("{start}…{}", end.into_iter().rev().collect::<String>())
        }
    }
}

/// A provider's words about a message, without whom it was for.
pub(crate) fn without_recipient(text: &str, channel: Channel, to: &str) -> String {
    let plain = to.trim_start_matches('+');
    if plain.is_empty() { text.to_owned() } else { text.replace(to, &redacted(channel, to)).replace(plain, "…") }
}

/// As addresses are compared: a provider may report another spelling.
pub(crate) fn normal(channel: Channel, to: &str) -> String {
    match channel {
        Channel::Email => to.trim().to_lowercase(),
        Channel::Sms => to.parse::<crate::Phone>().map_or_else(|_| to.trim().to_owned(), |phone| phone.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_message_is_for_is_told_only_as_far_as_to_recognise_it() {
        assert_eq!(redacted(Channel::Email, "zoe@example.com"), "z…@example.com");
        assert_eq!(redacted(Channel::Sms, "+351912345678"), "+351…78");
        assert_eq!(redacted(Channel::Email, "nonsense"), "…");
        let said = "550 <zoe@example.com>: unknown; zoe@example.com";
        assert_eq!(without_recipient(said, Channel::Email, "zoe@example.com"), "550 <z…@example.com>: unknown; z…@example.com");
        assert_eq!(without_recipient("to 351912345678", Channel::Sms, "+351912345678"), "to …");
    }
}
