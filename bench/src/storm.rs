//! What a hundred people signing in at once do to everybody else.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use anyhow::{Result, bail};

use crate::{
    Plan, http,
    machine::Cores,
    peers::{Baluarte, EMAIL, PASSWORD, upstream},
    process::Folder,
    throughput::{median, println_all},
    wrk,
};

const PARALLEL: usize = 100;
const CONNECTIONS: usize = 64;

pub(crate) fn measure(plan: &Plan, cores: &Cores, folder: &Folder) -> Result<()> {
    let app = upstream(cores, folder)?;
    let baluarte = Baluarte::prepare(plan, folder, "storm", app.port)?;
    let [_, peer] = baluarte.peers(cores)?;
    let load = || wrk::run(cores, peer.server.port, peer.path, &peer.headers, CONNECTIONS, plan.seconds);
    load()?;
    let (mut quiet, mut storm, mut signed_in) = (Vec::new(), Vec::new(), 0);
    for _ in 0..plan.rounds {
        quiet.push(load()?);
        let (report, count) = during_storm(peer.server.port, load)?;
        storm.push(report);
        signed_in += count;
    }
    let p99 = |reports: &[wrk::Report]| median(reports, |report| report.p99_ms);
    let p50 = |reports: &[wrk::Report]| median(reports, |report| report.p50_ms);
    let rate = |reports: &[wrk::Report]| median(reports, |report| report.per_second);
    println_all(&format!(
        "\n{PARALLEL} sign-ins at a time ({signed_in} in all) against gateway traffic on {CONNECTIONS} connections\n\n\
         | | requests/s | p50 ms | p99 ms |\n| --- | --- | --- | --- |\n| quiet | {:.0} | {:.2} | {:.2} |\n| storm | {:.0} | {:.2} | {:.2} |\n| p99 ratio (at most 2.0) | | | {:.2} |",
        rate(&quiet),
        p50(&quiet),
        p99(&quiet),
        rate(&storm),
        p50(&storm),
        p99(&storm),
        p99(&storm) / p99(&quiet)
    ));
    Ok(())
}

/// Every one of the hundred signs in again as soon as it has, until the measurement ends.
fn during_storm<T>(port: u16, load: impl FnOnce() -> Result<T>) -> Result<(T, usize)> {
    let (over, done, failed) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let report = thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let counter = if http::sign_in(port, EMAIL, PASSWORD).is_ok() { &done } else { &failed };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let report = load();
        over.store(true, Ordering::Relaxed);
        report
    })?;
    let (done, failed) = (done.into_inner(), failed.into_inner());
    // Some may be turned away (503) when the waiting line is full; a storm in which most are is not one.
    if done == 0 {
        bail!("no sign-in succeeded, {failed} failed");
    }
    if failed > 0 {
        eprintln!("{failed} of {} sign-ins were turned away", done + failed);
    }
    Ok((report, done))
}
