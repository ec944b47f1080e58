//! Authenticator apps.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_web::{Json, Problem, SignedIn};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{CodeBody, Maybe, ReauthenticationBody, RecoveryCodesView, plain};
use crate::{
    FactorKind, Identity, TotpEnrolment,
    http::views::{Answer, NO_STORE},
};

/// For an authenticator app: SHA-1, six digits, thirty seconds.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct TotpView {
    /// Base32, to be typed.
    #[schema(example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: String,
    /// For a QR code.
    otpauth_url: String,
}

impl TotpView {
    pub(super) fn of(enrolment: &TotpEnrolment) -> Self {
        Self { secret: enrolment.secret.expose().to_owned(), otpauth_url: enrolment.otpauth_url.expose().to_owned() }
    }
}

/// Begin to set up an authenticator app
///
/// In force with the first code, sent to `/api/v1/mfa/totp/confirm` within an hour. Ten minutes after signing in it asks for the
/// password (403 `identity.reauthentication_needed`).
#[utoipa::path(post, path = "/api/v1/mfa/totp", tag = "identity", request_body = Option<ReauthenticationBody>,
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = TotpView), Problem))]
pub(in crate::http) async fn begin_totp_factor(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Maybe(shown): Maybe,
) -> Answer<Response> {
    let enrolment = identity.begin_totp_factor(&ctx, &shown).await?;
    Ok((NO_STORE, Json(TotpView::of(&enrolment))).into_response())
}

/// Confirm an authenticator app with its first code
///
/// Gives ten recovery codes, this once; earlier ones are void. All other sessions end.
#[utoipa::path(post, path = "/api/v1/mfa/totp/confirm", tag = "identity", request_body = CodeBody,
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = RecoveryCodesView), Problem))]
pub(in crate::http) async fn confirm_totp_factor(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Json(body): Json<CodeBody>,
) -> Answer<Response> {
    let codes = identity.confirm_totp_factor(&ctx, &body.code).await?;
    Ok((NO_STORE, Json(RecoveryCodesView { recovery_codes: plain(&codes) })).into_response())
}

/// Remove the authenticator app
///
/// Asks for the password or a code, unless the factor was proven in the last ten minutes. All other sessions end, and no
/// device is trusted any more.
#[utoipa::path(delete, path = "/api/v1/mfa/totp", tag = "identity", request_body = Option<ReauthenticationBody>,
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Removed"), Problem))]
pub(in crate::http) async fn remove_totp_factor(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Maybe(shown): Maybe,
) -> Answer<StatusCode> {
    identity.remove_factor(&ctx, FactorKind::Totp, &shown).await?;
    Ok(StatusCode::NO_CONTENT)
}
