//! Everything that is wrong with the shape of a JSON body, found by reading it again and again without what was found already.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::{FieldError, INVALID_FIELDS, Problem};

/// A longer body gets its first mistake told only: reading it again costs.
const READ_AGAIN: usize = 64 << 10;
/// How many mistakes are told, and how often a body is read for them.
const MISTAKES: usize = 16;
const READINGS: usize = 96;

/// What stands in for a field that is missing or of the wrong type, so that the reader goes on to the next one.
fn stand_ins() -> [Value; 6] {
    // A moment, because text that is more than text is one most often.
    [
        Value::from("2026-01-01T00:00:00Z"),
        Value::from(1),
        Value::Bool(false),
        Value::Array(Vec::new()),
        Value::Object(serde_json::Map::new()),
        Value::Null,
    ]
}

/// `Ok`: the shape is right, and the mistake lies elsewhere.
pub(super) fn mistakes<T: DeserializeOwned>(body: &[u8]) -> Result<(), Problem> {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
    if !value.is_object() {
        return Err(Problem::of(&INVALID_FIELDS).field("", format!("found {}, expected an object", kind(&value))));
    }
    let mut found: Vec<FieldError> = Vec::new();
    let mut tried = 0;
    for _ in 0..READINGS {
        let Err(err) = serde_path_to_error::deserialize::<_, T>(&value) else { break };
        let mistake = Mistake::of(&super::body::pointer(err.path()), &err.inner().to_string());
        let known = found.iter().any(|known| known.pointer == mistake.field.pointer);
        tried = if known { tried + 1 } else { 0 };
        if !known {
            found.push(mistake.field.clone());
        }
        if found.len() >= MISTAKES || body.len() > READ_AGAIN {
            break;
        }
        let stand_in = mistake.choice.map(Value::String).or_else(|| stand_ins().into_iter().nth(tried));
        let mended = match stand_in {
            _ if mistake.surplus => take_out(&mut value, &mistake.field.pointer),
            Some(stand_in) => put(&mut value, &mistake.field.pointer, stand_in),
            // Nothing of ours fits there.
            None => false,
        };
        if !mended {
            break;
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let mut problem = Problem::of(&INVALID_FIELDS);
    problem.errors = found;
    Err(problem)
}

struct Mistake {
    field: FieldError,
    /// The field should not be there at all.
    surplus: bool,
    /// One of the words that would be right.
    choice: Option<String>,
}

impl Mistake {
    fn of(pointer: &str, text: &str) -> Self {
        let named = |start: &str| text.strip_prefix(start).and_then(|rest| rest.split_once('`')).map(|(name, _)| super::body::escape(name));
        let field = |pointer: String, detail: String| FieldError { pointer, detail };
        // serde blames the object for a field it lacks; the reader of a pointer wants the field.
        if let Some(name) = named("missing field `") {
            return Self { field: field(format!("{pointer}/{name}"), "is required".to_owned()), surplus: false, choice: None };
        }
        if let Some(name) = named("unknown field `") {
            let parent = pointer.strip_suffix(&format!("/{name}")).unwrap_or(pointer);
            let allowed = text.split_once(", ").map_or("", |(_, allowed)| allowed).replace('`', "");
            let detail = if allowed.is_empty() { "is not known here".to_owned() } else { format!("is not known here; {allowed}") };
            return Self { field: field(format!("{parent}/{name}"), detail), surplus: true, choice: None };
        }
        let choices = text.strip_prefix("unknown variant `").and_then(|rest| rest.split_once("`, expected "));
        let choice = choices.and_then(|(_, expected)| expected.split('`').nth(1)).map(str::to_owned);
        Self { field: field(pointer.to_owned(), super::body::without_value(text)), surplus: false, choice }
    }
}

fn put(value: &mut Value, pointer: &str, new: Value) -> bool {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return false };
    match value.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.insert(unescape(name), new);
            true
        }
        Some(Value::Array(items)) => match name.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
            Some(item) => {
                *item = new;
                true
            }
            None => false,
        },
        _ => false,
    }
}

fn take_out(value: &mut Value, pointer: &str) -> bool {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return false };
    value.pointer_mut(parent).and_then(Value::as_object_mut).is_some_and(|map| map.remove(&unescape(name)).is_some())
}

fn unescape(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Order {
        email: String,
        count: u32,
        kind: Kind,
        when: String,
        #[serde(default)]
        items: Vec<Item>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Plain,
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Item {
        #[serde(rename = "a/b")]
        weight: u32,
    }

    fn told(body: &str) -> Vec<(String, String)> {
        let problem = mistakes::<Order>(body.as_bytes()).expect_err("it is wrong");
        assert_eq!(problem.status, 422);
        problem.errors.into_iter().map(|error| (error.pointer, error.detail)).collect()
    }

    fn pointers(body: &str) -> Vec<String> {
        told(body).into_iter().map(|(pointer, _)| pointer).collect()
    }

    #[test]
    fn every_missing_unknown_or_wrong_field_is_told_at_once() {
        assert_eq!(pointers("{}"), ["/email", "/count", "/kind", "/when"]);
        assert_eq!(pointers(r#"{"email":5,"count":"many","kind":"other","when":"now","more":1,"items":[{"a/b":1,"c":2},{}]}"#).len(), 6);
        let all = told(r#"{"email":"a","count":"hunter2","kind":"plain","when":"now","items":[{"a/b":1},{"a/b":"x","surplus":1}]}"#);
        assert!(all.contains(&("/count".to_owned(), "invalid type: string, expected u32".to_owned())), "{all:?}");
        assert!(all.iter().any(|(pointer, _)| pointer == "/items/1/a~1b"), "{all:?}");
        assert!(all.contains(&("/items/1/surplus".to_owned(), "is not known here; expected a/b".to_owned())), "{all:?}");
        assert!(!format!("{all:?}").contains("hunter2"));
    }

    #[test]
    fn a_body_is_an_object_and_a_list_is_never_taken_for_one() {
        assert_eq!(told(r#"["a",1,"plain"]"#), [(String::new(), "found a list, expected an object".to_owned())]);
        assert_eq!(pointers("null"), [""]);
    }

    #[test]
    fn a_large_body_is_read_twice_at_most() {
        let body = format!(r#"{{"email":5,"items":[{}]}}"#, vec!["{}"; 30_000].join(","));
        assert_eq!(pointers(&body).len(), 1);
    }
}
