//! Values without what was taken out of their lists.

use std::collections::BTreeMap;

use serde_json::Value;

use super::tree::Path;

/// What is left of a value after `Tree::remove`, without the holes in lists, and where in their lists the entries stood.
#[derive(Debug)]
pub(super) struct Compact {
    pub(super) value: Value,
    /// By the list's printed path: the first number is that of the entry which is now first.
    stood: BTreeMap<String, Vec<usize>>,
}

impl Compact {
    /// `at`: where in the tree the value is.
    pub(super) fn of(value: &Value, at: &Path) -> Self {
        let mut compact = Self { value: value.clone(), stood: BTreeMap::new() };
        close_holes(&mut compact.value, at, &mut compact.stood);
        compact
    }

    /// The place in the tree of what serde calls so, in a section at `at`.
    pub(super) fn path(&self, at: &Path, inner: &serde_path_to_error::Path) -> Path {
        use serde_path_to_error::Segment;
        inner.iter().fold(at.clone(), |at, segment| match segment {
            Segment::Seq { index } => {
                let stood = self.stood.get(&at.to_string()).and_then(|stood| stood.get(*index));
                at.index(stood.copied().unwrap_or(*index))
            }
            Segment::Map { key } | Segment::Enum { variant: key } => at.key(key),
            Segment::Unknown => at,
        })
    }

    /// The place in the tree of what has this dotted key in the compacted value.
    pub(super) fn place(&self, key: &str) -> String {
        let mut place = String::new();
        let mut rest = key;
        while let Some((before, after)) = rest.split_once('[') {
            place.push_str(before);
            let Some((number, after)) = after.split_once(']') else { break };
            let index = number.parse::<usize>().ok().map(|index| match self.stood.get(&place) {
                Some(stood) => stood.get(index).copied().unwrap_or(index),
                None => index,
            });
            match index {
                Some(index) => place.push_str(&format!("[{index}]")),
                None => place.push_str(&format!("[{number}]")),
            }
            rest = after;
        }
        place.push_str(rest);
        place
    }
}

fn close_holes(value: &mut Value, at: &Path, stood: &mut BTreeMap<String, Vec<usize>>) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| close_holes(value, &at.key(key), stood)),
        Value::Array(items) => {
            items.iter_mut().enumerate().for_each(|(index, item)| close_holes(item, &at.index(index), stood));
            if items.iter().any(Value::is_null) {
                let left = items.iter().enumerate().filter(|(_, item)| !item.is_null()).map(|(index, _)| index);
                stood.insert(at.to_string(), left.collect());
                items.retain(|item| !item.is_null());
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::tree::{Origin, Tree};

    #[test]
    fn what_is_found_after_a_hole_in_a_list_is_told_with_its_own_number() {
        let mut tree = Tree::new();
        tree.set(&Path::keys(["a"]), json!([{ "b": [1, 2, 3] }, { "b": [4] }, { "b": [5, 6] }]), Origin::Default);
        let list = Path::keys(["a"]);
        assert!(tree.remove(&list.index(1)));
        assert!(tree.remove(&list.index(2).key("b").index(0)));
        let compact = Compact::of(&tree.root()["a"], &list);
        assert_eq!(compact.value, json!([{ "b": [1, 2, 3] }, { "b": [6] }]));
        assert_eq!(compact.place("a[1].b[0]"), "a[2].b[1]");
        assert_eq!(compact.place("a[0].b[2]"), "a[0].b[2]");
        assert_eq!(compact.place("a.b"), "a.b");
    }
}
