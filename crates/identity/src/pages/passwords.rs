//! A new password for somebody who forgot theirs.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::Secret;
use baluarte_web::{Caller, Form, Page, Problem, Query, Visit, prefers_html};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::{Message, Words, alert, error_title, field::Field, message, password_words, refuse, see_other};
use crate::{Email, Identity, IdentityError, store::links::Purpose};

/// Asks for an address to send a link to: a new password's, or a new confirmation's.
#[derive(Template)]
#[template(path = "forgot.html")]
pub(super) struct AddressPage<'a> {
    t: &'static Words,
    title: &'a str,
    action: &'a str,
    alert: &'a str,
    email: Field<'a>,
}

#[derive(Template)]
#[template(path = "reset.html")]
struct ResetPage<'a> {
    t: &'static Words,
    alert: &'a str,
    token: &'a str,
    password: Field<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Address {
    pub email: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Link {
    pub token: Secret,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NewPassword {
    token: Secret,
    password: Secret,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CheckMail {
    r#for: String,
}

pub(super) async fn show_forgot(visit: Visit) -> Response {
    let t = Words::of(visit.locale);
    ask_address(&visit, StatusCode::OK, t.forgot, "/auth/forgot-password", "", false)
}

/// 202 for programs. Anybody may ask for anybody's link, so no origin is looked at; limits count the attempts.
pub(super) async fn submit_forgot(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
    Form(form): Form<Address>,
) -> Result<Response, Problem> {
    let person = prefers_html(&headers);
    if person && form.email.parse::<Email>().is_err() {
        let t = Words::of(visit.locale);
        return Ok(ask_address(&visit, StatusCode::UNPROCESSABLE_ENTITY, t.forgot, "/auth/forgot-password", &form.email, true));
    }
    identity.forgot_password(&ctx, &form.email).await.map_err(refuse)?;
    Ok(if person { see_other("/auth/check-mail?for=reset") } else { StatusCode::ACCEPTED.into_response() })
}

/// Says the same whether or not there is such an account.
pub(super) async fn check_mail(visit: Visit, Query(why): Query<CheckMail>) -> Response {
    let t = Words::of(visit.locale);
    let text = match why.r#for.as_str() {
        "reset" => t.check_mail_reset,
        "unlock" => t.check_mail_unlock,
        _ => t.check_mail_verify,
    };
    let links = vec![("/auth/login", t.back_to_sign_in)];
    message(&visit, StatusCode::OK, &Message { title: t.check_mail, text, more: t.check_mail_more, links })
}

/// Told before somebody thinks of a password. Mail scanners that open the link do not use it up.
pub(super) async fn show_reset(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Query(link): Query<Link>,
) -> Result<Response, Problem> {
    Ok(if identity.link_works(&ctx, &link.token, Purpose::ChoosePassword).await.map_err(refuse)? {
        ask_password(&visit, StatusCode::OK, &link.token, "", "")
    } else {
        dead_link(&visit, "/auth/forgot-password")
    })
}

/// 204 and problems for programs. The token is the authority, whichever page sends it.
pub(super) async fn submit_reset(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
    Form(form): Form<NewPassword>,
) -> Result<Response, Problem> {
    if !prefers_html(&headers) {
        identity.reset_password(&ctx, &form.token, form.password).await.map_err(refuse)?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let t = Words::of(visit.locale);
    if form.password.is_empty() {
        return Ok(ask_password(&visit, StatusCode::UNPROCESSABLE_ENTITY, &form.token, "", t.password_missing));
    }
    match identity.reset_password(&ctx, &form.token, form.password).await {
        Ok(()) => Ok(see_other("/auth/login?done=reset")),
        Err(IdentityError::LinkInvalid) => Ok(dead_link(&visit, "/auth/forgot-password")),
        Err(IdentityError::BadPassword(bad)) => {
            Ok(ask_password(&visit, StatusCode::UNPROCESSABLE_ENTITY, &form.token, "", password_words(t, bad)))
        }
        Err(err) => match alert(t, &err) {
            Some((status, words)) => Ok(ask_password(&visit, status, &form.token, &words, "")),
            None => Err(refuse(err)),
        },
    }
}

/// The link was used, replaced or is too old. 410: it will not come back.
pub(super) fn dead_link(visit: &Visit, again: &str) -> Response {
    let t = Words::of(visit.locale);
    let links = vec![(again, t.new_link), ("/auth/login", t.back_to_sign_in)];
    message(visit, StatusCode::GONE, &Message { title: t.link_invalid, text: t.link_invalid_more, more: "", links })
}

pub(super) fn ask_address(visit: &Visit, status: StatusCode, title: &str, action: &str, email: &str, wrong: bool) -> Response {
    let t = Words::of(visit.locale);
    let mut email = Field::email(t, email).wrong(if wrong { t.bad_email } else { "" });
    Field::focus_first_wrong([&mut email]);
    let shown = if wrong { error_title(t, title) } else { title.to_owned() };
    Page::gate(visit, &shown).respond(status, &AddressPage { t, title, action, alert: "", email })
}

pub(super) fn ask_password(visit: &Visit, status: StatusCode, token: &Secret, alert: &str, error: &str) -> Response {
    let t = Words::of(visit.locale);
    let mut password = Field::new_password(t, "password", t.new_password).wrong(error);
    Field::focus_first_wrong([&mut password]);
    let title = if status.is_success() { t.forgot.to_owned() } else { error_title(t, t.forgot) };
    Page::gate(visit, &title).secret_address().respond(status, &ResetPage { t, alert, token: token.expose(), password })
}
