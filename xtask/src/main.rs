//! Everything one does to this repository besides editing it: `cargo xtask <command>`.

mod asvs;
mod bench;
mod check;
mod demo;
mod generated;
mod install;
mod run;
mod services;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <command>

  demo    builds what is missing and runs `baluarte demo`: a whole system with a sample app, in a temporary folder
  check   format, lints, documentation, dependency rules, generated files
  test    every test, with PostgreSQL, Redis, a browser and real apps; installs and starts what is missing
  ci      check, then test: exactly what continuous integration runs
  bench   the gateway against nginx and HAProxy, the job queue against Celery, on this machine, as tables
  gen     writes the generated files anew: openapi.json, baluarte.example.toml, docs/errors.md, docs/commands.md,
          docs/security/asvs.md
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let done = match command.as_str() {
        "demo" => demo::demo(&rest),
        "check" => check::check(),
        "test" => test::test(&rest),
        "ci" => check::check().and_then(|()| test::test(&rest)),
        "bench" => bench::bench(&rest),
        "gen" => generated::write(),
        "help" | "-h" | "--help" => {
            eprint!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("\nxtask {command}: {err:#}");
            ExitCode::FAILURE
        }
    }
}
