//! `cargo xtask bench`

use anyhow::Result;

use crate::{
    install::debian_packages,
    run::{cargo, run, target},
};

/// The peers and the load generator; nginx is the upstream too.
const PROGRAMS: &[(&str, &str)] = &[("nginx", "nginx"), ("haproxy", "haproxy"), ("wrk", "wrk"), ("taskset", "util-linux")];

pub(crate) fn bench(args: &[String]) -> Result<()> {
    debian_packages(PROGRAMS)?;
    run(&mut cargo(&["build", "--release", "--package", "baluarte-server", "--package", "bench"]))?;
    let mut bench = crate::run::command(target().join("release/bench"), &[]);
    run(bench.arg("--bin").arg(target().join("release/baluarte")).args(args))
}
