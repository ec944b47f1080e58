mod guard;
mod providers;
mod relay;

use std::{collections::BTreeMap, str::FromStr as _};

use baluarte_kernel::{Findings, Period, Secret};
pub use guard::SmsGuardConfig;
use lettre::message::Mailbox;
pub use providers::{HttpProviderConfig, SendGridConfig, TwilioConfig};
pub(crate) use relay::{Relay, TlsUse};
use serde::{Deserialize, Serialize};

use crate::Channel;

/// `[notify]`
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyConfig {
    /// The sender's address: `Shop <no-reply@example.com>`.
    pub email_from: String,
    /// The providers of mail in the order in which they are tried: `sendgrid`, `smtp`, or names under `[notify.http]`. Empty: all
    /// that are configured, in this order.
    pub email: Vec<String>,
    /// The providers of text messages in the order in which they are tried: `twilio`, or names under `[notify.http]`. Empty: all
    /// that are configured, in this order.
    pub sms: Vec<String>,
    /// `smtp://USER:PASSWORD@HOST:587` (STARTTLS), `smtps://…:465`, or `smtp://…?tls=off` for a relay on this machine or
    /// in a private network.
    pub smtp_url: Secret,
    /// Mail through SendGrid.
    pub sendgrid: SendGridConfig,
    /// Text messages through Twilio.
    pub twilio: TwilioConfig,
    /// Other providers, each an HTTP request for one message.
    pub http: BTreeMap<String, HttpProviderConfig>,
    /// What text messages may cost, and where they may go.
    pub sms_guard: SmsGuardConfig,
    /// Your own address: `GET /health/deep` sends a mail there, at most 24 a day. Empty: it sends none.
    pub operator_email: String,
    /// How long nothing is sent to an address that a provider reported as dead.
    pub suppress_bounced: Period,
    /// How long nothing is sent to an address whose owner complained or opted out.
    pub suppress_complained: Period,
    /// How long a message's row is kept, without its content. Never less than the message is useful.
    pub keep: Period,
    /// An alarm is raised when a message has been waiting for so long and could not be sent.
    pub alarm_after: Period,
    /// Keep messages readable under /dev/outbox instead of only sending them. Refused in production. When it is not set: on in
    /// development without a provider of mail, where both `server.listen` and `server.public_url` are this machine only.
    pub dev_outbox: Option<bool>,
}

impl Default for NotifyConfig {
    fn default() -> Self {
        Self {
            email_from: String::new(),
            email: Vec::new(),
            sms: Vec::new(),
            smtp_url: Secret::default(),
            sendgrid: SendGridConfig::default(),
            twilio: TwilioConfig::default(),
            http: BTreeMap::new(),
            sms_guard: SmsGuardConfig::default(),
            operator_email: String::new(),
            suppress_bounced: Period::from_secs(30 * 86_400),
            suppress_complained: Period::from_secs(365 * 86_400),
            keep: Period::from_secs(30 * 86_400),
            alarm_after: Period::from_secs(300),
            dev_outbox: None,
        }
    }
}

/// Names of the providers that are not under `[notify.http]`.
pub(crate) const SMTP: &str = "smtp";
pub(crate) const SENDGRID: &str = "sendgrid";
pub(crate) const TWILIO: &str = "twilio";

impl NotifyConfig {
    pub fn validate(&self, findings: &mut Findings) {
        let from = self.from();
        if let Err(problem) = &from {
            findings.add("notify.email_from", problem);
        }
        if !self.smtp_url.is_empty()
            && let Err(problem) = Relay::parse(&self.smtp_url)
        {
            findings.add("notify.smtp_url", problem);
        }
        self.sendgrid.validate(findings);
        self.twilio.validate(findings);
        for (name, provider) in &self.http {
            if [SMTP, SENDGRID, TWILIO].contains(&name.as_str()) {
                findings.add(format!("notify.http.{name}"), "is the name of a built-in provider; choose another");
            }
            provider.validate(&format!("notify.http.{name}"), findings);
        }
        for channel in Channel::ALL {
            self.validate_order(channel, findings);
        }
        if self.sends_mail() && matches!(from, Ok(None)) {
            findings.add("notify.email_from", "is missing: mail needs a sender, such as Shop <no-reply@example.com>");
        }
        let needs_countries = !self.order(Channel::Sms).is_empty();
        self.sms_guard.validate(needs_countries, self.twilio.sender(), findings);
        if !self.operator_email.trim().is_empty() && Mailbox::from_str(self.operator_email.trim()).is_err() {
            findings.add("notify.operator_email", format!("found {:?}, expected an address such as you@example.com", self.operator_email));
        }
        if !(1..=86_400).contains(&self.alarm_after.get().as_secs()) {
            findings.add("notify.alarm_after", format!("found {}, allowed is 1s to 1d", self.alarm_after));
        }
        if self.keep.get().as_secs() < 86_400 {
            findings.add("notify.keep", "found less than a day: nobody could look at what became of a message");
        }
    }

