//! What a hundred people signing in at once do to everybody else.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Result, bail};

use crate::{
    Plan, http,
    machine::Cores,
    peers::{Baluarte, PASSWORD, PEOPLE, email, upstream},
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
    let (over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let refused: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let report = thread::scope(|scope| {
        for person in 0..PARALLEL {
            let (over, done, refused) = (&over, &done, &refused);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    match http::sign_in(port, &email(person % PEOPLE), PASSWORD) {
                        Ok(_) => drop(done.fetch_add(1, Ordering::Relaxed)),
                        Err(err) => {
                            *refused.lock().unwrap_or_else(PoisonError::into_inner).entry(err.to_string()).or_default() += 1;
                            // Nobody types faster.
                            thread::sleep(Duration::from_millis(200));
                        }
                    }
                }
            });
        }
        let report = load();
        over.store(true, Ordering::Relaxed);
        report
    })?;
    let refused = refused.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (why, count) in &refused {
        eprintln!("{count} sign-ins were turned away: {why}");
    }
    let done = done.into_inner();
    if done == 0 {
        bail!("no sign-in succeeded");
    }
    Ok((report, done))
}
