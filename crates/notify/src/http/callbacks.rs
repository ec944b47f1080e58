//! Where providers report what became of messages. They prove who they are by a signature.

use axum::extract::{RawQuery, State};
use baluarte_web::{Caller, Problem};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{Notify, service::CallbackError};

/// Report the state of a text message
///
/// Called by Twilio, signed with the account's token (`X-Twilio-Signature`).
#[utoipa::path(post, path = "/api/v1/notify/callbacks/twilio", tag = "notify",
    params(("message" = Option<String>, Query, description = "The message's identifier, as Baluarte told Twilio")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 204, description = "Known now"), Problem))]
pub(super) async fn twilio_report(
    State(notify): State<Notify>,
    Caller(ctx): Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let parameters: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let result = notify.twilio_report(&ctx, query.as_deref(), &parameters, header(&headers, "x-twilio-signature")).await;
    answer(&notify, "twilio", result)
}

/// Report what became of mails
///
/// Called by SendGrid's event webhook, signed with its key (`X-Twilio-Email-Event-Webhook-Signature`).
#[utoipa::path(post, path = "/api/v1/notify/callbacks/sendgrid", tag = "notify",
    request_body(content = String, content_type = "application/json"),
    responses((status = 204, description = "Known now"), Problem))]
pub(super) async fn sendgrid_report(
    State(notify): State<Notify>,
    Caller(ctx): Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let timestamp = header(&headers, "x-twilio-email-event-webhook-timestamp");
    let signature = header(&headers, "x-twilio-email-event-webhook-signature");
    let result = notify.sendgrid_report(&ctx, timestamp, signature, &body).await;
    answer(&notify, "sendgrid", result)
}

fn answer(notify: &Notify, provider: &'static str, result: Result<(), CallbackError>) -> Result<StatusCode, Problem> {
    let outcome = match &result {
        Ok(()) => "accepted",
        Err(CallbackError::Forged) => "forged",
        Err(CallbackError::Stale) => "stale",
        Err(CallbackError::NotExpected | CallbackError::Malformed(_) | CallbackError::Storage(_)) => "failed",
    };
    notify.count_callback(provider, outcome);
    if let Err(err @ (CallbackError::Forged | CallbackError::Stale)) = &result {
        tracing::warn!(target: "notify", provider, error = %err, "a report is not believed");
    }
    result?;
    Ok(StatusCode::NO_CONTENT)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
