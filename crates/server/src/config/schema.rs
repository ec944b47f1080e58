//! The JSON Schema of the configuration, and a walker that compares a tree with it and reports everything at once.

use baluarte_kernel::{ByteSize, Period, Rate};
use serde_json::{Map, Value};

use super::{
    reserved,
    tree::Path,
    values::{ListenAddr, Network, PublicUrl},
};

/// What the schema has to say about one value.
#[derive(Debug)]
pub struct Mismatch {
    pub at: Path,
    pub problem: String,
}

/// The schema document of the whole configuration.
#[derive(Debug)]
pub struct Schema(Value);

impl Schema {
    pub fn of<T: schemars::JsonSchema>() -> Self {
        Self(reserved::allow(schemars::schema_for!(T).to_value()))
    }

    pub fn document(&self) -> &Value {
        &self.0
    }

    /// Follows `$ref`, and the one real branch of an optional value.
    pub fn resolve<'a>(&'a self, node: &'a Value) -> &'a Value {
        let mut node = node;
        // A bound instead of trust: a schema that refers to itself would never end.
        for _ in 0..16 {
            if let Some(name) = self.reference(node) {
                node = &self.0["$defs"][name];
            } else if let Some([one]) = branches(node).map(|all| all.iter().filter(|b| !is_null(b)).collect::<Vec<_>>()).as_deref() {
                node = one;
            } else {
                break;
            }
        }
        node
    }

