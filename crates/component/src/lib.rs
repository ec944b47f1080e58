#![doc = include_str!("../README.md")]

use axum::Router;
use baluarte_audit::Audit;
use baluarte_backplane::Backplane;
use baluarte_db::Db;
use baluarte_jobs::{Jobs, Registry};
use baluarte_kernel::{BoxFuture, Clock};
use baluarte_limits::Limits;
use baluarte_notify::Notify;
use baluarte_outbound::Outbound;
use baluarte_secrets::Secrets;
use baluarte_telemetry::Metrics;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use utoipa_axum::router::OpenApiRouter;

/// What every component may use.
#[derive(Clone)]
pub struct Kit {
    pub db: Db,
    pub backplane: Backplane,
    pub outbound: Outbound,
    pub jobs: Jobs,
    pub notify: Notify,
    pub secrets: Secrets,
    pub limits: Limits,
    /// Every change leaves an entry: `kit.audit.record(ctx, &tx, …)`.
    pub audit: Audit,
    pub metrics: Metrics,
    pub clock: Clock,
    pub tasks: Tasks,
    /// Where people reach us, without a slash at the end; links in messages are built from it, never from `Host`.
    pub public_url: std::sync::Arc<str>,
    /// What people know the product by: in pages and messages.
    pub brand: std::sync::Arc<str>,
    /// The public URL is https: cookies get `Secure` and the `__Host-` prefix.
    pub secure_cookies: bool,
}

/// Background work that shutdown waits for.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    runtime: tokio::runtime::Handle,
}

impl Tasks {
    /// Work spawned here runs on `runtime`, the control runtime, whatever thread asks for it.
    pub fn new(runtime: tokio::runtime::Handle) -> Self {
        Self { tracker: TaskTracker::new(), stop: CancellationToken::new(), runtime }
    }

    pub fn spawn<F>(&self, work: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn_on(work, &self.runtime)
    }

    /// Resolves when the server is stopping: loops select on it.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells everybody to stop and waits for them; the caller bounds the wait.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Everything the server needs to run one component. Plain data: no registry, no import side effects.
pub struct Component {
    /// Folder, config section, permission prefix, problem-code prefix and log target in one word.
    pub name: &'static str,
    /// `/api/v1/…` and the other documented endpoints, with their full paths.
    pub api: OpenApiRouter,
    /// Server-rendered pages, with their full paths.
    pub pages: Router,
    /// Who does this component's jobs.
    pub jobs: Registry,
    pub health: Vec<Check>,
}

impl Component {
    /// One of that name with nothing in it, to be filled: `Component { api, ..Component::named("notes") }`.
    pub fn named(name: &'static str) -> Self {
        Self { name, api: OpenApiRouter::new(), pages: Router::new(), jobs: Registry::default(), health: Vec::new() }
    }
}

/// One thing `/readyz` and `/health` ask about.
pub struct Check {
    pub name: &'static str,
    /// A failing essential check takes the replica out of traffic; another one only shows as degraded.
    pub essential: bool,
    pub run: Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}
