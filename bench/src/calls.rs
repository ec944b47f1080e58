//! What recording every call in the audit log costs.

use std::{thread::sleep, time::Duration};

use anyhow::{Context as _, Result, bail};

use crate::{
    Plan, http,
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
    let (mut ratios, mut asked) = (Vec::new(), 0.0);
    for connections in CONNECTIONS {
        for (name, peer) in &peers {
            let (_, report) = sample(cores, peer, connections, 1)?;
            asked += if *name == "all" { report.requests } else { 0.0 };
        }
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..plan.rounds {
            for ((_, peer), samples) in peers.iter().zip(&mut samples) {
                samples.push(sample(cores, peer, connections, plan.seconds)?);
            }
        }
        asked += samples[1].iter().map(|(_, report)| report.requests).sum::<f64>();
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
    let [recorded, lost, batches] = written(&peers[1].1)?;
    println_all(&format!("\nOf {asked:.0} answered requests {recorded} are in the audit log, in {batches} batches; {lost} were lost."));
    if (recorded + lost) < asked {
        bail!("some requests were neither recorded nor counted as lost");
    }
    Ok(())
}

/// What the recorder says of itself. Clients that leave at the end of a measurement are recorded, too.
fn written(peer: &Peer) -> Result<[f64; 3]> {
    let (_, text) = http::request(peer.server.metrics.context("no metrics")?, "GET", "/metrics", &[], "")?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        line.with_context(|| format!("the metrics do not have {name}"))
    };
    let name = |what: &str| format!("baluarte_audit_calls_{what}_total");
    Ok([value(&name("recorded"))?, value(&name("lost"))?, value(&name("batches"))?])
}

fn sample(cores: &Cores, peer: &Peer, connections: usize, seconds: u32) -> Result<(f64, wrk::Report)> {
    let before = peer.server.cpu_seconds();
    let report = wrk::run(cores, peer.server.port, peer.path, &peer.headers, connections, seconds).context(peer.path)?;
    sleep(WRITTEN);
    Ok(((peer.server.cpu_seconds() - before) * 1e6 / report.requests, report))
}
