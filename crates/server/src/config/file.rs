//! Reads the TOML file into the tree, remembering the line of every value.

use std::path::Path as FilePath;

use serde_json::{Number, Value};
use toml::de::{DeTable, DeValue};

use super::tree::{Origin, Path, Tree};

/// Adds the file's values. The error says where the file stops being TOML.
pub(super) fn read(tree: &mut Tree, path: &FilePath, text: &str) -> Result<(), (usize, String)> {
    let document = DeTable::parse(text).map_err(|err| {
        let line = err.span().map_or(1, |span| line_of(text, span.start));
        (line, err.message().to_owned())
    })?;
    let source = Source { path, text };
    let table = document.get_ref();
    for (key, value) in table {
        let at = Path::keys([key.get_ref().as_ref()]);
        let origin = source.origin(key.span().start);
        tree.set(&at, source.convert(value.get_ref()), origin);
        source.mark(tree, &at, value.get_ref());
    }
    Ok(())
}

/// A TOML or JSON literal given as text, such as a list in an environment variable.
pub(super) fn literal(text: &str) -> Result<Value, String> {
    let text = text.trim();
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let value = DeValue::parse(text).map_err(|err| err.message().to_owned())?;
    Ok(Source { path: FilePath::new(""), text }.convert(value.get_ref()))
}

struct Source<'a> {
    path: &'a FilePath,
    text: &'a str,
}

impl Source<'_> {
    fn origin(&self, offset: usize) -> Origin {
        Origin::File { path: self.path.to_owned(), line: line_of(self.text, offset) }
    }

    fn convert(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
                .map_or_else(|_| Value::String(number.as_str().to_owned()), |number| Value::Number(number.into())),
            DeValue::Float(number) => number
                .as_str()
                .replace('_', "")
                .parse()
                .ok()
                .and_then(Number::from_f64)
                .map_or_else(|| Value::String(number.as_str().to_owned()), Value::Number),
            DeValue::Boolean(yes) => Value::Bool(*yes),
            DeValue::Datetime(at) => Value::String(at.to_string()),
            DeValue::Array(items) => Value::Array(items.iter().map(|item| self.convert(item.get_ref())).collect()),
            DeValue::Table(table) => {
                Value::Object(table.iter().map(|(key, value)| (key.get_ref().to_string(), self.convert(value.get_ref()))).collect())
            }
        }
    }

    fn mark(&self, tree: &mut Tree, at: &Path, value: &DeValue<'_>) {
        match value {
            DeValue::Table(table) => {
                for (key, value) in table {
                    let at = at.key(key.get_ref());
                    tree.mark(&at, self.origin(key.span().start));
                    self.mark(tree, &at, value.get_ref());
                }
            }
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let at = at.index(index);
                    tree.mark(&at, self.origin(item.span().start));
                    self.mark(tree, &at, item.get_ref());
                }
            }
            DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}
