//! Links in mails that owners act with at once. They only show a button, because mail scanners open links.

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use baluarte_kernel::Secret;
use baluarte_web::{Caller, Form, Page, Problem, Query, SameOrigin, Visit};
use http::StatusCode;

use super::{
    Message, Words, message,
    passwords::{Address, Link, ask_address, dead_link},
    refuse, see_other,
};
use crate::{Email, Identity, IdentityError, NamedLimit, store::links::Purpose};

const END: &str = "/auth/end-session";
const UNLOCK: &str = "/auth/unlock";
const ASK: &str = "/auth/unlock/ask";

/// One button.
#[derive(Template)]
#[template(path = "once.html")]
struct OncePage<'a> {
    title: &'a str,
    lead: &'a str,
    action: &'a str,
    token: &'a str,
}

pub(super) fn routes(identity: &Identity) -> Router {
    let mails = NamedLimit::ForgotPassword.on(identity, post(submit_ask));
    Router::new()
        .route(END, get(show_end).post(submit_end))
        .route(UNLOCK, get(show_unlock).post(submit_unlock))
        .route(ASK, get(show_ask).merge(mails))
        .with_state(identity.clone())
}

async fn show_end(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Query(link): Query<Link>,
) -> Result<Response, Problem> {
    Ok(match identity.link_works(&ctx, &link.token, Purpose::EndSession).await.map_err(refuse)? {
        true => ask_end(&visit, &link.token),
        false => over(&visit),
    })
}

async fn submit_end(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Link>,
) -> Result<Response, Problem> {
    match identity.end_session_by_link(&ctx, &form.token).await {
        Ok(()) => Ok(ended(&visit)),
        Err(IdentityError::LinkInvalid) => Ok(over(&visit)),
        Err(err) => Err(refuse(err)),
    }
}

async fn show_unlock(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Query(link): Query<Link>,
) -> Result<Response, Problem> {
    Ok(match identity.link_works(&ctx, &link.token, Purpose::Unlock).await.map_err(refuse)? {
        true => ask_unlock(&visit, &link.token),
        false => dead_link(&visit, ASK),
    })
}

async fn submit_unlock(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Link>,
) -> Result<Response, Problem> {
    match identity.unlock(&ctx, &form.token).await {
        Ok(()) => Ok(see_other("/auth/login?done=unlocked")),
        Err(IdentityError::LinkInvalid) => Ok(dead_link(&visit, ASK)),
        Err(err) => Err(refuse(err)),
    }
}

async fn show_ask(visit: Visit) -> Response {
    ask_address(&visit, StatusCode::OK, Words::of(visit.locale).unlock, ASK, "", false)
}

/// The same whether or not there is such an account.
async fn submit_ask(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Address>,
) -> Result<Response, Problem> {
    if form.email.parse::<Email>().is_err() {
        return Ok(ask_address(&visit, StatusCode::UNPROCESSABLE_ENTITY, Words::of(visit.locale).unlock, ASK, &form.email, true));
    }
    identity.ask_to_unlock(&ctx, &form.email).await.map_err(refuse)?;
    Ok(see_other("/auth/check-mail?for=unlock").into_response())
}

pub(super) fn ask_end(visit: &Visit, token: &Secret) -> Response {
    let t = Words::of(visit.locale);
    once(visit, t.end_that, t.end_that_lead, END, token)
}

pub(super) fn ask_unlock(visit: &Visit, token: &Secret) -> Response {
    let t = Words::of(visit.locale);
    once(visit, t.unlock, t.unlock_lead, UNLOCK, token)
}

fn once(visit: &Visit, title: &str, lead: &str, action: &str, token: &Secret) -> Response {
    let content = OncePage { title, lead, action, token: token.expose() };
    Page::gate(visit, title).secret_address().respond(StatusCode::OK, &content)
}

pub(super) fn ended(visit: &Visit) -> Response {
    let t = Words::of(visit.locale);
    let links = vec![("/auth/forgot-password", t.forgot), ("/auth/login", t.back_to_sign_in)];
    message(visit, StatusCode::OK, &Message { title: t.ended, text: t.ended_more, more: "", links })
}

/// Too old or used: what it was for is done under the account's devices.
fn over(visit: &Visit) -> Response {
    let t = Words::of(visit.locale);
    let links = vec![("/auth/account", t.account), ("/auth/forgot-password", t.forgot)];
    message(visit, StatusCode::GONE, &Message { title: t.link_invalid, text: t.link_invalid_more, more: "", links })
}