    /// The name of the definition that a node refers to: `Period`.
    fn reference<'a>(&self, node: &'a Value) -> Option<&'a str> {
        node.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
    }

    /// The name of the definition behind an optional or plain reference.
    pub fn definition<'a>(&'a self, node: &'a Value) -> Option<&'a str> {
        if let Some(name) = self.reference(node) {
            return Some(name);
        }
        branches(node)?.iter().find_map(|branch| self.reference(branch))
    }

    pub fn is_secret(&self, node: &Value) -> bool {
        self.resolve(node).get("format").and_then(Value::as_str) == Some("secret")
    }

    /// Everything in `value` that the schema does not allow.
    pub fn check(&self, value: &Value) -> Vec<Mismatch> {
        let mut found = Vec::new();
        self.walk(&self.0, value, &Path::default(), &mut found);
        found
    }

    fn walk(&self, node: &Value, value: &Value, at: &Path, found: &mut Vec<Mismatch>) {
        if value.is_null() && allows_null(node) {
            return;
        }
        if let Some(name) = self.definition(node)
            && let Some(parse) = text_type(name)
            && branches(node).is_none_or(|all| all.iter().filter(|b| !is_null(b)).count() == 1)
        {
            if !value.as_str().is_some_and(parse) {
                found.push(Mismatch { at: at.clone(), problem: format!("found {}, expected {}", show(value), self.describe(node)) });
            }
            return;
        }
        let resolved = self.resolve(node);
        if let Some(allowed) = choices(resolved) {
            if !allowed.contains(&value) {
                let allowed: Vec<String> = allowed.iter().map(|choice| choice.to_string()).collect();
                found.push(Mismatch { at: at.clone(), problem: format!("found {}, allowed: {}", show(value), allowed.join(", ")) });
            }
            return;
        }
        if let Some(all) = branches(resolved) {
            self.walk_branches(resolved, all, value, at, found);
            return;
        }
        if !type_matches(resolved, value) {
            let shown = if self.is_secret(node) { kind(value).to_owned() } else { show(value) };
            found.push(Mismatch { at: at.clone(), problem: format!("found {shown}, expected {}", self.describe(node)) });
            return;
        }
        match value {
            Value::Object(map) => self.walk_table(resolved, map, at, found),
            Value::Array(items) => {
                if let Some(each) = resolved.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.walk(each, item, &at.index(index), found);
                    }
                }
            }
            Value::Number(number) => {
                let bound = |name: &str| resolved.get(name).and_then(Value::as_f64);
                let (low, high) = (bound("minimum"), bound("maximum"));
                let number = number.as_f64().unwrap_or_default();
                if low.is_some_and(|low| number < low) || high.is_some_and(|high| number > high) {
                    found.push(Mismatch { at: at.clone(), problem: format!("found {}, expected {}", show(value), self.describe(node)) });
                }
            }
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }

    fn walk_branches(&self, node: &Value, all: &[Value], value: &Value, at: &Path, found: &mut Vec<Mismatch>) {
        let mut best: Option<Vec<Mismatch>> = None;
        for branch in all {
            let mut tried = Vec::new();
            self.walk(branch, value, at, &mut tried);
            if tried.is_empty() {
                return;
            }
            // The branch that is meant is the one of the right type with the fewest complaints.
            let fits = match choices(self.resolve(branch)) {
                Some(allowed) => allowed.iter().any(|choice| kind(choice) == kind(value)),
                None => type_matches(self.resolve(branch), value),
            };
            if fits && best.as_ref().is_none_or(|held| tried.len() < held.len()) {
                best = Some(tried);
            }
        }
        match best {
            Some(tried) => found.extend(tried),
            None => {
                found.push(Mismatch { at: at.clone(), problem: format!("found {}, expected {}", show(value), self.describe(node)) });
            }
        }
    }

    fn walk_table(&self, node: &Value, map: &Map<String, Value>, at: &Path, found: &mut Vec<Mismatch>) {
        let known = node.get("properties").and_then(Value::as_object);
        let others = node.get("additionalProperties");
        for key in node.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !map.contains_key(key) {
                let expected = known.and_then(|known| known.get(key)).map(|property| self.describe(property)).unwrap_or_default();
                found.push(Mismatch { at: at.key(key), problem: format!("is missing, expected {expected}") });
            }
        }
        for (key, value) in map {
            if let Some(property) = known.and_then(|known| known.get(key)) {
                self.walk(property, value, &at.key(key), found);
            } else if let Some(each) = others.filter(|others| others.is_object()) {
                self.walk(each, value, &at.key(key), found);
            } else if others == Some(&Value::Bool(false)) {
                let names = known.into_iter().flatten().map(|(name, _)| name.as_str());
                found.push(Mismatch { at: at.key(key), problem: self.unknown(key, names) });
            }
        }
    }

    fn unknown<'a>(&'a self, key: &str, names: impl Iterator<Item = &'a str>) -> String {
        let names: Vec<&str> = names.collect();
        if let Some(near) = nearest(key, names.iter().copied()) {
            return format!("unknown key; did you mean {near:?}?");
        }
        // Perhaps the key is right and the section is wrong.
        let elsewhere = self.leaves().into_iter().find(|path| path.rsplit('.').next() == Some(key));
        match elsewhere {
            Some(path) => format!("unknown key here; there is {path:?}"),
            None => format!("unknown key; allowed: {}", names.join(", ")),
        }
    }

    /// The dotted names of all keys that stand in fixed places.
    pub fn leaves(&self) -> Vec<String> {
        fn collect(schema: &Schema, node: &Value, prefix: &str, out: &mut Vec<String>) {
            let Some(known) = schema.resolve(node).get("properties").and_then(Value::as_object) else { return };
            for (name, child) in known {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                if schema.resolve(child).get("properties").is_some() { collect(schema, child, &path, out) } else { out.push(path) }
            }
        }
        let mut out = Vec::new();
        collect(self, &self.0, "", &mut out);
        out
    }

    /// The dotted names of the secrets that stand in fixed places.
    pub fn secrets(&self) -> Vec<String> {
        let secret = |path: &String| {
            let node = path.split('.').try_fold(&self.0, |node, key| self.resolve(node).get("properties")?.get(key));
            node.is_some_and(|node| self.is_secret(node))
        };
        self.leaves().into_iter().filter(secret).collect()
    }

    /// What is allowed, for people.
    pub fn describe(&self, node: &Value) -> String {
        if let Some(name) = self.definition(node).filter(|name| text_type(name).is_some())
            && let Some(description) = self.0["$defs"][name]["description"].as_str()
        {
            return description.to_owned();
        }
        let node = self.resolve(node);
        if let Some(allowed) = choices(node) {
            return format!("one of {}", allowed.iter().map(|choice| choice.to_string()).collect::<Vec<_>>().join(", "));
        }
        if let Some(all) = branches(node) {
            return all.iter().filter(|b| !is_null(b)).map(|branch| self.describe(branch)).collect::<Vec<_>>().join(", or ");
        }
        match types(node).into_iter().find(|name| *name != "null") {
            Some("string") => "text".to_owned(),
            Some("boolean") => "true or false".to_owned(),
            Some("array") => match node.get("items") {
                Some(each) => format!("a list, each entry {}", self.describe(each)),
                None => "a list".to_owned(),
            },
            Some("object") => "a table".to_owned(),
            Some(number) => {
                let name = if number == "integer" { "a whole number" } else { "a number" };
                match (node.get("minimum"), node.get("maximum")) {
                    (Some(low), Some(high)) => format!("{name} from {low} to {high}"),
                    (Some(low), None) => format!("{name}, at least {low}"),
                    (None, Some(high)) => format!("{name}, at most {high}"),
                    (None, None) => name.to_owned(),
                }
            }
            None => "something else".to_owned(),
        }
    }
}

