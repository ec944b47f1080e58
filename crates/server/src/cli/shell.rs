//! `secret`, `completions`, `man`.

use std::path::PathBuf;

use clap::{Args, Command, Subcommand};
use clap_complete::Shell;

use super::{Failure, print};
use crate::private::random_secret;

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
