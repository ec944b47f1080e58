//! Tries what the configuration names: `check --live` and `doctor`.

use std::{net::SocketAddr, path::Path, time::Duration};

use baluarte_backplane::{Backplane, Status};
use baluarte_db::Db;
use baluarte_kernel::Clock;
use baluarte_notify::Channel;
use http::Uri;
use serde::Serialize;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use crate::{components, config::Config};

/// How long one part may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Free space below which a running database is in danger.
const LITTLE_DISK: u64 = 512 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Pass,
    Warn,
    Fail,
}

/// What became of one try.
#[derive(Debug, Serialize)]
pub(crate) struct Probe {
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    /// What was seen.
    pub(crate) detail: String,
    /// What to do about it; empty when nothing is to be done.
    pub(crate) hint: String,
}

/// All tries, one after the other; each ends within seconds.
pub(crate) async fn probe(config: &Config) -> Vec<Probe> {
    let mut probes = vec![listen("server.listen", config.server.listen.0)];
    if let Some(address) = config.server.metrics_addr() {
        probes.push(listen("server.metrics_listen", address));
    }
    probes.push(database(config).await);
    if !config.cluster.redis_url.is_empty() {
        probes.push(redis(config).await);
    }
    probes.extend(messages(config).await);
    probes.extend(providers(config).await);
    for (name, upstream) in &config.gateway.upstreams {
        for server in &upstream.servers {
            probes.push(server_of(name, server).await);
        }
    }
    probes.push(disk(config));
    probes
}

fn pass(name: impl Into<String>, detail: impl Into<String>) -> Probe {
    Probe { name: name.into(), outcome: Outcome::Pass, detail: detail.into(), hint: String::new() }
}

fn warn(name: impl Into<String>, detail: impl Into<String>, hint: impl Into<String>) -> Probe {
    Probe { name: name.into(), outcome: Outcome::Warn, detail: detail.into(), hint: hint.into() }
}

fn fail(name: impl Into<String>, detail: impl Into<String>, hint: impl Into<String>) -> Probe {
    Probe { name: name.into(), outcome: Outcome::Fail, detail: detail.into(), hint: hint.into() }
}

fn listen(name: &str, address: SocketAddr) -> Probe {
    match std::net::TcpListener::bind(address) {
        Ok(_) => pass(name, format!("{address} is free")),
        Err(err) if err.kind() == std::io::ErrorKind::AddrInUse => {
            warn(name, format!("{address} is in use"), "right if Baluarte is running already; otherwise stop the other program")
        }
        Err(err) => fail(
            name,
            format!("cannot listen on {address}: {err}"),
            "ports below 1024 need a privilege, and the address has to be this machine's",
        ),
    }
}

async fn database(config: &Config) -> Probe {
    let place = config.database.place();
    // Opening creates a missing SQLite file; looking is to leave nothing behind.
    if let Some(file) = place.strip_prefix("sqlite:")
        && !Path::new(file).exists()
    {
        return pass("database", format!("{place} does not exist yet and will be created"));
    }
    let hint = "is it running, and do address, user and password fit?";
    match timeout(PATIENCE * 2, Db::open(&config.database)).await {
        Ok(Ok(db)) => {
            let answer = db.ping().await;
            db.close().await;
            if answer.is_ok()
                && let Ok(Err(err)) = timeout(PATIENCE, Db::check_version(&config.database, components::MIGRATIONS)).await
            {
                return fail("database", with_place(&place, &err), "`serve` would refuse to start with it");
            }
            match answer {
                Ok(()) => pass("database", format!("{place} answers")),
                Err(err) => fail("database", with_place(&place, &err), hint),
            }
        }
        Ok(Err(err)) => fail("database", with_place(&place, &err), hint),
        Err(_) => fail("database", format!("{place} does not answer"), hint),
    }
}

