//! `cargo xtask demo`

use std::{convert::Infallible, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result};

use crate::run::{cargo, run, target};

pub(crate) fn demo(args: &[String]) -> Result<()> {
    run(&mut cargo(&["build", "--quiet", "--package", "baluarte-server", "--bin", "baluarte"]))?;
    match become_program(Command::new(target().join("debug/baluarte")).arg("demo").args(args))? {}
}

/// The demo takes this process's place, so that Ctrl-C reaches it and nobody else.
fn become_program(command: &mut Command) -> Result<Infallible> {
    Err(command.exec()).context("cannot start the program that was just built")
}
