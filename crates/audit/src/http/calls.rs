//! The gateway's recorded calls: searched, proven, exported.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::{Cursor, PageQuery, Timestamp};
use baluarte_web::{Admin, Invalid, Json, Path, Problem, Query};
use bytes::Bytes;
use http::header;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, entries::moment};
use crate::{Audit, CallFilter, CallProof, RecordedCall};

/// A call of a route whose calls are recorded.
#[derive(Serialize, ToSchema)]
pub(super) struct CallView {
    /// Its batch and its place in it.
    #[schema(example = "cal_0192f0c1d2e37000a1b2c3d4e5f60718.17")]
    id: String,
    /// When its answer had gone out.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    latency_ms: f64,
    request_id: String,
    #[schema(required)]
    user_id: Option<String>,
    #[schema(required)]
    session_id: Option<String>,
    /// `session`, `access_token` or `api_key`; null for a call without one.
    #[schema(required)]
    credential: Option<&'static str>,
    method: String,
    host: String,
    /// Without the query.
    path: String,
    route: String,
    /// Empty for a route without one.
    upstream: String,
    /// 499: the client left before there was an answer.
    status: u16,
    /// Of the answer's body.
    bytes: u64,
    /// The answer was cut short.
    aborted: bool,
    /// Some text was too long to be kept whole.
    cut: bool,
    /// Null once it was erased because of its age.
    #[schema(required)]
    ip: Option<String>,
    #[schema(required)]
    user_agent: Option<String>,
}

impl From<RecordedCall> for CallView {
    fn from(it: RecordedCall) -> Self {
        Self {
            id: it.id,
            at: it.at,
            latency_ms: it.latency_ms,
            request_id: it.request_id,
            user_id: it.user_id,
            session_id: it.session_id,
            credential: it.credential,
            method: it.method,
            host: it.host,
            path: it.path,
            route: it.route,
            upstream: it.upstream,
            status: it.status,
            bytes: it.bytes,
            aborted: it.aborted,
            cut: it.cut,
            ip: it.ip,
            user_agent: it.user_agent,
        }
    }
}

/// One page of recorded calls.
#[derive(Serialize, ToSchema)]
pub(super) struct CallList {
    items: Vec<CallView>,
    /// For `?cursor=`; null on the last page. A page may be short, or empty, although there is a next one.
    #[schema(value_type = Option<String>, required)]
    next_cursor: Option<Cursor>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct CallsQuery {
    user: Option<String>,
    session: Option<String>,
    route: Option<String>,
    upstream: Option<String>,
    method: Option<String>,
    path: Option<String>,
    status: Option<String>,
    request_id: Option<String>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<u32>,
    cursor: Option<Cursor>,
}

impl CallsQuery {
    fn filter(self) -> Answer<(CallFilter, PageQuery)> {
        let mut invalid = Invalid::default();
        if self.limit.is_some_and(|limit| limit == 0 || limit > PageQuery::MAX) {
            invalid.add("limit", format!("is 1 to {}", PageQuery::MAX));
        }
        let filter = CallFilter {
            from: self.from.and_then(|at| invalid.check("from", moment(&at))),
            to: self.to.and_then(|at| invalid.check("to", moment(&at))),
            user_id: self.user.and_then(|id| invalid.check("user", id.parse())),
            session_id: self.session.and_then(|id| invalid.check("session", id.parse())),
            status: self.status.and_then(|status| invalid.check("status", statuses(&status))),
            method: self.method.map(|method| method.to_ascii_uppercase()),
            route: self.route,
            upstream: self.upstream,
            path: self.path,
            request_id: self.request_id,
        };
        invalid.finish()?;
        Ok((filter, PageQuery { limit: self.limit, cursor: self.cursor }))
    }
}

/// `404`, or `4xx`.
fn statuses(text: &str) -> Result<(u16, u16), &'static str> {
    const EXPECTED: &str = "is a status such as 404, or a class such as 4xx";
    if let Some(class) = text.strip_suffix("xx") {
        let class = class.parse::<u16>().ok().filter(|class| (1..=5).contains(class)).ok_or(EXPECTED)?;
        return Ok((class * 100, class * 100 + 99));
    }
    let status = text.parse::<u16>().ok().filter(|status| (100..=599).contains(status)).ok_or(EXPECTED)?;
    Ok((status, status))
}

