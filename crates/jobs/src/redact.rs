//! Payloads as operators see them, and back.

use serde_json::Value;

/// Stands where something is that nobody is shown. In an edited payload it means: as it was.
pub(crate) const MARK: &str = "[redacted]";

/// Parts of names whose values are nobody's business.
const SECRET: [&str; 14] = [
    "password",
    "passwd",
    "secret",
    "token",
    "authorization",
    "cookie",
    "credential",
    "signature",
    "private",
    "api_key",
    "apikey",
    "otp",
    "pin",
    "code",
];

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRET.iter().any(|part| match *part {
        // Short words occur inside harmless ones.
        "otp" | "pin" | "code" => name.split('_').any(|word| word == *part),
        part => name.contains(part),
    })
}

pub(crate) fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if is_secret(name) && !value.is_null() {
                    *value = MARK.into();
                } else {
                    redact(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Puts back what was redacted: every mark takes the value that stands there in `before`.
pub(crate) fn restore(edited: &mut Value, before: &Value) {
    match edited {
        Value::String(text) if text == MARK => *edited = before.clone(),
        Value::Object(fields) => {
            for (name, value) in fields {
                restore(value, before.get(name.as_str()).unwrap_or(&Value::Null));
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter_mut().enumerate() {
                restore(value, before.get(at).unwrap_or(&Value::Null));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_hidden_and_comes_back_after_editing() {
        let before = json!({ "to": "a", "Api-Key": "k", "country_code_list": [1], "zip": { "code": 7 }, "list": [{ "reset_token": "t" }] });
        let mut shown = before.clone();
        redact(&mut shown);
        assert_eq!(
            shown,
            json!({ "to": "a", "Api-Key": MARK, "country_code_list": MARK, "zip": { "code": MARK }, "list": [{ "reset_token": MARK }] })
        );
        shown["to"] = "b".into();
        restore(&mut shown, &before);
        let mut expected = before;
        expected["to"] = "b".into();
        assert_eq!(shown, expected);
    }
}
