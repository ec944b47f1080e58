//! The configured values of all layers in one tree, each with where it came from.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde_json::{Map, Value};

/// Where a value came from; shown by `config show` and before every finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File {
        path: PathBuf,
        line: usize,
    },
    /// A file as a whole: one that is not there has no lines.
    WholeFile {
        path: PathBuf,
    },
    DotEnv {
        name: String,
    },
    Env {
        name: String,
    },
    /// The content of the file that `NAME_FILE` points at.
    ValueFile {
        name: String,
        path: PathBuf,
    },
    Flag {
        name: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::WholeFile { path } => write!(f, "{}", path.display()),
            Self::DotEnv { name } => write!(f, ".env, {name}"),
            Self::Env { name } => write!(f, "environment, {name}"),
            Self::ValueFile { name, path } => write!(f, "{} (from {name})", path.display()),
            Self::Flag { name } => write!(f, "flag {name}"),
        }
    }
}

/// One step into the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// Where in the tree; prints as people write it: `gateway.routes[2].access`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

impl Path {
    pub fn keys<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self(keys.into_iter().map(|key| Step::Key(key.to_owned())).collect())
    }

    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }

    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }

    /// The section that this is in.
    pub fn section(&self) -> Option<&str> {
        match self.0.first()? {
            Step::Key(name) => Some(name),
            Step::Index(_) => None,
        }
    }

    /// What is there, in sections of whatever origin.
    pub fn find<'a>(&self, sections: &'a Map<String, Value>) -> Option<&'a Value> {
        let (_, inside) = self.0.split_first()?;
        inside.iter().try_fold(sections.get(self.section()?)?, |node, step| match step {
            Step::Key(key) => node.get(key),
            Step::Index(index) => node.get(index),
        })
    }

    /// Of a path into a list: the list's entry.
    pub(super) fn entry(&self) -> Option<Self> {
        let last = self.0.iter().rposition(|step| matches!(step, Step::Index(_)))?;
        Some(Self(self.0[..=last].to_vec()))
    }

    fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if at > 0 {
                        f.write_str(".")?;
                    }
                    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
                    if bare { f.write_str(key)? } else { write!(f, "{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

/// What all layers together configured. Later layers replace what earlier ones set.
#[derive(Debug, Default)]
pub struct Tree {
    root: Value,
    /// By printed path, so that findings of the components (dotted keys) find their place.
    origins: BTreeMap<String, (Path, Origin)>,
}

impl Tree {
    pub fn new() -> Self {
        Self { root: Value::Object(Map::new()), origins: BTreeMap::new() }
    }

    pub fn root(&self) -> &Value {
        &self.root
    }

    /// Puts a value where it belongs, with everything that is inside it.
    pub fn set(&mut self, path: &Path, value: Value, origin: Origin) {
        self.origins.retain(|_, (at, _)| !at.is_within(path));
        let mut node = &mut self.root;
        for step in &path.0 {
            match step {
                Step::Key(key) => {
                    if !node.is_object() {
                        *node = Value::Object(Map::new());
                    }
                    let Value::Object(map) = node else { return };
                    node = map.entry(key.clone()).or_insert(Value::Null);
                }
                Step::Index(index) => {
                    if !node.is_array() {
                        *node = Value::Array(Vec::new());
                    }
                    let Value::Array(items) = node else { return };
                    while items.len() <= *index {
                        items.push(Value::Null);
                    }
                    node = &mut items[*index];
                }
            }
        }
        *node = value;
        self.mark(path, origin);
    }

    /// Another value in the same place, from the same origin.
    pub(super) fn replace(&mut self, path: &Path, value: Value) {
        let place = path.0.iter().try_fold(&mut self.root, |node, step| match step {
            Step::Key(key) => node.get_mut(key),
            Step::Index(index) => node.get_mut(index),
        });
        if let Some(place) = place {
            *place = value;
        }
    }

    /// Records where the value at `path` came from.
    pub fn mark(&mut self, path: &Path, origin: Origin) {
        self.origins.insert(path.to_string(), (path.clone(), origin));
    }

    /// Takes a value that was found wanting out, so that the rest can still be looked at.
    pub fn remove(&mut self, path: &Path) -> bool {
        let Some((last, parents)) = path.0.split_last() else { return false };
        let mut node = &mut self.root;
        for step in parents {
            let next = match step {
                Step::Key(key) => node.get_mut(key),
                Step::Index(index) => node.get_mut(index),
            };
            let Some(next) = next else { return false };
            node = next;
        }
        match (last, node) {
            (Step::Key(key), Value::Object(map)) => map.remove(key).is_some(),
            // The list keeps its length, so that the indexes in later findings stay true; `Compact` leaves the hole out.
            (Step::Index(index), Value::Array(items)) if *index < items.len() => !std::mem::take(&mut items[*index]).is_null(),
            _ => false,
        }
    }

    /// Where the value at a printed path came from: of the nearest part that somebody configured.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        let mut key = key;
        loop {
            if let Some((_, origin)) = self.origins.get(key) {
                return Some(origin);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }

    /// Where the first part of what is at a path came from, for a table that nobody set as a whole.
    pub(super) fn origin_within(&self, path: &Path) -> Option<&Origin> {
        let own = self.origins.get(&path.to_string());
        let inside = || self.origins.values().find(|(at, _)| at.is_within(path));
        own.or_else(inside).map(|(_, origin)| origin)
    }

    /// The keys whose values are not the same in the other one, or are in one of them only. Names, never values.
    pub fn changed(&self, other: &Self) -> Vec<Path> {
        let mut keys = Vec::new();
        compare(&self.root, &other.root, &Path::default(), &mut keys);
        keys
    }

    /// Every place the layers set, with its origin.
    pub fn origins(&self) -> impl Iterator<Item = (&str, &Origin)> {
        self.origins.iter().map(|(key, (_, origin))| (key.as_str(), origin))
    }

    pub fn get(&self, path: &Path) -> Option<&Value> {
        path.0.iter().try_fold(&self.root, |node, step| match step {
            Step::Key(key) => node.get(key),
            Step::Index(index) => node.get(index),
        })
    }
}

/// Down to what is no table. A list of tables of another length has changed from where the shorter one ends.
fn compare(one: &Value, other: &Value, at: &Path, keys: &mut Vec<Path>) {
    let missing = Value::Null;
    match (one, other) {
        (one, other) if one == other => {}
        (Value::Null, Value::Object(map)) => map.iter().for_each(|(name, value)| compare(&missing, value, &at.key(name), keys)),
        (Value::Object(map), Value::Null) => map.iter().for_each(|(name, value)| compare(value, &missing, &at.key(name), keys)),
        (Value::Object(one), Value::Object(other)) => {
            for name in one.keys().chain(other.keys().filter(|name| !one.contains_key(*name))) {
                compare(one.get(name).unwrap_or(&missing), other.get(name).unwrap_or(&missing), &at.key(name), keys);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.iter().chain(other).any(Value::is_object) => {
            for index in 0..one.len().max(other.len()) {
                compare(one.get(index).unwrap_or(&missing), other.get(index).unwrap_or(&missing), &at.index(index), keys);
            }
        }
        _ => keys.push(at.clone()),
    }
}
