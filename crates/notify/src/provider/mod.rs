//! Those who carry messages: a closed set behind one seam, and which of them is asked.

mod breaker;
mod generic;
mod sendgrid;
mod smtp;
mod twilio;

use std::{sync::Arc, time::Duration};

use baluarte_kernel::{Clock, Timestamp};
use baluarte_outbound::{BoundedResponse, Outbound, OutboundError, Policy, Private};
pub(crate) use breaker::Breaker;
use http::{StatusCode, header::RETRY_AFTER};

use self::{generic::Generic, sendgrid::SendGrid, smtp::Smtp, twilio::Twilio};
use crate::{
    Channel, NotifyConfig,
    config::{SENDGRID, SMTP, TWILIO},
    message::{Content, MessageId},
    report::Report,
};

/// A message on its way to a provider.
#[derive(Clone, Copy)]
pub(crate) struct Parcel<'a> {
    pub(crate) id: MessageId,
    pub(crate) kind: &'a str,
    pub(crate) to: &'a str,
    pub(crate) content: &'a Content,
    pub(crate) now: Timestamp,
    pub(crate) useful_until: Timestamp,
}

/// The provider has it now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The provider's own name for it.
    pub(crate) reference: Option<String>,
}

/// Why a provider did not take a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The message itself is at fault: no provider would take it, and trying again changes nothing.
    Message(String),
    /// The same, because of where it goes: nothing more is sent there for a while.
    Address(String, Suppress),
    /// This provider cannot, now or until the operator mends something; another one may.
    Provider { why: String, pause: Option<Duration> },
    /// It was on its way when the line broke: nobody knows whether it was taken.
    Unknown(String),
}

impl Refused {
    pub(crate) fn provider(why: impl Into<String>) -> Self {
        Self::Provider { why: why.into(), pause: None }
    }

    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Message(why) | Self::Address(why, _) | Self::Provider { why, .. } | Self::Unknown(why) => why,
        }
    }
}

/// Why nothing is sent to an address any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suppress {
    /// There is no such mailbox or telephone.
    Bounced,
    /// Its owner called a message unwanted.
    Complained,
    /// Its owner told the provider to stop.
    OptedOut,
}

/// What a provider knows about a message that may have been handed over before.
pub(crate) enum Found {
    Accepted(Accepted),
    Never,
    /// It cannot be asked.
    Unknown,
}

enum Kind {
    Smtp(Smtp),
    SendGrid(SendGrid),
    Twilio(Twilio),
    Generic(Generic),
}

/// One provider and how it has been doing.
pub(crate) struct Provider {
    pub(crate) name: Arc<str>,
    pub(crate) breaker: Breaker,
    kind: Kind,
}

/// What `check --live` learned about a provider.
#[derive(Debug, Clone)]
pub struct ProviderCheck {
    pub channel: Channel,
    /// `smtp`, `sendgrid`, `twilio`, or the name under `[notify.http]`.
    pub provider: String,
    /// What was seen, or what is wrong.
    pub result: Result<String, String>,
}

/// All providers in the order in which they are tried.
pub(crate) struct Providers {
    pub(crate) email: Vec<Provider>,
    pub(crate) sms: Vec<Provider>,
}

/// An answer takes no longer, and not more of it is read.
const PATIENCE: Duration = Duration::from_secs(20);
const LONGEST_ANSWER: usize = 256 << 10;

impl Providers {
    /// Connects to nobody yet. The error is a sentence for the operator.
    pub(crate) fn new(config: &NotifyConfig, public_url: &str, clock: &Clock, report: &Arc<Report>) -> Result<Self, String> {
        let policy = Policy {
            timeout: PATIENCE,
            max_response_bytes: LONGEST_ANSWER,
            // Only the operator writes these addresses.
            private: Private::Allowed,
            ..Policy::default()
        };
        let outbound = Outbound::new(policy).map_err(|err| err.to_string())?;
        let all = |channel| {
            let provider = |name: &str| {
                let kind = Kind::new(name, config, public_url, &outbound)?;
                Ok(Provider { name: name.into(), breaker: Breaker::new(name, clock.clone(), Arc::clone(report)), kind })
            };
            config.order(channel).into_iter().map(provider).collect::<Result<Vec<_>, String>>()
        };
        Ok(Self { email: all(Channel::Email)?, sms: all(Channel::Sms)? })
    }

    pub(crate) fn of(&self, channel: Channel) -> &[Provider] {
        match channel {
            Channel::Email => &self.email,
            Channel::Sms => &self.sms,
        }
    }

    /// Asks every provider whether it would take a message, without sending one.
    pub(crate) async fn check(&self) -> Vec<ProviderCheck> {
        let mut checks = Vec::new();
        for channel in Channel::ALL {
            for provider in self.of(channel) {
                let asked = tokio::time::timeout(PATIENCE, provider.kind.check()).await;
                let result = asked.unwrap_or_else(|_| Err("no answer in time".to_owned()));
                checks.push(ProviderCheck { channel, provider: provider.name.to_string(), result });
            }
        }
        checks
    }
}

