//! Signed-in devices.

use std::net::IpAddr;

use axum::extract::State;
use baluarte_kernel::{Cursor, SessionId, Timestamp};
use baluarte_web::{Json, Path, Problem, Query, SignedIn};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::views::{Answer, List, page_query};
use crate::{Identity, Session};

#[derive(Deserialize)]
pub(super) struct SessionsQuery {
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    cursor: Option<Cursor>,
}

/// A signed-in device.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionView {
    #[schema(value_type = String)]
    id: SessionId,
    /// `cookie` or `tokens`.
    kind: &'static str,
    /// As the client called itself.
    user_agent: Option<String>,
    /// Where it signed in.
    #[schema(value_type = Option<String>)]
    ip: Option<IpAddr>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The one that asks.
    current: bool,
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            kind: session.kind.as_str(),
            user_agent: session.user_agent,
            ip: session.ip,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
            current: session.current,
        }
    }
}

/// List one's own devices, the latest first
#[utoipa::path(get, path = "/api/v1/sessions", tag = "identity",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = List<SessionView>), Problem))]
pub(super) async fn list_sessions(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Query(query): Query<SessionsQuery>,
) -> Answer<Json<List<SessionView>>> {
    let page = page_query(query.limit, query.cursor)?;
    let sessions = identity.list_sessions(&ctx, &page).await?.map(SessionView::from);
    Ok(Json(sessions.into()))
}

/// Sign one of one's own devices out
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "identity", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Signed out"), Problem))]
pub(super) async fn revoke_session(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<SessionId>,
) -> Answer<StatusCode> {
    identity.revoke_session(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
