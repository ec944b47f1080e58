//! A provider that the operator describes: one HTTP request for each message.

use baluarte_outbound::Outbound;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;

use super::{Accepted, Parcel, Refused, by_status, not_answered};
use crate::HttpProviderConfig;

pub(crate) struct Generic {
    outbound: Outbound,
    url: String,
    method: Method,
    headers: HeaderMap,
    body: Value,
    from: String,
    /// Where in the answer its own name for the message is.
    id: String,
}

/// Whoever knows it takes a message that comes twice only once.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl Generic {
    pub(crate) fn new(config: &HttpProviderConfig, from: String, outbound: Outbound) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is not the name of a header"))?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| format!("the header {name} cannot hold its value"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let method = config.method().ok_or("the method is POST, PUT or PATCH")?;
        Ok(Self { outbound, url: config.url.clone(), method, headers, body: config.body.clone(), from, id: config.id.clone() })
    }

    pub(crate) async fn send(&self, parcel: Parcel<'_>) -> Result<Accepted, Refused> {
        let id = parcel.id.to_string();
        let mut request = self.outbound.request(self.method.clone(), &self.url);
        if !self.headers.contains_key(IDEMPOTENCY_KEY)
            && let Ok(value) = HeaderValue::from_str(&id)
        {
            request = request.header(IDEMPOTENCY_KEY, value);
        }
        for (name, value) in &self.headers {
            request = request.header(name.clone(), value.clone());
        }
        let filled = self.filled(&self.body, parcel, &id);
        let response = request.json(&filled).send().await.map_err(|err| not_answered(&err))?;
        if response.status.is_success() {
            let answer: Value = response.json().unwrap_or_default();
            let reference = answer.pointer(&self.id).filter(|_| !self.id.is_empty()).and_then(|value| match value {
                Value::String(text) => Some(text.chars().take(200).collect()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            });
            return Ok(Accepted { reference });
        }
        let why = format!("status {}", response.status.as_u16());
        Err(match by_status(&response, parcel.now, "") {
            Some(refused) => refused,
            // It understood us, and does not want this message; anything else is about how we ask.
            None if [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY, StatusCode::CONFLICT].contains(&response.status) => {
                Refused::Message(why)
            }
            None => Refused::provider(why),
        })
    }

    /// The template with its gaps filled. What is put in is never read as a template again, nor as JSON.
    fn filled(&self, template: &Value, parcel: Parcel<'_>, id: &str) -> Value {
        match template {
            Value::String(text) => Value::String(self.fill(text, parcel, id)),
            Value::Array(items) => items.iter().map(|item| self.filled(item, parcel, id)).collect(),
            Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), self.filled(value, parcel, id))).collect()),
            other => other.clone(),
        }
    }

    fn fill(&self, text: &str, parcel: Parcel<'_>, id: &str) -> String {
        let content = parcel.content;
        let html = content.html.as_deref().unwrap_or_default();
        let gaps = [
            ("{to}", parcel.to),
            ("{from}", self.from.as_str()),
            ("{subject}", content.subject.as_str()),
            ("{text}", content.text.as_str()),
            ("{html}", html),
            ("{id}", id),
        ];
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            match gaps.iter().find(|(name, _)| rest.starts_with(name)) {
                Some((name, value)) => {
                    out.push_str(value);
                    rest = &rest[name.len()..];
                }
                None => {
                    out.push('{');
                    rest = &rest[1..];
                }
            }
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use baluarte_kernel::Timestamp;
    use baluarte_outbound::Policy;
    use serde_json::json;

    use super::*;
    use crate::message::{Content, MessageId};

    #[test]
    fn what_a_message_says_can_neither_break_the_json_nor_fill_a_gap() {
        let config = HttpProviderConfig {
            url: "http://127.0.0.1/".into(),
            body: json!({ "to": ["{to}"], "text": "{subject}: {text} {unknown}", "priority": 1 }),
            ..HttpProviderConfig::default()
        };
        let generic = Generic::new(&config, "Shop".into(), Outbound::new(Policy::default()).unwrap()).unwrap();
        let content = Content { subject: "{to}\"}".into(), text: "a\n{html}".into(), html: Some("no".into()) };
        let now = Timestamp::default();
        let parcel = Parcel { id: MessageId::generate(), kind: "t", to: "+1", content: &content, now, useful_until: now };
        let filled = generic.filled(&generic.body, parcel, "x");
        assert_eq!(filled, json!({ "to": ["+1"], "text": "{to}\"}: a\n{html} {unknown}", "priority": 1 }));
    }
}
