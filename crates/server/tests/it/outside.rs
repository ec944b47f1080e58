//! What tests of the built binary share.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Long and unknown to any list.
pub(crate) const PASSWORD: &str = "correct horse battery staple 7";

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the crate lies in the repository")
}

/// An argument of the test run.
#[expect(clippy::disallowed_methods, reason = "not configuration of the product: how long a test runs, where the run keeps its tools")]
pub(crate) fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A program of the Python environment that `cargo xtask test` makes.
pub(crate) fn python(program: &str) -> Command {
    let folder = setting("REAL_APPS").map_or_else(|| repository().join("target/real-apps"), PathBuf::from);
    let file = folder.join("bin").join(program);
    assert!(file.exists(), "{} is missing: `cargo xtask test` installs it", file.display());
    Command::new(file)
}
