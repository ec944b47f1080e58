//! `/dev/outbox`: the messages that would have been sent. `/dev/messages`: what every message looks like. Only where
//! `notify.dev_outbox` is on, and never in production.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use baluarte_component::Kit;
use baluarte_db::DbError;
use baluarte_kernel::{Clock, Locale};
use baluarte_notify::{Message, Notify};
use baluarte_web::{OutboxMessage, Path, Problem, Query, Visit, outbox_html, outbox_page, problem, samples_page};
use http::{HeaderMap, header};
use serde::Deserialize;

use crate::components;

/// Messages shown at most.
const SHOWN: u32 = 200;

#[derive(Clone)]
struct Shown {
    notify: Notify,
    clock: Clock,
    public_url: Arc<str>,
    brand: Arc<str>,
}

pub(crate) fn routes(kit: &Kit) -> Router {
    let shown = Shown {
        notify: kit.notify.clone(),
        clock: kit.clock.clone(),
        public_url: Arc::clone(&kit.public_url),
        brand: Arc::clone(&kit.brand),
    };
    Router::new()
        .route("/dev/outbox", get(list))
        .route("/dev/outbox/{id}", get(show))
        .route("/dev/messages", get(list_samples))
        .route("/dev/messages/{name}", get(show_sample))
        .with_state(shown)
}

async fn list(State(shown): State<Shown>, visit: Visit, headers: HeaderMap) -> Result<Response, Problem> {
    Ok(outbox_page(&visit, &headers, &messages(&shown.notify).await?))
}

async fn show(State(shown): State<Shown>, Path(id): Path<String>) -> Result<Response, Problem> {
    let messages = messages(&shown.notify).await?;
    match messages.iter().find(|message| message.id == id) {
        Some(message) => Ok(outbox_html(message)),
        None => Ok(Problem::of(&problem::NOT_FOUND).into_response()),
    }
}

async fn messages(notify: &Notify) -> Result<Vec<OutboxMessage>, Problem> {
    notify.outbox(SHOWN).await.map_err(|err| match err {
        DbError::Unavailable(_) => Problem::of(&problem::UNAVAILABLE),
        other => Problem::internal(&other),
    })
}

impl Shown {
    fn samples(&self, locale: Locale) -> Vec<OutboxMessage> {
        let as_shown = |Message { channel, to, subject, text, html, kind, .. }| OutboxMessage {
            id: String::from(kind),
            channel: channel.as_str().to_owned(),
            to,
            subject,
            text,
            html,
            created_at: self.clock.now(),
        };
        components::samples(&self.public_url, &self.brand, locale, self.clock.now()).into_iter().map(as_shown).collect()
    }
}

#[derive(Deserialize)]
struct SampleQuery {
    lang: Option<Locale>,
    #[serde(default)]
    text: bool,
}

async fn list_samples(State(shown): State<Shown>, visit: Visit, headers: HeaderMap) -> Response {
    samples_page(&visit, &headers, &shown.samples(visit.locale))
}

async fn show_sample(
    State(shown): State<Shown>,
    visit: Visit,
    Path(name): Path<String>,
    Query(query): Query<SampleQuery>,
) -> Result<Response, Problem> {
    let samples = shown.samples(query.lang.unwrap_or(visit.locale));
    let sample = samples.into_iter().find(|sample| sample.id == name).ok_or_else(|| Problem::of(&problem::NOT_FOUND))?;
    if query.text || sample.html.is_none() {
        let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
        return Ok((headers, sample.text).into_response());
    }
    Ok(outbox_html(&sample))
}
