//! The accounts elsewhere of whoever is signed in.

use askama::Template;
use axum::{extract::State, response::Response};
use baluarte_kernel::Ctx;
use baluarte_web::{Caller, Form, Page, Problem, Query, SameOrigin, Visit, fill};
use http::StatusCode;
use serde::Deserialize;

use super::{Button, Buttons, LOGINS, LoginWords, otherwise};
use crate::{
    Identity, IdentityError, Login, LoginError, LoginId, Reauthentication, WaysIn,
    pages::{alert, device::readable, see_other},
};

#[derive(Template)]
#[template(path = "logins/logins.html")]
struct LoginsPage<'a> {
    t: &'static LoginWords,
    done: &'a str,
    alert: &'a str,
    email: &'a str,
    password: bool,
    logins: Vec<Listed>,
    buttons: Vec<Button>,
}

struct Listed {
    id: String,
    title: String,
    label: String,
    usable: bool,
    since: String,
    used: Option<String>,
    remove_label: String,
}

#[derive(Template)]
#[template(path = "logins/remove.html")]
struct RemovePage<'a> {
    t: &'static LoginWords,
    title: &'a str,
    lead: &'a str,
    alert: &'a str,
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Arrival {
    done: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Which {
    id: String,
}

pub(super) async fn show(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Query(arrival): Query<Arrival>,
) -> Result<Response, Problem> {
    let t = LoginWords::of(visit.locale);
    let done = match arrival.done.as_str() {
        "connected" => t.done_connected,
        "disconnected" => t.done_disconnected,
        _ => "",
    };
    match identity.find_ways_in(&ctx).await {
        Ok(ways) => Ok(logins_page(&ctx, &visit, StatusCode::OK, &ways, done)),
        Err(err) => otherwise(err, LOGINS),
    }
}

pub(in crate::pages) fn logins_page(ctx: &Ctx, visit: &Visit, status: StatusCode, ways: &WaysIn, done: &str) -> Response {
    let t = LoginWords::of(visit.locale);
    let listed = |login: &Login| Listed {
        id: login.id.to_string(),
        title: login.title.clone(),
        label: login.label.clone(),
        usable: login.usable,
        since: fill(t.since, &[&readable(&login.created_at.to_string())]),
        used: login.last_used_at.map(|at| fill(t.last_used, &[&readable(&at.to_string())])),
        remove_label: fill(t.disconnect_of, &[&login.label, &login.title]),
    };
    let email = ctx.user().map(|principal| principal.email.clone()).unwrap_or_default();
    let content = LoginsPage {
        t,
        done,
        alert: "",
        email: &email,
        password: ways.password,
        logins: ways.logins.iter().map(listed).collect(),
        buttons: Buttons::of("", t.connect_with, &ways.providers, "?for=connect").buttons,
    };
    Page::sheet(visit, t.logins).respond(status, &content)
}

pub(super) async fn show_remove(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    question(&identity, &ctx, &visit, StatusCode::OK, &which.id, "").await
}

async fn question(identity: &Identity, ctx: &Ctx, visit: &Visit, status: StatusCode, id: &str, alert: &str) -> Result<Response, Problem> {
    let found = match identity.list_logins(ctx).await {
        Ok(found) => found.into_iter().find(|login| login.id.to_string() == id),
        Err(err) => return otherwise(err, LOGINS),
    };
    // Gone already is as good as gone.
    let Some(login) = found else { return Ok(see_other(LOGINS)) };
    Ok(remove_page(visit, status, &login, alert))
}

pub(in crate::pages) fn remove_page(visit: &Visit, status: StatusCode, login: &Login, alert: &str) -> Response {
    let t = LoginWords::of(visit.locale);
    let title = fill(t.disconnect_question, &[&login.title]);
    let content = RemovePage { t, title: &title, lead: &login.label, alert, id: login.id.to_string() };
    Page::gate(visit, &title).back_to(LOGINS).respond(status, &content)
}

pub(super) async fn remove(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(which): Form<Which>,
) -> Result<Response, Problem> {
    let t = LoginWords::of(visit.locale);
    let removed = match which.id.parse::<LoginId>() {
        Ok(id) => identity.disconnect_login(&ctx, id, &Reauthentication::default()).await,
        Err(_) => Err(LoginError::NotFound.into()),
    };
    match removed {
        Ok(()) | Err(IdentityError::Login(LoginError::NotFound)) => Ok(see_other("/auth/account/logins?done=disconnected")),
        Err(IdentityError::Login(LoginError::LastWayIn)) => {
            question(&identity, &ctx, &visit, StatusCode::CONFLICT, &which.id, t.last_way_in).await
        }
        Err(err) => match alert(crate::pages::Words::of(visit.locale), &err) {
            Some((status, words)) => question(&identity, &ctx, &visit, status, &which.id, &words).await,
            None => otherwise(err, &format!("/auth/account/logins/remove?id={}", which.id)),
        },
    }
}
