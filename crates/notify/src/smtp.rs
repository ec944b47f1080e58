//! Mail by SMTP.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message as Mail, Tokio1Executor,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        PoolConfig,
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};

use crate::{
    NotifyConfig,
    config::{Relay, TlsUse},
    message::{Content, MessageId},
};

/// For each answer of the server.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Why a mail was not taken.
pub(crate) enum Refused {
    /// Trying again changes nothing.
    ForGood(String),
    ForNow(String),
}

impl Smtp {
    /// `None` when no server is configured. The error is a sentence for the operator.
    pub(crate) fn new(config: &NotifyConfig) -> Result<Option<Self>, String> {
        if config.smtp_url.is_empty() {
            return Ok(None);
        }
        let from = config.from()?.ok_or("notify.email_from is missing")?;
        let relay = Relay::parse(&config.smtp_url)?;
        let parameters = || TlsParameters::new(relay.host.clone()).map_err(|err| format!("TLS for mail cannot be set up: {err}"));
        let tls = match relay.tls {
            TlsUse::Implicit => Tls::Wrapper(parameters()?),
            TlsUse::StartTls => Tls::Required(parameters()?),
            TlsUse::Off => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&relay.host)
            .port(relay.port)
            .tls(tls)
            .timeout(Some(PATIENCE))
            .pool_config(PoolConfig::new().max_size(4).idle_timeout(Duration::from_secs(30)));
        if let Some((user, password)) = relay.credentials {
            builder = builder.credentials(Credentials::new(user, password.expose().to_owned()));
        }
        Ok(Some(Self { transport: builder.build(), from }))
    }

    pub(crate) async fn send(&self, id: MessageId, to: &str, content: Content) -> Result<(), Refused> {
        let mail = self.compose(id, to, content)?;
        // The transport's limit is for each answer; this one is for the whole conversation.
        match tokio::time::timeout(PATIENCE * 2, self.transport.send(mail)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(err)) => {
                let code = err.status().map(|code| code.to_string()).unwrap_or_default();
                // Of the lasting refusals, those about our own password end when the operator mends it.
                let for_good = err.is_permanent() && !matches!(code.as_str(), "530" | "534" | "535" | "538");
                Err(if for_good { Refused::ForGood(err.to_string()) } else { Refused::ForNow(err.to_string()) })
            }
            Err(_) => Err(Refused::ForNow("the mail server took too long".to_owned())),
        }
    }

    fn compose(&self, id: MessageId, to: &str, content: Content) -> Result<Mail, Refused> {
        let bad = |what: &str| Refused::ForGood(what.to_owned());
        let to = Mailbox::new(None, to.parse().map_err(|_| bad("the recipient's address cannot be read"))?);
        let builder = Mail::builder()
            .from(self.from.clone())
            .to(to)
            .subject(content.subject)
            // The same for every attempt, so that a mail that arrives twice is recognised as one.
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
        let mail = match content.html {
            Some(html) => builder.multipart(MultiPart::alternative_plain_html(content.text, html)),
            None => builder.singlepart(SinglePart::plain(content.text)),
        };
        mail.map_err(|_| bad("the mail cannot be put together"))
    }
}
