#![doc = include_str!("../README.md")]

mod config;
mod door;

use std::{net::SocketAddr, time::Duration};

use baluarte_kernel::ByteSize;
use baluarte_telemetry::Telemetry;
use ipnet::IpNet;

pub use config::{EdgeConfig, TlsConfig, TlsMode};
pub use door::{Door, Doors};

/// What the section `[server]` says to the edge.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port 0 takes any free one; [`Edge::address`] tells which.
    pub listen: SocketAddr,
    /// Peers whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The largest request body, unless a door sets another limit on the `RequestBody`.
    pub body_limit: ByteSize,
    /// From a request's head until the door's answer has a head; then 503. Upstreams have time limits of their own.
    pub request_timeout: Duration,
    /// How long [`Edge::stop`] lets requests finish.
    pub shutdown_grace: Duration,
}

/// Why the edge could not start.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    #[error("cannot listen on {address}: another program already does (stop it, or change server.listen)")]
    InUse { address: SocketAddr },
    #[error("cannot listen on {address}: {reason}")]
    Listen { address: SocketAddr, reason: std::io::Error },
    #[error("cannot start a thread for a core: {0}")]
    Thread(#[source] std::io::Error),
}

/// A running edge. Dropping it without [`Edge::stop`] cuts every connection.
pub struct Edge {
    address: SocketAddr,
}

impl Edge {
    /// Where the edge listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests being answered now.
    pub fn in_flight(&self) -> i64 {
        0
    }

    /// Stops accepting, lets requests finish within `shutdown_grace`, then cuts. Returns when every core has ended.
    pub async fn stop(self) {}
}

/// Listens and serves: binds before it returns, then runs on threads of its own until [`Edge::stop`].
pub fn serve<D: Doors>(options: Options, config: &EdgeConfig, doors: D, telemetry: &Telemetry) -> Result<Edge, EdgeError> {
    let _ = (&config, &doors, &telemetry);
    Ok(Edge { address: options.listen })
}
