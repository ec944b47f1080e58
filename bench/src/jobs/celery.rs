//! The peer: Celery with Redis, in a virtual environment that `cargo xtask bench` makes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::{available_parallelism, sleep},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use baluarte_testkit::RedisServer;

use super::{
    latency::{Latency, RATE},
    throughput::Sample,
};
use crate::process::{cpu_millis, end, machine_cpu_seconds};

const APP: &str = include_str!("../../celery/peer.py");
/// Until a worker has all its processes.
const SETTLE: Duration = Duration::from_secs(5);

pub(super) struct Celery {
    python: PathBuf,
    folder: PathBuf,
    redis: RedisServer,
}

/// With as many processes as there are cores; ended when dropped.
pub(super) struct Worker(Child);

impl Celery {
    /// `environment`: where its Python is.
    pub(super) fn prepare(environment: &Path, folder: &Path) -> Result<Self> {
        let python = environment.join("bin/python");
        if !python.is_file() {
            bail!("no Celery in {}: `cargo xtask bench` puts it there", environment.display());
        }
        let folder = folder.join("celery");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("peer.py"), APP)?;
        Ok(Self { python, folder, redis: RedisServer::start() })
    }

    fn python(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command.args(args).current_dir(&self.folder).env("BROKER", format!("{}/0", self.redis.url())).stdin(Stdio::null());
        command
    }

    pub(super) fn work(&self) -> Result<Worker> {
        let processes = available_parallelism()?.to_string();
        let log = fs::File::create(self.folder.join("log"))?;
        let args = ["-m", "celery", "-A", "peer", "worker", "--pool=prefork", "--concurrency", &processes, "--loglevel=warning"];
        let less = ["--without-gossip", "--without-mingle"];
        Ok(Worker(self.python(&args).args(less).stdout(log.try_clone()?).stderr(log).spawn()?))
    }

    fn ask(&self, args: &[&str]) -> Result<Vec<f64>> {
        let output = self.python(&[&["peer.py"], args].concat()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("peer.py {}: {text}{}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        text.split_whitespace().map(|number| number.parse().context("a number")).collect()
    }

    fn enqueue(&self, jobs: u64) -> Result<[f64; 2]> {
        self.ask(&["enqueue", &jobs.to_string()])?.try_into().ok().context("two numbers")
    }

    fn ends(&self) -> Result<[f64; 2]> {
        self.ask(&["ends"])?.try_into().ok().context("two numbers")
    }

    pub(super) fn throughput(&self, jobs: u64) -> Result<Sample> {
        let [_, took] = self.enqueue(jobs)?;
        let worker = self.work()?;
        let [first, last] = self.ends()?;
        // As ours: the worker runs while they are enqueued.
        sleep(SETTLE);
        let cpu = machine_cpu_seconds();
        let [began, _] = self.enqueue(jobs)?;
        let [_, ended] = self.ends()?;
        let cpu = machine_cpu_seconds() - cpu;
        drop(worker);
        let jobs = jobs as f64;
        Ok(Sample { enqueue: jobs / took, run: jobs / (last - first), together: jobs / (ended - began), cpu_us: cpu * 1e6 / jobs })
    }

    pub(super) fn latency(&self, seconds: u64) -> Result<Latency> {
        let worker = self.work()?;
        sleep(SETTLE);
        let waits: [f64; 2] = self.ask(&["steady", &RATE.to_string(), &seconds.to_string()])?.try_into().ok().context("two numbers")?;
        drop(worker);
        Ok(Latency { p50_ms: waits[0], p99_ms: waits[1] })
    }
}

impl Worker {
    pub(super) fn cpu_millis(&self) -> f64 {
        cpu_millis(self.0.id())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}
