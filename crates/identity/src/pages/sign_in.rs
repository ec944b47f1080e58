//! Signing in and out.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::{Ctx, Secret};
use baluarte_web::{Caller, Form, Page, Problem, Query, ReturnTo, SameOrigin, Visit, cookie, fill};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::{
    ACCOUNT, Message, Words, alert, error_title, factors, factors::passkeys::PasskeyForm, field::Field, logins::Buttons, magic_link,
    message, refuse, return_query, see_other,
};
use crate::{Granted, Identity, IdentityError, ProviderName, Registration, RequestOptions, SessionKind, SignIn, SignedIn, Welcome};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    t: &'static Words,
    lead: &'a str,
    done: &'a str,
    alert: &'a str,
    /// Offer to send the confirmation of the address again.
    resend: bool,
    unlock: bool,
    /// Anybody may register.
    open: bool,
    /// Absent where browsers know no passkeys.
    passkey: Option<PasskeyForm<'a>>,
    providers: Buttons<'a>,
    /// Where links to sign in are asked for, and the words; empty where there are none.
    link: (String, &'a str),
    return_to: &'a str,
    query: &'a str,
    email: Field<'a>,
    password: Field<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Arrival {
    pub return_to: String,
    done: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Credentials {
    email: String,
    password: Secret,
    return_to: String,
}

/// What the sign-in form shows besides its labels.
#[derive(Clone, Copy, Default)]
pub(super) struct Look<'a> {
    pub email: &'a str,
    pub return_to: &'a str,
    pub done: &'a str,
    pub alert: &'a str,
    pub email_error: &'a str,
    pub password_error: &'a str,
    pub resend: bool,
    /// There are links to sign in.
    pub link: bool,
    /// Failures, perhaps of others, hold the owner back: offer a link.
    pub unlock: bool,
}

pub(super) async fn show(State(identity): State<Identity>, Caller(ctx): Caller, visit: Visit, Query(arrival): Query<Arrival>) -> Response {
    if ctx.user().is_ok() {
        return see_other(destination(&arrival.return_to).as_str());
    }
    let t = Words::of(visit.locale);
    let done = match arrival.done.as_str() {
        "reset" => t.done_reset,
        "unlocked" => t.done_unlocked,
        "verified" => t.done_verified,
        "deleted" => t.done_deleted,
        "passkey" => factors::FactorWords::of(visit.locale).passkey_refused,
        "over" => factors::FactorWords::of(visit.locale).over,
        _ => "",
    };
    page(&identity, &ctx, &visit, StatusCode::OK, Look { return_to: &arrival.return_to, done, ..Look::default() })
}

pub(super) async fn submit(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
    Form(form): Form<Credentials>,
) -> Result<Response, Problem> {
    let t = Words::of(visit.locale);
    let look = Look { email: &form.email, return_to: &form.return_to, ..Look::default() };
    let email_error = if form.email.contains('@') { "" } else { t.bad_email };
    let password_error = if form.password.is_empty() { t.password_missing } else { "" };
    if !email_error.is_empty() || !password_error.is_empty() {
        return Ok(page(&identity, &ctx, &visit, StatusCode::UNPROCESSABLE_ENTITY, Look { email_error, password_error, ..look }));
    }
    let device = cookie(&headers, identity.device_cookie_name()).map(Secret::new);
    let attempt = SignIn { email: form.email.clone(), password: form.password, session: SessionKind::Cookie, device };
    match identity.sign_in(&ctx, attempt).await {
        Ok(welcome) => Ok(enter(&identity, &ctx, welcome, &form.return_to).await),
        Err(err) => {
            let Some((status, words)) = alert(t, &err) else { return Err(refuse(err)) };
            let resend = matches!(err, IdentityError::EmailNotVerified);
            let unlock = matches!(err, IdentityError::TooManyAttempts { .. });
            let mut response = page(&identity, &ctx, &visit, status, Look { alert: &words, resend, unlock, ..look });
            if let IdentityError::TooManyAttempts { retry_after } = err {
                response.headers_mut().insert(header::RETRY_AFTER, retry_after.as_secs().max(1).into());
            }
            Ok(response)
        }
    }
}

/// Sets the cookie and goes where the visitor wanted to; or to the second question.
pub(super) async fn enter(identity: &Identity, ctx: &Ctx, welcome: Welcome, return_to: &str) -> Response {
    match welcome {
        Welcome::In(signed_in) => {
            let mut response = see_other(destination(return_to).as_str());
            keep(identity, &signed_in, response.headers_mut());
            response
        }
        Welcome::SecondStep(step) => factors::step::begin(identity, ctx, &step, return_to).await,
    }
}

/// The cookies of somebody who is in.
pub(super) fn keep(identity: &Identity, signed_in: &SignedIn, headers: &mut HeaderMap) {
    match &signed_in.granted {
        Granted::Cookie(cookie) => {
            headers.append(header::SET_COOKIE, identity.session_cookie(cookie));
        }
        // Pages ask for cookies; tokens would be for programs.
        Granted::Tokens(_) => {}
    }
    if let Some(device) = &signed_in.device {
        headers.append(header::SET_COOKIE, identity.device_cookie(device));
    }
}

pub(super) async fn sign_out(State(identity): State<Identity>, _: SameOrigin, Caller(ctx): Caller) -> Result<Response, Problem> {
    if ctx.user().is_ok() {
        match identity.sign_out(&ctx).await {
            // Gone already is as good as gone.
            Ok(()) | Err(IdentityError::SessionNotFound) => {}
            Err(err) => return Err(refuse(err)),
        }
    }
    let mut response = see_other("/auth/signed-out");
    response.headers_mut().append(header::SET_COOKIE, identity.forget_cookie());
    Ok(response)
}

pub(super) async fn signed_out(visit: Visit) -> Response {
    let t = Words::of(visit.locale);
    let links = vec![("/auth/login", t.sign_in), ("/", t.home)];
    message(&visit, StatusCode::OK, &Message { title: t.signed_out, text: t.signed_out_lead, more: "", links })
}

fn open(identity: &Identity) -> bool {
    identity.config().registration == Registration::Open
}

pub(super) fn destination(return_to: &str) -> ReturnTo {
    ReturnTo::parse(return_to).unwrap_or_else(|| ReturnTo::fixed(ACCOUNT))
}

pub(super) fn page(identity: &Identity, ctx: &Ctx, visit: &Visit, status: StatusCode, look: Look<'_>) -> Response {
    let look = Look { link: identity.has_magic_links(), ..look };
    render(open(identity), identity.sign_in_options(ctx).ok().as_ref(), &identity.providers(), visit, status, look)
}

pub(super) fn render(
    open: bool,
    passkey: Option<&RequestOptions>,
    providers: &[ProviderName],
    visit: &Visit,
    status: StatusCode,
    look: Look<'_>,
) -> Response {
    let t = Words::of(visit.locale);
    let asked = ReturnTo::parse(look.return_to);
    let lead = if asked.is_some() { t.go_on.to_owned() } else { fill(t.sign_in_lead, &[&visit.site.brand]) };
    let mut content = SignInPage {
        t,
        lead: &lead,
        done: look.done,
        alert: look.alert,
        resend: look.resend,
        unlock: look.unlock,
        open,
        link: if look.link { magic_link::offer(visit, look.return_to) } else { (String::new(), "") },
        passkey: passkey.map(|options| PasskeyForm::sign_in(visit, options, asked.as_ref().map_or("", ReturnTo::as_str))),
        providers: Buttons::to_sign_in(visit, providers, look.return_to),
        return_to: asked.as_ref().map_or("", ReturnTo::as_str),
        query: &return_query(look.return_to),
        email: if passkey.is_some() { Field::email(t, look.email).offering_passkeys() } else { Field::email(t, look.email) }
            .wrong(look.email_error),
        password: Field::current_password(t, "password", t.password).wrong(look.password_error),
    };
    Field::focus_first_wrong([&mut content.email, &mut content.password]);
    let title = if status.is_success() { t.sign_in.to_owned() } else { error_title(t, t.sign_in) };
    Page::gate(visit, &title).respond(status, &content).into_response()
}
