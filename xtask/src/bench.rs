//! `cargo xtask bench`

use anyhow::Result;

use crate::{
    install::debian_packages,
    run::{cargo, run, target},
    services::Services,
};

/// The peers and the load generator; nginx is the upstream too.
const PROGRAMS: &[(&str, &str)] = &[("nginx", "nginx"), ("haproxy", "haproxy"), ("wrk", "wrk"), ("taskset", "util-linux")];

pub(crate) fn bench(args: &[String]) -> Result<()> {
    debian_packages(PROGRAMS)?;
    let packages = ["--package", "baluarte-server", "--package", "bench", "--package", "baluarte-audit"];
    run(&mut cargo(&[&["build", "--release", "--bins", "--example", "figures"], &packages[..]].concat()))?;
    let mut bench = crate::run::command(target().join("release/bench"), &[]);
    let every_part = !args.iter().any(|arg| arg.starts_with(|first: char| first.is_ascii_lowercase()));
    let services = if every_part || args.iter().any(|arg| arg == "audit") { Some(Services::start()?) } else { None };
    if let Some(services) = &services {
        bench.env("TEST_DATABASE_URL", &services.database_url);
    }
    run(bench.arg("--bin").arg(target().join("release/baluarte")).args(args))
}
