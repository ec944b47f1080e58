//! `/dev/outbox`: the messages that would have been sent. Only where `notify.dev_outbox` is on, and never in production.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use baluarte_db::DbError;
use baluarte_notify::Notify;
use baluarte_web::{OutboxMessage, Path, Problem, Visit, outbox_html, outbox_page, problem};
use http::HeaderMap;

/// Messages shown at most.
const SHOWN: u32 = 200;

pub(crate) fn routes(notify: Notify) -> Router {
    Router::new().route("/dev/outbox", get(list)).route("/dev/outbox/{id}", get(show)).with_state(notify)
}

async fn list(State(notify): State<Notify>, visit: Visit, headers: HeaderMap) -> Result<Response, Problem> {
    Ok(outbox_page(&visit, &headers, &messages(&notify).await?))
}

async fn show(State(notify): State<Notify>, Path(id): Path<String>) -> Result<Response, Problem> {
    let messages = messages(&notify).await?;
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
