//! Accounts elsewhere with which people sign in here.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::Timestamp;
use baluarte_web::{Json, Path, Problem, SignedIn};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    mfa::{Maybe, ReauthenticationBody},
    views::{Answer, NO_STORE},
};
use crate::{Identity, LoginId};

/// A way to sign in.
#[derive(Serialize, ToSchema)]
pub(super) struct ProviderView {
    #[schema(example = "google")]
    name: String,
    /// What people know it by.
    #[schema(example = "Google")]
    title: String,
    /// Where a browser goes to sign in with it; takes `?return_to=`.
    #[schema(example = "/auth/with/google")]
    url: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ProvidersView {
    items: Vec<ProviderView>,
    /// Always null: there are twelve at most.
    next_cursor: Option<String>,
}

/// List the providers whose accounts sign people in here
#[utoipa::path(get, path = "/api/v1/auth/providers", operation_id = "list_sign_in_providers", tag = "identity", security(()), responses((status = 200, body = ProvidersView), Problem))]
pub(super) async fn list_providers(State(identity): State<Identity>) -> Json<ProvidersView> {
    let view = |provider: crate::ProviderName| ProviderView {
        url: format!("/auth/with/{}", provider.name),
        name: provider.name,
        title: provider.title,
    };
    Json(ProvidersView { items: identity.providers().into_iter().map(view).collect(), next_cursor: None })
}

/// An account elsewhere that signs its owner in here.
#[derive(Serialize, ToSchema)]
pub(super) struct LoginView {
    #[schema(value_type = String)]
    id: LoginId,
    /// The provider's name in the configuration when the account was connected.
    #[schema(example = "google")]
    provider: String,
    #[schema(example = "Google")]
    title: String,
    /// The address or name they have there.
    #[schema(example = "zoe@gmail.com")]
    label: String,
    /// The provider is configured: one can sign in with it.
    usable: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LoginsView {
    items: Vec<LoginView>,
    /// Always null: there are twenty at most.
    next_cursor: Option<String>,
}

/// List one's own connected accounts, the oldest first
#[utoipa::path(get, path = "/api/v1/users/me/logins", tag = "identity", security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = LoginsView), Problem))]
pub(super) async fn list_logins(State(identity): State<Identity>, SignedIn(ctx, _): SignedIn) -> Answer<Response> {
    let logins = identity.list_logins(&ctx).await?.into_iter().map(|login| LoginView {
        id: login.id,
        provider: login.provider,
        title: login.title,
        label: login.label,
        usable: login.usable,
        created_at: login.created_at,
        last_used_at: login.last_used_at,
    });
    Ok((NO_STORE, Json(LoginsView { items: logins.collect(), next_cursor: None })).into_response())
}

/// Disconnect one of one's own accounts elsewhere
///
/// Wants to know that it is still you, as changing a second factor does. The account's other sessions end. The last way in stays: 409
/// `identity.last_way_in`.
#[utoipa::path(delete, path = "/api/v1/users/me/logins/{id}", tag = "identity", params(("id" = String, Path)),
    request_body = Option<ReauthenticationBody>, security(("bearer" = []), ("session" = [])),
    responses((status = 204, description = "Disconnected"), Problem))]
pub(super) async fn disconnect_login(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<LoginId>,
    Maybe(shown): Maybe,
) -> Answer<StatusCode> {
    identity.disconnect_login(&ctx, id, &shown).await?;
    Ok(StatusCode::NO_CONTENT)
}
