use std::collections::BTreeMap;

use baluarte_kernel::{Findings, Secret};
use http::{HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{Channel, Phone, callback::SendGridKey};

/// `[notify.sendgrid]`
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SendGridConfig {
    /// A key with the permission Mail Send (`SENDGRID_API_KEY`).
    pub api_key: Secret,
    /// Where its API is; for accounts in Europe `https://api.eu.sendgrid.com`.
    pub api_base: String,
    /// The public key of its event webhook, as its settings show it. Empty: no delivery status.
    pub webhook_key: String,
    /// SendGrid checks each mail and sends none: for trying out.
    pub sandbox: bool,
}

impl Default for SendGridConfig {
    fn default() -> Self {
        Self { api_key: Secret::default(), api_base: "https://api.sendgrid.com".to_owned(), webhook_key: String::new(), sandbox: false }
    }
}

impl SendGridConfig {
    pub(super) fn validate(&self, findings: &mut Findings) {
        base("notify.sendgrid.api_base", &self.api_base, findings);
        if !self.webhook_key.trim().is_empty()
            && let Err(problem) = self.webhook_key.parse::<SendGridKey>()
        {
            findings.add("notify.sendgrid.webhook_key", problem);
        }
        if !self.api_key.is_empty() && HeaderValue::from_str(self.api_key.expose()).is_err() {
            findings.add("notify.sendgrid.api_key", "holds a character that cannot be part of a key, such as a line break");
        }
    }
}

/// `[notify.twilio]`
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TwilioConfig {
    /// `AC…` (`TWILIO_ACCOUNT_SID`).
    pub account_sid: String,
    /// The account's secret (`TWILIO_AUTH_TOKEN`). It also signs the callbacks that report the delivery.
    pub auth_token: Secret,
    /// The number text messages come from (`TWILIO_PHONE_NUMBER`).
    pub phone_number: String,
    /// `MG…`: a messaging service that chooses the number; goes before `phone_number`.
    pub messaging_service: String,
    /// Where its API is.
    pub api_base: String,
    /// Ask Twilio to report what became of each message. It has to reach `server.public_url`, which has to be https.
    pub callbacks: bool,
}

impl Default for TwilioConfig {
    fn default() -> Self {
        Self {
            account_sid: String::new(),
            auth_token: Secret::default(),
            phone_number: String::new(),
            messaging_service: String::new(),
            api_base: "https://api.twilio.com".to_owned(),
            callbacks: true,
        }
    }
}

impl TwilioConfig {
    pub(crate) fn is_configured(&self) -> bool {
        !self.account_sid.is_empty() && !self.auth_token.is_empty()
    }

    /// The number itself, or nothing where a short code, a name or a service sends.
    pub(crate) fn sender(&self) -> Option<Phone> {
        self.phone_number.parse().ok()
    }

    pub(super) fn validate(&self, findings: &mut Findings) {
        base("notify.twilio.api_base", &self.api_base, findings);
        let alone = |key: &str, set: bool, other: &str, findings: &mut Findings| {
            if set {
                findings.add(format!("notify.twilio.{key}"), format!("{other} is missing"));
            }
        };
        alone("account_sid", !self.account_sid.is_empty() && self.auth_token.is_empty(), "auth_token (TWILIO_AUTH_TOKEN)", findings);
        alone("auth_token", self.account_sid.is_empty() && !self.auth_token.is_empty(), "account_sid (TWILIO_ACCOUNT_SID)", findings);
        if !self.account_sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
            findings.add("notify.twilio.account_sid", "expected AC and 32 letters or digits, as Twilio's console shows it");
        }
        if self.is_configured() && self.phone_number.trim().is_empty() && self.messaging_service.trim().is_empty() {
            findings.add("notify.twilio.phone_number", "is missing: text messages need a sender (or messaging_service)");
        }
    }
}

/// `[notify.http.NAME]`: one request for each message. `{to}`, `{from}`, `{subject}`, `{text}`, `{html}` and `{id}` in the texts
/// of `body` are replaced by what the message says.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpProviderConfig {
    /// `email` or `sms`.
    pub channel: Channel,
    /// Where the request goes: only the operator writes it, so it may be in a private network.
    pub url: String,
    /// `POST`, `PUT` or `PATCH`.
    pub method: String,
    /// Headers of the request; values may be `env:NAME` or `file:PATH`.
    pub headers: BTreeMap<String, Secret>,
    /// The request's JSON: `{ to = "{to}", message = "{text}" }`.
    pub body: serde_json::Value,
    /// Where in the answer the provider's own name of the message is: `/messageId`. Empty: nowhere.
    pub id: String,
}

impl Default for HttpProviderConfig {
    fn default() -> Self {
        Self {
            channel: Channel::Email,
            url: String::new(),
            method: "POST".to_owned(),
            headers: BTreeMap::new(),
            body: serde_json::Value::Object(serde_json::Map::new()),
            id: String::new(),
        }
    }
}

impl HttpProviderConfig {
    pub(super) fn validate(&self, at: &str, findings: &mut Findings) {
        if !Url::parse(&self.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            findings.add(format!("{at}.url"), "expected an address such as https://api.example.com/messages");
        }
        if self.method().is_none() {
            findings.add(format!("{at}.method"), format!("found {:?}, allowed: POST, PUT, PATCH", self.method));
        }
        for (name, value) in &self.headers {
            if name.parse::<HeaderName>().is_err() || HeaderValue::from_str(value.expose()).is_err() {
                findings.add(
                    format!("{at}.headers.{name}"),
                    "not a header: letters, digits and hyphens in the name, no line break in the value",
                );
            }
        }
        let template = self.body.to_string();
        for needed in ["{to}", "{text}"] {
            if !template.contains(needed) {
                findings.add(format!("{at}.body"), format!("{needed} is not in it: the provider would not learn it"));
            }
        }
        if !self.id.is_empty() && !self.id.starts_with('/') {
            findings.add(format!("{at}.id"), "expected a JSON pointer such as /messageId");
        }
    }

    pub(crate) fn method(&self) -> Option<Method> {
        [Method::POST, Method::PUT, Method::PATCH].into_iter().find(|method| method.as_str().eq_ignore_ascii_case(self.method.trim()))
    }
}

fn base(key: &str, text: &str, findings: &mut Findings) {
    if !Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()) {
        findings.add(key, format!("found {text:?}, expected an address such as https://api.example.com"));
    }
}
