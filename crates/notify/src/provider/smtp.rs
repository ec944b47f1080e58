//! Mail by SMTP.

use std::time::Duration;

use baluarte_kernel::Secret;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message as Mail, Tokio1Executor,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error, PoolConfig,
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};

use super::{Accepted, Parcel, Refused, Suppress, clip};
use crate::config::{Relay, TlsUse};

/// For each answer of the server.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    place: String,
}

impl Smtp {
    /// The error is a sentence for the operator.
    pub(crate) fn new(url: &Secret, from: Mailbox) -> Result<Self, String> {
        let relay = Relay::parse(url)?;
        let parameters = || TlsParameters::new(relay.host.clone()).map_err(|err| format!("TLS for mail cannot be set up: {err}"));
        let tls = match relay.tls {
            TlsUse::Implicit => Tls::Wrapper(parameters()?),
            TlsUse::StartTls => Tls::Required(parameters()?),
            TlsUse::Off => Tls::None,
        };
        let place = format!("{}:{}", relay.host, relay.port);
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&relay.host)
            .port(relay.port)
            .tls(tls)
            .timeout(Some(PATIENCE))
            .pool_config(PoolConfig::new().max_size(4).idle_timeout(Duration::from_secs(30)));
        if let Some((user, password)) = relay.credentials {
            builder = builder.credentials(Credentials::new(user, password.expose().to_owned()));
        }
        Ok(Self { transport: builder.build(), from, place })
    }

    pub(crate) async fn send(&self, parcel: Parcel<'_>) -> Result<Accepted, Refused> {
        let mail = self.compose(parcel)?;
        // The transport's limit is for each answer; this one is for the whole conversation.
        match tokio::time::timeout(PATIENCE * 2, self.transport.send(mail)).await {
            Ok(Ok(_)) => Ok(Accepted::default()),
            Ok(Err(err)) => Err(refused(&err)),
            Err(_) => Err(Refused::Unknown("the mail server took too long".to_owned())),
        }
    }

    /// Connects, with TLS and password as configured, and says NOOP: sends nothing.
    pub(crate) async fn check(&self) -> Result<String, String> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(format!("{} takes mail", self.place)),
            Ok(false) => Err(format!("{} answers, and not as a mail server does", self.place)),
            Err(err) => Err(format!("{}: {}", self.place, clip(&err.to_string()))),
        }
    }

    fn compose(&self, Parcel { id, to, content, .. }: Parcel<'_>) -> Result<Mail, Refused> {
        let bad = |what: &str| Refused::Message(what.to_owned());
        let to = Mailbox::new(None, to.parse().map_err(|_| bad("the recipient's address cannot be read"))?);
        let builder = Mail::builder()
            .from(self.from.clone())
            .to(to)
            .subject(content.subject.clone())
            // The same for every attempt, so that a mail that arrives twice is recognised as one.
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
        let mail = match &content.html {
            Some(html) => builder.multipart(MultiPart::alternative_plain_html(content.text.clone(), html.clone())),
            None => builder.singlepart(SinglePart::plain(content.text.clone())),
        };
        mail.map_err(|_| bad("the mail cannot be put together"))
    }
}

fn refused(err: &Error) -> Refused {
    let why = clip(&err.to_string());
    let code = err.status().map(|code| code.to_string()).unwrap_or_default();
    if err.is_permanent() {
        return match code.as_str() {
            // About our own password or our right to send here: ends when the operator mends it, and another provider may do it.
            "530" | "534" | "535" | "538" | "550" if why.contains("5.7.") => Refused::provider(why),
            "530" | "534" | "535" | "538" => Refused::provider(why),
            // The server does not speak as we do.
            "500" | "502" | "503" | "504" => Refused::provider(why),
            // RFC 3463: there is no such mailbox, no such system, or it is no longer there.
            _ if ["5.1.1", "5.1.2", "5.1.6", "5.1.10"].iter().any(|told| why.contains(told)) => Refused::Address(why, Suppress::Bounced),
            _ => Refused::Message(why),
        };
    }
    // The line broke, or an answer did not come: that may have been after the mail was taken. With the same Message-ID
    // the next attempt is recognised as the same mail.
    if why.starts_with("network error") { Refused::Unknown(why) } else { Refused::provider(why) }
}
