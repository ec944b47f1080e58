//! Mail through SendGrid (API v3).

use baluarte_kernel::Secret;
use baluarte_outbound::{BoundedResponse, Outbound};
use http::StatusCode;
use lettre::message::Mailbox;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Accepted, Parcel, Refused, by_status, clip, not_answered};
use crate::SendGridConfig;

pub(crate) struct SendGrid {
    outbound: Outbound,
    base: String,
    key: Secret,
    from: Value,
    sandbox: bool,
}

/// Under this name our identifier travels with the mail and comes back in events.
pub(crate) const MESSAGE: &str = "baluarte_message";

impl SendGrid {
    pub(crate) fn new(config: &SendGridConfig, from: &Mailbox, outbound: Outbound) -> Self {
        let from = match &from.name {
            Some(name) => json!({ "email": from.email.to_string(), "name": name }),
            None => json!({ "email": from.email.to_string() }),
        };
        Self {
            outbound,
            base: config.api_base.trim_end_matches('/').to_owned(),
            key: config.api_key.clone(),
            from,
            sandbox: config.sandbox,
        }
    }

    pub(crate) async fn send(&self, parcel: Parcel<'_>) -> Result<Accepted, Refused> {
        let request = self.outbound.post(&format!("{}/v3/mail/send", self.base)).bearer(self.key.expose()).json(&self.body(parcel));
        let response = request.send().await.map_err(|err| not_answered(&err))?;
        if response.status.is_success() {
            let reference = response.headers.get("x-message-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
            return Ok(Accepted { reference });
        }
        Err(refused(&response, parcel))
    }

    fn body(&self, Parcel { id, kind, to, content, .. }: Parcel<'_>) -> Value {
        // The plain form goes first, as SendGrid demands.
        let mut parts = vec![json!({ "type": "text/plain", "value": content.text })];
        if let Some(html) = &content.html {
            parts.push(json!({ "type": "text/html", "value": html }));
        }
        let mut body = json!({
            "personalizations": [{ "to": [{ "email": to }], "custom_args": { MESSAGE: id.to_string() } }],
            "from": self.from,
            "subject": content.subject,
            "content": parts,
            "categories": [kind],
            "headers": { "Auto-Submitted": "auto-generated" },
            // Messages hold one-time links: no link is rewritten to lead through somebody else's machine, and nobody is watched.
            "tracking_settings": {
                "click_tracking": { "enable": false, "enable_text": false },
                "open_tracking": { "enable": false },
                "subscription_tracking": { "enable": false },
                "ganalytics": { "enable": false },
            },
        });
        if self.sandbox {
            body["mail_settings"] = json!({ "sandbox_mode": { "enable": true } });
        }
        body
    }

    /// What the key may do: asks, sends nothing.
    pub(crate) async fn check(&self) -> Result<String, String> {
        #[derive(Deserialize)]
        struct Scopes {
            scopes: Vec<String>,
        }
        let request = self.outbound.get(&format!("{}/v3/scopes", self.base)).bearer(self.key.expose());
        let response = request.send().await.map_err(|err| err.to_string())?;
        if !response.status.is_success() {
            return Err(format!("SendGrid answers with status {}: {}", response.status.as_u16(), explanation(&response)));
        }
        let scopes: Scopes = response.json().map_err(|err| err.to_string())?;
        if scopes.scopes.iter().any(|scope| scope == "mail.send") {
            Ok("the key is valid and may send mail".to_owned())
        } else {
            Err("the key is valid and may not send mail: give it the permission Mail Send".to_owned())
        }
    }
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<FieldError>,
}

#[derive(Deserialize)]
struct FieldError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    field: Option<String>,
}

fn errors(response: &BoundedResponse) -> Vec<FieldError> {
    response.json::<Errors>().map(|read| read.errors).unwrap_or_default()
}

fn explanation(response: &BoundedResponse) -> String {
    clip(&errors(response).into_iter().map(|error| error.message).collect::<Vec<_>>().join("; "))
}

fn refused(response: &BoundedResponse, parcel: Parcel<'_>) -> Refused {
    let text = explanation(response);
    if let Some(refused) = by_status(response, parcel.now, &text) {
        return refused;
    }
    let why = format!("status {}: {text}", response.status.as_u16());
    if response.status != StatusCode::BAD_REQUEST {
        return Refused::provider(why);
    }
    // What is wrong with our sender is wrong here only.
    let senders = |error: &FieldError| error.field.as_deref().is_some_and(|field| field.starts_with("from"));
    if errors(response).iter().any(senders) { Refused::provider(why) } else { Refused::Message(why) }
}
