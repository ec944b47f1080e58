//! `check`, `config show`, `config schema`, `config example`.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::{Failure, Global, print};
use crate::config::{self, Config, Schema};

#[derive(Debug, Args)]
pub(super) struct Check {}

impl Check {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let loaded = global.load()?;
        let mut out = String::from("the configuration is valid\n");
        for notice in &loaded.notices {
            let _ = writeln!(out, "note: {notice}");
        }
        print(&out)
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Effective values and where each comes from; secrets are redacted
    Show {
        /// One JSON document instead of text
        #[arg(long)]
        json: bool,
    },
    /// The JSON Schema of the configuration file
    Schema,
    /// An example file with every key, its default and what it is for
    Example,
}

impl ConfigCommand {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Show { json } => show(global, json),
            Self::Schema => print(&format!("{:#}\n", Schema::of::<Config>().document())),
            Self::Example => print(&config::example()),
        }
    }
}

fn show(global: &Global, json: bool) -> Result<(), Failure> {
    let loaded = global.load()?;
    let values = config::effective(&loaded, &Schema::of::<Config>());
    if json {
        let text = serde_json::to_string_pretty(&values).map_err(Failure::failed)?;
        return print(&format!("{text}\n"));
    }
    let mut out = String::new();
    for value in values {
        let _ = writeln!(out, "{} = {}    # {}", value.key, value.value, value.origin);
    }
    print(&out)
}
