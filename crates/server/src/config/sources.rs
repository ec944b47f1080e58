//! Secrets that are written elsewhere: `env:NAME` and `file:PATH` in place of the text itself.

use std::path::{Path as FilePath, PathBuf};

use serde_json::Value;

use super::{
    schema::Schema,
    tree::{Path, Tree},
};

/// What reading them brought besides values.
#[derive(Default)]
pub(super) struct Read {
    /// Where, and what is wrong.
    pub troubles: Vec<(Path, String)>,
    pub files: Vec<PathBuf>,
}

/// Puts the text meant in the place of every secret that names a variable or a file. `folder`: what relative paths start
/// from, the folder of the configuration file.
pub(super) fn read(tree: &mut Tree, schema: &Schema, folder: &FilePath, variable: impl Fn(&str) -> Option<String>) -> Read {
    let mut named = Vec::new();
    find(schema, schema.document(), tree.root(), &Path::default(), &mut named);
    let mut read = Read::default();
    for (at, source) in named {
        let value = match &source {
            Source::Variable(name) => variable(name).ok_or_else(|| format!("there is no variable {name} in the environment or in .env")),
            Source::File(path) => {
                let path = folder.join(path);
                let text = std::fs::read_to_string(&path).map_err(|err| format!("{} cannot be read: {err}", path.display()));
                read.files.push(path);
                text.map(|text| text.trim_end_matches(['\n', '\r']).to_owned())
            }
        };
        match value {
            Ok(value) => {
                tree.replace(&at, Value::String(value));
            }
            Err(problem) => read.troubles.push((at, problem)),
        }
    }
    read
}

enum Source {
    Variable(String),
    File(String),
}

fn find(schema: &Schema, node: &Value, value: &Value, at: &Path, out: &mut Vec<(Path, Source)>) {
    match value {
        Value::String(text) if schema.is_secret(node) => {
            if let Some(name) = text.strip_prefix("env:") {
                out.push((at.clone(), Source::Variable(name.trim().to_owned())));
            } else if let Some(path) = text.strip_prefix("file:") {
                out.push((at.clone(), Source::File(path.trim().to_owned())));
            }
        }
        Value::Object(map) => {
            let node = schema.resolve(node);
            for (key, value) in map {
                let others = || node.get("additionalProperties").filter(|others| others.is_object());
                if let Some(child) = node.get("properties").and_then(|known| known.get(key)).or_else(others) {
                    find(schema, child, value, &at.key(key), out);
                }
            }
        }
        Value::Array(items) => {
            if let Some(each) = schema.resolve(node).get("items") {
                for (index, item) in items.iter().enumerate() {
                    find(schema, each, item, &at.index(index), out);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Origin};

    fn tree(values: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (key, value) in values {
            tree.set(&Path::keys(key.split('.')), Value::String((*value).to_owned()), Origin::Default);
        }
        tree
    }

    #[test]
    fn a_secret_may_be_written_in_a_variable_or_a_file_and_nothing_else_may() {
        let folder = std::env::temp_dir().join(format!("baluarte-sources-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("key"), "from a file\n").unwrap();
        let mut tree =
            tree(&[("secrets.secret_key", "file:key"), ("secrets.password_salt", "env:SALT"), ("notify.email_from", "env:SALT")]);
        let read = read(&mut tree, &Schema::of::<Config>(), &folder, |name| (name == "SALT").then(|| "from a variable".to_owned()));
        assert!(read.troubles.is_empty() && read.files == [folder.join("key")]);
        let value = |key: &str| tree.get(&Path::keys(key.split('.'))).and_then(Value::as_str).map(str::to_owned);
        assert_eq!(value("secrets.secret_key").as_deref(), Some("from a file"));
        assert_eq!(value("secrets.password_salt").as_deref(), Some("from a variable"));
        assert_eq!(value("notify.email_from").as_deref(), Some("env:SALT"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_not_there_is_told_and_never_taken_for_the_secret() {
        let mut tree = tree(&[("secrets.secret_key", "env:NOPE"), ("secrets.password_salt", "file:/nowhere/at-all")]);
        let read = read(&mut tree, &Schema::of::<Config>(), FilePath::new(""), |_| None);
        let keys: Vec<_> = read.troubles.iter().map(|(at, _)| at.to_string()).collect();
        assert_eq!(keys, ["secrets.password_salt", "secrets.secret_key"]);
    }
}
