//! What the committed files may and must contain.

use std::fs;

use crate::{committed_files, folder, packages, root, text};

/// Traces of one machine, of a registry's address, or of unfinished work. In halves, so that this file passes.
const FORBIDDEN: &[(&str, &str)] = &[
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    (".cargo/re", "gistry"),
    ("registry.np", "mjs.org"),
    ("static.cra", "tes.io"),
    ("pypi.o", "rg/simple"),
    ("TO", "DO"),
    ("FIX", "ME"),
];

#[test]
fn no_file_names_a_machine_a_registry_or_unfinished_work() {
    let forbidden: Vec<String> = FORBIDDEN.iter().map(|(start, end)| format!("{start}{end}")).collect();
    let mut found = Vec::new();
    for file in committed_files() {
        // Pictures and fonts are not text.
        let Ok(content) = fs::read_to_string(&file) else { continue };
        for (number, line) in content.lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(word.as_str())) {
                found.push(format!("{}:{}: {word}", file.strip_prefix(root()).unwrap_or(&file).display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_crate_has_a_readme_that_is_its_documentation() {
    let mut wrong = Vec::new();
    for package in packages().iter().filter(|package| package["metadata"]["floor"].is_u64()) {
        let (name, folder) = (text(package, "name"), folder(package));
        let readme = fs::read_to_string(folder.join("README.md")).unwrap_or_default();
        if readme.lines().filter(|line| !line.trim().is_empty()).count() < 3 {
            wrong.push(format!("{name}: README.md says too little"));
        }
        let library = fs::read_to_string(folder.join("src/lib.rs")).unwrap_or_default();
        if !library.starts_with("#![doc = include_str!(\"../README.md\")]") {
            wrong.push(format!("{name}: src/lib.rs does not start with its README"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Longer, and a reader wants a table of contents.
const LINES_MAX: usize = 500;

#[test]
fn no_source_file_is_longer_than_five_hundred_lines() {
    let sources = committed_files().into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let long: Vec<String> = sources
        .map(|file| (fs::read_to_string(&file).expect("sources are UTF-8").lines().count(), file))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, file)| format!("{}: {lines} lines", file.strip_prefix(root()).unwrap_or(&file).display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}
