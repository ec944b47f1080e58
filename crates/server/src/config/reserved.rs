//! What later versions bring: the schema knows the names, and nobody may believe that they already do something.

use serde_json::{Value, json};

use super::tree::{Origin, Path, Tree};

/// Sections and keys that this version has no use for; `*` is any name.
const RESERVED: [&str; 6] = ["chat", "uptime", "backup", "billing.stripe", "gateway.credentials", "gateway.upstreams.*.credential"];

/// The schema's name for them: anything is allowed inside.
pub(super) const DEFINITION: &str = "Reserved";

/// A reserved name that somebody configured.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: String,
    pub(super) origin: Option<Origin>,
    /// As people write it: `[backup]`.
    shown: String,
}

impl Found {
    pub(super) fn notice(&self) -> String {
        format!("{}: not in this version; nothing of it takes effect", self.shown)
    }
}

/// Makes the reserved names known to a schema that has the sections around them.
pub(super) fn allow(mut schema: Value) -> Value {
    for name in RESERVED {
        let (parent, key) = name.rsplit_once('.').unwrap_or(("", name));
        let Some(at) = pointer(&schema, parent) else { continue };
        if let Some(Value::Object(known)) = schema.pointer_mut(&format!("{at}/properties")) {
            let node = json!({ "description": "Not in this version.", "$ref": format!("#/$defs/{DEFINITION}") });
            known.insert(key.to_owned(), node);
        }
    }
    if let Some(Value::Object(definitions)) = schema.get_mut("$defs") {
        definitions.insert(DEFINITION.to_owned(), json!({ "additionalProperties": { "$ref": format!("#/$defs/{DEFINITION}") } }));
    }
    schema
}

/// Where in the schema a dotted name is defined, as a JSON pointer.
fn pointer(schema: &Value, name: &str) -> Option<String> {
    let mut at = String::new();
    for segment in name.split('.').filter(|segment| !segment.is_empty()) {
        at = if segment == "*" { format!("{at}/additionalProperties") } else { format!("{at}/properties/{segment}") };
        if let Some(definition) = schema.pointer(&at)?.get("$ref").and_then(Value::as_str) {
            at = definition.strip_prefix('#')?.to_owned();
        }
    }
    Some(at)
}

/// Is this path a reserved name, or inside one?
pub(super) fn covers(path: &str) -> bool {
    RESERVED.into_iter().any(|name| {
        let mut segments = path.split('.');
        name.split('.').all(|wanted| segments.next().is_some_and(|segment| wanted == "*" || wanted == segment))
    })
}

/// Takes everything reserved out of the tree. An empty text asks for nothing and is not worth a word.
pub(super) fn take_out(tree: &mut Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for name in RESERVED {
        for path in places(tree, name) {
            let Some(value) = tree.get(&path).cloned() else { continue };
            tree.remove(&path);
            if value.as_str() != Some("") {
                let key = path.to_string();
                let shown = if value.is_object() { format!("[{key}]") } else { key.clone() };
                found.push(Found { origin: tree.origin_within(&path).cloned(), key, shown });
            }
        }
    }
    found
}

/// The paths that a name stands for in this tree.
fn places(tree: &Tree, name: &str) -> Vec<Path> {
    name.split('.').fold(vec![Path::default()], |paths, segment| {
        let inside = |path: &Path| match (segment, tree.get(path).and_then(Value::as_object)) {
            ("*", Some(map)) => map.keys().map(|key| path.key(key)).collect(),
            ("*", None) => Vec::new(),
            _ => vec![path.key(segment)],
        };
        paths.iter().flat_map(inside).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Schema};

    #[test]
    fn every_reserved_name_has_its_place_in_the_schema() {
        let schema = Schema::of::<Config>();
        for name in RESERVED {
            let at = pointer(schema.document(), name).unwrap_or_default();
            assert_eq!(at, format!("/$defs/{DEFINITION}"), "{name}");
        }
    }

    #[test]
    fn a_reserved_name_covers_what_is_inside_it_and_nothing_else() {
        assert!(covers("backup") && covers("billing.stripe.secret_key") && covers("gateway.upstreams.shop.credential"));
        assert!(!covers("billing") && !covers("billing.plans.pro") && !covers("gateway.upstreams.shop.servers"));
    }
}
