//! The commands. Exit codes: 0 done, 1 failed, 2 wrong usage or invalid configuration.

mod audit;
mod configuration;
mod import;
mod init;
mod jobs;
mod messages;
mod server;
mod shell;
mod tune;
mod user;

use std::{
    fmt,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::config::{self, Inputs, Loaded};

/// The production stack of a small SaaS in one program, in front of an app that you already have.
#[derive(Debug, Parser)]
#[command(name = "baluarte", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or invalid configuration.")]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// The configuration file; need not exist when it is not named [default: baluarte.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The file of environment variables; need not exist when it is not named [default: .env]
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Sets one key, above every other source: --set server.listen=127.0.0.1:0
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: everything in one process, or only some roles
    Serve(server::Serve),
    /// A complete, disposable system with a sample app, to look around in
    Demo(server::Demo),
    /// The same as `serve --roles worker`
    Worker,
    /// Validate configuration and environment without starting
    Check(configuration::Check),
    /// Try what the configuration names: pass, warn or fail, with a hint (the same as `check --live`)
    Doctor(configuration::Doctor),
    /// Look at the configuration
    #[command(subcommand)]
    Config(configuration::ConfigCommand),
    /// Write baluarte.toml and .env with generated secrets
    Init(init::Init),
    /// Bring the database up to date
    Migrate(server::Migrate),
    /// Administer accounts
    #[command(subcommand)]
    User(user::UserCommand),
    /// The audit log: check it, export it, anchor it
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Look at messages, and try a provider
    #[command(subcommand)]
    Messages(messages::MessagesCommand),
    /// Look at background jobs
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    /// Measure password hashing on this machine and recommend its settings
    Tune(tune::Tune),
    /// Exit 0 if the server on this machine answers /healthz
    Healthcheck(server::Healthcheck),
    /// Print the OpenAPI document of the HTTP API
    Openapi(shell::OpenApi),
    /// Print generated documentation
    #[command(subcommand)]
    Docs(shell::Docs),
    /// Make secrets, or say which one our calls are signed with
    #[command(subcommand)]
    Secret(shell::SecretCommand),
    /// Print shell completions
    Completions(shell::Completions),
    /// Print the manual page, or write all of them into a folder
    Man(shell::Man),
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit 1: one clear sentence.
    Failed(String),
    /// Exit 2: wrong usage or an invalid configuration.
    Usage(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Failed(text) | Self::Usage(text)) = self;
        f.write_str(text.trim_end())
    }
}

impl Failure {
    pub(crate) fn failed(why: impl fmt::Display) -> Self {
        Self::Failed(why.to_string())
    }

    pub(crate) fn usage(why: impl fmt::Display) -> Self {
        Self::Usage(why.to_string())
    }

    /// The whole chain in one sentence: what failed, and why.
    pub(crate) fn chain(err: anyhow::Error) -> Self {
        Self::Failed(format!("{err:#}"))
    }
}

impl From<io::Error> for Failure {
    fn from(err: io::Error) -> Self {
        Self::Failed(err.to_string())
    }
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(err) => {
            // Help and version are answers, not failures.
            let code = if err.use_stderr() { 2 } else { 0 };
            let _ = err.print();
            return ExitCode::from(code);
        }
    };
    let (code, failure) = match run(cli) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(failure @ Failure::Failed(_)) => (1, failure),
        Err(failure @ Failure::Usage(_)) => (2, failure),
    };
    let _ = writeln!(io::stderr(), "baluarte: {failure}");
    ExitCode::from(code)
}

fn run(cli: Cli) -> Result<(), Failure> {
    let global = &cli.global;
    match cli.command {
        Command::Serve(serve) => serve.run(global),
        Command::Demo(demo) => demo.run(),
        Command::Worker => server::Serve::worker().run(global),
        Command::Migrate(migrate) => migrate.run(global),
        Command::User(command) => command.run(global),
        Command::Audit(command) => command.run(global),
        Command::Messages(command) => command.run(global),
        Command::Jobs(command) => command.run(global),
        Command::Tune(tune) => tune.run(),
        Command::Healthcheck(healthcheck) => healthcheck.run(global),
        Command::Check(check) => check.run(global),
        Command::Doctor(doctor) => doctor.run(global),
        Command::Config(command) => command.run(global),
        Command::Init(init) => init.run(),
        Command::Openapi(command) => command.run(),
        Command::Docs(command) => command.run(&Cli::command()),
        Command::Secret(command) => command.run(global),
        Command::Completions(completions) => completions.run(Cli::command()),
        Command::Man(man) => man.run(Cli::command()),
    }
}

impl Global {
    /// Where this process looks for its configuration.
    fn inputs(&self) -> Inputs {
        Inputs {
            file: self.config.clone().unwrap_or_else(|| PathBuf::from("baluarte.toml")),
            file_required: self.config.is_some(),
            dotenv: self.env_file.clone().unwrap_or_else(|| PathBuf::from(".env")),
            dotenv_required: self.env_file.is_some(),
            environment: config::process_environment(),
            flags: self.set.iter().map(|(key, value)| ("--set".to_owned(), key.clone(), value.clone())).collect(),
        }
    }

    fn load(&self) -> Result<Loaded, Failure> {
        config::load(&self.inputs()).map_err(|invalid| Failure::Usage(invalid.to_string()))
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// Standard output, for what a command was asked to print.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever read the other end has seen enough: `baluarte config show | head`.
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::from),
    }
}
