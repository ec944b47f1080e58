//! `cargo xtask check`: what needs no test run to be wrong.

use anyhow::{Result, bail};

use crate::{
    generated, install,
    run::{cargo, output, run},
};

const CARGO_DENY: &str = "0.20.2";

pub(crate) fn check() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run(cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    dependencies()?;
    generated::compare()
}

/// `deny.toml`: what may be in the graph, under which licence, from where. Known vulnerabilities where the list can be fetched.
fn dependencies() -> Result<()> {
    if !install::cargo_tool("cargo-deny", CARGO_DENY) {
        bail!("cargo-deny is needed for the dependency rules and cannot be installed");
    }
    run(&mut cargo(&["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]))?;
    match output(&mut cargo(&["deny", "--log-level", "error", "fetch", "db"])) {
        Ok(_) => run(&mut cargo(&["deny", "--log-level", "error", "check", "--disable-fetch", "advisories"])),
        Err(_) => {
            eprintln!("\nThe list of known vulnerabilities cannot be fetched from here, so it was not consulted.");
            Ok(())
        }
    }
}
