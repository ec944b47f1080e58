//! A running server: what is started in which order, which signals it obeys, how it stops.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use baluarte_audit::Recorder;
use baluarte_component::{Kit, Tasks};
use baluarte_edge::{Edge, Options};
use baluarte_gateway::Gateway;
use baluarte_jobs::Shift;
use baluarte_kernel::Clock;
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
    config::{self, Config, Inputs, Loaded},
    doors::{App, FrontDoors},
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
    let result = runtime.block_on(serve(loaded.config, inputs, mode, &telemetry, began, ready));
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
    config: Config,
    inputs: &Inputs,
    mode: Mode,
    telemetry: &Telemetry,
    began: Instant,
    ready: impl FnOnce(Option<SocketAddr>),
) -> anyhow::Result<()> {
    let config = Arc::new(config);
    // Before anything slow: a signal during the start is an order to stop, too.
    let mut signals = Signals::listen(mode.hangup_stops)?;
    let tasks = Tasks::new(Handle::current());
    let draining = CancellationToken::new();
    let running = tokio::select! {
        running = start_up(&config, mode, telemetry, &tasks, &draining) => running?,
        _ = signals.stop() => return Ok(()),
    };
    let elapsed = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match &running.edge {
        Some(edge) => tracing::info!(
            target: "server", address = %edge.address(), public_url = config.server.public_url.as_str(), started_ms = elapsed, "ready"
        ),
        None => tracing::info!(target: "server", started_ms = elapsed, "ready, without HTTP"),
    }
    ready(running.edge.as_ref().map(Edge::address));
    let mut current = Arc::clone(&config);
    loop {
        match signals.next().await {
            Order::Stop(name) => {
                tracing::info!(target: "server", signal = name, grace = %config.server.shutdown_grace, "stopping");
                break;
            }
            Order::Reload => current = reload(inputs, &config, &current, &running, telemetry),
        }
    }
    draining.cancel();
    tokio::select! {
        () = stop(running, &tasks, config.server.shutdown_grace.get()) => tracing::info!(target: "server", "stopped"),
        name = signals.stop() => tracing::warn!(target: "server", signal = name, "told twice: stopping at once"),
    }
    Ok(())
}

struct Running {
    edge: Option<Edge>,
    gateway: Gateway,
    kit: Kit,
}

async fn start_up(
    config: &Config,
    mode: Mode,
    telemetry: &Telemetry,
    tasks: &Tasks,
    draining: &CancellationToken,
) -> anyhow::Result<Running> {
    let mut kit = start::open(config, Clock::System, tasks.clone()).await?;
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
    tasks.spawn(kit.jobs.clone().watch(telemetry.metrics.clone(), tasks.stopping()));
    tasks.spawn(kit.notify.clone().watch(tasks.stopping()));
    if mode.worker {
        let shift = shift(draining.clone(), config.server.shutdown_grace.get(), telemetry.metrics.clone());
        tasks.spawn(kit.jobs.clone().work(product.registry.clone(), shift));
    }
    let gateway = product.gateway.clone();
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
    Ok(Running { edge, gateway, kit })
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

/// First the door, then the work behind it, then the database that the work needs.
async fn stop(running: Running, tasks: &Tasks, grace: Duration) {
    let deadline = tokio::time::Instant::now() + grace;
    if let Some(edge) = running.edge {
        edge.stop().await;
    }
    // However long the requests took, the tasks get a moment to put things away.
    let deadline = deadline.max(tokio::time::Instant::now() + Duration::from_secs(1));
    if tokio::time::timeout_at(deadline, tasks.stop()).await.is_err() {
        tracing::warn!(target: "server", "some background work did not end in time");
    }
    if tokio::time::timeout(Duration::from_secs(2), running.kit.db.close()).await.is_err() {
        tracing::warn!(target: "server", "the database connections did not close in time");
    }
}

/// Takes over what can change while running. An invalid configuration is refused, and the running one stays.
/// `started`: the one that everything else still goes by.
fn reload(inputs: &Inputs, started: &Config, current: &Arc<Config>, running: &Running, telemetry: &Telemetry) -> Arc<Config> {
    let loaded = match config::load(inputs) {
        Ok(loaded) => loaded,
        Err(invalid) => {
            for trouble in &invalid.0 {
                let origin = trouble.origin.as_ref().map(ToString::to_string).unwrap_or_default();
                tracing::error!(target: "server", setting = trouble.key, origin, problem = trouble.problem, "the new configuration is not valid");
            }
            tracing::error!(target: "server", problems = invalid.0.len(), "the new configuration is refused; the running one stays");
            return Arc::clone(current);
        }
    };
    // Limits first: the routes name them.
    running.kit.limits.reload(&loaded.config.limits);
    if let Err(err) = running.gateway.reload(&loaded.config.gateway) {
        running.kit.limits.reload(&current.limits);
        tracing::error!(target: "server", error = %err, "the new routes are refused; the running ones stay");
        return Arc::clone(current);
    }
    if let Err(err) = telemetry.set_level(&loaded.config.telemetry.log_level) {
        tracing::error!(target: "server", error = %err, "the log level stays as it was");
    }
    for notice in &loaded.notices {
        tracing::warn!(target: "server", "{notice}");
    }
    let waiting = needs_restart(started, &loaded.config);
    tracing::info!(
        target: "server", waiting = waiting.join(", "),
        "configuration reloaded: routes, limits and log level are new, what is under `waiting` needs a restart"
    );
    Arc::new(loaded.config)
}

/// The sections that changed and that are read only at the start.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let at_start = |config: &Config| {
        let mut sections = serde_json::to_value(config).ok()?.as_object()?.clone();
        sections.retain(|name, _| !["gateway", "limits"].contains(&name.as_str()));
        sections.get_mut("telemetry")?.as_object_mut()?.remove("log_level");
        Some(sections)
    };
    let (Some(old), Some(new)) = (at_start(old), at_start(new)) else { return Vec::new() };
    new.iter().filter(|(name, value)| old.get(*name) != Some(value)).map(|(name, _)| name.clone()).collect()
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
