//! Keys for programs.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::{ApiKeyId, Period, Timestamp};
use baluarte_web::{Invalid, Json, Path, Problem, SignedIn};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::views::{Answer, NO_STORE};
use crate::{ApiKey, CreatedApiKey, Identity, Name, NewApiKey};

#[derive(Serialize, ToSchema)]
pub(super) struct ApiKeyView {
    #[schema(value_type = String, example = "key_0192f0c1d2e37000a1b2c3d4e5f60718")]
    id: ApiKeyId,
    #[schema(example = "Nightly export")]
    name: String,
    /// How the key begins.
    #[schema(example = "blt_4fQz")]
    hint: String,
    #[schema(example = json!(["jobs"]))]
    scopes: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Keys that are over are listed for a month.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// To the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// The key that was made in its place.
    #[schema(value_type = Option<String>)]
    replaced_by: Option<ApiKeyId>,
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> Self {
        let ApiKey { id, name, hint, scopes, created_at, expires_at, last_used_at, replaced_by } = key;
        Self { id, name, hint, scopes, created_at, expires_at, last_used_at, replaced_by }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct ApiKeysView {
    items: Vec<ApiKeyView>,
    /// Always null: they all fit.
    next_cursor: Option<String>,
    /// What the caller may give a key.
    #[schema(example = json!(["profile", "app"]))]
    scopes: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CreatedApiKeyView {
    #[serde(flatten)]
    about: ApiKeyView,
    /// For `Authorization: Bearer`; shown this once.
    #[schema(example = "blt_00000000000000000000000000000000000000001bNQGD")]
    key: String,
}

impl CreatedApiKeyView {
    fn respond(made: CreatedApiKey) -> Response {
        let view = Self { key: made.secret.expose().to_owned(), about: made.key.into() };
        (StatusCode::CREATED, NO_STORE, Json(view)).into_response()
    }
}

/// List one's own API keys, the newest first
#[utoipa::path(get, path = "/api/v1/api-keys", tag = "identity", security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = ApiKeysView), Problem))]
pub(super) async fn list_api_keys(State(identity): State<Identity>, SignedIn(ctx, _): SignedIn) -> Answer<Json<ApiKeysView>> {
    let items = identity.list_api_keys(&ctx).await?.into_iter().map(Into::into).collect();
    Ok(Json(ApiKeysView { items, next_cursor: None, scopes: identity.offered_scopes(&ctx)? }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateApiKey {
    /// What it is for, in its owner's words.
    #[schema(example = "Nightly export")]
    name: String,
    /// `profile`, `app`, those that routes ask for (`access = "scope:NAME"`); for administrators also `jobs` and `monitor`.
    #[schema(example = json!(["app"]))]
    scopes: Vec<String>,
    /// The longest that is allowed when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// Make an API key
///
/// The key is in this answer and nowhere else. Asks for a fresh proof of who it is: with `identity.step_up_required`, show it at
/// `/api/v1/auth/step-up` first.
#[utoipa::path(post, path = "/api/v1/api-keys", tag = "identity", request_body = CreateApiKey,
    security(("bearer" = []), ("session" = [])), responses((status = 201, body = CreatedApiKeyView), Problem))]
pub(super) async fn create_api_key(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Json(body): Json<CreateApiKey>,
) -> Answer<Response> {
    let mut invalid = Invalid::default();
    let name = invalid.check("/name", body.name.parse::<Name>());
    invalid.finish()?;
    let Some(name) = name else { return Err(Problem::of(&baluarte_web::problem::INVALID_FIELDS)) };
    let made = identity.create_api_key(&ctx, NewApiKey { name, scopes: body.scopes, expires_at: body.expires_at }).await?;
    Ok(CreatedApiKeyView::respond(made))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateApiKey {
    /// How long the old key goes on: `"1m"` to `"30d"`; null or absent ends it at once.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "24h")]
    overlap: Option<Period>,
}

/// Replace an API key
///
/// The new one has the name, the scopes and the span of life of the old one, which goes on beside it for `overlap`. Asks for a fresh
/// proof of who it is.
#[utoipa::path(post, path = "/api/v1/api-keys/{id}/rotate", tag = "identity", params(("id" = String, Path)),
    request_body = RotateApiKey, security(("bearer" = []), ("session" = [])),
    responses((status = 201, body = CreatedApiKeyView), Problem))]
pub(super) async fn rotate_api_key(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<ApiKeyId>,
    Json(body): Json<RotateApiKey>,
) -> Answer<Response> {
    Ok(CreatedApiKeyView::respond(identity.rotate_api_key(&ctx, id, body.overlap).await?))
}

/// Revoke an API key
///
/// It stops working at once, on every replica.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", tag = "identity", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Revoked"), Problem))]
pub(super) async fn revoke_api_key(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<ApiKeyId>,
) -> Answer<StatusCode> {
    identity.revoke_api_key(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
