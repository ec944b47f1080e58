//! Signing in with a link from the mailbox. The first address also takes the form of the page.

use axum::{
    extract::{FromRequest, Request, State},
    response::{IntoResponse, Response},
};
use baluarte_kernel::Secret;
use baluarte_web::{Caller, Invalid, Json, Problem, cookie, problem::INVALID_FIELDS};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    auth::SessionWish,
    mfa::{LoginView, SecondStepView, entered},
    passwords::is_form,
    views::{Answer, NO_STORE},
};
use crate::{Identity, LinkProof, Welcome, pages};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AskMagicLink {
    #[schema(example = "zoe@example.com")]
    email: String,
}

/// Ask for a link to sign in
///
/// Always 202, at once and in the same words, whether or not the address has an account. The cookie it sets says which browser asked: the link
/// and the code in the mail work with it and with no other. 403 `identity.magic_links_off` unless `identity.magic_link = "on"`.
#[utoipa::path(post, path = "/auth/magic-link", tag = "identity", request_body = AskMagicLink, security(()),
    responses((status = 202, description = "If there is such an account, a mail is on its way"), Problem))]
pub(super) async fn ask_magic_link(State(identity): State<Identity>, Caller(ctx): Caller, request: Request) -> Answer<Response> {
    if is_form(request.headers()) {
        return Ok(pages::submit_magic_link(identity, request).await);
    }
    let browser = cookie(request.headers(), identity.link_cookie_name()).map(Secret::new);
    let Json(body) = Json::<AskMagicLink>::from_request(request, &()).await?;
    let browser = identity.ask_magic_link(&ctx, &body.email, browser, "").await?;
    Ok((StatusCode::ACCEPTED, [(header::SET_COOKIE, identity.link_cookie(&browser))]).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UseMagicLink {
    /// From the link in the mail.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    token: Secret,
    /// Instead, the code in the mail; after five wrong ones another link has to be asked for.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "48291357")]
    code: Secret,
    #[serde(default)]
    session: SessionWish,
}

/// Sign in with a link or its code
///
/// With the cookie of whoever asked for it; 409 `identity.other_browser` without. Works once, for ten minutes. Answers like signing in with a
/// password: a second factor that is in force is asked for.
#[utoipa::path(post, path = "/api/v1/auth/magic-link", tag = "identity", request_body = UseMagicLink, security(()),
    responses((status = 200, body = LoginView), Problem))]
pub(super) async fn sign_in_by_link(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    headers: HeaderMap,
    Json(body): Json<UseMagicLink>,
) -> Answer<Response> {
    let proof = match (body.token.is_empty(), body.code.is_empty()) {
        (false, true) => LinkProof::Token(&body.token),
        (true, false) => LinkProof::Code(&body.code),
        (true, true) | (false, false) => {
            let mut invalid = Invalid::default();
            invalid.add("/token", "is wanted, or /code: one of the two");
            invalid.finish()?;
            return Err(Problem::of(&INVALID_FIELDS));
        }
    };
    let browser = cookie(&headers, identity.link_cookie_name()).map(Secret::new);
    let device = cookie(&headers, identity.device_cookie_name()).map(Secret::new);
    let (welcome, _) = identity.sign_in_by_link(&ctx, proof, browser.as_ref(), body.session.into(), device.as_ref()).await?;
    let mut response = match welcome {
        Welcome::In(signed_in) => entered(&identity, &signed_in),
        Welcome::SecondStep(step) => (NO_STORE, Json(SecondStepView::of(&step))).into_response(),
    };
    response.headers_mut().append(header::SET_COOKIE, identity.forget_link_cookie());
    Ok(response)
}
