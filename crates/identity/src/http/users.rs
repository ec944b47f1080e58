//! One's own account, and the people one can reach.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::{CredentialKind, Cursor, Locale, Secret, UserId};
use baluarte_web::{Invalid, Json, Keyed, Problem, Query, SignedIn};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::views::{Answer, List, NO_STORE, UserView, page_query};
use crate::{Identity, Name, ProfileChange};

/// Read one's own account
#[utoipa::path(get, path = "/api/v1/users/me", tag = "identity", security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = UserView), Problem))]
pub(super) async fn find_me(State(identity): State<Identity>, Keyed(ctx): Keyed) -> Answer<Response> {
    let user = identity.find_me(&ctx).await?;
    Ok((NO_STORE, Json(UserView::of(&user, &identity))).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateProfile {
    /// What is absent stays.
    #[serde(default)]
    name: Option<String>,
    /// The language of mails: `en`, `es` or `pt`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "es")]
    locale: Option<Locale>,
}

/// Change one's own name or language
#[utoipa::path(patch, path = "/api/v1/users/me", tag = "identity", request_body = UpdateProfile, security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = UserView), Problem))]
pub(super) async fn update_profile(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Json(body): Json<UpdateProfile>,
) -> Answer<Response> {
    let mut invalid = Invalid::default();
    let name = body.name.and_then(|name| invalid.check("/name", name.parse::<Name>()));
    invalid.finish()?;
    let user = identity.update_profile(&ctx, ProfileChange { name, locale: body.locale }).await?;
    Ok((NO_STORE, Json(UserView::of(&user, &identity))).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteMe {
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// Delete one's own account
///
/// Removes the account, its sessions and everything else identity knows of it, for good. Asks for the password.
#[utoipa::path(delete, path = "/api/v1/users/me", tag = "identity", request_body = DeleteMe, security(("bearer" = []), ("session" = [])),
    responses((status = 204, description = "The account is gone"), Problem))]
pub(super) async fn delete_me(
    State(identity): State<Identity>,
    SignedIn(ctx, principal): SignedIn,
    Json(body): Json<DeleteMe>,
) -> Answer<Response> {
    identity.delete_me(&ctx, &body.password).await?;
    Ok(match principal.credential {
        CredentialKind::SessionCookie => (StatusCode::NO_CONTENT, [(header::SET_COOKIE, identity.forget_cookie())]).into_response(),
        CredentialKind::AccessToken | CredentialKind::ApiKey => StatusCode::NO_CONTENT.into_response(),
    })
}

#[derive(Deserialize)]
pub(super) struct PeopleQuery {
    #[serde(default)]
    query: String,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    cursor: Option<Cursor>,
}

/// Somebody one can reach; their address is nobody's business.
#[derive(Serialize, ToSchema)]
pub(super) struct PersonView {
    #[schema(value_type = String)]
    id: UserId,
    name: String,
}

/// Find people by name
#[utoipa::path(get, path = "/api/v1/users", tag = "identity",
    params(
        ("query" = Option<String>, Query, description = "The beginning of a word of their name"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = List<PersonView>), Problem))]
pub(super) async fn list_people(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Query(query): Query<PeopleQuery>,
) -> Answer<Json<List<PersonView>>> {
    let page = page_query(query.limit, query.cursor)?;
    let people = identity.list_people(&ctx, &query.query, &page).await?;
    Ok(Json(people.map(|person| PersonView { id: person.id, name: person.name.to_string() }).into()))
}
