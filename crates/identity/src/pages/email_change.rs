//! Another address for one's account: asking for it, and what the links in the two mails show.

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use baluarte_kernel::{Ctx, Forbidden, Secret};
use baluarte_web::{Caller, Form, Page, Problem, Query, SameOrigin, Visit, fill};
use http::StatusCode;

use super::{
    ACCOUNT, Message, Words, alert, error_title,
    factors::confirm::confirm_first,
    field::Field,
    message,
    passwords::{Address, Link, dead_link},
    refuse, see_other, sign_in_first, span,
};
use crate::{Email, EmailChange, EmailChanged, Identity, IdentityError, Mailbox, NamedLimit};

baluarte_web::texts! {
    struct EmailWords {
        change: "Change your address", "Cambia tu correo", "Mude o seu e-mail";
        lead: "We send a link to the address you have now and one to the new one. It changes when both have agreed.", "Enviamos un enlace al correo que tienes ahora y otro al nuevo. Cambia cuando ambos hayan aceptado.", "Enviamos um link para o e-mail que você tem agora e outro para o novo. Ele muda quando os dois concordarem.";
        new_email: "New address", "Correo nuevo", "Novo e-mail";
        send: "Send the links", "Enviar los enlaces", "Enviar os links";
        same: "That is your address already.", "Ese ya es tu correo.", "Esse já é o seu e-mail.";
        no_mail: "This site cannot send mail. Contact whoever runs it.", "Este sitio no puede enviar correo. Contacta con quien lo administra.", "Este site não pode enviar e-mail. Fale com quem o administra.";
        too_many: "Enough links were sent. Look into both mailboxes, or try again in {}.", "Ya se enviaron bastantes enlaces. Revisa ambos buzones o inténtalo de nuevo en {}.", "Já foram enviados links suficientes. Veja as duas caixas de entrada ou tente de novo em {}.";
        waits: "A change to {} waits for both mailboxes.", "Un cambio a {} espera a ambos buzones.", "Uma mudança para {} espera as duas caixas de entrada.";
        old_agreed: "Your present address has agreed.", "Tu correo actual aceptó.", "O seu e-mail atual concordou.";
        old_waits: "Your present address has not agreed yet.", "Tu correo actual aún no ha aceptado.", "O seu e-mail atual ainda não concordou.";
        new_agreed: "The new address is confirmed.", "El correo nuevo está confirmado.", "O novo e-mail está confirmado.";
        new_waits: "The new address is not confirmed yet.", "El correo nuevo aún no está confirmado.", "O novo e-mail ainda não está confirmado.";
        cancel: "Keep the address I have", "Conservar el correo que tengo", "Manter o e-mail que tenho";
        back: "Back to your account", "Volver a tu cuenta", "Voltar à sua conta";

        old_title: "Another address for your account?", "¿Otro correo para tu cuenta?", "Outro e-mail para a sua conta?";
        old_lead_email: "Your account is to have the address {} instead of the one this mail went to.", "Tu cuenta va a tener el correo {} en lugar del que recibió este mensaje.", "A sua conta vai ter o e-mail {} em vez do que recebeu esta mensagem.";
        old_agree: "Yes, change it", "Sí, cambiarlo", "Sim, mudar";
        old_refuse: "This was not me", "No fui yo", "Não fui eu";
        old_hint: "“This was not me” stops the change and signs the account out everywhere.", "«No fui yo» detiene el cambio y cierra todas las sesiones de la cuenta.", "“Não fui eu” interrompe a mudança e encerra todas as sessões da conta.";
        new_title: "Confirm your new address", "Confirma tu nuevo correo", "Confirme o seu novo e-mail";
        new_lead_email: "Use {} for your account from now on.", "Usar {} para tu cuenta a partir de ahora.", "Usar {} na sua conta a partir de agora.";
        new_agree: "Confirm", "Confirmar", "Confirmar";

        half: "Thank you, one half is done", "Gracias, ya está la mitad", "Obrigado, metade já está feita";
        half_more: "The other mailbox has a link too. The address changes when both have agreed.", "El otro buzón también tiene un enlace. El correo cambia cuando ambos hayan aceptado.", "A outra caixa de entrada também tem um link. O e-mail muda quando as duas concordarem.";
        done_title: "Your address is changed", "Tu correo cambió", "O seu e-mail foi alterado";
        done_more: "Sign in with the new one from now on.", "A partir de ahora inicia sesión con el nuevo.", "A partir de agora entre com o novo.";
        refused: "Nothing was changed", "No se cambió nada", "Nada foi alterado";
        refused_old: "The account keeps its address and is signed out everywhere. Choose a new password now: whoever asked for this can sign in.", "La cuenta conserva su correo y se cerraron todas sus sesiones. Elige ahora una contraseña nueva: quien pidió esto puede entrar.", "A conta mantém o e-mail e todas as sessões foram encerradas. Escolha agora uma nova senha: quem pediu isso consegue entrar.";
        refused_new: "Nobody uses your address. You can close this page.", "Nadie usa tu correo. Puedes cerrar esta página.", "Ninguém usa o seu e-mail. Você pode fechar esta página.";
    }
}

