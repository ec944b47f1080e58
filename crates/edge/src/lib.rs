#![doc = include_str!("../README.md")]

mod body;
mod client;
mod config;
mod connection;
mod core;
mod door;
mod headers;
mod http1;
mod http2;
mod listener;
pub mod problems;
mod proxy_protocol;
mod request_id;
mod rules;
mod run;
mod service;
mod stats;
mod tls;
mod unread;
mod wire;

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use baluarte_kernel::ByteSize;
use baluarte_telemetry::Telemetry;
use baluarte_web::Site;
use ipnet::IpNet;
use tokio::sync::watch;

pub use config::{EdgeConfig, TlsConfig, TlsMode};
pub use door::{Door, Doors};
pub use proxy_protocol::ProxyProtocol;

use listener::Admission;
use run::Plan;

/// What the section `[server]` says to the edge.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port 0 takes any free one; [`Edge::address`] tells which.
    pub listen: SocketAddr,
    /// Peers whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether those tell their client's address before the first request.
    pub proxy_protocol: ProxyProtocol,
    /// The largest request body, unless a door sets another limit on the `RequestBody`.
    pub body_limit: ByteSize,
    /// From a request's head until the answer's head, for requests that the door calls timed ([`Door::is_timed`]); then 503.
    pub request_timeout: Duration,
    /// How long [`Edge::stop`] lets requests finish.
    pub shutdown_grace: Duration,
    /// For the pages that tell people what went wrong.
    pub site: Site,
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
    stop: watch::Sender<bool>,
    admission: Arc<Admission>,
}

impl Edge {
    /// Where the edge listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.admission.open()
    }

    /// Stops accepting, lets requests finish within `shutdown_grace`, then cuts. Returns when every core has ended.
    pub async fn stop(self) {
        // Each core holds a receiver until its runtime is gone.
        self.stop.send_replace(true);
        self.stop.closed().await;
    }
}

/// Listens and serves: binds before it returns, then runs on threads of its own until [`Edge::stop`].
pub fn serve<D: Doors>(options: Options, config: &EdgeConfig, doors: D, telemetry: &Telemetry) -> Result<Edge, EdgeError> {
    let cores = match config.cores {
        0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        cores => cores,
    };
    let (address, listeners) = listener::bind(options.listen, cores)?;
    let admission = Arc::new(Admission::new(config.max_connections, config.max_connections_per_client));
    let open = telemetry.metrics.gauge("baluarte_edge_connections_open", "Connections open now.", &[]);
    let counted = Arc::clone(&admission);
    telemetry.metrics.on_scrape(move || open.set(i64::try_from(counted.open()).unwrap_or(i64::MAX)));
    let plan = Arc::new(Plan {
        options: Arc::new(options),
        config: config.clone(),
        doors: Arc::new(doors),
        telemetry: telemetry.clone(),
        admission: Arc::clone(&admission),
    });
    let (stop, stopped) = watch::channel(false);
    for (number, listener) in listeners.into_iter().enumerate() {
        run::start(Arc::clone(&plan), number, listener, stopped.clone())?;
    }
    Ok(Edge { address, stop, admission })
}
