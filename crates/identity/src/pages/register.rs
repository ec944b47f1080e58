//! Creating an account.

use askama::Template;
use axum::{extract::State, response::Response};
use baluarte_kernel::Secret;
use baluarte_web::{Caller, Form, Page, Problem, Query, ReturnTo, SameOrigin, Visit};
use http::StatusCode;
use serde::Deserialize;

use super::{
    ACCOUNT, Message, Words, alert, error_title,
    field::Field,
    logins::Buttons,
    message, password_words, refuse, return_query, see_other,
    sign_in::{Arrival, enter},
};
use crate::{Email, Identity, IdentityError, Name, NewUser, ProviderName, Registered, Registration, SessionKind, SignIn};

#[derive(Template)]
#[template(path = "register.html")]
struct RegisterPage<'a> {
    t: &'static Words,
    alert: &'a str,
    return_to: &'a str,
    query: &'a str,
    providers: Buttons<'a>,
    name: Field<'a>,
    email: Field<'a>,
    password: Field<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Registering {
    pub name: String,
    pub email: String,
    pub password: Secret,
    pub return_to: String,
}

/// What is wrong, for each field and for the form as a whole.
#[derive(Default)]
pub(super) struct Wrong<'a> {
    pub name: &'a str,
    pub email: &'a str,
    pub password: &'a str,
    pub alert: &'a str,
}

pub(super) async fn show(State(identity): State<Identity>, Caller(ctx): Caller, visit: Visit, Query(arrival): Query<Arrival>) -> Response {
    if ctx.user().is_ok() {
        return see_other(ACCOUNT);
    }
    let form = Registering { return_to: arrival.return_to, ..Registering::default() };
    match identity.config().registration {
        Registration::Open => render(&visit, &identity.providers(), StatusCode::OK, &form, &Wrong::default()),
        Registration::Closed => not_here(&visit, &IdentityError::RegistrationClosed),
        Registration::Invite => not_here(&visit, &IdentityError::InvitationNeeded),
    }
}

pub(super) async fn submit(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Registering>,
) -> Result<Response, Problem> {
    let t = Words::of(visit.locale);
    let (name, email) = (form.name.parse::<Name>(), form.email.parse::<Email>());
    let (Ok(name), Ok(email)) = (name.clone(), email.clone()) else {
        let wrong = Wrong {
            name: name.map_or(t.bad_name, |_| ""),
            email: email.map_or(t.bad_email, |_| ""),
            password: if form.password.is_empty() { t.password_missing } else { "" },
            alert: "",
        };
        return Ok(render(&visit, &identity.providers(), StatusCode::UNPROCESSABLE_ENTITY, &form, &wrong));
    };
    match identity.register_user(&ctx, NewUser { email, name, password: form.password.clone() }).await {
        Ok(Registered::Created(_)) => {
            let attempt = SignIn { email: form.email, password: form.password, session: SessionKind::Cookie, device: None };
            let welcome = identity.sign_in(&ctx, attempt).await.map_err(refuse)?;
            Ok(enter(&identity, &ctx, welcome, &form.return_to).await)
        }
        Ok(Registered::CheckYourMail) => Ok(see_other("/auth/check-mail?for=verify")),
        Err(IdentityError::BadPassword(bad)) => {
            let wrong = Wrong { password: password_words(t, bad), ..Wrong::default() };
            Ok(render(&visit, &identity.providers(), StatusCode::UNPROCESSABLE_ENTITY, &form, &wrong))
        }
        Err(err @ (IdentityError::RegistrationClosed | IdentityError::InvitationNeeded)) => Ok(not_here(&visit, &err)),
        Err(err) => match alert(t, &err) {
            Some((status, words)) => Ok(render(&visit, &identity.providers(), status, &form, &Wrong { alert: &words, ..Wrong::default() })),
            None => Err(refuse(err)),
        },
    }
}

pub(super) fn not_here(visit: &Visit, why: &IdentityError) -> Response {
    let t = Words::of(visit.locale);
    let (title, text) = match why {
        IdentityError::InvitationNeeded => (t.invitation, t.invitation_more),
        _ => (t.closed, t.closed_more),
    };
    message(visit, StatusCode::FORBIDDEN, &Message { title, text, more: "", links: vec![("/auth/login", t.sign_in)] })
}

pub(super) fn render(visit: &Visit, providers: &[ProviderName], status: StatusCode, form: &Registering, wrong: &Wrong<'_>) -> Response {
    let t = Words::of(visit.locale);
    let return_to = ReturnTo::parse(&form.return_to);
    let mut content = RegisterPage {
        t,
        alert: wrong.alert,
        return_to: return_to.as_ref().map_or("", ReturnTo::as_str),
        query: &return_query(&form.return_to),
        providers: Buttons::to_sign_in(visit, providers, &form.return_to),
        name: Field::person(t, &form.name).wrong(wrong.name),
        email: Field::email(t, &form.email).wrong(wrong.email),
        password: Field::new_password(t, "password", t.password).wrong(wrong.password),
    };
    Field::focus_first_wrong([&mut content.name, &mut content.email, &mut content.password]);
    let title = if status.is_success() { t.register.to_owned() } else { error_title(t, t.register) };
    Page::gate(visit, &title).respond(status, &content)
}
