//! What the program says about itself: `openapi`, `docs`, `completions`, `man`; and `secret`.

use std::path::PathBuf;

use clap::{Args, Command, Subcommand};
use clap_complete::Shell;

use super::{Failure, print};
use crate::{app, components, private::random_secret, serve};

#[derive(Debug, Subcommand)]
pub(super) enum SecretCommand {
    /// One strong random secret: 48 bytes from the system, as text
    Generate,
}

impl SecretCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Generate => print(&format!("{}\n", random_secret())),
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
        match self.out {
            Some(folder) => {
                std::fs::create_dir_all(&folder)?;
                clap_mangen::generate_to(command, &folder).map_err(Failure::from)
            }
            None => {
                let mut text = Vec::new();
                clap_mangen::Man::new(command).render(&mut text)?;
                print(&String::from_utf8_lossy(&text))
            }
        }
    }
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
}

impl Docs {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Errors => print(&components::catalogue().markdown()),
        }
    }
}
