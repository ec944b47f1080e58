//! Where events are sent.

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::{Secret, Timestamp};
use baluarte_web::{Admin, Json, Path, Problem};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, NO_STORE};
use crate::{DisabledReason, Endpoint, EndpointChange, EndpointId, NewEndpoint, Webhooks};

/// An endpoint that events are sent to.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookEndpointView {
    #[schema(value_type = String, example = "whe_0192f0c1d2e37000a1b2c3d4e5f60718")]
    id: EndpointId,
    #[schema(example = "https://app.example.com/webhooks")]
    url: String,
    description: String,
    /// Names such as `user.registered`; empty: every event.
    events: Vec<String>,
    enabled: bool,
    /// `operator`; `gone`: it answered 410; `failing`: it failed for days.
    #[schema(required)]
    disabled_reason: Option<&'static str>,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    disabled_at: Option<Timestamp>,
    /// Since when nothing has succeeded; null while it answers.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    failing_since: Option<Timestamp>,
    /// Within a minute.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    last_success_at: Option<Timestamp>,
    /// Until when the secret before the present one signs as well.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    previous_secret_until: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Endpoint> for WebhookEndpointView {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            id: endpoint.id,
            url: endpoint.url,
            description: endpoint.description,
            events: endpoint.events.names().to_vec(),
            enabled: endpoint.enabled,
            disabled_reason: endpoint.disabled_reason.map(DisabledReason::as_str),
            disabled_at: endpoint.disabled_at,
            failing_since: endpoint.failing_since,
            last_success_at: endpoint.last_success_at,
            previous_secret_until: endpoint.previous_until,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

/// An endpoint with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookSecretView {
    #[serde(flatten)]
    endpoint: WebhookEndpointView,
    /// For the receiver's Standard Webhooks library.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
}

impl WebhookSecretView {
    fn of((endpoint, secret): (Endpoint, Secret)) -> Self {
        Self { endpoint: endpoint.into(), secret: secret.expose().to_owned() }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct WebhookEndpointList {
    items: Vec<WebhookEndpointView>,
    /// Always null: there are few.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// List the endpoints that events are sent to
#[utoipa::path(get, path = "/api/v1/admin/webhooks", tag = "webhooks", security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = WebhookEndpointList), Problem))]
pub(super) async fn list_endpoints(State(webhooks): State<Webhooks>, Admin(ctx, _): Admin) -> Answer<Json<WebhookEndpointList>> {
    let items = webhooks.list_endpoints(&ctx).await?.into_iter().map(Into::into).collect();
    Ok(Json(WebhookEndpointList { items, next_cursor: None }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateWebhookEndpoint {
    /// A public address, or one under an endpoint of `[jobs.endpoints]`.
    #[schema(example = "https://app.example.com/webhooks")]
    url: String,
    #[serde(default)]
    description: String,
    /// Names such as `user.registered`; empty: every event, those of later versions included.
    #[serde(default)]
    events: Vec<String>,
    /// `whsec_…`, to keep one that the receiver knows; one is made when it is absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    secret: Option<Secret>,
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
}

fn yes() -> bool {
    true
}

/// Register an endpoint
///
/// The answer holds its secret, this once.
#[utoipa::path(post, path = "/api/v1/admin/webhooks", tag = "webhooks", request_body = CreateWebhookEndpoint,
    security(("bearer" = []), ("session" = [])), responses((status = 201, body = WebhookSecretView), Problem))]
pub(super) async fn create_endpoint(
    State(webhooks): State<Webhooks>,
    Admin(ctx, _): Admin,
    Json(body): Json<CreateWebhookEndpoint>,
) -> Answer<Response> {
    let CreateWebhookEndpoint { url, description, events, secret, enabled } = body;
    let created = webhooks.create_endpoint(&ctx, NewEndpoint { url, description, events, secret, enabled }).await?;
    Ok((StatusCode::CREATED, NO_STORE, Json(WebhookSecretView::of(created))).into_response())
}

/// Read an endpoint
#[utoipa::path(get, path = "/api/v1/admin/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = WebhookEndpointView), Problem))]
pub(super) async fn find_endpoint(
    State(webhooks): State<Webhooks>,
    Admin(ctx, _): Admin,
    Path(id): Path<EndpointId>,
) -> Answer<Json<WebhookEndpointView>> {
    Ok(Json(webhooks.find_endpoint(&ctx, id).await?.into()))
}

/// What is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateWebhookEndpoint {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    events: Option<Vec<String>>,
    /// Enabling forgets earlier failures; what was not sent meanwhile can be replayed.
    #[serde(default)]
    enabled: Option<bool>,
}

/// Change an endpoint, enable or disable it
#[utoipa::path(patch, path = "/api/v1/admin/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    request_body = UpdateWebhookEndpoint, security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = WebhookEndpointView), Problem))]
pub(super) async fn update_endpoint(
    State(webhooks): State<Webhooks>,
    Admin(ctx, _): Admin,
    Path(id): Path<EndpointId>,
    Json(body): Json<UpdateWebhookEndpoint>,
) -> Answer<Json<WebhookEndpointView>> {
    let UpdateWebhookEndpoint { url, description, events, enabled } = body;
    Ok(Json(webhooks.update_endpoint(&ctx, id, EndpointChange { url, description, events, enabled }).await?.into()))
}

/// Remove an endpoint and the list of its deliveries
#[utoipa::path(delete, path = "/api/v1/admin/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Removed"), Problem))]
pub(super) async fn delete_endpoint(
    State(webhooks): State<Webhooks>,
    Admin(ctx, _): Admin,
    Path(id): Path<EndpointId>,
) -> Answer<StatusCode> {
    webhooks.delete_endpoint(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateWebhookSecret {
    /// How long calls carry a signature of the old secret as well: a day unless told, at most a week, 0: not at all.
    #[serde(default = "a_day")]
    #[schema(default = 86400, maximum = 604800)]
    overlap_seconds: u64,
}

fn a_day() -> u64 {
    86_400
}

/// Give an endpoint a new secret
///
/// For a while calls carry two signatures, so that the receiver can take the new secret over in its own time. The answer
/// holds it, this once.
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/rotate-secret", tag = "webhooks", params(("id" = String, Path)),
    request_body = RotateWebhookSecret, security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = WebhookSecretView), Problem))]
pub(super) async fn rotate_secret(
    State(webhooks): State<Webhooks>,
    Admin(ctx, _): Admin,
    Path(id): Path<EndpointId>,
    Json(body): Json<RotateWebhookSecret>,
) -> Answer<Response> {
    let rotated = webhooks.rotate_secret(&ctx, id, Duration::from_secs(body.overlap_seconds)).await?;
    Ok((NO_STORE, Json(WebhookSecretView::of(rotated))).into_response())
}
