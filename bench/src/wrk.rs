//! The load generator, and what it reports.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::machine::Cores;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Keeps `connections` busy with the same request; fails when any answer was not a success.
pub(crate) fn run(cores: &Cores, port: u16, path: &str, headers: &[String], connections: usize, seconds: u32) -> Result<Report> {
    let mut wrk = cores.for_load("wrk");
    wrk.args(["--latency", "-t", "2", "-c", &connections.to_string(), "-d", &format!("{seconds}s"), "--timeout", "10s"]);
    for header in headers {
        wrk.args(["-H", header]);
    }
    let output = wrk.arg(format!("http://127.0.0.1:{port}{path}")).stdin(Stdio::null()).output().context("cannot start wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || text.contains("Non-2xx") || text.contains("Socket errors") {
        bail!("wrk on {path} with {connections} connections:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    parse(&text).with_context(|| format!("cannot read wrk's report:\n{text}"))
}

fn parse(text: &str) -> Option<Report> {
    let after = |label: &str| text.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim);
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in ")).and_then(|(count, _)| count.parse().ok())?;
    Some(Report {
        requests,
        per_second: after("Requests/sec:")?.parse().ok()?,
        p50_ms: milliseconds(after("50%")?)?,
        p99_ms: milliseconds(after("99%")?)?,
    })
}

fn milliseconds(text: &str) -> Option<f64> {
    let (number, units_per_ms) = if let Some(number) = text.strip_suffix("us") {
        (number, 1_000.0)
    } else if let Some(number) = text.strip_suffix("ms") {
        (number, 1.0)
    } else {
        (text.strip_suffix('s')?, 0.001)
    };
    Some(number.parse::<f64>().ok()? / units_per_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let text = "  Latency Distribution\n     50%  412.00us\n     75%  1.0ms\n     99%    1.20ms\n  355221 requests in 4.00s, 1.2GB read\nRequests/sec:  88798.11\n";
        assert_eq!(parse(text), Some(Report { requests: 355_221.0, per_second: 88_798.11, p50_ms: 0.412, p99_ms: 1.2 }));
    }
}
