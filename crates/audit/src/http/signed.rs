//! Checkpoints, keys, and how the chain is doing.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::{Cursor, Page, PageQuery, Timestamp};
use baluarte_web::{Admin, Invalid, Json, Problem, Query, problem::INTERNAL};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Answer;
use crate::{Audit, Checkpoint, link::Hash};

/// A signed word of where the chain ended at a time. `docs/audit.md` says what the signature is over.
#[derive(Serialize, ToSchema)]
pub(super) struct CheckpointView {
    #[schema(example = "2026-11-22T03:00:00.000000Z")]
    at: String,
    chain: String,
    hash: String,
    kid: String,
    public_key: String,
    seq: i64,
    signature: String,
    #[schema(example = "checkpoint")]
    r#type: String,
    v: i64,
}

fn view(checkpoint: &Checkpoint, key: &Hash) -> Answer<serde_json::Value> {
    serde_json::from_str(&checkpoint.to_line(key)).map_err(|_| Problem::of(&INTERNAL))
}

#[derive(Serialize, ToSchema)]
pub(super) struct CheckpointList {
    #[schema(value_type = Vec<CheckpointView>)]
    items: Vec<serde_json::Value>,
    /// For `?cursor=`; null on the last page.
    #[schema(value_type = Option<String>, required)]
    next_cursor: Option<Cursor>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct CheckpointsQuery {
    limit: Option<u32>,
    cursor: Option<Cursor>,
}

/// List signed checkpoints, the oldest first
#[utoipa::path(get, path = "/api/v1/admin/audit/checkpoints", tag = "audit",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = CheckpointList), Problem))]
pub(super) async fn list_checkpoints(
    State(audit): State<Audit>,
    Admin(ctx, _): Admin,
    Query(query): Query<CheckpointsQuery>,
) -> Answer<Json<CheckpointList>> {
    let mut invalid = Invalid::default();
    if query.limit.is_some_and(|limit| limit == 0 || limit > PageQuery::MAX) {
        invalid.add("limit", format!("is 1 to {}", PageQuery::MAX));
    }
    let after = query
        .cursor
        .as_ref()
        .and_then(|cursor| invalid.check("cursor", cursor.key().parse::<i64>().map_err(|_| baluarte_kernel::BadCursor)));
    invalid.finish()?;
    let limit = PageQuery { limit: query.limit, cursor: None }.limit();
    let found = audit.list_checkpoints(&ctx, after.unwrap_or(0), limit + 1).await?;
    let page = Page::from_surplus(found, limit, |(checkpoint, _)| checkpoint.seq.to_string());
    let items = page.items.iter().map(|(checkpoint, key)| view(checkpoint, key)).collect::<Answer<_>>()?;
    Ok(Json(CheckpointList { items, next_cursor: page.next_cursor }))
}

/// Make a signed checkpoint now
///
/// An entry says who asked, and the checkpoint covers it. Keep it where nobody who can change the database can reach it.
#[utoipa::path(post, path = "/api/v1/admin/audit/checkpoints", tag = "audit",
    security(("bearer" = []), ("session" = [])), responses((status = 201, body = CheckpointView), Problem))]
pub(super) async fn make_checkpoint(State(audit): State<Audit>, Admin(ctx, _): Admin) -> Answer<Response> {
    let made = audit.checkpoint_now(&ctx).await?;
    let key = audit.public_key(&made.kid).await.map_err(crate::AuditError::from)?.ok_or_else(|| Problem::of(&INTERNAL))?;
    Ok((StatusCode::CREATED, Json(view(&made, &key)?)).into_response())
}

/// How the audit log is doing.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditStatusView {
    chain: String,
    /// The last entry.
    seq: i64,
    /// Entries up to here were removed because of their age.
    pruned_through: i64,
    /// The last checkpoint covers the entries up to here.
    checkpoint_seq: i64,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    checkpoint_at: Option<Timestamp>,
    /// What the last check of the whole chain found; null before the first one.
    #[schema(required)]
    checked: Option<CheckedView>,
    anchors: Vec<AnchorView>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CheckedView {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Up to which entry.
    through: i64,
    entries: i64,
    took_ms: i64,
    holds: bool,
    /// The first entry that is broken, and what is wrong with it.
    #[schema(required)]
    broken_seq: Option<i64>,
    #[schema(required)]
    broken: Option<String>,
}

/// A place that checkpoints are sent to.
#[derive(Serialize, ToSchema)]
pub(super) struct AnchorView {
    name: String,
    /// The last checkpoint that arrived covers the entries up to here.
    seq: i64,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    arrived_at: Option<Timestamp>,
    /// In a row, until now.
    failures: i64,
    #[schema(required)]
    last_error: Option<String>,
}

/// Read how the audit log is doing: checkpoints, anchors, the last check
#[utoipa::path(get, path = "/api/v1/admin/audit/status", tag = "audit",
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = AuditStatusView), Problem))]
pub(super) async fn find_audit_status(State(audit): State<Audit>, Admin(ctx, _): Admin) -> Answer<Json<AuditStatusView>> {
    let status = audit.status(&ctx).await?;
    Ok(Json(AuditStatusView {
        chain: status.chain,
        seq: status.seq,
        pruned_through: status.pruned_through,
        checkpoint_seq: status.checkpoint.as_ref().map_or(0, |it| it.seq),
        checkpoint_at: status.checkpoint.map(|it| it.at),
        checked: status.checked.map(|it| CheckedView {
            at: it.at,
            through: it.through,
            entries: it.entries,
            took_ms: it.took_ms,
            holds: it.broken.is_none(),
            broken_seq: it.broken_seq,
            broken: it.broken,
        }),
        anchors: status
            .anchors
            .into_iter()
            .map(|it| AnchorView {
                name: it.name,
                seq: it.seq,
                arrived_at: it.arrived_at,
                failures: it.failures,
                last_error: it.last_error,
            })
            .collect(),
    }))
}

/// A key that signs checkpoints. Only for the documentation: the answer is kept as text.
#[derive(Serialize, ToSchema)]
struct AuditKey {
    at: String,
    chain: String,
    /// The key before; the first one vouches for itself.
    endorsed_by: String,
    /// SHA-256 of the public key.
    kid: String,
    /// Ed25519, 32 bytes in hexadecimal.
    public_key: String,
    signature: String,
    #[schema(example = "key")]
    r#type: String,
    v: i64,
}

#[derive(Serialize, ToSchema)]
struct AuditKeys {
    keys: Vec<AuditKey>,
}

/// The public keys of checkpoints
///
/// With them and an export anybody can check the audit log without trusting this server. Keep the first one's `kid`.
#[utoipa::path(get, path = "/.well-known/baluarte-audit-keys.json", tag = "audit", security(()),
    responses((status = 200, body = AuditKeys), Problem))]
pub(super) async fn list_audit_keys(State(audit): State<Audit>) -> Answer<Response> {
    let keys = audit.key_lines().await?.join(",");
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=300")];
    Ok((headers, format!("{{\"keys\":[{keys}]}}")).into_response())
}
