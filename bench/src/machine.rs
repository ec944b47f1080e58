//! Which cores do what.

use std::{
    fmt,
    process::{Command, Stdio},
    thread::available_parallelism,
};

use anyhow::{Result, bail};

/// The proxy under test has its own; load generator and upstream share the rest.
pub(crate) struct Cores {
    pub(crate) proxy: Option<String>,
    pub(crate) load: Option<String>,
    pub(crate) proxy_count: usize,
}

impl Cores {
    pub(crate) fn split() -> Self {
        match available_parallelism().map_or(1, usize::from) {
            1 => Self { proxy: None, load: None, proxy_count: 1 },
            2 | 3 => Self { proxy: Some("0".into()), load: Some("1".into()), proxy_count: 1 },
            _ => Self { proxy: Some("0,1".into()), load: Some("2,3".into()), proxy_count: 2 },
        }
    }

    /// This program's own threads, those it starts from now on included, keep away from the proxy's cores.
    pub(crate) fn keep_away(&self) -> Result<()> {
        let Some(cores) = &self.load else { return Ok(()) };
        let status =
            Command::new("taskset").args(["-a", "-c", "-p", cores, &std::process::id().to_string()]).stdout(Stdio::null()).status()?;
        if !status.success() {
            bail!("taskset: {status}");
        }
        Ok(())
    }

    /// A program on the proxy's cores.
    pub(crate) fn for_proxy(&self, program: &str) -> Command {
        pinned(self.proxy.as_deref(), program)
    }

    /// A program on the other cores.
    pub(crate) fn for_load(&self, program: &str) -> Command {
        pinned(self.load.as_deref(), program)
    }
}

fn pinned(cores: Option<&str>, program: &str) -> Command {
    match cores {
        Some(cores) => {
            let mut command = Command::new("taskset");
            command.args(["-c", cores, program]);
            command
        }
        None => Command::new(program),
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.proxy, &self.load) {
            (Some(proxy), Some(load)) => write!(f, "proxy on cores {proxy}; load generator and upstream on cores {load}"),
            _ => write!(f, "one core for everything: ratios still compare, figures do not"),
        }
    }
}
