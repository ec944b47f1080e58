//! Second factors over the API.

pub(super) mod email;
pub(super) mod passkeys;
pub(super) mod recovery;
pub(super) mod sign_in;
pub(super) mod sms;
pub(super) mod step_up;
pub(super) mod totp;
pub(super) mod trusted;

use axum::{
    body::to_bytes,
    extract::{FromRequest, Request, State},
    response::{IntoResponse, Response},
};
use baluarte_kernel::{Secret, Timestamp};
use baluarte_web::{Json, Problem, SignedIn as Caller};
use http::header;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    auth::RegisteredView,
    views::{Answer, NO_STORE, TokensView, UserView},
};
use crate::{FactorKind, Granted, Identity, Method, MfaPolicy, Reauthentication, SecondStep, SignedIn};

/// What signing in answers: tokens, whose they are, or a second question.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described: each answer is written by its own view")]
pub(super) enum LoginView {
    Tokens(TokensView),
    /// With `"session": "cookie"`.
    Cookie(RegisteredView),
    SecondStep(SecondStepView),
}

/// The password was right; a second factor is asked for.
#[derive(Serialize, ToSchema)]
pub(super) struct SecondStepView {
    /// Always true.
    mfa_required: bool,
    /// Goes with the answer; good for ten minutes and five wrong codes.
    mfa_token: String,
    /// How it can be answered.
    methods: Vec<Method>,
    /// The account has no factor and its role demands one: what can be set up now, with `/api/v1/auth/mfa/enrol`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    enrol: Vec<FactorKind>,
    /// Seconds.
    #[schema(example = 600)]
    expires_in: u64,
}

impl SecondStepView {
    pub(super) fn of(step: &SecondStep) -> Self {
        Self {
            mfa_required: true,
            mfa_token: step.mfa_token.expose().to_owned(),
            methods: step.methods.clone(),
            enrol: step.enrol.clone(),
            expires_in: step.expires_in.as_secs(),
        }
    }
}

/// The answer to somebody who is in.
pub(super) fn entered(identity: &Identity, signed_in: &SignedIn) -> Response {
    let codes = sheet(&signed_in.recovery_codes);
    let mut response = match &signed_in.granted {
        Granted::Tokens(tokens) => {
            (NO_STORE, Json(WithCodes { view: TokensView::of(tokens, &signed_in.user, identity), codes })).into_response()
        }
        Granted::Cookie(cookie) => {
            let view = RegisteredView { user: UserView::of(&signed_in.user, identity) };
            (NO_STORE, [(header::SET_COOKIE, identity.session_cookie(cookie))], Json(WithCodes { view, codes })).into_response()
        }
    };
    if let Some(device) = &signed_in.device {
        response.headers_mut().append(header::SET_COOKIE, identity.device_cookie(device));
    }
    response
}

#[derive(Serialize)]
struct WithCodes<T> {
    #[serde(flatten)]
    view: T,
    #[serde(rename = "recovery_codes", skip_serializing_if = "Option::is_none")]
    codes: Option<Vec<String>>,
}

fn sheet(codes: &[Secret]) -> Option<Vec<String>> {
    (!codes.is_empty()).then(|| plain(codes))
}

fn plain(codes: &[Secret]) -> Vec<String> {
    codes.iter().map(|code| code.expose().to_owned()).collect()
}

/// Shown once: each is good once.
#[derive(Serialize, ToSchema)]
pub(super) struct RecoveryCodesView {
    #[schema(example = json!(["7K2M-9QXT-04HV"]))]
    recovery_codes: Vec<String>,
}

/// Shows that it is still the owner; not needed within ten minutes of signing in (with the second factor, where there is one).
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::http) struct ReauthenticationBody {
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret>,
    /// From the authenticator app, or a recovery code.
    #[schema(value_type = Option<String>)]
    code: Option<Secret>,
}

impl From<ReauthenticationBody> for Reauthentication {
    fn from(body: ReauthenticationBody) -> Self {
        Self { password: body.password, code: body.code }
    }
}

/// A body that may be absent.
pub(in crate::http) struct Maybe(pub(in crate::http) Reauthentication);

/// No body of ours is longer.
const MAX_BODY: usize = 16 * 1024;

impl<S: Send + Sync> FromRequest<S> for Maybe {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.headers().contains_key(header::CONTENT_TYPE) {
            let Json(body) = Json::<ReauthenticationBody>::from_request(request, state).await?;
            return Ok(Self(body.into()));
        }
        match to_bytes(request.into_body(), MAX_BODY).await {
            Ok(body) if body.is_empty() => Ok(Self(Reauthentication::default())),
            _ => Err(Problem::of(&baluarte_web::problem::UNSUPPORTED_MEDIA_TYPE).detail("send Content-Type: application/json")),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeBody {
    #[schema(value_type = String, example = "482913")]
    code: Secret,
}

/// A factor that is in force.
#[derive(Serialize, ToSchema)]
pub(super) struct FactorView {
    kind: FactorKind,
    #[schema(value_type = String, format = DateTime)]
    confirmed_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// `sms`: the number that codes go to, mostly hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "+351•••78")]
    phone: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct FactorsView {
    /// What the role of the account demands: `off`, `optional` or `required`.
    policy: MfaPolicy,
    factors: Vec<FactorView>,
    /// Recovery codes that were not used yet.
    recovery_codes: u32,
}

/// List one's own second factors
#[utoipa::path(get, path = "/api/v1/mfa", tag = "identity", security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = FactorsView), Problem))]
pub(super) async fn list_factors(State(identity): State<Identity>, Caller(ctx, _): Caller) -> Answer<Response> {
    let found = identity.list_factors(&ctx).await?;
    let factors = found
        .factors
        .iter()
        .map(|factor| FactorView {
            kind: factor.kind,
            confirmed_at: factor.confirmed_at,
            last_used_at: factor.last_used_at,
            phone: found.phone.clone().filter(|_| factor.kind == FactorKind::Sms),
        })
        .collect();
    Ok((NO_STORE, Json(FactorsView { policy: found.policy, factors, recovery_codes: found.recovery_codes })).into_response())
}
