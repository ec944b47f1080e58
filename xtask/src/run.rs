//! Running other programs, saying which.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

/// Where builds and everything this program downloads or writes go.
pub(crate) fn target() -> PathBuf {
    env("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A program in the repository's folder, without input.
pub(crate) fn command(program: impl AsRef<OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root()).stdin(Stdio::null());
    command
}

pub(crate) fn cargo(args: &[&str]) -> Command {
    command(env("CARGO").unwrap_or_else(|| "cargo".to_owned()), args)
}

/// Says what it runs, runs it, and fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = display(command);
    eprintln!("\n» {line}");
    let status = command.status().with_context(|| format!("cannot start {line}"))?;
    if !status.success() {
        bail!("{line} failed ({status})");
    }
    Ok(())
}

/// As [`run`]; also returns the lines of its error output that `keep` picks, for a summary.
pub(crate) fn run_keeping(command: &mut Command, keep: impl Fn(&str) -> bool) -> (Vec<String>, Result<()>) {
    let line = display(command);
    eprintln!("\n» {line}");
    let mut kept = Vec::new();
    let result = (|| {
        // One pipe for both, so that lines keep their order.
        let (reader, writer) = std::io::pipe()?;
        let mut child = command.stdout(writer.try_clone()?).stderr(writer).spawn().with_context(|| format!("cannot start {line}"))?;
        // The command still holds our ends of the pipe; without them it ends with the child.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        for text in BufReader::new(reader).split(b'\n') {
            let text = String::from_utf8_lossy(&text?).into_owned();
            eprintln!("{text}");
            if keep(&text) {
                kept.push(text);
            }
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("{line} failed ({status})");
        }
        Ok(())
    })();
    (kept, result)
}

/// Runs it quietly; its standard output when it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = display(command);
    let output = command.output().with_context(|| format!("cannot start {line}"))?;
    if !output.status.success() {
        bail!("{line} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where a program is installed. Besides PATH it looks where Debian puts servers.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env("PATH").unwrap_or_default();
    let postgres = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|version| version.path().join("bin"));
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from)).chain(postgres);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[expect(clippy::disallowed_methods, reason = "this is a developer's tool: its surroundings are its arguments")]
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn display(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
