//! What a manifest lists is used.

use std::{fs, path::Path};

use crate::{dependencies, folder, packages, text};

/// Listed for a feature they switch on in the graph, not for their names.
const FOR_THEIR_FEATURES: &[(&str, &str)] = &[("baluarte-db", "sqlx")];

#[test]
fn every_listed_dependency_is_used() {
    let mut unused = Vec::new();
    for package in packages() {
        let mut source = String::new();
        read_sources(&folder(&package), &mut source);
        for dependency in dependencies(&package) {
            let (owner, name) = (text(&package, "name"), text(dependency, "name"));
            let used_as = dependency["rename"].as_str().unwrap_or(name).replace('-', "_");
            if !mentions(&source, &used_as) && !FOR_THEIR_FEATURES.contains(&(owner, name)) {
                unused.push(format!("{owner} lists {name}"));
            }
        }
    }
    assert!(unused.is_empty(), "not used by the crate that lists them:\n{}", unused.join("\n"));
}

/// As a path (`name::`), an import (`use name`), or an attribute of a macro.
fn mentions(source: &str, name: &str) -> bool {
    source.match_indices(name).any(|(at, _)| {
        let before = source[..at].chars().next_back();
        let after = &source[at + name.len()..];
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            && (after.starts_with("::") || after.starts_with(';') || after.starts_with(" as "))
    })
}

fn read_sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("the crate's folder can be read").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.join("Cargo.toml").exists() {
                read_sources(&path, into);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).expect("sources are UTF-8"));
        }
    }
}

#[test]
fn a_mention_is_a_whole_word_used_as_a_crate() {
    assert!(mentions("use bytes::Bytes;", "bytes") && mentions("pub use sea_orm;", "sea_orm"));
    assert!(!mentions("let bytes = 3; my_bytes::x", "bytes"));
}