impl Kind {
    fn new(name: &str, config: &NotifyConfig, public_url: &str, outbound: &Outbound) -> Result<Self, String> {
        let from = || config.from()?.ok_or_else(|| "notify.email_from is missing".to_owned());
        Ok(match name {
            SMTP => Self::Smtp(Smtp::new(&config.smtp_url, from()?)?),
            SENDGRID => Self::SendGrid(SendGrid::new(&config.sendgrid, &from()?, outbound.clone())),
            TWILIO => Self::Twilio(Twilio::new(&config.twilio, public_url, outbound.clone())),
            other => match config.http.get(other) {
                Some(provider) => {
                    let from = match provider.channel {
                        Channel::Email => config.from()?.map(|from| from.to_string()).unwrap_or_default(),
                        Channel::Sms => config.twilio.phone_number.clone(),
                    };
                    Self::Generic(Generic::new(provider, from, outbound.clone())?)
                }
                None => return Err(format!("notify: {other:?} is not a provider")),
            },
        })
    }

    async fn check(&self) -> Result<String, String> {
        match self {
            Self::Smtp(smtp) => smtp.check().await,
            Self::SendGrid(sendgrid) => sendgrid.check().await,
            Self::Twilio(twilio) => twilio.check().await,
            Self::Generic(_) => Ok("not tried: it has no question that would not send a message".to_owned()),
        }
    }
}

impl Provider {
    /// Hands the message over, and tells the breaker how that went.
    pub(crate) async fn send(&self, parcel: Parcel<'_>) -> Result<Accepted, Refused> {
        let result = match &self.kind {
            Kind::Smtp(smtp) => smtp.send(parcel).await,
            Kind::SendGrid(sendgrid) => sendgrid.send(parcel).await,
            Kind::Twilio(twilio) => twilio.send(parcel).await,
            Kind::Generic(generic) => generic.send(parcel).await,
        };
        self.breaker.note(&result);
        result
    }

    /// Has it taken this message since? Asked after an attempt that nobody knows the outcome of.
    pub(crate) async fn find(&self, parcel: Parcel<'_>, since: Timestamp) -> Found {
        match &self.kind {
            Kind::Twilio(twilio) => twilio.find(parcel, since).await,
            Kind::Smtp(_) | Kind::SendGrid(_) | Kind::Generic(_) => Found::Unknown,
        }
    }
}

/// What a failed exchange means for the message.
fn not_answered(err: &OutboundError) -> Refused {
    match err {
        // Nothing of the message has left this machine.
        OutboundError::Connect(_)
        | OutboundError::BadUrl
        | OutboundError::NotHttps
        | OutboundError::Forbidden
        | OutboundError::Credentials
        | OutboundError::BadPort(_) => Refused::provider(err.to_string()),
        OutboundError::Timeout | OutboundError::Failed(_) | OutboundError::TooLarge(_) | OutboundError::BadAnswer(_) => {
            Refused::Unknown(err.to_string())
        }
    }
}

/// What a status says that means the same with every provider; `None`: what it means depends on the provider.
fn by_status(response: &BoundedResponse, now: Timestamp, explanation: &str) -> Option<Refused> {
    let status = response.status;
    let why =
        if explanation.is_empty() { format!("status {}", status.as_u16()) } else { format!("status {}: {explanation}", status.as_u16()) };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(Refused::provider(why)),
        StatusCode::PAYLOAD_TOO_LARGE => Some(Refused::Message(why)),
        StatusCode::TOO_MANY_REQUESTS => Some(Refused::Provider { why, pause: Some(pause(response, now)) }),
        // Somebody in between gave up waiting: what is behind may have taken it.
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => Some(Refused::Unknown(why)),
        _ if status.is_server_error() || status.is_redirection() || status.is_informational() => Some(Refused::provider(why)),
        _ => None,
    }
}

/// How long a provider asks us to wait; no longer than an hour, whatever it says.
fn pause(response: &BoundedResponse, now: Timestamp) -> Duration {
    let number = |name: &str| response.headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let after = number(RETRY_AFTER.as_str());
    let until = number("x-ratelimit-reset").map(|at| at.saturating_sub(now.unix_seconds()));
    let seconds = after.or(until).unwrap_or(30).clamp(1, 3_600);
    Duration::from_secs(seconds.unsigned_abs())
}

/// A text of a provider, short enough for a log line.
fn clip(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn response(status: u16, headers: &[(&'static str, &'static str)]) -> BoundedResponse {
        let headers: HeaderMap = headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
        BoundedResponse { status: StatusCode::from_u16(status).unwrap(), headers, body: bytes::Bytes::new(), cut: false }
    }

    #[test]
    fn a_provider_says_how_long_to_wait_and_is_believed_up_to_an_hour() {
        let now = Timestamp::from_unix_seconds(1_000);
        let wait = |headers: &[(&'static str, &'static str)]| pause(&response(429, headers), now).as_secs();
        assert_eq!(wait(&[("retry-after", "7")]), 7);
        assert_eq!(wait(&[("x-ratelimit-reset", "1045")]), 45);
        assert_eq!(wait(&[("retry-after", "999999")]), 3_600);
        assert_eq!(wait(&[("x-ratelimit-reset", "1")]), 1);
        assert_eq!(wait(&[]), 30);
    }

    #[test]
    fn a_status_tells_whose_fault_it_is_and_whether_anybody_knows() {
        let now = Timestamp::default();
        let judge = |status| by_status(&response(status, &[]), now, "");
        for status in [401, 403, 301, 500, 503] {
            assert!(matches!(judge(status), Some(Refused::Provider { pause: None, .. })), "{status}");
        }
        for status in [408, 502, 504] {
            assert!(matches!(judge(status), Some(Refused::Unknown(_))), "{status}");
        }
        assert!(matches!(judge(413), Some(Refused::Message(_))));
        assert!(matches!(judge(429), Some(Refused::Provider { pause: Some(_), .. })));
        assert!(judge(400).is_none() && judge(202).is_none());
    }
}
