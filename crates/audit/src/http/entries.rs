//! Entries: searched, read, exported.

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

use super::Answer;
use crate::{Audit, EntryFilter, Recorded, Severity, Status, export::Format};

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryView {
    /// Its place in the chain.
    #[schema(example = 4711)]
    seq: i64,
    #[schema(example = "aud_0192f0c1d2e37000a1b2c3d4e5f60718")]
    id: String,
    /// `entry`, or `batch` for one that stands for many things kept elsewhere.
    kind: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(example = "identity.user.disabled")]
    action: String,
    /// `info`, `notice`, `warning` or `alert`.
    severity: String,
    /// `success` or `failure`.
    status: String,
    actor: ActorView,
    resource: ResourceView,
    #[schema(required)]
    request_id: Option<String>,
    /// What else belongs to it, by name.
    #[schema(value_type = Object)]
    details: Box<serde_json::value::RawValue>,
    #[schema(required)]
    ip: Option<String>,
    #[schema(required)]
    user_agent: Option<String>,
    /// Details that belong to a person.
    #[schema(value_type = Option<Object>, required)]
    personal: Option<Box<serde_json::value::RawValue>>,
    /// The entry that tells of the erasure of what belongs to a person in this one.
    #[schema(required)]
    erased_by: Option<i64>,
    /// SHA-256, in hexadecimal; docs/audit.md says over what.
    hash: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ActorView {
    /// `user`, `operator` (the command line), `system` or `anonymous`.
    kind: String,
    #[schema(required)]
    id: Option<String>,
    #[schema(required)]
    session: Option<String>,
    /// What they were known by at the time.
    #[schema(required)]
    name: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ResourceView {
    #[schema(example = "user")]
    kind: String,
    #[schema(required)]
    id: Option<String>,
}

impl From<Recorded> for EntryView {
    fn from(it: Recorded) -> Self {
        Self {
            seq: it.seq,
            id: it.id,
            kind: it.kind,
            at: it.at,
            action: it.action,
            severity: it.severity,
            status: it.status,
            actor: ActorView { kind: it.actor.kind, id: it.actor.id, session: it.actor.session, name: it.actor.name },
            resource: ResourceView { kind: it.resource.kind, id: it.resource.id },
            request_id: it.request_id,
            details: it.details,
            ip: it.ip,
            user_agent: it.user_agent,
            personal: it.personal,
            erased_by: it.erased_by,
            hash: it.hash,
        }
    }
}

/// One page of entries.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryList {
    items: Vec<EntryView>,
    /// For `?cursor=`; null on the last page. A page may be short, or empty, although there is a next one.
    #[schema(value_type = Option<String>, required)]
    next_cursor: Option<Cursor>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct EntriesQuery {
    actor: Option<String>,
    action: Option<String>,
    resource: Option<String>,
    status: Option<String>,
    severity: Option<String>,
    ip: Option<String>,
    request_id: Option<String>,
    from: Option<String>,
    to: Option<String>,
    query: Option<String>,
    limit: Option<u32>,
    cursor: Option<Cursor>,
}

/// What is searched for as part of a text is no longer.
const QUERY: usize = 100;

impl EntriesQuery {
    fn filter(self) -> Answer<(EntryFilter, PageQuery)> {
        let mut invalid = Invalid::default();
        if self.limit.is_some_and(|limit| limit == 0 || limit > PageQuery::MAX) {
            invalid.add("limit", format!("is 1 to {}", PageQuery::MAX));
        }
        let status = one_of(&mut invalid, "status", self.status, &[Status::Success, Status::Failure].map(|it| (it.as_str(), it)));
        let severity = one_of(&mut invalid, "severity", self.severity, &Severity::ALL.map(|it| (it.as_str(), it)));
        let from = self.from.and_then(|at| invalid.check("from", moment(&at)));
        let to = self.to.and_then(|at| invalid.check("to", moment(&at)));
        let ip = self.ip.and_then(|ip| invalid.check("ip", ip.parse::<std::net::IpAddr>())).map(|ip| ip.to_string());
        if self.query.as_ref().is_some_and(|text| text.len() > QUERY) {
            invalid.add("query", format!("is at most {QUERY} bytes long"));
        }
        for (name, text) in
            [("actor", &self.actor), ("action", &self.action), ("resource", &self.resource), ("request_id", &self.request_id)]
        {
            if text.as_ref().is_some_and(|text| text.len() > 200 || text.contains('\0')) {
                invalid.add(name, "is at most 200 bytes long, without NUL");
            }
        }
        if self.query.as_ref().is_some_and(|text| text.contains('\0')) {
            invalid.add("query", "has no NUL in it");
        }
        invalid.finish()?;
        let mut filter = EntryFilter {
            action: self.action,
            status,
            severity,
            ip,
            request_id: self.request_id,
            from,
            to,
            text: self.query.filter(|text| !text.is_empty()),
            ..EntryFilter::default()
        };
        match self.actor {
            Some(kind) if ["user", "operator", "system", "anonymous"].contains(&kind.as_str()) => filter.actor_kind = Some(kind),
            id => filter.actor_id = id,
        }
        match self.resource {
            // `user:usr_…`, `user`, `usr_…`
            Some(both) if both.contains(':') => {
                let (kind, id) = both.split_once(':').unwrap_or_default();
                (filter.resource_kind, filter.resource_id) = (Some(kind.to_owned()), Some(id.to_owned()));
            }
            Some(id) if id.contains('_') && id.len() > 20 => filter.resource_id = Some(id),
            kind => filter.resource_kind = kind,
        }
        Ok((filter, PageQuery { limit: self.limit, cursor: self.cursor }))
    }
}

fn one_of<T: Copy>(invalid: &mut Invalid, name: &str, text: Option<String>, all: &[(&str, T)]) -> Option<T> {
    let text = text?;
    let found = all.iter().find(|(known, _)| *known == text).map(|(_, value)| *value);
    if found.is_none() {
        let known: Vec<_> = all.iter().map(|(known, _)| *known).collect();
        invalid.add(name, format!("is one of {}", known.join(", ")));
    }
    found
}

pub(super) fn moment(text: &str) -> Result<Timestamp, &'static str> {
    text.parse().map_err(|_| "is a time such as 2026-11-22T03:00:00Z")
}

