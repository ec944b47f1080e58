//! Child processes: started, measured through /proc, ended by id.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// A temporary folder, removed with this value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("baluarte-bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A server with all its children; ended when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    /// Where it shows its metrics, if it does.
    pub(crate) metrics: Option<u16>,
}

impl Server {
    /// Returns when the port accepts connections.
    pub(crate) fn start(command: &mut Command, port: u16) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let mut server = Self { child, port, metrics: None };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{command:?} ended: {status}");
            }
            if Instant::now() > deadline {
                bail!("{command:?} does not accept connections on port {port}");
            }
            sleep(Duration::from_millis(1));
        }
        Ok(server)
    }

    /// User and system time of the process and its descendants so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        family(self.child.id()).into_iter().map(cpu_seconds).sum()
    }

    /// The same, exactly, in milliseconds.
    pub(crate) fn cpu_millis(&self) -> f64 {
        cpu_millis(self.child.id())
    }

    /// The most memory the processes ever held, added up, in MiB. Shared pages count once for each.
    pub(crate) fn peak_mib(&self) -> f64 {
        family(self.child.id()).into_iter().map(|pid| status_mib(pid, "VmHWM:")).sum()
    }

    pub(crate) fn resident_mib(&self) -> f64 {
        family(self.child.id()).into_iter().map(|pid| status_mib(pid, "VmRSS:")).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The process and its descendants. Asked first, so that a master process ends its workers.
pub(crate) fn end(child: &mut Child) {
    let asked = Command::new("kill").arg(child.id().to_string()).status();
    let deadline = Instant::now() + Duration::from_secs(3);
    while asked.is_ok() && Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    for pid in family(child.id()) {
        Command::new("kill").args(["-9", &pid.to_string()]).status().ok();
    }
    child.wait().ok();
}

pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The process and its descendants.
fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(&parent) = all.get(next) {
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        next += 1;
    }
    all
}

/// Linux counts in hundredths of a second for programs, whatever it does inside.
const TICKS_PER_SECOND: f64 = 100.0;

fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is the program's name in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|value| value.parse::<f64>().ok()).unwrap_or_default();
    // utime and stime are the 14th and 15th fields; the third is the first after the name.
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

/// Time on a core of the process and its descendants, as far as their threads still live, in milliseconds.
pub(crate) fn cpu_millis(pid: u32) -> f64 {
    let threads = family(pid).into_iter().flat_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten());
    let nanos = threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok()?.split_whitespace().next()?.parse::<f64>().ok());
    nanos.sum::<f64>() / 1e6
}

/// Busy time of all cores so far, in seconds: what any program did, and the kernel for it.
pub(crate) fn machine_cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq.
    [0, 1, 2, 5, 6].into_iter().filter_map(|field| ticks.get(field)).sum::<f64>() / TICKS_PER_SECOND
}

fn status_mib(pid: u32, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1_024.0
}
