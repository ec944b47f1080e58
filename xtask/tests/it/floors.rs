//! Who may import whom (ARCHITECTURE.md).

use std::collections::BTreeMap;

use crate::{dependencies, packages, text};

/// Programs about the repository, outside the house.
const OUTSIDE: [&str; 2] = ["xtask", "bench"];

#[test]
fn every_crate_says_its_floor_and_imports_only_from_lower_ones() {
    let packages = packages();
    let mut floors = BTreeMap::new();
    let mut wrong = Vec::new();
    for package in packages.iter().filter(|package| !OUTSIDE.contains(&text(package, "name"))) {
        match package["metadata"]["floor"].as_u64() {
            Some(floor) => drop(floors.insert(text(package, "name"), floor)),
            None => wrong.push(format!("{} does not say its floor ([package.metadata] floor = N)", text(package, "name"))),
        }
    }
    for package in &packages {
        let Some(floor) = floors.get(text(package, "name")) else { continue };
        for dependency in dependencies(package) {
            let name = text(dependency, "name");
            let Some(below) = floors.get(name) else { continue };
            let tests_only = dependency["kind"] == "dev" && name == "baluarte-testkit";
            if below >= floor && !tests_only {
                wrong.push(format!("{} (floor {floor}) imports {name} (floor {below})", text(package, "name")));
            }
        }
    }
    assert!(wrong.is_empty(), "edges that do not go down:\n{}", wrong.join("\n"));
}

/// Crates of the outside world that only one of ours may touch, so that there is one place to change, bound and guard them.
const WRAPPERS: &[(&str, &[&str])] = &[
    ("sqlx", &["baluarte-db"]),
    ("sea-orm-migration", &[]),
    ("redis", &["baluarte-backplane"]),
    ("reqwest", &["baluarte-outbound", "baluarte-testkit"]),
    ("lettre", &["baluarte-notify"]),
    ("argon2", &["baluarte-identity"]),
];

#[test]
fn drivers_are_touched_by_one_crate_each() {
    let mut wrong = Vec::new();
    for package in &packages() {
        for dependency in dependencies(package).iter().filter(|dependency| dependency["kind"] != "dev") {
            let allowed = WRAPPERS.iter().find(|(name, _)| *name == text(dependency, "name"));
            if allowed.is_some_and(|(_, wrappers)| !wrappers.contains(&text(package, "name"))) {
                wrong.push(format!("{} depends on {}", text(package, "name"), text(dependency, "name")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