/// Search the gateway's recorded calls, the newest first
///
/// Calls of routes with `audit = "all"` or `"writes"`. A page looks at a bounded number of calls: it may be short, or empty, although there is a next one.
#[utoipa::path(get, path = "/api/v1/admin/audit/calls", tag = "audit",
    params(
        ("user" = Option<String>, Query, description = "Whose: `usr_…`"),
        ("session" = Option<String>, Query, description = "With which session: `ses_…`"),
        ("route" = Option<String>, Query, description = "The route's name"),
        ("upstream" = Option<String>, Query, description = "The upstream's name"),
        ("method" = Option<String>, Query, description = "`POST`"),
        ("path" = Option<String>, Query, description = "The beginning of the path"),
        ("status" = Option<String>, Query, description = "`404`, or `4xx`"),
        ("request_id" = Option<String>, Query, description = "The `X-Request-ID` of the request"),
        ("from" = Option<String>, Query, description = "Not before this time"),
        ("to" = Option<String>, Query, description = "Not after this time"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = CallList), Problem))]
pub(super) async fn list_calls(
    State(audit): State<Audit>,
    Admin(ctx, _): Admin,
    Query(query): Query<CallsQuery>,
) -> Answer<Json<CallList>> {
    let (filter, page) = query.filter()?;
    let found = audit.list_calls(&ctx, &filter, &page).await?;
    Ok(Json(CallList { items: found.items.into_iter().map(CallView::from).collect(), next_cursor: found.next_cursor }))
}

/// A recorded call and the way from it to the roots in a link of the chain. docs/audit-calls.md says how to check it.
#[derive(Serialize, ToSchema)]
pub(super) struct CallProofView {
    v: u8,
    call: CallView,
    batch: String,
    /// Its place in the batch, and how many calls that holds.
    index: usize,
    calls: usize,
    /// The bytes that are hashed, in hexadecimal.
    record: String,
    path: Vec<String>,
    root: String,
    /// Salt, address and user agent, in hexadecimal; null once erased.
    #[schema(required)]
    private: Option<String>,
    private_path: Vec<String>,
    /// The entry whose details hold the roots.
    #[schema(required)]
    entry: Option<i64>,
}

impl From<CallProof> for CallProofView {
    fn from(it: CallProof) -> Self {
        Self {
            v: it.v,
            call: it.call.into(),
            batch: it.batch,
            index: it.index,
            calls: it.calls,
            record: it.record,
            path: it.path,
            root: it.root,
            private: it.private,
            private_path: it.private_path,
            entry: it.entry,
        }
    }
}

/// Read a recorded call with the proof that it is in the chain
#[utoipa::path(get, path = "/api/v1/admin/audit/calls/{id}/proof", tag = "audit", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = CallProofView), Problem))]
pub(super) async fn prove_call(State(audit): State<Audit>, Admin(ctx, _): Admin, Path(id): Path<String>) -> Answer<Json<CallProofView>> {
    Ok(Json(audit.prove_call(&ctx, &id).await?.into()))
}

/// Export recorded calls, the oldest first
///
/// As NDJSON, a line for each call. Streams; an entry says that somebody did.
#[utoipa::path(get, path = "/api/v1/admin/audit/calls/export", tag = "audit",
    params(
        ("from" = Option<String>, Query, description = "Not before this time"),
        ("to" = Option<String>, Query, description = "Not after this time"),
        ("user" = Option<String>, Query, description = "Whose: `usr_…`"),
        ("route" = Option<String>, Query, description = "The route's name"),
    ),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = String, content_type = "application/x-ndjson"), Problem))]
pub(super) async fn export_calls(State(audit): State<Audit>, Admin(ctx, _): Admin, Query(query): Query<CallsQuery>) -> Answer<Response> {
    let (filter, _) = query.filter()?;
    let export = audit.export_calls(&ctx, filter).await?;
    // A failure on the way ends the answer without its end, so that nobody takes half for the whole.
    let pieces = futures::stream::try_unfold(export, |mut export| async move {
        let piece = export.next().await.map_err(std::io::Error::other)?;
        Ok::<_, std::io::Error>(piece.map(|piece| (Bytes::from(piece), export)))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"calls.ndjson\""),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}
