//! A running server: what is started in which order, which signals it obeys, how it stops.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use baluarte_audit::Recorder;
use baluarte_component::{Kit, Tasks};
use baluarte_db::DbError;
use baluarte_edge::{Edge, Options};
use baluarte_gateway::Gateway;
use baluarte_identity::Identity;
use baluarte_jobs::Shift;
use baluarte_kernel::{Clock, Ctx};
use baluarte_telemetry::{Metrics, Telemetry, serve_metrics};
use baluarte_web::Site;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{
    app, components,
    config::{Config, Inputs, Loaded},
    doors::{App, FrontDoors},
    lifecycle::Life,
    reload::reload,
    start,
    surface::Surface,
};

/// What this process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode {
    /// Answers HTTP.
    pub(crate) web: bool,
    /// Delivers messages and does other deferred work.
    pub(crate) worker: bool,
    /// SIGHUP ends it, as a closed terminal should end a demo, instead of reloading the configuration.
    pub(crate) hangup_stops: bool,
}

impl Default for Mode {
    fn default() -> Self {
        Self { web: true, worker: true, hangup_stops: false }
    }
}

/// Serves until it is told to stop. `ready` hears where it listens, once it does.
pub(crate) fn run(loaded: Loaded, inputs: &Inputs, mode: Mode, ready: impl FnOnce(Option<SocketAddr>)) -> anyhow::Result<()> {
    let began = Instant::now();
    let telemetry = baluarte_telemetry::init(&loaded.config.telemetry, loaded.config.is_production())?;
    for notice in &loaded.notices {
        tracing::warn!(target: "server", "{notice}");
    }
    raise_descriptor_limit();
    let runtime = control_runtime()?;
    let result = runtime.block_on(serve(loaded, inputs, mode, &telemetry, began, ready));
    // What is left are tasks that nobody waits for any more.
    runtime.shutdown_timeout(Duration::from_millis(200));
    telemetry.flush();
    result
}

/// Every connection is a descriptor, every forwarded one is two; shells often start us with 1,024.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    if let Err(err) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(target: "server", error = %err, limit = ?before, "the limit of open files could not be raised");
    }
}

/// The runtime of everything that is not forwarding: pages, database, mail. Few threads, because the data plane has
/// one per core and password hashing has its own.
pub(crate) fn control_runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .thread_keep_alive(Duration::from_secs(5))
        .thread_stack_size(1 << 20)
        .thread_name("control")
        .enable_all()
        .build()
        .context("the runtime cannot start")
}

async fn serve(
    loaded: Loaded,
    inputs: &Inputs,
    mode: Mode,
    telemetry: &Telemetry,
    began: Instant,
    ready: impl FnOnce(Option<SocketAddr>),
) -> anyhow::Result<()> {
    let started = Arc::new(loaded);
    let config = &started.config;
    // Before anything slow: a signal during the start is an order to stop, too.
    let mut signals = Signals::listen(mode.hangup_stops)?;
    let tasks = Tasks::new(Handle::current());
    let draining = CancellationToken::new();
    let life = OnceLock::new();
    let running = tokio::select! {
        running = start_up(config, mode, telemetry, &tasks, &draining, &life) => running,
        name = signals.stop() => {
            farewell(life.get(), name, true).await;
            return Ok(());
        }
    };
    let running = match running {
        Ok(running) => running,
        Err(err) => {
            farewell(life.get(), "none: it could not start", true).await;
            return Err(err);
        }
    };
    let elapsed = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match &running.edge {
        Some(edge) => tracing::info!(
            target: "server", address = %edge.address(), public_url = config.server.public_url.as_str(), started_ms = elapsed, "ready"
        ),
        None => tracing::info!(target: "server", started_ms = elapsed, "ready, without HTTP"),
    }
    ready(running.edge.as_ref().map(Edge::address));
    let mut current = Arc::clone(&started);
    let signal = loop {
        match signals.next().await {
            Order::Stop(name) => {
                tracing::info!(target: "server", signal = name, grace = %config.server.shutdown_grace, "stopping");
                break name;
            }
            Order::Reload => current = reload(inputs, &started, &current, &running, telemetry),
        }
    };
    draining.cancel();
    tokio::select! {
        () = stop(running, &tasks, signal, config.server.shutdown_grace.get()) => tracing::info!(target: "server", "stopped"),
        name = signals.stop() => tracing::warn!(target: "server", signal = name, "told twice: stopping at once"),
    }
    Ok(())
}

pub(crate) struct Running {
    edge: Option<Edge>,
    pub(crate) gateway: Gateway,
    pub(crate) identity: Identity,
    pub(crate) kit: Kit,
    pub(crate) life: Life,
}