    fn validate_order(&self, channel: Channel, findings: &mut Findings) {
        let key = format!("notify.{}", channel.as_str());
        let wanted = self.wanted(channel);
        let available = self.available(channel);
        for (index, name) in wanted.iter().enumerate() {
            if wanted[..index].contains(name) {
                findings.add(&*key, format!("{name:?} is there twice"));
            } else if !available.contains(&name.as_str()) {
                let hint =
                    if available.is_empty() { "none is configured".to_owned() } else { format!("configured: {}", available.join(", ")) };
                findings.add(&*key, format!("{name:?} is not a configured provider of this channel; {hint}"));
            }
        }
    }

    fn wanted(&self, channel: Channel) -> &[String] {
        match channel {
            Channel::Email => &self.email,
            Channel::Sms => &self.sms,
        }
    }

    /// What is configured: the built-in ones first, then the others by name.
    fn available(&self, channel: Channel) -> Vec<&str> {
        let built_in: &[(&str, bool)] = match channel {
            Channel::Email => &[(SENDGRID, !self.sendgrid.api_key.is_empty()), (SMTP, !self.smtp_url.is_empty())],
            Channel::Sms => &[(TWILIO, self.twilio.is_configured())],
        };
        let built_in = built_in.iter().filter(|(_, configured)| *configured).map(|(name, _)| *name);
        let others = self.http.iter().filter(|(_, provider)| provider.channel == channel).map(|(name, _)| name.as_str());
        built_in.chain(others).collect()
    }

    /// The providers in the order in which they are tried.
    pub(crate) fn order(&self, channel: Channel) -> Vec<&str> {
        let wanted = self.wanted(channel);
        if wanted.is_empty() { self.available(channel) } else { wanted.iter().map(String::as_str).collect() }
    }

    /// Mail leaves this machine.
    pub fn sends_mail(&self) -> bool {
        !self.order(Channel::Email).is_empty()
    }

    /// Text messages leave this machine.
    pub fn sends_sms(&self) -> bool {
        !self.order(Channel::Sms).is_empty()
    }

    pub(crate) fn from(&self) -> Result<Option<Mailbox>, String> {
        if self.email_from.trim().is_empty() {
            return Ok(None);
        }
        let read = Mailbox::from_str(self.email_from.trim());
        read.map(Some).map_err(|_| format!("found {:?}, expected an address such as Shop <no-reply@example.com>", self.email_from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(config: &NotifyConfig) -> Vec<String> {
        let mut findings = Findings::default();
        config.validate(&mut findings);
        findings.into_vec().into_iter().map(|it| it.key).collect()
    }

    fn by_smtp(from: &str, url: &str) -> NotifyConfig {
        NotifyConfig { email_from: from.into(), smtp_url: Secret::new(url), ..Default::default() }
    }

    #[test]
    fn findings_name_the_key() {
        assert!(keys(&by_smtp("", "")).is_empty());
        assert!(keys(&by_smtp("Olá Shop <a@example.com>", "smtp://localhost")).is_empty());
        assert_eq!(keys(&by_smtp("", "smtp://localhost")), ["notify.email_from"]);
        assert_eq!(keys(&by_smtp("nobody", "ftp://x")), ["notify.email_from", "notify.smtp_url"]);
        let wrong = NotifyConfig { email: vec!["sendgird".into(), "smtp".into(), "smtp".into()], ..by_smtp("a@b.co", "smtp://localhost") };
        assert_eq!(keys(&wrong), ["notify.email", "notify.email"]);
    }

    #[test]
    fn without_an_order_every_configured_provider_is_used_and_the_order_given_wins() {
        let mut config = by_smtp("a@b.co", "smtp://localhost");
        config.sendgrid.api_key = Secret::new("SG.x");
        assert_eq!(config.order(Channel::Email), ["sendgrid", "smtp"]);
        config.email = vec!["smtp".into()];
        assert_eq!(config.order(Channel::Email), ["smtp"]);
        assert!(!config.sends_sms());
    }

    #[test]
    fn the_countries_of_text_messages_are_told_or_follow_from_the_sender() {
        let twilio = TwilioConfig { account_sid: "AC1".into(), auth_token: Secret::new("t"), ..TwilioConfig::default() };
        let mut config = NotifyConfig { twilio, ..NotifyConfig::default() };
        assert_eq!(keys(&config), ["notify.twilio.phone_number", "notify.sms_guard.countries"]);
        config.twilio.messaging_service = "MG1".into();
        assert_eq!(keys(&config), ["notify.sms_guard.countries"]);
        config.sms_guard.countries = vec!["PT".into(), "Brazil".into()];
        assert_eq!(keys(&config), ["notify.sms_guard.countries"]);
        config.sms_guard.countries = Vec::new();
        config.twilio.phone_number = "+351910000000".into();
        assert!(keys(&config).is_empty());
    }
}
