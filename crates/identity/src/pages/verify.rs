//! Confirming an address. The link only shows a button, because mail scanners open links.

use askama::Template;
use axum::{extract::State, response::Response};
use baluarte_kernel::Secret;
use baluarte_web::{Caller, Form, Page, Problem, Query, SameOrigin, Visit};
use http::StatusCode;

use super::{
    ACCOUNT, Words,
    passwords::{Address, Link, ask_address, dead_link},
    refuse, see_other,
};
use crate::{Email, Identity, IdentityError, store::links::Purpose};

const RESEND: &str = "/auth/verify-email/resend";

#[derive(Template)]
#[template(path = "verify.html")]
struct VerifyPage<'a> {
    t: &'static Words,
    token: &'a str,
}

pub(super) async fn show(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Query(link): Query<Link>,
) -> Result<Response, Problem> {
    Ok(if identity.link_works(&ctx, &link.token, Purpose::VerifyEmail).await.map_err(refuse)? {
        ask(&visit, &link.token)
    } else {
        dead_link(&visit, RESEND)
    })
}

pub(super) fn ask(visit: &Visit, token: &Secret) -> Response {
    let t = Words::of(visit.locale);
    Page::gate(visit, t.verify).secret_address().respond(StatusCode::OK, &VerifyPage { t, token: token.expose() })
}

pub(super) async fn submit(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Link>,
) -> Result<Response, Problem> {
    match identity.verify_email(&ctx, &form.token).await {
        Ok(()) if ctx.user().is_ok() => Ok(see_other(&format!("{ACCOUNT}?done=verified"))),
        Ok(()) => Ok(see_other("/auth/login?done=verified")),
        Err(IdentityError::LinkInvalid) => Ok(dead_link(&visit, RESEND)),
        Err(err) => Err(refuse(err)),
    }
}

pub(super) async fn show_resend(visit: Visit) -> Response {
    ask_address(&visit, StatusCode::OK, Words::of(visit.locale).resend, RESEND, "", false)
}

pub(super) async fn submit_resend(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Address>,
) -> Result<Response, Problem> {
    if form.email.parse::<Email>().is_err() {
        let title = Words::of(visit.locale).resend;
        return Ok(ask_address(&visit, StatusCode::UNPROCESSABLE_ENTITY, title, RESEND, &form.email, true));
    }
    identity.resend_verification(&ctx, &form.email).await.map_err(refuse)?;
    Ok(see_other("/auth/check-mail?for=verify"))
}
