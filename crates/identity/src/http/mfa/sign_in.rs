//! The second question of a sign-in.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::Secret;
use baluarte_web::{Caller, Json, Problem};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    LoginView, entered,
    passkeys::{PasskeyOptions, options},
};
use crate::{
    Answer as Given, Assertion, FactorKind, Identity, Method,
    http::{
        limits::count_answer,
        mfa::totp::TotpView,
        views::{Answer, NO_STORE},
    },
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SendCode {
    #[schema(value_type = String)]
    mfa_token: Secret,
    /// `email` or `sms`; with `passkey` the answer is what `navigator.credentials.get` needs.
    method: Method,
}

/// Send a code for a sign-in that has begun
///
/// A new code voids the one before. 429 `identity.code_too_soon` within thirty seconds of the last one.
#[utoipa::path(post, path = "/api/v1/auth/mfa/challenge", tag = "identity", request_body = SendCode, security(()),
    responses((status = 202, description = "A code is on its way"), (status = 200, body = PasskeyOptions), Problem))]
pub(in crate::http) async fn send_code(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    Json(body): Json<SendCode>,
) -> Answer<Response> {
    if body.method == Method::Passkey {
        return Ok(options(identity.step_options(&ctx, &body.mfa_token).await?));
    }
    identity.send_code(&ctx, &body.mfa_token, body.method, None).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct AnswerBody {
    #[schema(value_type = String)]
    mfa_token: Secret,
    method: Method,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "482913")]
    code: Secret,
    /// With `passkey`, instead of a code: what `navigator.credentials.get` gave, as JSON.
    #[serde(default)]
    credential: Option<Assertion>,
    /// Ask this browser for no second factor for 30 days; only where a cookie was asked for.
    #[serde(default)]
    trust_device: bool,
}

/// Answer the second question of a sign-in
///
/// Gives what signing in would have given. Where a factor was set up on the way, also `recovery_codes`, this once.
#[utoipa::path(post, path = "/api/v1/auth/mfa/verify", tag = "identity", request_body = AnswerBody, security(()),
    responses((status = 200, body = LoginView), Problem))]
pub(in crate::http) async fn answer(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    Json(body): Json<AnswerBody>,
) -> Answer<Response> {
    let fields = count_answer(&identity, &ctx, &body.mfa_token).await?;
    let AnswerBody { mfa_token, method, code, credential: assertion, trust_device } = body;
    let signed_in = identity.answer(&ctx, &Given { mfa_token, method, code, assertion, trust_device }).await?;
    let mut response = entered(&identity, &signed_in);
    fields.write(response.headers_mut());
    Ok(response)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Enrol {
    #[schema(value_type = String)]
    mfa_token: Secret,
    method: FactorKind,
    /// With `sms`: the number in the international form.
    #[serde(default)]
    #[schema(example = "+351912345678")]
    phone: Option<String>,
}

/// A code was sent.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct SentView {
    /// Always false: `/api/v1/auth/mfa/verify` confirms.
    confirmed: bool,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described: each answer is written by its own view")]
pub(in crate::http) enum EnrolView {
    Totp(TotpView),
    Email(SentView),
}

/// Set up the second factor that a role demands, before the first session begins
///
/// `totp` answers with the secret for an authenticator app, `email` and `sms` send a code. The first code goes to `/api/v1/auth/mfa/verify`.
#[utoipa::path(post, path = "/api/v1/auth/mfa/enrol", tag = "identity", request_body = Enrol, security(()),
    responses((status = 200, body = EnrolView), Problem))]
pub(in crate::http) async fn enrol(State(identity): State<Identity>, Caller(ctx): Caller, Json(body): Json<Enrol>) -> Answer<Response> {
    Ok(match body.method {
        FactorKind::Totp => {
            let enrolment = identity.enrol_in_step(&ctx, &body.mfa_token).await?;
            (NO_STORE, Json(TotpView::of(&enrolment))).into_response()
        }
        FactorKind::Email | FactorKind::Sms | FactorKind::Passkey => {
            identity.send_code(&ctx, &body.mfa_token, Method::from(body.method), body.phone.as_deref()).await?;
            (NO_STORE, Json(SentView { confirmed: false })).into_response()
        }
    })
}