const EMAIL: &str = "/auth/account/email";
const CONFIRM: &str = "/auth/account/email/confirm";

pub(super) fn routes(identity: &Identity) -> Router {
    let counted = |form| NamedLimit::Account.on(identity, form);
    Router::new()
        .route(EMAIL, get(show).merge(counted(post(ask))))
        .route("/auth/account/email/cancel", post(cancel))
        .route(CONFIRM, get(open).post(confirm))
        .route("/auth/account/email/refuse", post(decline))
        .with_state(identity.clone())
}

#[derive(Template)]
#[template(path = "email_change.html")]
struct ChangePage<'a> {
    t: &'static EmailWords,
    alert: &'a str,
    waiting: Option<Waiting>,
    email: Field<'a>,
}

/// A change that waits for mailboxes.
struct Waiting {
    sentence: String,
    old: bool,
    new: bool,
}

#[derive(Template)]
#[template(path = "email_confirm.html")]
struct ConfirmPage<'a> {
    t: &'static EmailWords,
    title: &'a str,
    lead: &'a str,
    agree: &'a str,
    old: bool,
    token: &'a str,
}

async fn show(State(identity): State<Identity>, Caller(ctx): Caller, visit: Visit) -> Result<Response, Problem> {
    match identity.may_change_email(&ctx).await {
        Ok(()) => page(&identity, &ctx, &visit, StatusCode::OK, "", "", "").await,
        Err(err) => otherwise(err),
    }
}

async fn ask(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Address>,
) -> Result<Response, Problem> {
    let t = EmailWords::of(visit.locale);
    let wrong = StatusCode::UNPROCESSABLE_ENTITY;
    let Ok(new) = form.email.parse::<Email>() else {
        return page(&identity, &ctx, &visit, wrong, &form.email, "", Words::of(visit.locale).bad_email).await;
    };
    let (status, words) = match identity.ask_email_change(&ctx, &new).await {
        Ok(_) => return Ok(see_other(EMAIL)),
        Err(IdentityError::SameEmail) => return page(&identity, &ctx, &visit, wrong, &form.email, "", t.same).await,
        Err(IdentityError::NoMail) => (StatusCode::CONFLICT, t.no_mail.to_owned()),
        Err(IdentityError::TooManyMails { retry_after }) => {
            (StatusCode::TOO_MANY_REQUESTS, fill(t.too_many, &[&span(Words::of(visit.locale), retry_after)]))
        }
        Err(err) => return otherwise(err),
    };
    page(&identity, &ctx, &visit, status, &form.email, &words, "").await
}

async fn cancel(State(identity): State<Identity>, _: SameOrigin, Caller(ctx): Caller) -> Result<Response, Problem> {
    match identity.cancel_email_change(&ctx).await {
        Ok(()) => Ok(see_other(ACCOUNT)),
        Err(err) => otherwise(err),
    }
}

async fn page(
    identity: &Identity,
    ctx: &Ctx,
    visit: &Visit,
    status: StatusCode,
    typed: &str,
    alert: &str,
    error: &str,
) -> Result<Response, Problem> {
    match identity.find_email_change(ctx).await {
        Ok(change) => Ok(change_page(visit, status, change.as_ref(), typed, alert, error)),
        Err(err) => otherwise(err),
    }
}

