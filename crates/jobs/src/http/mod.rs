//! The operator's API: `/api/v1/admin/jobs`, `/workers`, `/schedules`.

mod problems;

use axum::extract::State as Of;
use baluarte_kernel::{Cursor, PageQuery};
use baluarte_web::{Admin, Invalid, Json, Path, Problem, Query};
use http::StatusCode;
pub use problems::PROBLEMS;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{CountView, Filter, JobDetail, JobId, JobView, Operator, ScheduleView, State, WorkerView};

impl Operator {
    /// What operators use, with full paths.
    pub fn routes(&self) -> OpenApiRouter {
        OpenApiRouter::new()
            .routes(routes!(list_jobs))
            .routes(routes!(count_jobs))
            .routes(routes!(retry_jobs))
            .routes(routes!(find_job, edit_job))
            .routes(routes!(retry_job))
            .routes(routes!(cancel_job))
            .routes(routes!(list_workers))
            .routes(routes!(list_schedules))
            .routes(routes!(run_schedule))
            .with_state(self.clone())
    }
}

type Answer<T> = Result<T, Problem>;

/// A list.
#[derive(Serialize, ToSchema)]
struct Items<T> {
    items: Vec<T>,
    /// For `?cursor=`; null on the last page.
    #[schema(value_type = Option<String>, required)]
    next_cursor: Option<Cursor>,
}

impl<T> Items<T> {
    /// Short enough for one page.
    fn all(items: Vec<T>) -> Json<Self> {
        Json(Self { items, next_cursor: None })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JobsQuery {
    state: Option<String>,
    kind: Option<String>,
    tag: Option<String>,
    limit: Option<u32>,
    cursor: Option<Cursor>,
}

/// List jobs, the newest first
#[utoipa::path(get, path = "/api/v1/admin/jobs", tag = "jobs",
    params(
        ("state" = Option<String>, Query, description = "`scheduled`, `retrying`, `ready`, `running`, `done`, `dead` or `canceled`"),
        ("kind" = Option<String>, Query, description = "Only of this kind"),
        ("tag" = Option<String>, Query, description = "Only with this tag"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = Items<JobView>), Problem))]
async fn list_jobs(Of(operator): Of<Operator>, Admin(ctx, _): Admin, Query(query): Query<JobsQuery>) -> Answer<Json<Items<JobView>>> {
    let mut invalid = Invalid::default();
    let state = query.state.and_then(|state| invalid.check("state", state.parse::<State>()));
    if query.limit.is_some_and(|limit| limit == 0 || limit > PageQuery::MAX) {
        invalid.add("limit", format!("is 1 to {}", PageQuery::MAX));
    }
    if query.cursor.as_ref().is_some_and(|cursor| cursor.key().parse::<JobId>().is_err()) {
        invalid.add("cursor", "unknown cursor; take next_cursor from the previous page");
    }
    invalid.finish()?;
    let filter = Filter { state, kind: query.kind, tag: query.tag };
    let page = operator.list_jobs(&ctx, &filter, &PageQuery { limit: query.limit, cursor: query.cursor }).await?;
    Ok(Json(Items { items: page.items, next_cursor: page.next_cursor }))
}

/// Count jobs by kind and state
///
/// With the age of the oldest of each.
#[utoipa::path(get, path = "/api/v1/admin/jobs/counts", tag = "jobs",
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = Items<CountView>), Problem))]
async fn count_jobs(Of(operator): Of<Operator>, Admin(ctx, _): Admin) -> Answer<Json<Items<CountView>>> {
    Ok(Items::all(operator.count_jobs(&ctx).await?))
}

/// Which jobs are tried again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RetryJobs {
    /// `dead` or `canceled`.
    state: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    tag: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct RetriedView {
    /// So many; call again until it is zero.
    retried: usize,
}

/// Try many dead or canceled jobs again
///
/// The oldest first, at most a thousand in one go.
#[utoipa::path(post, path = "/api/v1/admin/jobs/retry", tag = "jobs", request_body = RetryJobs,
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = RetriedView), Problem))]
async fn retry_jobs(Of(operator): Of<Operator>, Admin(ctx, _): Admin, Json(body): Json<RetryJobs>) -> Answer<Json<RetriedView>> {
    let mut invalid = Invalid::default();
    let state = invalid.check("/state", body.state.parse::<State>());
    invalid.finish()?;
    let filter = Filter { state, kind: body.kind, tag: body.tag };
    Ok(Json(RetriedView { retried: operator.retry_jobs(&ctx, &filter).await? }))
}

