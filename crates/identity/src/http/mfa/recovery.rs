//! Codes on paper.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_web::{Json, Problem, SignedIn};

use super::{Maybe, ReauthenticationBody, RecoveryCodesView, plain};
use crate::{
    Identity,
    http::views::{Answer, NO_STORE},
};

/// Make new recovery codes
///
/// Ten, shown this once; earlier ones are void. Asks for the password or a code, unless the factor was proven in the last ten minutes.
#[utoipa::path(post, path = "/api/v1/mfa/recovery-codes", tag = "identity", request_body = Option<ReauthenticationBody>,
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = RecoveryCodesView), Problem))]
pub(in crate::http) async fn replace_recovery_codes(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Maybe(shown): Maybe,
) -> Answer<Response> {
    let codes = identity.replace_recovery_codes(&ctx, &shown).await?;
    Ok((NO_STORE, Json(RecoveryCodesView { recovery_codes: plain(&codes) })).into_response())
}
