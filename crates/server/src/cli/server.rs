//! `serve`, `worker`, `demo`, `migrate`, `healthcheck`.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    str::FromStr,
    time::Duration,
};

use baluarte_edge::ProxyProtocol;
use clap::Args;

use super::{Failure, Global, print};
use crate::{
    config::{ListenAddr, ServerConfig},
    demo,
    serve::{self, Mode},
    start,
};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// What this process does: web, worker, or both
    #[arg(long, value_name = "ROLES", default_value = "web,worker")]
    roles: RoleList,
    /// Where to listen: --listen 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct RoleList(Mode);

impl FromStr for RoleList {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut roles = Mode { web: false, worker: false, hangup_stops: false };
        for role in text.split(',').map(str::trim) {
            match role {
                "web" => roles.web = true,
                "worker" => roles.worker = true,
                other => return Err(format!("there is no role {other:?}; write web, worker, or web,worker")),
            }
        }
        Ok(Self(roles))
    }
}

impl Serve {
    pub(super) fn worker() -> Self {
        Self { roles: RoleList(Mode { web: false, ..Mode::default() }), listen: None }
    }

    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let mut inputs = global.inputs();
        inputs.flags.extend(self.listen.map(|listen| ("--listen".to_owned(), "server.listen".to_owned(), listen)));
        let loaded = crate::config::load(&inputs).map_err(|invalid| Failure::Usage(invalid.to_string()))?;
        serve::run(loaded, &inputs, self.roles.0, |_| {}).map_err(Failure::chain)
    }
}

#[derive(Debug, Args)]
pub(super) struct Migrate {}

impl Migrate {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let config = global.load()?.config;
        let runtime = serve::control_runtime().map_err(Failure::chain)?;
        let applied = runtime.block_on(start::migrate_alone(&config, start::DATABASE_PATIENCE)).map_err(Failure::chain)?;
        let mut out = String::new();
        for step in &applied {
            let _ = writeln!(out, "applied {step}");
        }
        if applied.is_empty() {
            out.push_str("the database is up to date\n");
        }
        print(&out)
    }
}

#[derive(Debug, Args)]
pub(super) struct Healthcheck {}

impl Healthcheck {
    /// By hand over a socket: this runs every few seconds in a container and is to cost nothing.
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let config = global.load()?.config;
        let address = local(config.server.listen.0);
        let host = if config.server.own_host.is_empty() { address.to_string() } else { config.server.own_host.clone() };
        let status = ask(address, &host, &config.server).map_err(|err| Failure::Failed(format!("no answer from {address}: {err}")))?;
        if status.starts_with("HTTP/1.1 200") {
            return Ok(());
        }
        Err(Failure::Failed(format!("{address} answered {status:?}")))
    }
}

fn ask(address: SocketAddr, host: &str, server: &ServerConfig) -> std::io::Result<String> {
    let wait = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&address, wait)?;
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    let me = stream.local_addr()?.ip();
    if server.proxy_protocol == ProxyProtocol::Required && server.trusted_proxies.iter().any(|network| network.0.contains(&me)) {
        // Asked of everybody who is trusted; it speaks for nobody but itself.
        stream.write_all(b"PROXY UNKNOWN\r\n")?;
    }
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(4_096).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}

/// Where this machine reaches a server that listens there.
fn local(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    SocketAddr::new(ip, listen.port())
}

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where the demo listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: ListenAddr,
}

impl Demo {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut listen = self.listen.0;
        if listen.port() == 0 {
            // Links name the port, so it has to be known before anything is built.
            listen = std::net::TcpListener::bind(listen)?.local_addr()?;
        }
        // A closed terminal ends the demo; that it cannot be told so any more is no reason to leave things behind.
        demo::run(demo::Options { listen }, |text| drop(print(text))).map_err(Failure::chain)
    }
}
