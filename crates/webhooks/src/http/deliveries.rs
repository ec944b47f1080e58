//! What was sent, and sending it again.

use axum::extract::State;
use baluarte_jobs::{JobId, http_job::CallMade};
use baluarte_kernel::{Cursor, Page, PageQuery, Timestamp};
use baluarte_web::{Admin, Invalid, Json, Path, Problem, Query};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Answer;
use crate::{Delivery, DeliveryDetail, DeliveryId, DeliveryState, EndpointId, Webhooks};

/// One event to one endpoint.
#[derive(Serialize, ToSchema)]
pub(super) struct DeliveryView {
    #[schema(value_type = String, example = "whd_0192f0c1d2e37000a1b2c3d4e5f60718")]
    id: DeliveryId,
    /// Also the `webhook-id`.
    #[schema(example = "evt_0192f0c1d2e37000a1b2c3d4e5f60718")]
    event_id: String,
    #[schema(example = "user.registered")]
    event: String,
    /// `waiting`, `delivered`, `failed`, or `skipped`: no call was made, because the endpoint was disabled or the person is gone.
    state: &'static str,
    /// The job that makes the calls.
    #[schema(value_type = Option<String>, required)]
    job_id: Option<JobId>,
    /// Calls that were made.
    attempts: i64,
    /// Of the last answer.
    #[schema(required)]
    status: Option<i64>,
    #[schema(required)]
    error: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    finished_at: Option<Timestamp>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let Delivery {
            id,
            endpoint_id: _,
            event_id,
            event,
            state,
            generation: _,
            job_id,
            attempts,
            status,
            error,
            created_at,
            finished_at,
        } = delivery;
        Self { id, event_id, event, state: state.as_str(), job_id, attempts, status, error, created_at, finished_at }
    }
}

/// A delivery, what is sent and what was answered.
#[derive(Serialize, ToSchema)]
pub(super) struct DeliveryDetailView {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// The bytes that are sent; null once they were erased with the account of whom they were about.
    #[schema(required)]
    body: Option<String>,
    /// The latest 20, the last one first.
    calls: Vec<DeliveryCallView>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct DeliveryCallView {
    attempt: i64,
    #[schema(value_type = String, format = DateTime)]
    began_at: Timestamp,
    duration_ms: u64,
    /// Absent when there was no answer.
    #[schema(required)]
    status: Option<i64>,
    /// The first words of the answer, without what looks like a secret.
    answer: String,
    #[schema(required)]
    error: Option<String>,
}

impl From<CallMade> for DeliveryCallView {
    fn from(call: CallMade) -> Self {
        let CallMade { attempt, began_at, took, status, answer, error } = call;
        Self { attempt, began_at, duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX), status, answer, error }
    }
}

impl From<DeliveryDetail> for DeliveryDetailView {
    fn from(detail: DeliveryDetail) -> Self {
        let DeliveryDetail { delivery, body, calls } = detail;
        Self { delivery: delivery.into(), body, calls: calls.into_iter().map(Into::into).collect() }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct DeliveryList {
    items: Vec<DeliveryView>,
    /// For `?cursor=`; null on the last page.
    #[schema(value_type = Option<String>, required)]
    next_cursor: Option<Cursor>,
}

#[derive(Deserialize)]
pub(super) struct DeliveriesQuery {
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    cursor: Option<Cursor>,
}

/// List what was sent to an endpoint, the newest first
#[utoipa::path(get, path = "/api/v1/admin/webhooks/{id}/deliveries", tag = "webhooks",
    params(
        ("id" = String, Path),
        ("state" = Option<String>, Query, description = "`waiting`, `delivered`, `failed` or `skipped`"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = DeliveryList), Problem))]
pub(super) async fn list_deliveries(
    State(webhooks): State<Webhooks>,
    Admin(ctx, _): Admin,
    Path(id): Path<EndpointId>,
    Query(query): Query<DeliveriesQuery>,
) -> Answer<Json<DeliveryList>> {
    let mut invalid = Invalid::default();
    let state = query.state.and_then(|state| invalid.check("state", state.parse::<DeliveryState>()));
    if query.limit.is_some_and(|limit| limit == 0 || limit > PageQuery::MAX) {
        invalid.add("limit", format!("is 1 to {}", PageQuery::MAX));
    }
    invalid.finish()?;
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    let Page { items, next_cursor } = webhooks.list_deliveries(&ctx, id, state, &page).await?;
    Ok(Json(DeliveryList { items: items.into_iter().map(Into::into).collect(), next_cursor }))
}

/// Read a delivery: what is sent, and what was answered
#[utoipa::path(get, path = "/api/v1/admin/webhooks/{id}/deliveries/{delivery}", tag = "webhooks",
    params(("id" = String, Path), ("delivery" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = DeliveryDetailView), Problem))]
pub(super) async fn find_delivery(
    State(webhooks): State<Webhooks>,
    Admin(ctx, _): Admin,
    Path((id, delivery)): Path<(EndpointId, DeliveryId)>,
) -> Answer<Json<DeliveryDetailView>> {
    Ok(Json(webhooks.find_delivery(&ctx, id, delivery).await?.into()))
}

/// Send a test event to an endpoint
///
/// `webhook.test`, once, also while the endpoint is disabled. Read the delivery to see what was answered.
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/test", tag = "webhooks", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 202, body = DeliveryView), Problem))]
pub(super) async fn send_test(
    State(webhooks): State<Webhooks>,
    Admin(ctx, _): Admin,
    Path(id): Path<EndpointId>,
) -> Answer<(StatusCode, Json<DeliveryView>)> {
    Ok((StatusCode::ACCEPTED, Json(webhooks.send_test(&ctx, id).await?.into())))
}

/// Send a delivery again
///
/// The same bytes under the same `webhook-id`, whatever became of it before.
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/deliveries/{delivery}/replay", tag = "webhooks",
    params(("id" = String, Path), ("delivery" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 202, body = DeliveryView), Problem))]
pub(super) async fn replay_delivery(
    State(webhooks): State<Webhooks>,
    Admin(ctx, _): Admin,
    Path((id, delivery)): Path<(EndpointId, DeliveryId)>,
) -> Answer<(StatusCode, Json<DeliveryView>)> {
    Ok((StatusCode::ACCEPTED, Json(webhooks.replay_delivery(&ctx, id, delivery).await?.into())))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayDeliveries {
    /// Deliveries that were made since then.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Also those that succeeded.
    #[serde(default)]
    delivered_too: bool,
}

/// Send again what an endpoint missed since a moment
///
/// A job does it, in pieces; look at the list of deliveries.
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/replay", tag = "webhooks", params(("id" = String, Path)),
    request_body = ReplayDeliveries, security(("bearer" = []), ("session" = [])),
    responses((status = 202, description = "They will be sent"), Problem))]
pub(super) async fn replay_deliveries(
    State(webhooks): State<Webhooks>,
    Admin(ctx, _): Admin,
    Path(id): Path<EndpointId>,
    Json(body): Json<ReplayDeliveries>,
) -> Answer<StatusCode> {
    webhooks.replay_deliveries(&ctx, id, body.since, body.delivered_too).await?;
    Ok(StatusCode::ACCEPTED)
}
