//! Invitations: made by administrators, accepted by whoever holds the link.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::{Cursor, Locale, Secret, Timestamp};
use baluarte_web::{Caller, Invalid, Json, Path, Problem, Query, SignedIn, problem::INVALID_FIELDS};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    auth::{RegisteredView, registered},
    views::{Answer, List, NO_STORE, page_query},
};
use crate::{Acceptance, Email, Identity, Invitation, InvitationId, Name, NewInvitation, Role};

/// A link with which somebody may create an account.
#[derive(Serialize, ToSchema)]
pub(super) struct InvitationView {
    #[schema(value_type = String, example = "inv_0192f0c1d2e37000a1b2c3d4e5f60718")]
    id: InvitationId,
    /// Whose address it was sent to; null: whoever holds the link.
    #[schema(required, example = "zoe@example.com")]
    email: Option<String>,
    role: String,
    /// `open`, `used`, `expired` or `revoked`.
    #[schema(example = "open")]
    state: &'static str,
    max_uses: u32,
    uses: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl InvitationView {
    fn of(invitation: &Invitation, now: Timestamp) -> Self {
        Self {
            id: invitation.id,
            email: invitation.email.as_ref().map(ToString::to_string),
            role: invitation.role.to_string(),
            state: invitation.state(now),
            max_uses: invitation.max_uses,
            uses: invitation.uses,
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct InvitationsQuery {
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    cursor: Option<Cursor>,
}

/// List invitations, the latest first
///
/// Those that are over stay for a month.
#[utoipa::path(get, path = "/api/v1/admin/invitations", tag = "identity",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = List<InvitationView>), Problem))]
pub(super) async fn list_invitations(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Query(query): Query<InvitationsQuery>,
) -> Answer<Json<List<InvitationView>>> {
    let found = identity.list_invitations(&ctx, &page_query(query.limit, query.cursor)?).await?;
    let now = ctx.now();
    Ok(Json(found.map(|invitation| InvitationView::of(&invitation, now)).into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Invite {
    /// Where the link is sent; only its reader can accept. Without one, whoever holds the link can.
    #[serde(default)]
    #[schema(example = "zoe@example.com")]
    email: Option<String>,
    /// `user` unless told; `admin` only with an address.
    #[serde(default)]
    role: Option<String>,
    /// How many accounts the link makes; 1 unless told, and always with an address.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000)]
    max_uses: Option<u32>,
    /// In seven days unless told; in ninety at most.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The language of the mail: `en`, `es` or `pt`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "es")]
    locale: Option<Locale>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CreatedInvitationView {
    invitation: InvitationView,
    /// Where it is accepted: shown this once.
    url: String,
}

/// Invite somebody
///
/// With an address the link is mailed there, and earlier ones to it are void; the account that it makes has a confirmed address. The link is in the
/// answer too, this once. 409 `identity.email_taken` for an address that has an account.
#[utoipa::path(post, path = "/api/v1/admin/invitations", tag = "identity", request_body = Invite,
    security(("bearer" = []), ("session" = [])), responses((status = 201, body = CreatedInvitationView), Problem))]
pub(super) async fn invite(State(identity): State<Identity>, SignedIn(ctx, _): SignedIn, Json(body): Json<Invite>) -> Answer<Response> {
    let (longest, most) = (Identity::LONGEST_INVITATION, Identity::MOST_INVITED);
    let mut invalid = Invalid::default();
    let email = body.email.and_then(|email| invalid.check("/email", email.parse::<Email>()));
    let role = invalid.check("/role", body.role.map_or_else(|| Ok(Role::user()), |role| role.parse()));
    let max_uses = body.max_uses.unwrap_or(1);
    if max_uses == 0 || max_uses > most {
        invalid.add("/max_uses", format!("is 1 to {most}"));
    }
    if email.is_some() && max_uses > 1 {
        invalid.add("/max_uses", "is 1 for one that is sent to an address");
    }
    let now = ctx.now();
    if body.expires_at.is_some_and(|at| at <= now || at > now.plus(longest.get())) {
        invalid.add("/expires_at", format!("is in the future, and within {longest}"));
    }
    invalid.finish()?;
    let role = role.ok_or_else(|| Problem::of(&INVALID_FIELDS))?;
    let new = NewInvitation { email, role, max_uses, expires_at: body.expires_at, locale: body.locale };
    let created = identity.invite(&ctx, new).await?;
    let view = CreatedInvitationView { invitation: InvitationView::of(&created.invitation, now), url: created.url.expose().to_owned() };
    Ok((StatusCode::CREATED, NO_STORE, Json(view)).into_response())
}

/// Revoke an invitation
///
/// Nobody can accept it any more. 404 for one that is over already.
#[utoipa::path(delete, path = "/api/v1/admin/invitations/{id}", tag = "identity", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Revoked"), Problem))]
pub(super) async fn revoke_invitation(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<InvitationId>,
) -> Answer<StatusCode> {
    identity.revoke_invitation(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcceptInvitation {
    /// From the link.
    #[schema(value_type = String)]
    token: Secret,
    #[schema(example = "Zoë")]
    name: String,
    /// 8 to 256 characters; no rules of composition.
    #[schema(value_type = String, format = Password)]
    password: Secret,
    /// Only for a link that was not sent to an address.
    #[serde(default)]
    #[schema(example = "zoe@example.com")]
    email: Option<String>,
}

/// Accept an invitation
///
/// 201 with the account. 202 where the link was not sent to an address and addresses have to be confirmed: the same whether or not the
/// address has an account.
#[utoipa::path(post, path = "/api/v1/auth/invitation", tag = "identity", request_body = AcceptInvitation, security(()),
    responses((status = 201, body = RegisteredView), (status = 202, description = "A mail was sent"), Problem))]
pub(super) async fn accept_invitation(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    Json(body): Json<AcceptInvitation>,
) -> Answer<Response> {
    let mut invalid = Invalid::default();
    let name = invalid.check("/name", body.name.parse::<Name>());
    let email = body.email.and_then(|email| invalid.check("/email", email.parse::<Email>()));
    invalid.finish()?;
    let name = name.ok_or_else(|| Problem::of(&INVALID_FIELDS))?;
    let acceptance = Acceptance { token: body.token, name, email, password: body.password };
    Ok(registered(identity.accept_invitation(&ctx, acceptance).await?, &identity))
}
