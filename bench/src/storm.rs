//! What a hundred people signing in at once do to everybody else.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    Plan, http,
    machine::Cores,
    peers::{Baluarte, PASSWORD, email, upstream},
    process::Folder,
    throughput::{median, println_all},
    wrk,
};

const PARALLEL: usize = 100;
const CONNECTIONS: usize = 64;

pub(crate) fn measure(plan: &Plan, cores: &Cores, folder: &Folder) -> Result<()> {
    let app = upstream(cores, folder)?;
    let baluarte = Baluarte::prepare(plan, folder, "storm", app.port, PARALLEL)?;
    let [_, peer] = baluarte.peers(cores)?;
    cores.keep_away()?;
    let load = || wrk::run(cores, peer.server.port, peer.path, &peer.headers, CONNECTIONS, plan.seconds);
    load()?;
    let (mut quiet, mut storm) = (Vec::new(), Vec::new());
    let mut sign_ins = SignIns::default();
    for _ in 0..plan.rounds {
        quiet.push(load()?);
        storm.push(during_storm(peer.server.port, &mut sign_ins, load)?);
    }
    let p99 = |reports: &[wrk::Report]| median(reports, |report| report.p99_ms);
    let p50 = |reports: &[wrk::Report]| median(reports, |report| report.p50_ms);
    let rate = |reports: &[wrk::Report]| median(reports, |report| report.per_second);
    println_all(&format!(
        "\n{PARALLEL} sign-ins at a time against gateway traffic on {CONNECTIONS} connections, as fast as it goes\n\n\
         | | requests/s | p50 ms | p99 ms |\n| --- | --- | --- | --- |\n| quiet | {:.0} | {:.2} | {:.2} |\n| storm | {:.0} | {:.2} | {:.2} |\n| p99 ratio (at most 2.0) | | | {:.2} |\n",
        rate(&quiet),
        p50(&quiet),
        p99(&quiet),
        rate(&storm),
        p50(&storm),
        p99(&storm),
        p99(&storm) / p99(&quiet)
    ));
    sign_ins.print();
    let alone = SignIns::alone(peer.server.port, plan.seconds)?;
    println_all(&format!(
        "\nWithout other traffic: {:.1} sign-ins/s, median {:.2} s",
        alone.per_second(),
        median(&alone.waits, Duration::as_secs_f64)
    ));
    if sign_ins.waits.is_empty() {
        bail!("no sign-in succeeded");
    }
    Ok(())
}

/// How the sign-ins of all storms were answered.
#[derive(Default)]
struct SignIns {
    seconds: f64,
    /// Of those that succeeded.
    waits: Vec<Duration>,
    /// Status and problem code.
    refused: BTreeMap<String, usize>,
}

impl SignIns {
    fn per_second(&self) -> f64 {
        self.waits.len() as f64 / self.seconds
    }

    fn print(&self) {
        println_all("| sign-ins answered | count | per second | median s | longest s |\n| --- | --- | --- | --- | --- |");
        println_all(&format!(
            "| 200 | {} | {:.1} | {:.2} | {:.2} |",
            self.waits.len(),
            self.per_second(),
            median(&self.waits, Duration::as_secs_f64),
            self.waits.iter().max().copied().unwrap_or_default().as_secs_f64()
        ));
        for (answer, count) in &self.refused {
            println_all(&format!("| {answer} | {count} | {:.1} | | |", *count as f64 / self.seconds));
        }
    }

    /// A storm with nothing else to do.
    fn alone(port: u16, seconds: u32) -> Result<Self> {
        let mut sign_ins = Self::default();
        during_storm(port, &mut sign_ins, || {
            thread::sleep(Duration::from_secs(seconds.into()));
            Ok(())
        })?;
        Ok(sign_ins)
    }
}

/// Each of the hundred, with an account of their own, signs in again as soon as they have, until the measurement ends.
/// Answers that come later do not count: by then nobody was in their way.
fn during_storm<T>(port: u16, sign_ins: &mut SignIns, load: impl FnOnce() -> Result<T>) -> Result<T> {
    let (over, begun) = (AtomicBool::new(false), Instant::now());
    let answers = Mutex::new(sign_ins);
    thread::scope(|scope| {
        for person in 0..PARALLEL {
            let (over, answers) = (&over, &answers);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    let refusal = refusal(http::attempt_sign_in(port, &email(person), PASSWORD));
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(why) = refusal else {
                        answers.waits.push(asked.elapsed());
                        continue;
                    };
                    *answers.refused.entry(why).or_default() += 1;
                    drop(answers);
                    // Nobody types faster.
                    thread::sleep(Duration::from_millis(200));
                }
            });
        }
        let report = load();
        answers.lock().unwrap_or_else(PoisonError::into_inner).seconds += begun.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        report
    })
}

/// Status and problem code, without the request's id, so that equal refusals can be counted.
fn refusal(answer: Result<(u16, String)>) -> Option<String> {
    match answer {
        Ok((200, _)) => None,
        Ok((status, text)) => {
            let code = text.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            Some(format!("{status} {code}"))
        }
        Err(err) => Some(err.to_string()),
    }
}
