//! Passwords that were forgotten or are to be changed. Two of the addresses also take the forms of the pages.

use axum::{
    extract::{FromRequest, Request, State},
    response::{IntoResponse, Response},
};
use baluarte_kernel::Secret;
use baluarte_web::{Caller, Json, Problem, SignedIn};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use super::views::Answer;
use crate::{Identity, pages};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ForgotPassword {
    #[schema(example = "zoe@example.com")]
    email: String,
}

/// Ask for a link to choose a new password
///
/// Always 202, at once and in the same words, whether or not the address has an account.
#[utoipa::path(post, path = "/auth/forgot-password", tag = "identity", request_body = ForgotPassword, security(()),
    responses((status = 202, description = "If there is such an account, a mail is on its way"), Problem))]
pub(super) async fn forgot_password(State(identity): State<Identity>, Caller(ctx): Caller, request: Request) -> Answer<Response> {
    if is_form(request.headers()) {
        return Ok(pages::submit_forgot_password(identity, request).await);
    }
    let Json(body) = Json::<ForgotPassword>::from_request(request, &()).await?;
    identity.forgot_password(&ctx, &body.email).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetPassword {
    /// From the link in the mail.
    #[schema(value_type = String)]
    token: Secret,
    /// 8 to 256 characters; no rules of composition.
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// Choose a new password with a link's token
///
/// The link works once. All sessions end, and nobody is signed in.
#[utoipa::path(post, path = "/auth/reset-password", tag = "identity", request_body = ResetPassword, security(()),
    responses((status = 204, description = "The password is changed"), Problem))]
pub(super) async fn reset_password(State(identity): State<Identity>, Caller(ctx): Caller, request: Request) -> Answer<Response> {
    if is_form(request.headers()) {
        return Ok(pages::submit_reset_password(identity, request).await);
    }
    let Json(body) = Json::<ResetPassword>::from_request(request, &()).await?;
    identity.reset_password(&ctx, &body.token, body.password).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePassword {
    #[schema(value_type = String, format = Password)]
    current_password: Secret,
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// Change one's own password
///
/// Every other session ends.
#[utoipa::path(put, path = "/api/v1/users/me/password", tag = "identity", request_body = ChangePassword,
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "The password is changed"), Problem))]
pub(super) async fn change_password(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Json(body): Json<ChangePassword>,
) -> Answer<StatusCode> {
    identity.change_password(&ctx, &body.current_password, body.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}