/// Search the audit log, the newest entries first
///
/// Every part narrows the search. A page looks at a bounded number of entries: it may be short, or empty, although there is a next one.
#[utoipa::path(get, path = "/api/v1/admin/audit", tag = "audit",
    params(
        ("actor" = Option<String>, Query, description = "Who: an identifier, or `user`, `operator`, `system`, `anonymous`"),
        ("action" = Option<String>, Query, description = "What: an action or the first parts of one, `identity.user`"),
        ("resource" = Option<String>, Query, description = "What it happened to: a kind, an identifier, or `kind:identifier`"),
        ("status" = Option<String>, Query, description = "`success` or `failure`"),
        ("severity" = Option<String>, Query, description = "This one or worse: `info`, `notice`, `warning`, `alert`"),
        ("ip" = Option<String>, Query, description = "The client's address"),
        ("request_id" = Option<String>, Query, description = "The `X-Request-ID` of the request"),
        ("from" = Option<String>, Query, description = "Not before this time"),
        ("to" = Option<String>, Query, description = "Not after this time"),
        ("query" = Option<String>, Query, description = "Part of the details, of the actor's name, of the user agent; at most 100 bytes"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = EntryList), Problem))]
pub(super) async fn list_entries(
    State(audit): State<Audit>,
    Admin(ctx, _): Admin,
    Query(query): Query<EntriesQuery>,
) -> Answer<Json<EntryList>> {
    let (filter, page) = query.filter()?;
    let found = audit.list_entries(&ctx, &filter, &page).await?;
    Ok(Json(EntryList { items: found.items.into_iter().map(EntryView::from).collect(), next_cursor: found.next_cursor }))
}

/// Read an entry by its place in the chain
#[utoipa::path(get, path = "/api/v1/admin/audit/{seq}", tag = "audit", params(("seq" = i64, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = EntryView), Problem))]
pub(super) async fn find_entry(State(audit): State<Audit>, Admin(ctx, _): Admin, Path(seq): Path<i64>) -> Answer<Json<EntryView>> {
    Ok(Json(audit.find_entry(&ctx, seq).await?.into()))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ExportQuery {
    format: Option<String>,
    from: Option<i64>,
}

/// Export entries in the order of the chain
///
/// As NDJSON, from which every hash can be computed again, or as CSV. Streams; an entry says that somebody did.
#[utoipa::path(get, path = "/api/v1/admin/audit/export", tag = "audit",
    params(
        ("format" = Option<String>, Query, description = "`ndjson` (unless told) or `csv`"),
        ("from" = Option<i64>, Query, description = "Begin with this entry", minimum = 1),
    ),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = String, content_type = "application/x-ndjson"), Problem))]
pub(super) async fn export_entries(State(audit): State<Audit>, Admin(ctx, _): Admin, Query(query): Query<ExportQuery>) -> Answer<Response> {
    let mut invalid = Invalid::default();
    let formats = [Format::Ndjson, Format::Csv].map(|it| (it.as_str(), it));
    let format = one_of(&mut invalid, "format", query.format, &formats);
    invalid.finish()?;
    let (format, from) = (format.unwrap_or(Format::Ndjson), query.from.unwrap_or(0).max(0));
    audit.begin_export(&ctx, from, format.as_str()).await?;
    let export = audit.export(from, format).await?;
    // A failure on the way ends the answer without its end, so that nobody takes half for the whole.
    let pieces = futures::stream::try_unfold(export, |mut export| async move {
        let piece = export.next().await.map_err(std::io::Error::other)?;
        Ok::<_, std::io::Error>(piece.map(|piece| (Bytes::from(piece), export)))
    });
    let disposition = format!("attachment; filename=\"audit.{}\"", format.as_str());
    let headers = [
        (header::CONTENT_TYPE, format.content_type().to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}
