//! Accepting an invitation. The link only shows a form, because mail scanners open links.

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use baluarte_kernel::Secret;
use baluarte_web::{Caller, Form, Page, Problem, Query, SameOrigin, Visit};
use http::StatusCode;
use serde::Deserialize;

use super::{
    Message, Words, alert, error_title,
    field::Field,
    message, password_words,
    passwords::Link,
    refuse,
    register::{Wrong, not_here},
    see_other,
    sign_in::enter,
};
use crate::{Acceptance, Email, Identity, IdentityError, Name, NamedLimit, Registered, SessionKind, SignIn};

baluarte_web::texts! {
    struct InvitationWords {
        title: "You are invited", "Tienes una invitación", "Você foi convidado";
        lead: "Choose a name and a password, and the account is yours.", "Elige un nombre y una contraseña, y la cuenta es tuya.", "Escolha um nome e uma senha, e a conta é sua.";
        accept: "Create my account", "Crear mi cuenta", "Criar a minha conta";
        dead: "This invitation does not work any more", "Esta invitación ya no funciona", "Este convite não funciona mais";
        dead_more: "It was accepted already, is too old, or was taken back. Ask whoever sent it for a new one.", "Ya se aceptó, es demasiado antigua o se retiró. Pide otra a quien la envió.", "Já foi aceito, é antigo demais ou foi retirado. Peça outro a quem o enviou.";
    }
}

const PATH: &str = "/auth/invitation";

pub(super) fn routes(identity: &Identity) -> Router {
    let form = NamedLimit::Account.on(identity, post(submit));
    Router::new().route(PATH, get(show).merge(form)).with_state(identity.clone())
}

#[derive(Template)]
#[template(path = "invitation.html")]
struct InvitationPage<'a> {
    t: &'static InvitationWords,
    shared: &'static Words,
    alert: &'a str,
    token: &'a str,
    /// The address it was sent to; otherwise there is a field for one.
    address: &'a str,
    name: Field<'a>,
    email: Field<'a>,
    password: Field<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Accepting {
    pub token: Secret,
    pub name: String,
    pub email: String,
    pub password: Secret,
}

async fn show(State(identity): State<Identity>, Caller(ctx): Caller, visit: Visit, Query(link): Query<Link>) -> Result<Response, Problem> {
    let form = Accepting { token: link.token, ..Accepting::default() };
    match identity.find_invitation(&ctx, &form.token).await {
        Ok(found) => Ok(invitation_page(&visit, StatusCode::OK, found.email.as_ref(), &form, &Wrong::default())),
        Err(err) => otherwise(&visit, err),
    }
}

async fn submit(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Accepting>,
) -> Result<Response, Problem> {
    let t = Words::of(visit.locale);
    let address = match identity.find_invitation(&ctx, &form.token).await {
        Ok(found) => found.email,
        Err(err) => return otherwise(&visit, err),
    };
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let (name, email) = (form.name.parse::<Name>(), address.clone().map_or_else(|| form.email.parse::<Email>(), Ok));
    let (Ok(name), Ok(email)) = (name.clone(), email.clone()) else {
        let wrong = Wrong {
            name: name.map_or(t.bad_name, |_| ""),
            email: email.map_or(t.bad_email, |_| ""),
            password: if form.password.is_empty() { t.password_missing } else { "" },
            alert: "",
        };
        return Ok(invitation_page(&visit, unprocessable, address.as_ref(), &form, &wrong));
    };
    let acceptance = Acceptance { token: form.token.clone(), name, email: Some(email.clone()), password: form.password.clone() };
    match identity.accept_invitation(&ctx, acceptance).await {
        Ok(Registered::Created(_)) => {
            let attempt = SignIn { email: email.to_string(), password: form.password, session: SessionKind::Cookie, device: None };
            let welcome = identity.sign_in(&ctx, attempt).await.map_err(refuse)?;
            Ok(enter(&identity, &ctx, welcome, "").await)
        }
        Ok(Registered::CheckYourMail) => Ok(see_other("/auth/check-mail?for=verify")),
        Err(IdentityError::BadPassword(bad)) => {
            let wrong = Wrong { password: password_words(t, bad), ..Wrong::default() };
            Ok(invitation_page(&visit, unprocessable, address.as_ref(), &form, &wrong))
        }
        Err(err) => match alert(t, &err) {
            Some((status, words)) => {
                let wrong = Wrong { alert: &words, ..Wrong::default() };
                Ok(invitation_page(&visit, status, address.as_ref(), &form, &wrong))
            }
            None => otherwise(&visit, err),
        },
    }
}

fn otherwise(visit: &Visit, err: IdentityError) -> Result<Response, Problem> {
    let t = InvitationWords::of(visit.locale);
    match err {
        IdentityError::LinkInvalid => {
            let links = vec![("/auth/login", Words::of(visit.locale).sign_in)];
            Ok(message(visit, StatusCode::GONE, &Message { title: t.dead, text: t.dead_more, more: "", links }))
        }
        err @ IdentityError::RegistrationClosed => Ok(not_here(visit, &err)),
        err => Err(refuse(err)),
    }
}

pub(super) fn invitation_page(visit: &Visit, status: StatusCode, address: Option<&Email>, form: &Accepting, wrong: &Wrong<'_>) -> Response {
    let (t, shared) = (InvitationWords::of(visit.locale), Words::of(visit.locale));
    let mut content = InvitationPage {
        t,
        shared,
        alert: wrong.alert,
        token: form.token.expose(),
        address: address.map_or("", Email::as_str),
        name: Field::person(shared, &form.name).wrong(wrong.name),
        email: Field::email(shared, &form.email).wrong(wrong.email),
        password: Field::new_password(shared, "password", shared.password).wrong(wrong.password),
    };
    Field::focus_first_wrong([&mut content.name, &mut content.email, &mut content.password]);
    let title = if status.is_success() { t.title.to_owned() } else { error_title(shared, t.title) };
    Page::gate(visit, &title).secret_address().respond(status, &content)
}

#[test]
fn every_text_has_as_many_gaps_in_each_language() {
    crate::gaps::are_even(InvitationWords::all);
}
