//! Reading JSON Schema as far as the reference shows it.

use serde_json::{Map, Value, json};

/// Deeper than any body of ours; a schema that contains itself ends here.
const MAX_DEPTH: usize = 8;

/// One property of an object, or one parameter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) required: bool,
    pub(super) description: String,
}

/// Follows `$ref` to where it points in `document`.
pub(super) fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..MAX_DEPTH {
        let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|pointer| pointer.strip_prefix('#')) else { break };
        schema = document.pointer(target).unwrap_or(&Value::Null);
    }
    schema
}

/// The properties of an object, `allOf` parts included.
pub(super) fn properties(document: &Value, schema: &Value) -> Vec<Property> {
    let schema = resolve(document, schema);
    let required: Vec<&str> = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let own = schema.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(name, property)| Property {
        name: name.clone(),
        kind: kind(document, property),
        required: required.contains(&name.as_str()),
        description: description(document, property),
    });
    let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    own.chain(parts.flat_map(|part| properties(document, part))).collect()
}

fn description(document: &Value, schema: &Value) -> String {
    let own = schema.get("description").or_else(|| resolve(document, schema).get("description"));
    own.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// `string`, `integer or null`, `list of string`, `one of "email", "sms"`.
pub(super) fn kind(document: &Value, schema: &Value) -> String {
    kind_at(document, schema, 0)
}

fn kind_at(document: &Value, schema: &Value, depth: usize) -> String {
    let schema = resolve(document, schema);
    if depth > MAX_DEPTH {
        return "…".to_owned();
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return format!("one of {}", values.iter().map(Value::to_string).collect::<Vec<_>>().join(", "));
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema.get(key).and_then(Value::as_array) {
            let mut names: Vec<_> = choices.iter().map(|choice| kind_at(document, choice, depth + 1)).collect();
            names.dedup();
            return names.join(" or ");
        }
    }
    let plain = |name: &str| match (name, schema.get("format").and_then(Value::as_str)) {
        ("array", _) => {
            format!("list of {}", schema.get("items").map_or_else(|| "anything".to_owned(), |items| kind_at(document, items, depth + 1)))
        }
        (name, Some(format)) => format!("{name} ({format})"),
        (name, None) => name.to_owned(),
    };
    match schema.get("type") {
        Some(Value::String(name)) => plain(name),
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(Value::as_str)
            .map(|name| if name == "null" { name.to_owned() } else { plain(name) })
            .collect::<Vec<_>>()
            .join(" or "),
        _ => "anything".to_owned(),
    }
}

/// A value that fits the schema: its own example, or one made up.
pub(super) fn example(document: &Value, schema: &Value) -> Value {
    example_at(document, schema, 0)
}

fn example_at(document: &Value, schema: &Value, depth: usize) -> Value {
    let schema = resolve(document, schema);
    if let Some(given) = schema.get("example").or_else(|| schema.pointer("/examples/0")).or_else(|| schema.get("default")) {
        return given.clone();
    }
    if let Some(first) = schema.pointer("/enum/0") {
        return first.clone();
    }
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(choices) = schema.get(key).and_then(Value::as_array) {
            let choice = choices.iter().find(|choice| choice.get("type").and_then(Value::as_str) != Some("null"));
            return choice.map_or(Value::Null, |choice| example_at(document, choice, depth + 1));
        }
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        let mut whole = Map::new();
        for part in parts {
            if let Value::Object(fields) = example_at(document, part, depth + 1) {
                whole.extend(fields);
            }
        }
        return Value::Object(whole);
    }
    let name = match schema.get("type") {
        Some(Value::String(name)) => name.as_str(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or_default(),
        _ => "",
    };
    match name {
        "object" => {
            let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            Value::Object(fields.map(|(name, field)| (name.clone(), example_at(document, field, depth + 1))).collect())
        }
        "array" => schema.get("items").map_or_else(|| json!([]), |items| json!([example_at(document, items, depth + 1)])),
        "integer" => json!(schema.get("minimum").and_then(Value::as_i64).unwrap_or(1)),
        "number" => json!(1.5),
        "boolean" => json!(true),
        "string" => json!(match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => "2026-11-22T09:30:00Z",
            Some("date") => "2026-11-22",
            Some("email") => "zoe@example.com",
            Some("uri" | "url") => "https://example.com/",
            Some("password") => "correct horse battery",
            _ => "…",
        }),
        _ => Value::Null,
    }
}
