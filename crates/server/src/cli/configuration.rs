//! `check`, `doctor`, `config show`, `config schema`, `config example`.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::{Failure, Global, print};
use crate::{
    config::{self, Config, Loaded, Schema},
    live::{self, Outcome},
    serve,
};

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Also try what it names: database, Redis, mail, upstreams, disk, ports
    #[arg(long)]
    live: bool,
    /// With --live: one JSON document instead of text
    #[arg(long, requires = "live")]
    json: bool,
}

impl Check {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let loaded = global.load()?;
        if self.live {
            return try_out(&loaded, self.json);
        }
        print(&format!("the configuration is valid\n{}{}", notes(&loaded), redirect_uris(&loaded)))
    }
}

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        try_out(&global.load()?, self.json)
    }
}

/// What has to be registered elsewhere before people can sign in with it.
fn redirect_uris(loaded: &Loaded) -> String {
    let (providers, public_url) = (&loaded.config.identity.providers, loaded.config.server.public_url.as_str());
    let line = |(name, uri): (String, String)| format!("identity.providers.{name}: register the redirect URI {uri}\n");
    baluarte_identity::redirect_uris(providers, public_url).into_iter().map(line).collect()
}

fn notes(loaded: &Loaded) -> String {
    loaded.notices.iter().map(|notice| format!("note: {notice}\n")).collect()
}

fn try_out(loaded: &Loaded, json: bool) -> Result<(), Failure> {
    let runtime = serve::control_runtime().map_err(Failure::chain)?;
    let probes = runtime.block_on(live::probe(&loaded.config));
    if json {
        print(&format!("{}\n", serde_json::to_string_pretty(&probes).map_err(Failure::failed)?))?;
    } else {
        let mut out = notes(loaded);
        for probe in &probes {
            let word = match probe.outcome {
                Outcome::Pass => "pass",
                Outcome::Warn => "warn",
                Outcome::Fail => "FAIL",
            };
            let hint = if probe.hint.is_empty() { String::new() } else { format!("  ({})", probe.hint) };
            let _ = writeln!(out, "{word}  {:<22} {}{hint}", probe.name, probe.detail);
        }
        print(&out)?;
    }
    match probes.iter().filter(|probe| probe.outcome == Outcome::Fail).count() {
        0 => Ok(()),
        1 => Err(Failure::failed("one part does not work")),
        failed => Err(Failure::Failed(format!("{failed} parts do not work"))),
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
    let values = config::effective(&loaded);
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
