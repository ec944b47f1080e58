//! Registering, signing in and out, refreshing, confirming an address.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::{CredentialKind, Secret};
use baluarte_web::{Caller, Invalid, Json, Problem, SignedIn, cookie};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    mfa::{LoginView, SecondStepView, entered},
    views::{Answer, NO_STORE, TokensView, UserView},
};
use crate::{Email, Identity, Name, NewUser, Registered, SessionKind, SignIn, Welcome, password};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterUser {
    #[schema(example = "zoe@example.com")]
    email: String,
    /// 8 to 256 characters; no rules of composition.
    #[schema(value_type = String, format = Password)]
    password: Secret,
    #[schema(example = "Zoë")]
    name: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RegisteredView {
    pub(super) user: UserView,
}

/// Create an account
///
/// 201 with the account. Where addresses have to be confirmed: 202, the same whether or not the address already has an account.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "identity", request_body = RegisterUser, security(()),
    responses((status = 201, body = RegisteredView), (status = 202, description = "A mail was sent"), Problem))]
pub(super) async fn register_user(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    Json(body): Json<RegisterUser>,
) -> Answer<Response> {
    let mut invalid = Invalid::default();
    let email = invalid.check("/email", body.email.parse::<Email>());
    let name = invalid.check("/name", body.name.parse::<Name>());
    let (Some(email), Some(name)) = (email, name) else {
        // The rest of what there is to say about a password takes both.
        invalid.check("/password", password::check_alone(&body.password));
        invalid.finish()?;
        return Err(Problem::of(&baluarte_web::problem::INVALID_FIELDS));
    };
    Ok(registered(identity.register_user(&ctx, NewUser { email, name, password: body.password }).await?, &identity))
}

pub(super) fn registered(registered: Registered, identity: &Identity) -> Response {
    match registered {
        Registered::Created(user) => {
            (StatusCode::CREATED, NO_STORE, Json(RegisteredView { user: UserView::of(&user, identity) })).into_response()
        }
        Registered::CheckYourMail => (StatusCode::ACCEPTED, NO_STORE).into_response(),
    }
}

/// What signing in should give.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SessionWish {
    /// Tokens in the answer.
    #[default]
    Tokens,
    /// A cookie, and no tokens.
    Cookie,
}

impl From<SessionWish> for SessionKind {
    fn from(wish: SessionWish) -> Self {
        match wish {
            SessionWish::Tokens => Self::Tokens,
            SessionWish::Cookie => Self::Cookie,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignInBody {
    #[schema(example = "zoe@example.com")]
    email: String,
    #[schema(value_type = String, format = Password)]
    password: Secret,
    #[serde(default)]
    session: SessionWish,
}

/// Sign in
///
/// Gives a pair of tokens; with `"session": "cookie"` it sets the session cookie instead and the answer has no tokens. Where
/// a second factor is in force: `{"mfa_required": true, "mfa_token", "methods"}`, to go on with at `/api/v1/auth/mfa/verify`.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "identity", request_body = SignInBody, security(()),
    responses((status = 200, body = LoginView), Problem))]
pub(super) async fn sign_in(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    headers: HeaderMap,
    Json(body): Json<SignInBody>,
) -> Answer<Response> {
    let session = body.session.into();
    let device = cookie(&headers, identity.device_cookie_name()).map(Secret::new);
    let attempt = SignIn { email: body.email, password: body.password, session, device };
    Ok(match identity.sign_in(&ctx, attempt).await? {
        Welcome::In(signed_in) => entered(&identity, &signed_in),
        Welcome::SecondStep(step) => (NO_STORE, Json(SecondStepView::of(&step))).into_response(),
    })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefreshBody {
    #[schema(value_type = String)]
    refresh_token: Secret,
}

/// Exchange a refresh token for the next pair
///
/// A refresh token works once. The one used last gives the same pair again for ten seconds; an older one ends the session
/// (401 `identity.refresh_reused`).
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "identity", request_body = RefreshBody, security(()),
    responses((status = 200, body = TokensView), Problem))]
