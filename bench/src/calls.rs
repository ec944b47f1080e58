//! What recording every call in the audit log costs.

use std::{thread::sleep, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    Plan,
    machine::Cores,
    peers::{Baluarte, Peer, upstream},
    process::Folder,
    throughput::{median, println_all},
    wrk,
};

const CONNECTIONS: [usize; 2] = [64, 512];
/// By then the last calls of a measurement are written, and what that cost is counted.
const WRITTEN: Duration = Duration::from_millis(1_500);
const GOAL: f64 = 1.1;

/// The same route with everything on, with and without `audit = "all"`, in two processes that take turns. The whole process
/// counts: hashing, packing and writing to SQLite are in the figures.
pub(crate) fn measure(plan: &Plan, cores: &Cores, folder: &Folder) -> Result<()> {
    let app = upstream(cores, folder)?;
    let peers = [("none", "/full"), ("all", "/audited")].map(|(name, path)| {
        let peer = Baluarte::prepare(plan, folder, &format!("audit-{name}"), app.port, 1)?.peer(cores, path)?;
        anyhow::Ok((name, peer))
    });
    let [none, all] = peers;
    let peers = [none?, all?];
    println_all(
        "\n| audit | connections | CPU µs/request | requests/s | p50 ms | p99 ms | peak MiB |\n| --- | --- | --- | --- | --- | --- | --- |",
    );
    let mut ratios = Vec::new();
    for connections in CONNECTIONS {
        for (_, peer) in &peers {
            sample(cores, peer, connections, 1)?;
        }
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..plan.rounds {
            for ((_, peer), samples) in peers.iter().zip(&mut samples) {
                samples.push(sample(cores, peer, connections, plan.seconds)?);
            }
        }
        let cpu = samples.each_ref().map(|samples| median(samples, |(cpu_us, _)| *cpu_us));
        for (((name, peer), samples), cpu_us) in peers.iter().zip(&samples).zip(cpu) {
            println_all(&format!(
                "| {name} | {connections} | {cpu_us:.1} | {:.0} | {:.2} | {:.2} | {:.0} |",
                median(samples, |(_, report)| report.per_second),
                median(samples, |(_, report)| report.p50_ms),
                median(samples, |(_, report)| report.p99_ms),
                peer.server.peak_mib(),
            ));
        }
        ratios.push((connections, cpu[1] / cpu[0]));
    }
    println_all("\n| CPU per request, ratio | connections | measured | at most |\n| --- | --- | --- | --- |");
    for (connections, ratio) in ratios {
        let verdict = if ratio <= GOAL { "" } else { " (missed)" };
        println_all(&format!("| audit = \"all\" / \"none\" | {connections} | {ratio:.2}{verdict} | {GOAL:.1} |"));
    }
    Ok(())
}

fn sample(cores: &Cores, peer: &Peer, connections: usize, seconds: u32) -> Result<(f64, wrk::Report)> {
    let before = peer.server.cpu_seconds();
    let report = wrk::run(cores, peer.server.port, peer.path, &peer.headers, connections, seconds).context(peer.path)?;
    sleep(WRITTEN);
    Ok(((peer.server.cpu_seconds() - before) * 1e6 / report.requests, report))
}
