//! May this replica take traffic, and is everything it needs there?

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use baluarte_backplane::{Backplane, Status};
use baluarte_component::Check;
use baluarte_db::Db;
use baluarte_notify::Notify;
use baluarte_web::{Json, Problem};
use http::StatusCode;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use utoipa::{ToSchema, openapi::OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Answers are kept so long: many probes at once ask the database once.
const KEPT: Duration = Duration::from_millis(500);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Health(Arc<Inner>);

struct Inner {
    db: Db,
    backplane: Backplane,
    notify: Notify,
    checks: Vec<Check>,
    stopping: CancellationToken,
    latest: Mutex<Option<(Instant, Findings)>>,
}

#[derive(Clone)]
struct Findings {
    database: bool,
    /// Names of the components' checks that failed.
    essential: Vec<&'static str>,
    others: Vec<&'static str>,
}

impl Health {
    pub(crate) fn new(db: Db, backplane: Backplane, notify: Notify, checks: Vec<Check>, stopping: CancellationToken) -> Self {
        Self(Arc::new(Inner { db, backplane, notify, checks, stopping, latest: Mutex::new(None) }))
    }

    /// `/healthz`, `/readyz` and `/health`: asked by machines, without credentials.
    pub(crate) fn probes(&self) -> Router {
        Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/health", get(health))
            .route("/api/v1/health", get(api_health))
            .with_state(self.clone())
    }

    async fn look(&self) -> Findings {
        let mut latest = self.0.latest.lock().await;
        if let Some((at, findings)) = &*latest
            && at.elapsed() < KEPT
        {
            return findings.clone();
        }
        let mut findings = Findings { database: self.0.db.ping().await.is_ok(), essential: Vec::new(), others: Vec::new() };
        for check in &self.0.checks {
            if let Err(why) = (check.run)().await {
                tracing::warn!(target: "server", check = check.name, why, "a health check failed");
                let list = if check.essential { &mut findings.essential } else { &mut findings.others };
                list.push(check.name);
            }
        }
        *latest = Some((Instant::now(), findings.clone()));
        findings
    }
}

/// Of the probes that programs may want to ask.
pub(crate) fn documentation() -> OpenApi {
    OpenApiRouter::<Health>::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(health))
        .routes(routes!(api_health))
        .into_openapi()
}

/// The process answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Alive {
    /// Always `true`.
    ok: bool,
}

/// Does the process answer?
///
/// Nothing else is asked, so that a database that is away does not get the process restarted.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, body = Alive), Problem))]
async fn healthz() -> Json<Alive> {
    Json(Alive { ok: true })
}

/// Whether this replica may take traffic.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    ready: bool,
    /// `connected` or `disconnected`.
    #[schema(example = "connected")]
    database: &'static str,
}

/// May this replica take traffic?
///
/// Yes while it is not stopping and what it cannot work without is there. Without the database it still can: public routes and those who
/// are known already are served, the rest is told so at once. A load balancer that took every replica away for a database they share would
/// make a whole outage of a partial one.
#[utoipa::path(get, path = "/readyz", tag = "server",
    responses((status = 200, body = Ready), (status = 503, body = Ready, description = "Not now: send the traffic elsewhere")))]
async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    let findings = health.look().await;
    let ready = findings.essential.is_empty() && !health.0.stopping.is_cancelled();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, database: connected(findings.database) }))
}

fn connected(it_is: bool) -> &'static str {
    if it_is { "connected" } else { "disconnected" }
}

/// How this replica is.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthView {
    /// `healthy`, `degraded` or `unhealthy`.
    #[schema(example = "healthy")]
    status: &'static str,
    /// `connected` or `disconnected`.
    #[schema(example = "connected")]
    database: &'static str,
    /// `connected`, `disconnected` or `not_configured`.
    #[schema(example = "not_configured")]
    redis: &'static str,
    email_configured: bool,
    sms_configured: bool,
}

/// Is everything there that this replica needs?
#[utoipa::path(get, path = "/health", tag = "server",
    responses((status = 200, body = HealthView), (status = 503, body = HealthView, description = "Something it cannot work without is away")))]
async fn health(State(health): State<Health>) -> impl IntoResponse {
    let findings = health.look().await;
    let redis = match health.0.backplane.status() {
        Status::Local => "not_configured",
        Status::Connected => "connected",
        Status::Disconnected => "disconnected",
    };
    let (code, status) = if !findings.database || !findings.essential.is_empty() {
        (StatusCode::SERVICE_UNAVAILABLE, "unhealthy")
    } else if redis == "disconnected" || !findings.others.is_empty() {
        (StatusCode::OK, "degraded")
    } else {
        (StatusCode::OK, "healthy")
    };
    let view = HealthView {
        status,
        database: connected(findings.database),
        redis,
        email_configured: health.0.notify.email_configured(),
        sms_configured: health.0.notify.sms_configured(),
    };
    (code, Json(view))
}

/// The database's answer to one question.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiHealth {
    /// `healthy` or `unhealthy`.
    status: &'static str,
    /// `connected` or `disconnected`.
    database: &'static str,
}

/// Is the database there?
#[utoipa::path(get, path = "/api/v1/health", tag = "server",
    responses((status = 200, body = ApiHealth), (status = 503, body = ApiHealth, description = "The database does not answer")))]
pub(crate) async fn api_health(State(health): State<Health>) -> impl IntoResponse {
    let findings = health.look().await;
    let (code, status) = if findings.database { (StatusCode::OK, "healthy") } else { (StatusCode::SERVICE_UNAVAILABLE, "unhealthy") };
    (code, Json(ApiHealth { status, database: connected(findings.database) }))
}
