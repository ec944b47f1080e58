//! What the tests need besides Rust: installed when missing, each with a word about it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::run::{cargo, command, env, find, output, root, run, target};

/// Programs the tests start, and the Debian packages they come from.
const PROGRAMS: &[(&str, &str)] = &[
    ("redis-server", "redis-server"),
    ("nginx", "nginx"),
    ("caddy", "caddy"),
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3-venv"),
];

/// Apps nobody here wrote, and what the Python example needs.
const PYTHON_PACKAGES: &str = "xtask/requirements.txt";

/// Folders with a `package-lock.json`.
const NODE_FOLDERS: &[&str] = &["e2e", "examples/node", "examples/webhooks-node"];

/// Everything `cargo xtask test` needs but the database and Redis servers.
pub(crate) fn for_tests() -> Result<()> {
    debian_packages(PROGRAMS)?;
    python_environment()?;
    for folder in NODE_FOLDERS {
        node_packages(&root().join(folder))?;
    }
    Ok(())
}

/// Installs the packages of those programs that are not there.
pub(crate) fn debian_packages(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = programs.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("\nmissing, so installed from Debian: {}", missing.join(", "));
    if find("apt-get").is_none() {
        bail!("no apt-get here: install the equivalents of {} and try again", missing.join(", "));
    }
    let apt = |args: &[&str]| {
        let mut words = vec!["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get"];
        words.extend(args);
        // RUNLEVEL=1: a package that brings a server does not start it.
        if is_root() { run(&mut command(words[0], &words[1..])) } else { run(&mut command("sudo", &[&["-n"], &words[..]].concat())) }
    };
    apt(&["update", "-qq"])?;
    apt(&[&["install", "-y", "-qq", "--no-install-recommends"], &missing[..]].concat())
}

pub(crate) fn is_root() -> bool {
    output(&mut command("id", &["-u"])).is_ok_and(|id| id.trim() == "0")
}

/// A cargo tool, built when missing. False where it cannot be had (no network, say).
pub(crate) fn cargo_tool(name: &str, version: &str) -> bool {
    if find(name).is_some() || cargo_home_bin(name).is_some_and(|file| file.is_file()) {
        return true;
    }
    eprintln!("\nmissing, so built from source: {name} (this takes some minutes, once)");
    run(&mut cargo(&["install", "--locked", "--quiet", name, "--version", version])).is_ok()
}

fn cargo_home_bin(name: &str) -> Option<PathBuf> {
    let home = env("CARGO_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(env("HOME")?).join(".cargo")))?;
    Some(home.join("bin").join(name))
}

/// `target/real-apps`, with what `xtask/requirements.txt` pins.
fn python_environment() -> Result<()> {
    python_packages(&python_folder(), PYTHON_PACKAGES, "real apps to put Baluarte in front of")
}

/// A virtual environment with what a list of requirements pins.
pub(crate) fn python_packages(folder: &Path, requirements: &str, what: &str) -> Result<()> {
    let wanted = std::fs::read_to_string(root().join(requirements))?;
    // Written last, so that an interrupted installation is done again.
    let stamp = folder.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    eprintln!("\nmissing, so installed from PyPI into {}: {what}", folder.display());
    if run(&mut command("python3", &["-m", "venv", "--clear", &folder.to_string_lossy()])).is_err() {
        debian_packages(&[("python3-venv (ensurepip)", "python3-venv")])?;
        run(&mut command("python3", &["-m", "venv", "--clear", &folder.to_string_lossy()]))?;
    }
    let pip = folder.join("bin/pip");
    run(&mut command(pip, &["install", "--quiet", "--disable-pip-version-check", "-r", requirements]))?;
    std::fs::write(stamp, wanted)?;
    Ok(())
}

pub(crate) fn python_folder() -> PathBuf {
    target().join("real-apps")
}

fn node_packages(folder: &Path) -> Result<()> {
    let lock = folder.join("package-lock.json");
    let stamp = folder.join("node_modules/.installed-lock");
    let wanted = std::fs::read(&lock)?;
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    eprintln!("\nmissing, so installed from npm: {}", folder.strip_prefix(root()).unwrap_or(folder).display());
    run(command("npm", &["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]).current_dir(folder))?;
    std::fs::write(stamp, wanted)?;
    Ok(())
}
