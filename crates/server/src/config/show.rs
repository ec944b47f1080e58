//! `config show`: every effective value with its origin, secrets redacted.

use baluarte_kernel::Secret;
use serde::Serialize;
use serde_json::Value;

use super::{Loaded, Origin, tree::Path};

/// One effective value.
#[derive(Debug, Serialize)]
pub struct Effective {
    pub key: String,
    pub value: Value,
    pub origin: String,
}

/// All values, in the order of the sections.
pub fn effective(loaded: &Loaded) -> Vec<Effective> {
    let mut tree = serde_json::to_value(&loaded.config).unwrap_or_default();
    // The addresses of databases say where they are; what lets somebody in is taken out.
    for (section, key, url) in [
        ("database", "url", &loaded.config.database.url),
        ("cluster", "redis_url", &loaded.config.cluster.redis_url),
        ("notify", "smtp_url", &loaded.config.notify.smtp_url),
    ] {
        if let Some(value) = tree.get_mut(section).and_then(|section| section.get_mut(key)) {
            *value = Value::String(without_credentials(url));
        }
    }
    let mut out = Vec::new();
    collect(loaded, &tree, &Path::default(), &mut out);
    out
}

fn collect(loaded: &Loaded, value: &Value, at: &Path, out: &mut Vec<Effective>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                collect(loaded, value, &at.key(key), out);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                collect(loaded, item, &at.index(index), out);
            }
        }
        // Nothing set, nothing to show.
        Value::Null => {}
        leaf => {
            let key = at.to_string();
            let origin = origin(loaded, at, &key).to_string();
            out.push(Effective { key, value: leaf.clone(), origin });
        }
    }
}

/// A key that nobody wrote has its default, even inside a table that somebody wrote.
fn origin(loaded: &Loaded, at: &Path, key: &str) -> Origin {
    if loaded.tree.get(at).is_some() { loaded.tree.origin(key).cloned().unwrap_or(Origin::Default) } else { Origin::Default }
}

/// `postgres://app:secret@db/shop?x=y` → `postgres://db/shop`.
fn without_credentials(url: &Secret) -> String {
    let url = url.expose();
    let url = url.split('?').next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default()),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_address_is_shown_without_what_lets_somebody_in() {
        assert_eq!(without_credentials(&Secret::new("postgres://app:p@ss@db:5432/shop?password=x")), "postgres://db:5432/shop");
        assert_eq!(without_credentials(&Secret::new("sqlite:data/baluarte.db")), "sqlite:data/baluarte.db");
    }
}
