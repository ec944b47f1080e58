//! `/health/deep`: does what we need of others work? Asked by administrators and their monitors only, because it costs: a round through
//! every provider of messages, and perhaps a mail.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_backplane::{Quota, Status, Want};
use baluarte_component::Kit;
use baluarte_kernel::{Ctx, Locale, Timestamp};
use baluarte_notify::{Channel, Message, Waiting};
use baluarte_web::{Json, Keyed, Problem};
use http::{StatusCode, header};
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// An answer is given so long. Whoever asks meanwhile waits for the one that is being made, or gets it.
const KEPT: Duration = Duration::from_secs(300);
/// Mails to the operator in a day, of all replicas together.
const MAILS: u32 = 24;
const DAY: Duration = Duration::from_secs(86_400);
/// What an API key needs that may ask.
const SCOPE: &str = baluarte_kernel::scope::MONITOR;

#[derive(Clone)]
pub(crate) struct Deep(Arc<Inner>);

struct Inner {
    kit: Kit,
    operator_email: String,
    latest: Mutex<Option<(Instant, DeepHealth)>>,
}

/// How everything is that Baluarte needs of others.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DeepHealth {
    /// `healthy`, `degraded` or `unhealthy`.
    #[schema(example = "healthy")]
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    checked_at: Timestamp,
    parts: Vec<Part>,
}

/// One thing that was tried.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Part {
    #[schema(example = "mail smtp")]
    name: String,
    /// `pass` or `fail`.
    #[schema(example = "pass")]
    status: &'static str,
    /// What was seen.
    detail: String,
}

impl Part {
    fn of(name: impl Into<String>, result: Result<String, String>) -> Self {
        let (status, detail) = match result {
            Ok(detail) => ("pass", detail),
            Err(detail) => ("fail", detail),
        };
        Self { name: name.into(), status, detail }
    }
}

pub(crate) fn routes(kit: &Kit, operator_email: &str) -> OpenApiRouter {
    let inner = Inner { kit: kit.clone(), operator_email: operator_email.trim().to_owned(), latest: Mutex::default() };
    OpenApiRouter::new().routes(routes!(deep_health)).with_state(Deep(Arc::new(inner)))
}

/// Try everything that is needed of others
///
/// For administrators, and API keys with the scope `monitor`. Signs in at every provider of messages; where
/// `notify.operator_email` is set, really sends a mail there. An answer is kept for five minutes.
#[utoipa::path(get, path = "/health/deep", tag = "server", security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = DeepHealth), (status = 503, body = DeepHealth, description = "The database does not answer"), Problem))]
async fn deep_health(State(deep): State<Deep>, Keyed(ctx): Keyed) -> Result<Response, Problem> {
    ctx.require_scope(SCOPE).map_err(|denied| Problem::forbidden(&denied))?;
    let health = deep.look(&ctx).await;
    let code = if health.status == "unhealthy" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    Ok((code, [(header::CACHE_CONTROL, "no-store")], Json(health)).into_response())
}

impl Deep {
    async fn look(&self, ctx: &Ctx) -> DeepHealth {
        let mut latest = self.0.latest.lock().await;
        if let Some((at, health)) = &*latest
            && at.elapsed() < KEPT
        {
            return health.clone();
        }
        let health = self.try_everything(ctx).await;
        *latest = Some((Instant::now(), health.clone()));
        health
    }

    async fn try_everything(&self, ctx: &Ctx) -> DeepHealth {
        let kit = &self.0.kit;
        let database = kit.db.ping().await.map(|()| "answers".to_owned()).map_err(|_| "does not answer".to_owned());
        let unhealthy = database.is_err();
        let mut parts = vec![Part::of("database", database)];
        match kit.backplane.status() {
            Status::Local => {}
            Status::Connected => parts.push(Part::of("redis", Ok("answers".to_owned()))),
            Status::Disconnected => parts.push(Part::of("redis", Err("does not answer".to_owned()))),
        }
        for check in kit.notify.check_providers().await {
            let what = if check.channel == Channel::Email { "mail" } else { "sms" };
            parts.push(Part::of(format!("{what} {}", check.provider), check.result));
        }
        parts.push(Part::of("messages waiting", self.waiting(ctx).await));
        if !self.0.operator_email.is_empty() {
            parts.push(Part::of("mail to the operator", self.mail(ctx).await));
        }
        let failed = parts.iter().any(|part| part.status == "fail");
        let status = if unhealthy { "unhealthy" } else { ["healthy", "degraded"][usize::from(failed)] };
        DeepHealth { status, checked_at: ctx.now(), parts }
    }

    /// Providers that answer are not yet messages that arrive.
    async fn waiting(&self, ctx: &Ctx) -> Result<String, String> {
        let notify = &self.0.kit.notify;
        let measured = notify.waiting(ctx.now()).await.map_err(|_| "nobody can tell: the database does not answer".to_owned())?;
        let told = |waiting: &Waiting| {
            let error = waiting.last_error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default();
            format!("{}: {}, the first for {} s{error}", waiting.channel.as_str(), waiting.messages, waiting.oldest.as_secs())
        };
        let words: Vec<String> = measured.iter().filter(|waiting| waiting.messages > 0).map(told).collect();
        let words = if words.is_empty() { "none".to_owned() } else { words.join("; ") };
        if measured.iter().any(|waiting| notify.is_alarming(waiting)) { Err(words) } else { Ok(words) }
    }

    async fn mail(&self, ctx: &Ctx) -> Result<String, String> {
        let kit = &self.0.kit;
        let want = Want { limit: "health-deep", subject: 0, quota: Quota::new(MAILS, DAY, MAILS), cost: 1 };
        let granted = match kit.backplane.take(&[want]).await {
            Ok(decision) => decision.granted,
            Err(_) => kit.backplane.take_local(&[want]).granted,
        };
        if !granted {
            return Ok(format!("not sent: {MAILS} a day are enough"));
        }
        let site = kit.public_url.split_once("://").map_or(&*kit.public_url, |(_, rest)| rest);
        let message = Message {
            channel: Channel::Email,
            to: self.0.operator_email.clone(),
            locale: Locale::En,
            subject: format!("{}: mail works", kit.brand),
            text: format!("Somebody asked {site} whether it can send mail. It can."),
            html: None,
            kind: "notify.test",
            useful_until: ctx.now().plus(Duration::from_secs(3_600)),
            about: None,
        };
        kit.notify.send_now(&message, None, ctx).await.map(|said| said.join("; ")).map_err(|said| said.join("; "))
    }
}
