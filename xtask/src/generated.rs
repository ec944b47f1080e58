//! Files that the binary writes about itself: committed, compared, never edited.

use std::fs;

use anyhow::{Result, bail};

use crate::{
    asvs,
    run::{cargo, command, output, root, run, target},
};

/// File, and the command that prints it.
const FILES: &[(&str, &[&str])] = &[
    ("openapi.json", &["openapi"]),
    ("baluarte.example.toml", &["config", "example"]),
    ("docs/errors.md", &["docs", "errors"]),
    ("docs/commands.md", &["docs", "commands"]),
];

pub(crate) fn write() -> Result<()> {
    for (file, text) in texts()? {
        fs::write(root().join(file), text)?;
        eprintln!("wrote {file}");
    }
    Ok(())
}

pub(crate) fn compare() -> Result<()> {
    let stale: Vec<&str> = texts()?
        .into_iter()
        .filter(|(file, text)| fs::read_to_string(root().join(file)).map_or(true, |committed| committed != *text))
        .map(|(file, _)| file)
        .collect();
    if !stale.is_empty() {
        bail!("not what the code says any more: {}; run `cargo xtask gen` and commit the result", stale.join(", "));
    }
    Ok(())
}

fn texts() -> Result<Vec<(&'static str, String)>> {
    run(&mut cargo(&["build", "--quiet", "--package", "baluarte-server", "--bin", "baluarte"]))?;
    let printed = FILES.iter().map(|(file, args)| Ok((*file, output(&mut command(target().join("debug/baluarte"), args))?)));
    // This one is written from the names of the tests.
    printed.chain([asvs::page().map(|page| ("docs/security/asvs.md", page))]).collect()
}