/// Read a job, with its errors
#[utoipa::path(get, path = "/api/v1/admin/jobs/{id}", tag = "jobs", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = JobDetail), Problem))]
async fn find_job(Of(operator): Of<Operator>, Admin(ctx, _): Admin, Path(id): Path<JobId>) -> Answer<Json<JobDetail>> {
    Ok(Json(operator.find_job(&ctx, id).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EditJob {
    /// What the job is to do. `[redacted]` stands for what is there now.
    #[schema(value_type = Object)]
    payload: serde_json::Value,
}

/// Change what a job is to do, and try it again
#[utoipa::path(patch, path = "/api/v1/admin/jobs/{id}", tag = "jobs", params(("id" = String, Path)), request_body = EditJob,
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = JobDetail), Problem))]
async fn edit_job(
    Of(operator): Of<Operator>,
    Admin(ctx, _): Admin,
    Path(id): Path<JobId>,
    Json(body): Json<EditJob>,
) -> Answer<Json<JobDetail>> {
    operator.edit_job(&ctx, id, body.payload).await?;
    Ok(Json(operator.find_job(&ctx, id).await?))
}

/// Try a job again at once
///
/// One that is scheduled, dead or canceled; it gets one more attempt if none was left.
#[utoipa::path(post, path = "/api/v1/admin/jobs/{id}/retry", tag = "jobs", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = JobDetail), Problem))]
async fn retry_job(Of(operator): Of<Operator>, Admin(ctx, _): Admin, Path(id): Path<JobId>) -> Answer<Json<JobDetail>> {
    operator.retry_job(&ctx, id).await?;
    Ok(Json(operator.find_job(&ctx, id).await?))
}

/// Cancel a job
///
/// What waits is canceled at once (200). What runs is asked to stop, and dropped when it does not (202).
#[utoipa::path(post, path = "/api/v1/admin/jobs/{id}/cancel", tag = "jobs", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = JobDetail), (status = 202, body = JobDetail, description = "It still runs"), Problem))]
async fn cancel_job(Of(operator): Of<Operator>, Admin(ctx, _): Admin, Path(id): Path<JobId>) -> Answer<(StatusCode, Json<JobDetail>)> {
    let running = operator.cancel_job(&ctx, id).await?;
    let status = if running { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(operator.find_job(&ctx, id).await?)))
}

/// List workers
///
/// Those that fell silent in the last day included.
#[utoipa::path(get, path = "/api/v1/admin/workers", tag = "jobs",
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = Items<WorkerView>), Problem))]
async fn list_workers(Of(operator): Of<Operator>, Admin(ctx, _): Admin) -> Answer<Json<Items<WorkerView>>> {
    Ok(Items::all(operator.list_workers(&ctx).await?))
}

/// List schedules, the next one first
#[utoipa::path(get, path = "/api/v1/admin/schedules", tag = "jobs",
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = Items<ScheduleView>), Problem))]
async fn list_schedules(Of(operator): Of<Operator>, Admin(ctx, _): Admin) -> Answer<Json<Items<ScheduleView>>> {
    Ok(Items::all(operator.list_schedules(&ctx).await?))
}

#[derive(Serialize, ToSchema)]
struct RunView {
    /// The run, or the one that still goes on.
    #[schema(value_type = String, example = "job_0192f0c1d2e37000a1b2c3d4e5f60718")]
    job_id: JobId,
}

/// Start a run of a schedule now
#[utoipa::path(post, path = "/api/v1/admin/schedules/{name}/run", tag = "jobs", params(("name" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 202, body = RunView), Problem))]
async fn run_schedule(Of(operator): Of<Operator>, Admin(ctx, _): Admin, Path(name): Path<String>) -> Answer<(StatusCode, Json<RunView>)> {
    let job_id = operator.run_schedule(&ctx, &name).await?;
    Ok((StatusCode::ACCEPTED, Json(RunView { job_id })))
}
