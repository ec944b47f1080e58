//! `cargo xtask bench`

use anyhow::Result;

use crate::{
    install::{debian_packages, python_packages},
    run::{cargo, run, target},
    services::{Durability, Services},
};

/// The peers and the load generator; nginx is the upstream too.
const PROGRAMS: &[(&str, &str)] = &[
    ("nginx", "nginx"),
    ("haproxy", "haproxy"),
    ("wrk", "wrk"),
    ("taskset", "util-linux"),
    ("redis-server", "redis-server"),
    ("python3", "python3-venv"),
];
const CELERY: &str = "bench/celery/requirements.txt";

pub(crate) fn bench(args: &[String]) -> Result<()> {
    debian_packages(PROGRAMS)?;
    let packages = ["--package", "baluarte-server", "--package", "bench", "--package", "baluarte-audit"];
    run(&mut cargo(&[&["build", "--release", "--bins", "--example", "figures"], &packages[..]].concat()))?;
    let mut bench = crate::run::command(target().join("release/bench"), &[]);
    let every_part = !args.iter().any(|arg| arg.starts_with(|first: char| first.is_ascii_lowercase()));
    let wants = |part: &str| every_part || args.iter().any(|arg| arg == part);
    // A queue is measured on a disk that is waited for.
    let services = if wants("audit") || wants("jobs") { Some(Services::start(Durability::Full)?) } else { None };
    if let Some(services) = &services {
        bench.env("TEST_DATABASE_URL", &services.database_url);
    }
    if wants("jobs") {
        let celery = target().join("celery");
        python_packages(&celery, CELERY, "the peer of the job queue")?;
        bench.arg("--celery").arg(celery);
    }
    run(bench.arg("--bin").arg(target().join("release/baluarte")).args(args))
}
