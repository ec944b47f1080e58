//! Showing in the middle of a session that it is still its owner.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::{Secret, Timestamp};
use baluarte_web::{Json, Problem, SignedIn};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::passkeys::{PasskeyOptions, options};
use crate::{
    Assertion, Identity, Method, Proof,
    http::views::{Answer, NO_STORE},
};

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ConfirmationView {
    /// What can be given; empty where there is no second factor: then it is the password.
    methods: Vec<Method>,
    /// When its owner last showed who they are in this session.
    #[schema(value_type = String, format = DateTime)]
    proven_at: Timestamp,
    /// There is neither a factor nor a password: a browser shows it at `/auth/with/NAME?for=confirm`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    providers: Vec<String>,
}

/// How to show that it is still you, and when you last did
#[utoipa::path(get, path = "/api/v1/auth/step-up", tag = "identity", security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = ConfirmationView), Problem))]
pub(in crate::http) async fn find_confirmation(State(identity): State<Identity>, SignedIn(ctx, _): SignedIn) -> Answer<Response> {
    let found = identity.find_confirmation(&ctx).await?;
    let providers = found.providers.into_iter().map(|provider| provider.name).collect();
    Ok((NO_STORE, Json(ConfirmationView { methods: found.methods, proven_at: found.proven_at, providers })).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SendConfirmation {
    /// `email` or `sms`; with `passkey` the answer is what `navigator.credentials.get` needs.
    method: Method,
}

/// Send a code to show with that it is still you
#[utoipa::path(post, path = "/api/v1/auth/step-up/challenge", tag = "identity", request_body = SendConfirmation,
    security(("bearer" = []), ("session" = [])),
    responses((status = 202, description = "A code is on its way"), (status = 200, body = PasskeyOptions), Problem))]
pub(in crate::http) async fn send_confirmation(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Json(body): Json<SendConfirmation>,
) -> Answer<Response> {
    if body.method == Method::Passkey {
        return Ok(options(identity.confirmation_options(&ctx).await?));
    }
    identity.send_confirmation(&ctx, body.method).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ConfirmBody {
    /// One of those named; absent with the password.
    #[serde(default)]
    method: Option<Method>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "482913")]
    code: Secret,
    /// Only where there is no second factor.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    password: Secret,
    /// With `passkey`, instead of a code.
    #[serde(default)]
    credential: Option<Assertion>,
}

/// Show that it is still you
///
/// With the second factor where there is one, otherwise with the password. A browser gets another cookie; a program refreshes its
/// tokens: the next access token says when (`auth_time`). For answers with `gateway.step_up_required` or `identity.step_up_required`.
#[utoipa::path(post, path = "/api/v1/auth/step-up", tag = "identity", request_body = ConfirmBody,
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Shown"), Problem))]
pub(in crate::http) async fn confirm(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Json(body): Json<ConfirmBody>,
) -> Answer<Response> {
    let ConfirmBody { method, code, password, credential } = body;
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = identity.confirm(&ctx, &Proof { method, code, password, assertion: credential }).await? {
        response.headers_mut().append(header::SET_COOKIE, identity.session_cookie(&cookie));
    }
    Ok(response)
}
