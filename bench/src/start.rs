//! How long until the first healthy answer, and how much memory an idle server holds.

use std::{thread::sleep, time::Duration, time::Instant};

use anyhow::{Result, bail};

use crate::{
    Plan, http,
    machine::Cores,
    peers::{Baluarte, upstream},
    process::Folder,
    throughput::{median, println_all},
};

pub(crate) fn measure(plan: &Plan, folder: &Folder) -> Result<()> {
    let cores = Cores { proxy: None, load: None, proxy_count: 1 };
    let app = upstream(&cores, folder)?;
    let baluarte = Baluarte::prepare(plan, folder, "start", app.port, 1)?;
    let mut samples = Vec::new();
    for _ in 0..plan.rounds {
        let begun = Instant::now();
        let server = baluarte.start(|bin| cores.for_proxy(bin))?;
        while !http::request(server.port, "GET", "/healthz", &[], "").is_ok_and(|(status, _)| status == 200) {
            if begun.elapsed() > Duration::from_secs(20) {
                bail!("no healthy answer");
            }
            sleep(Duration::from_millis(1));
        }
        let healthy_ms = begun.elapsed().as_secs_f64() * 1e3;
        // At rest: what start-up needed for a moment is given back by now.
        sleep(Duration::from_secs(2));
        samples.push((healthy_ms, server.resident_mib()));
    }
    println_all(&format!(
        "\n| at rest, existing database | measured | at most |\n| --- | --- | --- |\n| start to first healthy answer | {:.0} ms | 300 ms |\n| resident memory | {:.1} MiB | 40 MiB |",
        median(&samples, |sample| sample.0),
        median(&samples, |sample| sample.1)
    ));
    Ok(())
}