async fn start_up(
    config: &Config,
    mode: Mode,
    telemetry: &Telemetry,
    tasks: &Tasks,
    draining: &CancellationToken,
    begun: &OnceLock<Life>,
) -> anyhow::Result<Running> {
    let mut kit = start::open(config, &Ctx::system(Clock::System), tasks.clone()).await?;
    kit.metrics = telemetry.metrics.clone();
    kit.limits.report(&telemetry.metrics);
    kit.notify.report(&telemetry.metrics);
    let mut product = components::build(&kit, config).await?;
    if let Some(address) = config.server.metrics_addr() {
        let (_, exporter) = serve_metrics(address, telemetry.metrics.clone())
            .await
            .with_context(|| format!("cannot listen on {address} for metrics (server.metrics_listen)"))?;
        let stopping = tasks.stopping();
        tasks.spawn(async move {
            tokio::select! { () = exporter => {} () = stopping.cancelled() => {} }
        });
    }
    kit.audit.report(&telemetry.metrics);
    // Not only on workers: what a replica counted instead of keeping, it tells itself.
    let (audit, stopping) = (kit.audit.clone(), tasks.stopping());
    tasks.spawn(async move { audit.run(stopping.cancelled()).await });
    tasks.spawn(kit.jobs.clone().watch(product.registry.clone(), telemetry.metrics.clone(), tasks.stopping()));
    tasks.spawn(kit.notify.clone().watch(tasks.stopping()));
    let registry = product.registry.clone();
    let (gateway, identity) = (product.gateway.clone(), product.identity.clone());
    // Before anybody can be answered: what answers is in the log.
    let life = Life::begin(&kit, mode).await.context("audit")?;
    let life = begun.get_or_init(|| life).clone();
    tasks.spawn(life.clone().watch());
    let edge = if mode.web {
        product.calls.report(&telemetry.metrics);
        let recorder =
            Recorder::new(product.calls.clone(), kit.audit.clone(), kit.db.clone(), kit.clock.clone(), config.audit.calls.every.get());
        tasks.spawn(recorder.run(tasks.stopping()));
        let router = app::router(&kit, config, &mut product, draining.clone());
        let doors = FrontDoors {
            surface: Surface::new(&config.server.own_host, config.notify.dev_outbox == Some(true)),
            app: App::new(router, tasks.clone()),
            gateway: product.gateway,
        };
        Some(baluarte_edge::serve(edge_options(config), &config.edge, doors, telemetry)?)
    } else {
        None
    };
    // Last: a worker is known to the others, who would miss it if the start failed after all.
    if mode.worker {
        let shift = shift(draining.clone(), config.server.shutdown_grace.get(), telemetry.metrics.clone());
        tasks.spawn(kit.jobs.clone().work(registry, shift));
    }
    Ok(Running { edge, gateway, identity, kit, life })
}

/// How this process works. It gives back what it cannot finish a little before its own time is over.
fn shift(stopping: CancellationToken, grace: Duration, metrics: Metrics) -> Shift {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let grace = grace.saturating_sub(Duration::from_millis(1_500)).max(grace / 2);
    Shift { name: format!("{host}:{}", std::process::id()), stopping, grace, metrics }
}

fn edge_options(config: &Config) -> Options {
    let public_url = config.server.public_url.as_str();
    let site = Site::new(&config.web, public_url);
    Options {
        listen: config.server.listen.0,
        trusted_proxies: config.server.trusted_proxies.iter().map(|network| network.0).collect(),
        proxy_protocol: config.server.proxy_protocol,
        body_limit: config.server.body_limit,
        request_timeout: config.server.request_timeout.get(),
        shutdown_grace: config.server.shutdown_grace.get(),
        // On the gateway's hosts nothing but the gateway answers: the files of error pages are elsewhere.
        site: if config.server.own_host.is_empty() { site } else { site.with_assets_at(public_url) },
    }
}

/// What the entry about the end may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// First the door, then the work behind it, then the database that the work needs.
async fn stop(running: Running, tasks: &Tasks, signal: &'static str, grace: Duration) {
    let deadline = tokio::time::Instant::now() + grace;
    if let Some(edge) = running.edge {
        edge.stop().await;
    }
    // However long the requests took, the tasks get a moment to put things away.
    let deadline = deadline.max(tokio::time::Instant::now() + Duration::from_secs(1));
    let finished = tokio::time::timeout_at(deadline, tasks.stop()).await.is_ok();
    if !finished {
        tracing::warn!(target: "server", "some background work did not end in time");
    }
    farewell(Some(&running.life), signal, finished).await;
    if tokio::time::timeout(Duration::from_secs(2), running.kit.db.close()).await.is_err() {
        tracing::warn!(target: "server", "the database connections did not close in time");
    }
}

/// The entry about the end, without which the next start takes this process for killed.
async fn farewell(life: Option<&Life>, signal: &'static str, finished: bool) {
    let Some(life) = life else { return };
    let said = match tokio::time::timeout(FAREWELL, life.end(signal, finished)).await {
        Ok(said) => said,
        Err(_) => Err(DbError::unavailable("no answer in time")),
    };
    if let Err(err) = said {
        let err: &dyn std::error::Error = &err;
        tracing::error!(target: "server", error = err, "that this process stops is not in the audit log: the next start will call it killed");
    }
}

/// What operators and container runtimes say.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    hangup_stops: bool,
}

impl Signals {
    fn listen(hangup_stops: bool) -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be listened to");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            hangup_stops,
        })
    }

    async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Order::Stop("SIGINT"),
            _ = self.hangup.recv() => if self.hangup_stops { Order::Stop("SIGHUP") } else { Order::Reload },
        }
    }

    async fn stop(&mut self) -> &'static str {
        loop {
            if let Order::Stop(name) = self.next().await {
                return name;
            }
        }
    }
}

enum Order {
    /// The signal's name.
    Stop(&'static str),
    Reload,
}
