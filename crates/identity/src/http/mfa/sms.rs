//! Codes by text message.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::Secret;
use baluarte_web::{Json, Problem, SignedIn};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CodeBody, Maybe, ReauthenticationBody, sheet};
use crate::{
    FactorKind, Identity, Reauthentication,
    http::views::{Answer, NO_STORE},
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SmsBody {
    /// In the international form (E.164).
    #[schema(example = "+351912345678")]
    phone: String,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret>,
    /// From the authenticator app, or a recovery code.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    code: Option<Secret>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct SmsFactorView {
    /// False: a code was sent, to be given to `/api/v1/mfa/sms/confirm`.
    confirmed: bool,
    /// This once, where there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<String>>,
}

/// Make a telephone number a second factor, or another one than before
///
/// A code is sent there; the number counts, and an earlier one no longer does, once `/api/v1/mfa/sms/confirm` has it. Asks for the
/// password ten minutes after signing in. 422 `notify.number_refused` where no text messages go.
#[utoipa::path(post, path = "/api/v1/mfa/sms", tag = "identity", request_body = SmsBody,
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = SmsFactorView), Problem))]
pub(in crate::http) async fn begin_sms_factor(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Json(body): Json<SmsBody>,
) -> Answer<Response> {
    let shown = Reauthentication { password: body.password, code: body.code };
    identity.begin_sms_factor(&ctx, &body.phone, &shown).await?;
    Ok((NO_STORE, Json(SmsFactorView { confirmed: false, recovery_codes: None })).into_response())
}

/// Confirm a telephone number with the code that was sent there
///
/// All other sessions end.
#[utoipa::path(post, path = "/api/v1/mfa/sms/confirm", tag = "identity", request_body = CodeBody,
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = SmsFactorView), Problem))]
pub(in crate::http) async fn confirm_sms_factor(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Json(body): Json<CodeBody>,
) -> Answer<Response> {
    let codes = identity.confirm_sms_factor(&ctx, &body.code).await?;
    Ok((NO_STORE, Json(SmsFactorView { confirmed: true, recovery_codes: sheet(&codes) })).into_response())
}

/// Receive no codes by text message any more
#[utoipa::path(delete, path = "/api/v1/mfa/sms", tag = "identity", request_body = Option<ReauthenticationBody>,
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Removed"), Problem))]
pub(in crate::http) async fn remove_sms_factor(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Maybe(shown): Maybe,
) -> Answer<StatusCode> {
    identity.remove_factor(&ctx, FactorKind::Sms, &shown).await?;
    Ok(StatusCode::NO_CONTENT)
}