pub(super) fn change_page(
    visit: &Visit,
    status: StatusCode,
    change: Option<&EmailChange>,
    typed: &str,
    alert: &str,
    error: &str,
) -> Response {
    let (t, shared) = (EmailWords::of(visit.locale), Words::of(visit.locale));
    let waiting = change.map(|change| Waiting {
        sentence: fill(t.waits, &[change.email.as_str()]),
        old: change.old_confirmed,
        new: change.new_confirmed,
    });
    let mut email = Field::new_email(shared, t.new_email, typed).wrong(error);
    Field::focus_first_wrong([&mut email]);
    let title = if status.is_success() { t.change.to_owned() } else { error_title(shared, t.change) };
    Page::gate(visit, &title).back_to(EMAIL).respond(status, &ChangePage { t, alert, waiting, email })
}

/// The link of either mail. It only shows what it is about, because mail scanners open links.
async fn open(State(identity): State<Identity>, Caller(ctx): Caller, visit: Visit, Query(link): Query<Link>) -> Result<Response, Problem> {
    match identity.open_email_change(&ctx, &link.token).await {
        Ok((change, side)) => Ok(confirm_page(&visit, &change, side, &link.token)),
        Err(IdentityError::LinkInvalid) => Ok(dead_link(&visit, EMAIL)),
        Err(err) => Err(refuse(err)),
    }
}

pub(super) fn confirm_page(visit: &Visit, change: &EmailChange, side: Mailbox, token: &Secret) -> Response {
    let t = EmailWords::of(visit.locale);
    let (title, lead, agree) = match side {
        Mailbox::Old => (t.old_title, t.old_lead_email, t.old_agree),
        Mailbox::New => (t.new_title, t.new_lead_email, t.new_agree),
    };
    let lead = fill(lead, &[change.email.as_str()]);
    let content = ConfirmPage { t, title, lead: &lead, agree, old: side == Mailbox::Old, token: token.expose() };
    Page::gate(visit, title).secret_address().respond(StatusCode::OK, &content)
}

async fn confirm(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(link): Form<Link>,
) -> Result<Response, Problem> {
    let t = EmailWords::of(visit.locale);
    match identity.confirm_email_change(&ctx, &link.token).await {
        Ok(EmailChanged::Done) => Ok(done(&visit)),
        Ok(EmailChanged::WaitsForOther) => {
            let content = Message { title: t.half, text: t.half_more, more: "", links: vec![(ACCOUNT, t.back)] };
            Ok(message(&visit, StatusCode::OK, &content))
        }
        Err(IdentityError::LinkInvalid) => Ok(dead_link(&visit, EMAIL)),
        Err(err) => match alert(Words::of(visit.locale), &err) {
            Some((status, words)) => {
                let content = Message { title: t.refused, text: &words, more: "", links: vec![(ACCOUNT, t.back)] };
                Ok(message(&visit, status, &content))
            }
            None => Err(refuse(err)),
        },
    }
}

fn done(visit: &Visit) -> Response {
    let t = EmailWords::of(visit.locale);
    let content = Message { title: t.done_title, text: t.done_more, more: "", links: vec![(ACCOUNT, t.back)] };
    message(visit, StatusCode::OK, &content)
}

async fn decline(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(link): Form<Link>,
) -> Result<Response, Problem> {
    let (t, shared) = (EmailWords::of(visit.locale), Words::of(visit.locale));
    let (text, links) = match identity.refuse_email_change(&ctx, &link.token).await {
        Ok(Mailbox::Old) => (t.refused_old, vec![("/auth/forgot-password", shared.forgot)]),
        Ok(Mailbox::New) => (t.refused_new, Vec::new()),
        Err(IdentityError::LinkInvalid) => return Ok(dead_link(&visit, EMAIL)),
        Err(err) => return Err(refuse(err)),
    };
    Ok(message(&visit, StatusCode::OK, &Message { title: t.refused, text, more: "", links }))
}

fn otherwise(err: IdentityError) -> Result<Response, Problem> {
    match err {
        IdentityError::Forbidden(Forbidden::NotSignedIn) => Ok(sign_in_first(EMAIL)),
        IdentityError::ConfirmationNeeded => Ok(confirm_first(EMAIL)),
        err => Err(refuse(err)),
    }
}

#[test]
fn every_text_has_as_many_gaps_in_each_language() {
    crate::gaps::are_even(EmailWords::all);
}
