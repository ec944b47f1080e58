//! Signing in with a link from the mailbox. The link only shows a button, because mail scanners open links; in another browser than
//! the one that asked it says where to go.

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use baluarte_kernel::{Ctx, Secret};
use baluarte_web::{Caller, Form, Page, Problem, Query, ReturnTo, SameOrigin, Visit, cookie, prefers_html};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::{
    Message, Words, alert, error_title,
    field::Field,
    message,
    passwords::{Link, dead_link},
    refuse, return_query, see_other,
    sign_in::enter,
};
use crate::{Email, Identity, IdentityError, LinkProof, NamedLimit, SessionKind};

baluarte_web::texts! {
    pub(super) struct LinkWords {
        ask: "Sign in with a link", "Inicia sesión con un enlace", "Entre com um link";
        ask_lead: "Tell us your address and we send you a link. No password needed.", "Dinos tu correo y te enviamos un enlace. Sin contraseña.", "Diga o seu e-mail e enviaremos um link. Sem senha.";
        ask_button: "Send me the link", "Envíame el enlace", "Envie-me o link";
        offer: "Send me a link instead", "Mejor envíame un enlace", "Prefiro receber um link";

        sent: "Look into your mailbox", "Revisa tu correo", "Veja o seu e-mail";
        sent_lead: "If the address has an account, a link to sign in is on its way. Open it in this browser, within ten minutes.", "Si ese correo tiene una cuenta, va en camino un enlace para iniciar sesión. Ábrelo en este navegador, antes de diez minutos.", "Se esse e-mail tiver uma conta, um link para entrar está a caminho. Abra-o neste navegador, em até dez minutos.";
        code_lead: "Do you read your mail on another device? Type the code from it here.", "¿Lees tu correo en otro dispositivo? Escribe aquí el código que trae.", "Lê o seu e-mail em outro dispositivo? Digite aqui o código que ele traz.";
        code: "Code from the mail", "Código del correo", "Código do e-mail";
        code_hint: "Eight digits.", "Ocho cifras.", "Oito dígitos.";
        code_missing: "Enter the code.", "Escribe el código.", "Digite o código.";
        wrong_code: "That is not the code in the latest mail. After five wrong ones ask for a new link.", "Ese no es el código del último correo. Tras cinco incorrectos pide un enlace nuevo.", "Esse não é o código do último e-mail. Depois de cinco errados, peça um novo link.";

        open: "Sign in", "Iniciar sesión", "Entrar";
        open_lead: "One click and you are in.", "Un clic y ya estás dentro.", "Um clique e você já entrou.";

        other: "Go back to where you asked for the link", "Vuelve a donde pediste el enlace", "Volte para onde você pediu o link";
        other_lead: "This link was asked for in another browser or on another device, and works only there. Open it there, or type the code from the mail into the page that waits there.", "Este enlace se pidió en otro navegador o dispositivo y solo funciona ahí. Ábrelo ahí o escribe el código del correo en la página que espera ahí.", "Este link foi pedido em outro navegador ou dispositivo e só funciona lá. Abra-o lá ou digite o código do e-mail na página que espera lá.";
        other_more: "Did you not ask for it? Close this page and give the code to nobody.", "¿No lo pediste tú? Cierra esta página y no des el código a nadie.", "Não foi você quem pediu? Feche esta página e não passe o código a ninguém.";
        here: "Send a link for this browser", "Enviar un enlace para este navegador", "Enviar um link para este navegador";

        off: "There are no links here", "Aquí no hay enlaces", "Aqui não há links";
        off_lead: "This site signs people in with a password.", "Este sitio inicia sesión con contraseña.", "Este site usa senha para entrar.";
    }
}

const LINK: &str = "/auth/magic-link";
const SENT: &str = "/auth/magic-link/sent";
const CONFIRM: &str = "/auth/magic-link/confirm";
const CODE: &str = "/auth/magic-link/code";

pub(super) fn routes(identity: &Identity) -> Router {
    let counted = |form| NamedLimit::Login.on(identity, form);
    Router::new()
        .route(LINK, get(show))
        .route(SENT, get(show_sent))
        .route(CONFIRM, counted(post(submit_token)))
        .route(CODE, counted(post(submit_code)))
        .with_state(identity.clone())
}

#[derive(Template)]
#[template(path = "magic/ask.html")]
struct AskPage<'a> {
    t: &'static LinkWords,
    shared: &'static Words,
    return_to: &'a str,
    email: Field<'a>,
}

#[derive(Template)]
#[template(path = "magic/sent.html")]
struct SentPage<'a> {
    t: &'static LinkWords,
    alert: &'a str,
    code: Field<'a>,
}