/// Values that are text in the file and more than text in the program: checked by the type that will read them.
fn text_type(name: &str) -> Option<fn(&str) -> bool> {
    fn reads<T: std::str::FromStr>(text: &str) -> bool {
        text.parse::<T>().is_ok()
    }
    match name {
        "Period" => Some(reads::<Period>),
        "ByteSize" => Some(reads::<ByteSize>),
        "Rate" => Some(reads::<Rate>),
        "ListenAddr" => Some(reads::<ListenAddr>),
        "PublicUrl" => Some(reads::<PublicUrl>),
        "Network" => Some(reads::<Network>),
        _ => None,
    }
}

fn branches(node: &Value) -> Option<&Vec<Value>> {
    node.get("anyOf").or_else(|| node.get("oneOf"))?.as_array()
}

fn is_null(node: &&Value) -> bool {
    node.get("type").and_then(Value::as_str) == Some("null")
}

fn allows_null(node: &Value) -> bool {
    types(node).contains(&"null") || branches(node).is_some_and(|all| all.iter().any(|branch| is_null(&branch)))
}

fn types(node: &Value) -> Vec<&str> {
    match node.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The constants of an enumeration, with or without descriptions.
fn choices(node: &Value) -> Option<Vec<&Value>> {
    if let Some(all) = node.get("enum").and_then(Value::as_array) {
        return Some(all.iter().collect());
    }
    if let Some(one) = node.get("const") {
        return Some(vec![one]);
    }
    let mut all = Vec::new();
    for branch in branches(node)? {
        match (branch.get("const"), branch.get("enum").and_then(Value::as_array)) {
            (Some(one), _) => all.push(one),
            (None, Some(many)) => all.extend(many),
            (None, None) => return None,
        }
    }
    Some(all)
}

fn type_matches(node: &Value, value: &Value) -> bool {
    let allowed = types(node);
    allowed.is_empty()
        || allowed.iter().any(|name| match *name {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "null" => value.is_null(),
            _ => true,
        })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) | Value::Null => kind(value).to_owned(),
        other => other.to_string(),
    }
}

/// The closest of `names`, when it is close enough to be a slip of the fingers.
pub(super) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    names
        .into_iter()
        .map(|name| (distance(&word.to_ascii_lowercase(), &name.to_ascii_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_for_a_slip_and_not_for_another_word() {
        let names = ["listen", "public_url", "body_limit"];
        assert_eq!(nearest("lisetn", names), Some("listen"));
        assert_eq!(nearest("publicurl", names), Some("public_url"));
        assert_eq!(nearest("colour", names), None);
    }
}
