//! `/api/v1/jobs`: requests that the customer's own app wants to have made to it later.

use std::collections::BTreeMap;

use axum::extract::State;
use baluarte_kernel::{Cursor, Page, PageQuery, Timestamp};
use baluarte_web::{Invalid, Json, Keyed, Path, Problem, Query};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    HttpJobs,
    model::{CallMade, HttpJob, NewHttpJob},
};
use crate::JobId;

impl HttpJobs {
    /// With their full paths.
    pub fn routes(self) -> OpenApiRouter {
        OpenApiRouter::new()
            .routes(routes!(list_http_jobs, enqueue_http_job))
            .routes(routes!(find_http_job, cancel_http_job))
            .with_state(self)
    }
}

/// A request to be made. Either `url`, or `endpoint` and `path`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EnqueueHttpJob {
    /// A public address, or one under an endpoint of the configuration.
    #[serde(default)]
    #[schema(example = "https://app.example.com/hooks/order-paid")]
    url: Option<String>,
    /// The name of one of `[jobs.endpoints]`.
    #[serde(default)]
    #[schema(example = "shop")]
    endpoint: Option<String>,
    /// The path at that endpoint.
    #[serde(default)]
    #[schema(example = "/hooks/order-paid")]
    path: Option<String>,
    /// `POST` unless told; PUT, PATCH, DELETE or GET.
    #[serde(default)]
    method: Option<String>,
    /// At most 32. Those that describe the connection or that Baluarte sets itself are refused.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Text is sent as it is, everything else as JSON; at most 128 KiB.
    #[serde(default)]
    body: Option<serde_json::Value>,
    /// Not before; at once when absent or past. At most a year ahead.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    run_at: Option<Timestamp>,
    /// Attempts until it is given up, 1 to 100.
    #[serde(default)]
    max_attempts: Option<u32>,
    /// While a job of yours with this key waits or runs, another one is not made: the answer is the earlier one.
    #[serde(default)]
    #[schema(example = "order-4711-paid")]
    unique_key: Option<String>,
}

/// A job that calls an address.
#[derive(Serialize, ToSchema)]
pub(super) struct HttpJobView {
    /// Also the `webhook-id` of every call.
    #[schema(value_type = String, example = "job_0192f0c1d2e37000a1b2c3d4e5f60718")]
    id: JobId,
    /// `scheduled`, `ready`, `running`, `done`, `dead` or `canceled`.
    #[schema(example = "ready")]
    state: String,
    method: String,
    /// Without its query.
    url: String,
    /// Attempts that were begun.
    attempts: i64,
    max_attempts: i64,
    /// When it is or was due next.
    #[schema(value_type = String, format = DateTime)]
    run_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    finished_at: Option<Timestamp>,
    /// Why the last attempt failed.
    #[schema(required)]
    error: Option<String>,
}

/// A job and the calls that were made for it.
#[derive(Serialize, ToSchema)]
pub(super) struct HttpJobDetail {
    #[serde(flatten)]
    job: HttpJobView,
    /// The latest 20, the last one first.
    calls: Vec<HttpCallView>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct HttpCallView {
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

#[derive(Serialize, ToSchema)]
pub(super) struct HttpJobList {
    items: Vec<HttpJobView>,
    /// For `?cursor=`; null on the last page.
    #[schema(value_type = Option<String>, required)]
    next_cursor: Option<Cursor>,
}

impl From<HttpJob> for HttpJobView {
    fn from(job: HttpJob) -> Self {
        let HttpJob { id, owner: _, method, target, state, attempts, max_attempts, run_at, created_at, finished_at, error } = job;
        Self { id, state, method, url: target, attempts, max_attempts, run_at, created_at, finished_at, error }
    }
}

impl From<CallMade> for HttpCallView {
    fn from(call: CallMade) -> Self {
        let CallMade { attempt, began_at, took, status, answer, error } = call;
        Self { attempt, began_at, duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX), status, answer, error }
    }
}

/// Have an address called
///
/// The call is signed as Standard Webhooks describes, and made again with growing pauses until the answer is 2xx, `max_attempts`
/// are used up, or the answer is 410. `Retry-After` is obeyed up to a day. Redirects are not followed. It may arrive more than
/// once: recognise repetitions by `webhook-id`. Needs an API key with the scope `jobs`, or the role admin.
#[utoipa::path(post, path = "/api/v1/jobs", tag = "jobs", request_body = EnqueueHttpJob, security(("bearer" = []), ("session" = [])),
    responses((status = 202, body = HttpJobView), Problem))]
pub(super) async fn enqueue_http_job(
    State(http): State<HttpJobs>,
    Keyed(ctx): Keyed,
    Json(body): Json<EnqueueHttpJob>,
) -> Result<(StatusCode, Json<HttpJobView>), Problem> {
    let EnqueueHttpJob { url, endpoint, path, method, headers, body, run_at, max_attempts, unique_key } = body;
    let new = NewHttpJob { url, endpoint, path, method, headers, body, run_at, max_attempts, unique_key };
    let job = http.enqueue_http_job(&ctx, new).await?;
    Ok((StatusCode::ACCEPTED, Json(job.into())))
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    cursor: Option<Cursor>,
}

/// List the calls one asked for, the newest first
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = HttpJobList), Problem))]
pub(super) async fn list_http_jobs(
    State(http): State<HttpJobs>,
    Keyed(ctx): Keyed,
    Query(query): Query<ListQuery>,
) -> Result<Json<HttpJobList>, Problem> {
    let mut invalid = Invalid::default();
    if query.limit.is_some_and(|limit| limit == 0 || limit > PageQuery::MAX) {
        invalid.add("limit", format!("is 1 to {}", PageQuery::MAX));
    }
    invalid.finish()?;
    let Page { items, next_cursor } = http.list_http_jobs(&ctx, &PageQuery { limit: query.limit, cursor: query.cursor }).await?;
    Ok(Json(HttpJobList { items: items.into_iter().map(Into::into).collect(), next_cursor }))
}

/// Read a job that calls an address, and what was answered
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = HttpJobDetail), Problem))]
pub(super) async fn find_http_job(
    State(http): State<HttpJobs>,
    Keyed(ctx): Keyed,
    Path(id): Path<JobId>,
) -> Result<Json<HttpJobDetail>, Problem> {
    let (job, calls) = http.find_http_job(&ctx, id).await?;
    Ok(Json(HttpJobDetail { job: job.into(), calls: calls.into_iter().map(Into::into).collect() }))
}

/// Take a call back that has not succeeded yet
#[utoipa::path(delete, path = "/api/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Canceled"), Problem))]
pub(super) async fn cancel_http_job(State(http): State<HttpJobs>, Keyed(ctx): Keyed, Path(id): Path<JobId>) -> Result<StatusCode, Problem> {
    http.cancel_http_job(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