#[derive(Template)]
#[template(path = "magic/open.html")]
struct OpenPage<'a> {
    t: &'static LinkWords,
    token: &'a str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Arrival {
    token: Secret,
    return_to: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asking {
    email: String,
    return_to: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Typed {
    code: Secret,
}

async fn show(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
    Query(arrival): Query<Arrival>,
) -> Result<Response, Problem> {
    if !identity.has_magic_links() {
        return Ok(off(&visit));
    }
    if arrival.token.is_empty() {
        return Ok(ask_page(&visit, StatusCode::OK, "", &arrival.return_to, ""));
    }
    let browser = cookie(&headers, identity.link_cookie_name()).map(Secret::new);
    match identity.open_magic_link(&ctx, &arrival.token, browser.as_ref()).await {
        Ok(()) => Ok(open_page(&visit, &arrival.token)),
        Err(err) => otherwise(&visit, err),
    }
}

/// Anybody may ask for anybody's link, so no origin is looked at; limits count the attempts.
pub(super) async fn submit(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
    Form(form): Form<Asking>,
) -> Result<Response, Problem> {
    let person = prefers_html(&headers);
    if person && form.email.parse::<Email>().is_err() {
        let error = Words::of(visit.locale).bad_email;
        return Ok(ask_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, &form.email, &form.return_to, error));
    }
    let browser = cookie(&headers, identity.link_cookie_name()).map(Secret::new);
    let browser = match identity.ask_magic_link(&ctx, &form.email, browser, &form.return_to).await {
        Ok(browser) => browser,
        Err(err) if person => return otherwise(&visit, err),
        Err(err) => return Err(refuse(err)),
    };
    let mut response = if person { see_other(SENT) } else { StatusCode::ACCEPTED.into_response() };
    response.headers_mut().append(header::SET_COOKIE, identity.link_cookie(&browser));
    Ok(response)
}

async fn show_sent(visit: Visit) -> Response {
    sent_page(&visit, StatusCode::OK, "", "")
}

async fn submit_token(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
    Form(form): Form<Link>,
) -> Result<Response, Problem> {
    enter_by(&identity, &ctx, &visit, &headers, LinkProof::Token(&form.token)).await
}

async fn submit_code(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
    Form(form): Form<Typed>,
) -> Result<Response, Problem> {
    if form.code.is_empty() {
        return Ok(sent_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, "", LinkWords::of(visit.locale).code_missing));
    }
    enter_by(&identity, &ctx, &visit, &headers, LinkProof::Code(&form.code)).await
}

async fn enter_by(identity: &Identity, ctx: &Ctx, visit: &Visit, headers: &HeaderMap, proof: LinkProof<'_>) -> Result<Response, Problem> {
    let browser = cookie(headers, identity.link_cookie_name()).map(Secret::new);
    let device = cookie(headers, identity.device_cookie_name()).map(Secret::new);
    match identity.sign_in_by_link(ctx, proof, browser.as_ref(), SessionKind::Cookie, device.as_ref()).await {
        Ok((welcome, return_to)) => {
            let mut response = enter(identity, ctx, welcome, &return_to).await;
            response.headers_mut().append(header::SET_COOKIE, identity.forget_link_cookie());
            Ok(response)
        }
        Err(err) => otherwise(visit, err),
    }
}

fn otherwise(visit: &Visit, err: IdentityError) -> Result<Response, Problem> {
    match err {
        IdentityError::MagicLinksOff => Ok(off(visit)),
        IdentityError::LinkInvalid => Ok(dead_link(visit, LINK)),
        IdentityError::OtherBrowser => Ok(other_browser(visit)),
        IdentityError::WrongCode => Ok(sent_page(visit, StatusCode::UNPROCESSABLE_ENTITY, "", LinkWords::of(visit.locale).wrong_code)),
        err => match alert(Words::of(visit.locale), &err) {
            Some((status, words)) => Ok(sent_page(visit, status, &words, "")),
            None => Err(refuse(err)),
        },
    }
}

fn off(visit: &Visit) -> Response {
    let t = LinkWords::of(visit.locale);
    let links = vec![("/auth/login", Words::of(visit.locale).sign_in)];
    message(visit, StatusCode::FORBIDDEN, &Message { title: t.off, text: t.off_lead, more: "", links })
}

pub(super) fn other_browser(visit: &Visit) -> Response {
    let t = LinkWords::of(visit.locale);
    let links = vec![(LINK, t.here)];
    message(visit, StatusCode::CONFLICT, &Message { title: t.other, text: t.other_lead, more: t.other_more, links })
}

pub(super) fn ask_page(visit: &Visit, status: StatusCode, typed: &str, return_to: &str, error: &str) -> Response {
    let (t, shared) = (LinkWords::of(visit.locale), Words::of(visit.locale));
    let mut email = Field::email(shared, typed).wrong(error);
    Field::focus_first_wrong([&mut email]);
    let return_to = ReturnTo::parse(return_to);
    let title = if status.is_success() { t.ask.to_owned() } else { error_title(shared, t.ask) };
    let content = AskPage { t, shared, return_to: return_to.as_ref().map_or("", ReturnTo::as_str), email };
    Page::gate(visit, &title).respond(status, &content)
}

pub(super) fn sent_page(visit: &Visit, status: StatusCode, alert: &str, error: &str) -> Response {
    let (t, shared) = (LinkWords::of(visit.locale), Words::of(visit.locale));
    let mut code = Field::code(shared, t.code, t.code_hint).wrong(error);
    Field::focus_first_wrong([&mut code]);
    let title = if status.is_success() { t.sent.to_owned() } else { error_title(shared, t.sent) };
    Page::gate(visit, &title).back_to(SENT).respond(status, &SentPage { t, alert, code })
}

pub(super) fn open_page(visit: &Visit, token: &Secret) -> Response {
    let t = LinkWords::of(visit.locale);
    Page::gate(visit, t.open).secret_address().respond(StatusCode::OK, &OpenPage { t, token: token.expose() })
}

/// What the sign-in page offers: where to, and the words.
pub(super) fn offer(visit: &Visit, return_to: &str) -> (String, &'static str) {
    (format!("{LINK}{}", return_query(return_to)), LinkWords::of(visit.locale).offer)
}

#[test]
fn every_text_has_as_many_gaps_in_each_language() {
    crate::gaps::are_even(LinkWords::all);
}
