//! `baluarte.example.toml`, written from the schema: every key with its default and what it is for.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{Config, Schema, reserved};

const HEAD: &str = "# Baluarte: every key, its default, and what it is for. Generated: edit the doc comments of the sections instead.
#
# Order of precedence: flags, environment, .env, this file, defaults. Any key is BALUARTE__SECTION__KEY in the environment.
# Spans of time \"15m\", sizes \"10MiB\", rates \"100/min\". Keys without a default are shown behind a hash.
";

/// The whole file.
pub fn example() -> String {
    let schema = Schema::of::<Config>();
    let mut defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    // Redacted like every secret; this default is none.
    defaults["database"]["url"] = "sqlite:data/baluarte.db".into();
    let mut out = HEAD.to_owned();
    if let Value::Object(defaults) = &defaults {
        table(&schema, schema.document(), defaults, &Place { name: String::new(), live: true }, &mut out);
    }
    out
}

/// Where in the file we are.
struct Place {
    /// `gateway.upstreams.NAME`
    name: String,
    /// Keys are set to their defaults; otherwise everything is an example behind hashes.
    live: bool,
}

impl Place {
    fn key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

/// Simple keys first, then tables, as TOML wants it.
fn table(schema: &Schema, node: &Value, defaults: &Map<String, Value>, place: &Place, out: &mut String) {
    let Some(properties) = schema.resolve(node).get("properties").and_then(Value::as_object) else { return };
    let usable = properties.iter().filter(|(_, child)| schema.definition(child) != Some(reserved::DEFINITION));
    let (tables, simple): (Vec<_>, Vec<_>) = usable.partition(|(_, child)| is_table(schema, child));
    for (key, child) in simple {
        let _ = writeln!(out);
        comment(schema, child, out);
        let hash = if place.live { "" } else { "# " };
        match defaults.get(key) {
            Some(value) if !value.is_null() => {
                let _ = writeln!(out, "{hash}{key} = {}", toml_value(value));
            }
            _ => {
                let _ = writeln!(out, "# {key} =");
            }
        }
    }
    for (key, child) in tables {
        section(schema, child, defaults.get(key), &place.key(key), place.live, out);
    }
}

fn section(schema: &Schema, child: &Value, default: Option<&Value>, name: &str, live: bool, out: &mut String) {
    let resolved = schema.resolve(child);
    let none = Map::new();
    let defaults = default.and_then(Value::as_object).unwrap_or(&none);
    let (header, entry, live) = if let Some(each) = resolved.get("additionalProperties").filter(|each| each.is_object()) {
        (format!("# [{name}.NAME]"), each, false)
    } else if let Some(each) = resolved.get("items") {
        (format!("# [[{name}]]"), each, false)
    } else {
        (format!("{}[{name}]", if live { "" } else { "# " }), child, live)
    };
    let _ = writeln!(out);
    comment(schema, child, out);
    let _ = writeln!(out, "{header}");
    let inner = header.trim_start_matches(['#', ' ', '[']).trim_end_matches(']').to_owned();
    let own = entry_defaults(schema, entry);
    table(schema, entry, if live { defaults } else { &own }, &Place { name: inner, live }, out);
}

/// What the schema says about the defaults of an entry that does not exist yet.
fn entry_defaults(schema: &Schema, entry: &Value) -> Map<String, Value> {
    let Some(properties) = schema.resolve(entry).get("properties").and_then(Value::as_object) else { return Map::new() };
    properties.iter().filter_map(|(key, child)| Some((key.clone(), child.get("default")?.clone()))).collect()
}

fn is_table(schema: &Schema, node: &Value) -> bool {
    let resolved = schema.resolve(node);
    let holds_tables = |each: &Value| schema.resolve(each).get("properties").is_some();
    resolved.get("properties").is_some()
        || resolved.get("additionalProperties").is_some_and(|each| each.is_object() && holds_tables(each))
        || resolved.get("items").is_some_and(holds_tables)
}

fn comment(schema: &Schema, node: &Value, out: &mut String) {
    let own = node.get("description").and_then(Value::as_str);
    for line in own.unwrap_or_default().lines() {
        let _ = writeln!(out, "# {line}");
    }
    let describe = schema.describe(node);
    if describe.starts_with("one of") {
        let _ = writeln!(out, "# {describe}");
    }
}

/// One line of TOML.
fn toml_value(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml_value).collect::<Vec<_>>().join(", ")),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let pairs = map.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| format!("{key} = {}", toml_value(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
