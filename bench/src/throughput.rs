//! CPU per request, throughput and latency of each proxy.

use anyhow::{Context as _, Result};

use crate::{
    Plan,
    machine::Cores,
    peers::{Baluarte, Peer, full_nginx, haproxy, plain_nginx, upstream},
    process::Folder,
    wrk,
};

const CONNECTIONS: [usize; 2] = [64, 512];

/// One measurement of one peer.
#[derive(Clone, Copy)]
struct Sample {
    cpu_us: f64,
    report: wrk::Report,
}

pub(crate) fn measure(plan: &Plan, cores: &Cores, folder: &Folder) -> Result<()> {
    let app = upstream(cores, folder)?;
    let baluarte = Baluarte::prepare(plan, folder, "throughput", app.port, 1)?;
    let [public, full] = baluarte.peers(cores)?;
    let peers =
        [plain_nginx(cores, folder, app.port)?, haproxy(cores, folder, app.port)?, public, full_nginx(cores, folder, app.port)?, full];
    println_all(&format!(
        "Medians of {} rounds of {} s, peers taking turns within a round; HTTP/1.1 keep-alive on loopback, 200-byte answer.\n\
         CPU: user + system time of the proxy's own processes, divided by requests.\n\n\
         | proxy | connections | CPU µs/request | requests/s | p50 ms | p99 ms | peak MiB |\n| --- | --- | --- | --- | --- | --- | --- |",
        plan.rounds, plan.seconds
    ));
    let mut cpu = Vec::new();
    for connections in CONNECTIONS {
        for peer in &peers {
            sample(cores, peer, connections, 1)?;
        }
        let mut samples: Vec<Vec<Sample>> = peers.iter().map(|_| Vec::new()).collect();
        for _ in 0..plan.rounds {
            for (peer, samples) in peers.iter().zip(&mut samples) {
                samples.push(sample(cores, peer, connections, plan.seconds)?);
            }
        }
        let medians: Vec<f64> = samples.iter().map(|samples| median(samples, |sample| sample.cpu_us)).collect();
        for ((peer, samples), cpu_us) in peers.iter().zip(&samples).zip(&medians) {
            println_all(&format!(
                "| {} | {connections} | {cpu_us:.1} | {:.0} | {:.2} | {:.2} | {:.0} |",
                peer.name,
                median(samples, |sample| sample.report.per_second),
                median(samples, |sample| sample.report.p50_ms),
                median(samples, |sample| sample.report.p99_ms),
                peer.server.peak_mib(),
            ));
        }
        cpu.push((connections, medians));
    }
    println_all("\n| CPU per request, ratio | connections | measured | at most |\n| --- | --- | --- | --- |");
    for (connections, medians) in cpu {
        let [plain, haproxy, public, nginx, full] = medians[..] else { continue };
        for (what, ratio, bound) in [
            ("everything on / nginx with limit_req + log", full / nginx, 1.0),
            ("public / plain nginx", public / plain, 1.2),
            ("public / HAProxy", public / haproxy, 1.0),
        ] {
            let verdict = if ratio <= bound { "" } else { " (missed)" };
            println_all(&format!("| {what} | {connections} | {ratio:.2}{verdict} | {bound:.1} |"));
        }
    }
    Ok(())
}

fn sample(cores: &Cores, peer: &Peer, connections: usize, seconds: u32) -> Result<Sample> {
    let before = peer.server.cpu_seconds();
    let report = wrk::run(cores, peer.server.port, peer.path, &peer.headers, connections, seconds).context(peer.name)?;
    let cpu_us = (peer.server.cpu_seconds() - before) * 1e6 / report.requests;
    Ok(Sample { cpu_us, report })
}

pub(crate) fn median<T>(samples: &[T], of: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The table is this program's product: it goes to standard output, remarks to standard error.
#[expect(clippy::print_stdout, reason = "the one place where the table leaves the program")]
pub(crate) fn println_all(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(&[3.0, 1.0, 2.0], |value| *value), 2.0);
    }
}
