//! `cargo xtask test`: everything, with everything it needs.

use std::io::Write as _;

use anyhow::{Result, bail};

use crate::{
    install,
    run::{cargo, command, root, run_keeping, target},
    services::{Durability, Services},
};

const NEXTEST: &str = "0.9.143";

/// Arguments go to the Rust test runner: `cargo xtask test -p baluarte-limits`.
pub(crate) fn test(args: &[String]) -> Result<()> {
    install::for_tests()?;
    let nextest = install::cargo_tool("cargo-nextest", NEXTEST);
    let services = Services::start(Durability::None)?;

    let selection: Vec<&str> = if args.is_empty() { vec!["--workspace"] } else { args.iter().map(String::as_str).collect() };
    let mut steps = Vec::new();
    if nextest {
        steps.push(("tests", cargo(&[&["nextest", "run", "--no-fail-fast", "--no-tests=pass"], &selection[..]].concat())));
        if args.is_empty() {
            steps.push(("documentation tests", cargo(&["test", "--doc", "--workspace", "--no-fail-fast"])));
        }
    } else {
        eprintln!("cargo-nextest cannot be had here: plain cargo test does the same, slower");
        steps.push(("tests", cargo(&[&["test", "--no-fail-fast"], &selection[..]].concat())));
    }
    if args.is_empty() {
        let mut browser = command("node", &["--test", "--test-concurrency=1", "--test-reporter=spec"]);
        browser.current_dir(root().join("e2e"));
        steps.push(("browser journeys", browser));
    }

    let mut closing = Vec::new();
    let mut failed = Vec::new();
    for (name, mut step) in steps {
        step.env("TEST_DATABASE_URL", &services.database_url)
            .env("TEST_REDIS_URL", &services.redis_url)
            .env("BALUARTE_BIN", target().join("debug/baluarte"))
            .env("REAL_APPS", install::python_folder());
        let (kept, result) = run_keeping(&mut step, is_closing_line);
        closing.push((name, kept));
        if let Err(err) = result {
            failed.push(format!("{err:#}"));
        }
    }
    drop(services);

    let mut out = std::io::stdout().lock();
    writeln!(out, "\n── summary")?;
    for (name, lines) in closing {
        writeln!(out, "{name}:")?;
        for line in lines {
            writeln!(out, "  {}", line.trim())?;
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}

/// The lines in which each runner counts what it did, or names what failed.
fn is_closing_line(line: &str) -> bool {
    let line = without_colour(line);
    let line = line.trim();
    ["Summary [", "test result: FAILED", "FAIL [", "TIMEOUT [", "SIGKILL [", "ℹ tests ", "ℹ pass ", "ℹ fail ", "✖ "]
        .iter()
        .any(|start| line.starts_with(start))
        || (line.starts_with("test result: ok.") && !line.contains(" 0 passed"))
}

fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::is_closing_line;

    #[test]
    fn the_summary_keeps_counts_and_failures_only() {
        assert!(is_closing_line("\u{1b}[32m     Summary\u{1b}[0m [   0.080s] 6 tests run: 6 passed, 0 skipped"));
        assert!(is_closing_line("test result: ok. 2 passed; 0 failed"));
        assert!(!is_closing_line("test result: ok. 0 passed; 0 failed"));
        assert!(!is_closing_line("        PASS [   0.008s] (1/6) baluarte-testkit"));
    }
}
