//! Codes by e-mail.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::Secret;
use baluarte_web::{Json, Problem, SignedIn};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{CodeBody, Maybe, ReauthenticationBody, sheet};
use crate::{
    EmailEnrolment, FactorKind, Identity,
    http::views::{Answer, NO_STORE},
};

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct EmailFactorView {
    /// False: a code was sent, to be given to `/api/v1/mfa/email/confirm`.
    confirmed: bool,
    /// This once, where there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<String>>,
}

impl EmailFactorView {
    fn confirmed(codes: &[Secret]) -> Response {
        (NO_STORE, Json(Self { confirmed: true, recovery_codes: sheet(codes) })).into_response()
    }
}

/// Make one's own address a second factor
///
/// At once where the address was confirmed before (`{"confirmed": true}`), otherwise a code is sent there. Asks for the
/// password ten minutes after signing in.
#[utoipa::path(post, path = "/api/v1/mfa/email", tag = "identity", request_body = Option<ReauthenticationBody>,
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = EmailFactorView), Problem))]
pub(in crate::http) async fn begin_email_factor(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Maybe(shown): Maybe,
) -> Answer<Response> {
    Ok(match identity.begin_email_factor(&ctx, &shown).await? {
        EmailEnrolment::Confirmed(codes) => EmailFactorView::confirmed(&codes),
        EmailEnrolment::CodeSent => (NO_STORE, Json(EmailFactorView { confirmed: false, recovery_codes: None })).into_response(),
    })
}

/// Confirm with the code that was sent
#[utoipa::path(post, path = "/api/v1/mfa/email/confirm", tag = "identity", request_body = CodeBody,
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = EmailFactorView), Problem))]
pub(in crate::http) async fn confirm_email_factor(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Json(body): Json<CodeBody>,
) -> Answer<Response> {
    Ok(EmailFactorView::confirmed(&identity.confirm_email_factor(&ctx, &body.code).await?))
}

/// Receive no codes by e-mail any more
#[utoipa::path(delete, path = "/api/v1/mfa/email", tag = "identity", request_body = Option<ReauthenticationBody>,
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Removed"), Problem))]
pub(in crate::http) async fn remove_email_factor(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Maybe(shown): Maybe,
) -> Answer<StatusCode> {
    identity.remove_factor(&ctx, FactorKind::Email, &shown).await?;
    Ok(StatusCode::NO_CONTENT)
}
