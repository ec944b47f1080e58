//! What the operating system knows about this process, read when somebody asks.

use std::{fs, time::Instant};

use baluarte_kernel::Clock;

use crate::metrics::Metrics;

/// Adds the process's own numbers: memory, processor time, open files, uptime, version.
pub(crate) fn register(metrics: &Metrics) {
    metrics.gauge("baluarte_build_info", "Always 1; the label tells the version.", &[("version", env!("CARGO_PKG_VERSION"))]).set(1);
    let started = metrics.gauge("baluarte_process_start_time_seconds", "When the process started, in seconds since 1970.", &[]);
    started.set(Clock::System.now().unix_seconds());

    let resident = metrics.gauge("baluarte_process_resident_memory_bytes", "Memory in use.", &[]);
    let files = metrics.gauge("baluarte_process_open_fds", "Open files and sockets.", &[]);
    let max_files = metrics.gauge("baluarte_process_max_fds", "The most files and sockets the process may open.", &[]);
    let uptime = metrics.gauge("baluarte_process_uptime_seconds", "How long the process has been running.", &[]);
    let cpu = metrics.seconds_counter("baluarte_process_cpu_seconds_total", "Processor time used, by user and system.");
    let begun = Instant::now();
    metrics.on_scrape(move || {
        resident.set(resident_bytes().unwrap_or(0));
        files.set(fs::read_dir("/proc/self/fd").map_or(0, |entries| i64::try_from(entries.count()).unwrap_or(i64::MAX)));
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        max_files.set(limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX)));
        uptime.set(i64::try_from(begun.elapsed().as_secs()).unwrap_or(i64::MAX));
        cpu.add(cpu_micros().unwrap_or(0).saturating_sub(cpu.get()));
    });
}

fn resident_bytes() -> Option<i64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(i64::try_from(rustix::param::page_size()).ok()?)
}

fn cpu_micros() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name, in parentheses, may hold anything; the fields begin after it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()?.checked_add(fields.next()?.parse().ok()?)?;
    ticks.checked_mul(1_000_000)?.checked_div(rustix::param::clock_ticks_per_second())
}