pub(super) async fn refresh(State(identity): State<Identity>, Caller(ctx): Caller, Json(body): Json<RefreshBody>) -> Answer<Response> {
    let refreshed = identity.refresh(&ctx, &body.refresh_token).await?;
    Ok((NO_STORE, Json(TokensView::refreshed(&refreshed, &identity))).into_response())
}

/// Sign out
///
/// The session's access tokens, refresh tokens and cookie stop working everywhere at once.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "identity", security(("bearer" = []), ("session" = [])),
    responses((status = 204, description = "Signed out"), Problem))]
pub(super) async fn sign_out(State(identity): State<Identity>, SignedIn(ctx, principal): SignedIn) -> Answer<Response> {
    identity.sign_out(&ctx).await?;
    Ok(match principal.credential {
        CredentialKind::SessionCookie => (StatusCode::NO_CONTENT, [(header::SET_COOKIE, identity.forget_cookie())]).into_response(),
        CredentialKind::AccessToken | CredentialKind::ApiKey => StatusCode::NO_CONTENT.into_response(),
    })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyEmail {
    /// From the link in the mail.
    #[schema(value_type = String)]
    token: Secret,
}

/// Confirm an address
#[utoipa::path(post, path = "/api/v1/auth/verify-email", tag = "identity", request_body = VerifyEmail, security(()),
    responses((status = 204, description = "Confirmed"), Problem))]
pub(super) async fn verify_email(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    Json(body): Json<VerifyEmail>,
) -> Answer<StatusCode> {
    identity.verify_email(&ctx, &body.token).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResendVerification {
    #[schema(example = "zoe@example.com")]
    email: String,
}

/// Send the confirmation mail again
///
/// Answers the same whether or not there is something to confirm.
#[utoipa::path(post, path = "/api/v1/auth/verify-email/resend", tag = "identity", request_body = ResendVerification, security(()),
    responses((status = 202, description = "If there is something to confirm, a mail is on its way"), Problem))]
pub(super) async fn resend_verification(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    Json(body): Json<ResendVerification>,
) -> Answer<StatusCode> {
    identity.resend_verification(&ctx, &body.email).await?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MailedLink {
    /// From the link in the mail.
    #[schema(value_type = String)]
    token: Secret,
}

/// End the session that a mail told of
#[utoipa::path(post, path = "/api/v1/auth/end-session", tag = "identity", request_body = MailedLink, security(()),
    responses((status = 204, description = "Ended"), Problem))]
pub(super) async fn end_session(State(identity): State<Identity>, Caller(ctx): Caller, Json(body): Json<MailedLink>) -> Answer<StatusCode> {
    identity.end_session_by_link(&ctx, &body.token).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AskToUnlock {
    #[schema(example = "zoe@example.com")]
    email: String,
}

/// Mail a link that lets an owner in whom the failures of others hold back
///
/// Answers the same whether or not there is such an account.
#[utoipa::path(post, path = "/api/v1/auth/unlock/ask", tag = "identity", request_body = AskToUnlock, security(()),
    responses((status = 202, description = "If there is such an account, a mail is on its way"), Problem))]
pub(super) async fn ask_to_unlock(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    Json(body): Json<AskToUnlock>,
) -> Answer<StatusCode> {
    identity.ask_to_unlock(&ctx, &body.email).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Take that link: earlier failures do not hold its owner back where they are now
#[utoipa::path(post, path = "/api/v1/auth/unlock", tag = "identity", request_body = MailedLink, security(()),
    responses((status = 204, description = "Signing in takes the password, as always"), Problem))]
pub(super) async fn unlock(State(identity): State<Identity>, Caller(ctx): Caller, Json(body): Json<MailedLink>) -> Answer<StatusCode> {
    identity.unlock(&ctx, &body.token).await?;
    Ok(StatusCode::NO_CONTENT)
}
