//! What the program says about itself: `openapi`, `docs`, `completions`, `man`; and `secret`.

use std::{fmt::Write as _, path::PathBuf};

use baluarte_outbound::SigningKey;
use clap::{Args, Command, Subcommand};
use clap_complete::Shell;

use super::{Failure, Global, print};
use crate::{app, components, outgoing, private::random_secret, serve, start};

#[derive(Debug, Subcommand)]
pub(super) enum SecretCommand {
    /// One strong random secret: 48 bytes from the system, as text
    Generate {
        /// In the form that webhooks are signed with: whsec_…
        #[arg(long)]
        webhook: bool,
    },
    /// Print the secret that calls of HTTP jobs to a receiver are signed with
    Signing {
        /// The name of one of [jobs.endpoints], or an address
        receiver: String,
    },
}

impl SecretCommand {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Generate { webhook: false } => print(&format!("{}\n", random_secret())),
            Self::Generate { webhook: true } => {
                let key = SigningKey::from_bytes(&rand::random::<[u8; 32]>()).map_err(Failure::failed)?;
                print(&format!("{}\n", key.to_secret().expose()))
            }
            Self::Signing { receiver } => {
                let config = global.load()?.config;
                let secrets = start::secrets(&config).map_err(Failure::chain)?;
                let key = outgoing::endpoints(secrets, &config).signing_key(&receiver).map_err(Failure::failed)?;
                print(&format!("{}\n", key.to_secret().expose()))
            }
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, mut command: Command) -> Result<(), Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, "baluarte", &mut text);
        print(&String::from_utf8_lossy(&text))
    }
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// Write one page for every command into this folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self, command: Command) -> Result<(), Failure> {
        let command = for_the_manual(command);
        match self.out {
            Some(folder) => {
                std::fs::create_dir_all(&folder)?;
                clap_mangen::generate_to(command, &folder)?;
                for entry in std::fs::read_dir(&folder)? {
                    let page = entry?.path();
                    let ours = page.file_name().is_some_and(|name| name.to_string_lossy().starts_with("baluarte"));
                    if ours && page.extension().is_some_and(|kind| kind == "1") {
                        std::fs::write(&page, with_values(&std::fs::read_to_string(&page)?))?;
                    }
                }
                Ok(())
            }
            None => {
                let mut text = Vec::new();
                clap_mangen::Man::new(command).render(&mut text)?;
                print(&with_values(&String::from_utf8_lossy(&text)))
            }
        }
    }
}

/// Every page says how its command ends.
fn for_the_manual(command: Command) -> Command {
    fn prepare(command: Command, help: &str) -> Command {
        command.after_help(help.to_owned()).mut_subcommands(|inner| prepare(inner, help))
    }
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    prepare(command, &help)
}

/// The synopsis with the values that options take: its writer gives them in the list of options only.
fn with_values(page: &str) -> String {
    let valued: Vec<(String, &str)> = page
        .lines()
        .filter(|line| line.starts_with("\\fB"))
        .filter_map(|line| line.split_once(" \\fI"))
        .filter(|(name, value)| name.ends_with("\\fR") && value.ends_with("\\fR"))
        .filter_map(|(name, value)| Some((format!("{}]", name.rsplit(", ").next()?), value)))
        .collect();
    let synopsis = |line: &str| {
        valued.iter().fold(line.to_owned(), |line, (name, value)| {
            line.replace(&format!("[{name}"), &format!("[{} \\fI{value}]", name.trim_end_matches(']')))
        })
    };
    let mut in_synopsis = false;
    let mut out = String::with_capacity(page.len());
    for line in page.lines() {
        if line.starts_with(".SH") {
            in_synopsis = line == ".SH SYNOPSIS";
        }
        out.push_str(&if in_synopsis { synopsis(line) } else { line.to_owned() });
        out.push('\n');
    }
    out
}

#[derive(Debug, Args)]
pub(super) struct OpenApi {}

impl OpenApi {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = serve::control_runtime().map_err(Failure::chain)?;
        let document = runtime.block_on(app::document()).map_err(Failure::chain)?;
        print(&format!("{}\n", document.to_pretty_json().map_err(Failure::failed)?))
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Docs {
    /// Every problem code, what it means and what to do, as Markdown
    Errors,
    /// Every command with what it does, as Markdown
    Commands,
}

impl Docs {
    pub(super) fn run(self, command: &Command) -> Result<(), Failure> {
        match self {
            Self::Errors => print(&components::catalogue().markdown()),
            Self::Commands => print(&commands(command)),
        }
    }
}

const COMMANDS_HEAD: &str = "# Commands

Generated by `cargo xtask gen`. `baluarte COMMAND --help` knows every option; `baluarte man` is the manual page.
Exit codes: 0 done · 1 failed · 2 wrong usage or invalid configuration.

| command | what it does |
| --- | --- |
";

/// One line for each command that does something.
fn commands(root: &Command) -> String {
    fn add(command: &Command, name: &str, out: &mut String) {
        let mut inner = command.get_subcommands().filter(|inner| inner.get_name() != "help").peekable();
        if inner.peek().is_none() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(out, "| `{name}` | {about} |");
        }
        for command in inner {
            add(command, &format!("{name} {}", command.get_name()), out);
        }
    }
    let mut out = COMMANDS_HEAD.to_owned();
    add(root, root.get_name(), &mut out);
    out
}