async fn redis(config: &Config) -> Probe {
    let hint = "is it running, and do address and password fit?";
    let backplane = match Backplane::connect(&config.cluster, Clock::System).await {
        Ok(backplane) => backplane,
        Err(err) => return fail("redis", err.to_string(), hint),
    };
    let connected = async {
        while backplane.status() != Status::Connected {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    match timeout(PATIENCE, connected).await {
        Ok(()) => pass("redis", "answers"),
        Err(_) => fail("redis", "does not answer", hint),
    }
}

/// Signs in at every provider of messages, and sends nothing.
async fn messages(config: &Config) -> Vec<Probe> {
    let mut probes = Vec::new();
    if !config.notify.sends_mail() {
        let hint = "nobody can reset a password: set EMAIL_FROM, and SMTP_URL or SENDGRID_API_KEY";
        probes.push(warn("mail", "no provider is configured", hint));
    }
    match baluarte_notify::check_providers(&config.notify, config.server.public_url.as_str()).await {
        Ok(checks) => probes.extend(checks.into_iter().map(|check| {
            let name = match check.channel {
                Channel::Email => format!("mail {}", check.provider),
                Channel::Sms => format!("sms {}", check.provider),
            };
            match check.result {
                Ok(detail) => pass(name, detail),
                Err(detail) => fail(name, detail, "do address and credentials fit, and does a firewall let this machine out?"),
            }
        })),
        Err(err) => probes.push(fail("messages", err.to_string(), "correct the section [notify]")),
    }
    probes
}

/// Asks those whose accounts sign people in here what they publish, and signs nobody in.
async fn providers(config: &Config) -> Vec<Probe> {
    let public_url = config.server.public_url.as_str();
    match baluarte_identity::check_providers(&config.identity.providers, public_url, Clock::System.now()).await {
        Ok(checks) => {
            let probe = |(name, result): (String, Result<String, String>)| match result {
                Ok(detail) => pass(format!("provider {name}"), detail),
                Err(detail) => fail(format!("provider {name}"), detail, "is the address right, and does a firewall let this machine out?"),
            };
            checks.into_iter().map(probe).collect()
        }
        Err(err) => vec![fail("providers", err.to_string(), "calls to the outside need TLS on this machine")],
    }
}

async fn server_of(upstream: &str, server: &str) -> Probe {
    let name = format!("upstream {upstream}");
    let Ok(uri) = server.parse::<Uri>() else {
        return fail(name, format!("{server:?} cannot be read"), "write http://HOST:PORT");
    };
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let reached = async {
        let address = lookup_host((host.as_str(), port)).await?.next().ok_or(std::io::ErrorKind::NotFound)?;
        TcpStream::connect(address).await
    };
    let hint = "requests to it get 502 until it runs";
    match timeout(PATIENCE, reached).await {
        Ok(Ok(_)) => pass(name, format!("{server} accepts connections")),
        Ok(Err(err)) => fail(name, format!("{server}: {err}"), hint),
        Err(_) => fail(name, format!("{server} does not answer"), hint),
    }
}

fn disk(config: &Config) -> Probe {
    let place = config.database.place();
    let folder = place.strip_prefix("sqlite:").and_then(|file| Path::new(file).parent()).filter(|folder| folder.is_dir());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    match rustix::fs::statvfs(folder) {
        Ok(stats) => {
            let free = stats.f_bavail.saturating_mul(stats.f_frsize);
            let detail = format!("{} MiB free at {}", free >> 20, folder.display());
            if free < LITTLE_DISK { warn("disk", detail, "a full disk stops every write: make room") } else { pass("disk", detail) }
        }
        Err(err) => warn("disk", format!("{}: {err}", folder.display()), "the free space could not be read"),
    }
}

/// Most of these errors name the place themselves.
fn with_place(place: &str, err: &dyn std::error::Error) -> String {
    let told = chain(err);
    if told.contains(place) { told } else { format!("{place}: {told}") }
}

fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
