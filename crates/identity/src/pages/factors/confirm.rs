//! Showing in the middle of a session that it is still its owner, and going on to where that was asked for.

use axum::{extract::State, response::Response};
use baluarte_kernel::{Ctx, Forbidden};
use baluarte_web::{Caller, Form, Page, Problem, Query, ReturnTo, SameOrigin, Visit};
use http::{StatusCode, header};

use super::{
    CONFIRM, FACTORS, FactorWords, FormPage, Look, alert, method_name,
    step::{Arrival, CodeForm, Place, asked_for, parse, step_page},
};
use crate::{
    Identity, IdentityError, Method, OpenConfirmation, OpenStep, Proof,
    pages::{ACCOUNT, Words, error_title, field::Field, logins, refuse, return_query, see_other, sign_in::destination, sign_in_first},
};

/// The page, and back to `path` afterwards.
pub(in crate::pages) fn confirm_first(path: &str) -> Response {
    see_other(&format!("{CONFIRM}{}", return_query(path)))
}

pub(super) async fn show(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Query(arrival): Query<Arrival>,
) -> Result<Response, Problem> {
    render(&identity, &ctx, &visit, StatusCode::OK, &arrival, Look::default()).await
}

pub(super) async fn submit(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<CodeForm>,
) -> Result<Response, Problem> {
    let (t, shared) = (FactorWords::of(visit.locale), Words::of(visit.locale));
    let arrival = Arrival { method: form.method.clone(), return_to: form.return_to.clone(), ..Arrival::default() };
    let (method, assertion) = (parse(&form.method), serde_json::from_str(&form.credential).ok());
    let wrong = StatusCode::UNPROCESSABLE_ENTITY;
    let missing = method.is_some_and(|method| method != Method::Passkey) && form.code.is_empty();
    let (status, words, error) = if missing {
        (wrong, String::new(), t.code_missing)
    } else {
        match identity.confirm(&ctx, &Proof { method, code: form.code, password: form.password, assertion }).await {
            Ok(cookie) => {
                let mut response = see_other(destination(&form.return_to).as_str());
                if let Some(cookie) = cookie {
                    response.headers_mut().append(header::SET_COOKIE, identity.session_cookie(&cookie));
                }
                return Ok(response);
            }
            Err(IdentityError::BadCode) if method == Some(Method::Passkey) => (wrong, t.passkey_failed.to_owned(), ""),
            Err(IdentityError::BadCode) => (wrong, String::new(), t.wrong_code),
            Err(IdentityError::WrongPassword) => (wrong, String::new(), shared.wrong_password),
            Err(err) => match alert(&visit, &err) {
                Some((status, words)) => (status, words, ""),
                None => return otherwise(err, &form.return_to),
            },
        }
    };
    render(&identity, &ctx, &visit, status, &arrival, Look { alert: &words, error }).await
}

pub(super) async fn send(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Arrival>,
) -> Result<Response, Problem> {
    let method = parse(&form.method).unwrap_or(Method::Email);
    match identity.send_confirmation(&ctx, method).await {
        Ok(()) => {
            let query = return_query(&form.return_to).replacen('?', "&", 1);
            Ok(see_other(&format!("{CONFIRM}?method={}{query}", method_name(method))))
        }
        Err(err) => match alert(&visit, &err) {
            Some((status, words)) => render(&identity, &ctx, &visit, status, &form, Look { alert: &words, error: "" }).await,
            None => otherwise(err, &form.return_to),
        },
    }
}

async fn render(
    identity: &Identity,
    ctx: &Ctx,
    visit: &Visit,
    status: StatusCode,
    arrival: &Arrival,
    look: Look<'_>,
) -> Result<Response, Problem> {
    let open = match identity.find_confirmation(ctx).await {
        Ok(open) => open,
        Err(err) => return otherwise(err, &arrival.return_to),
    };
    if open.password {
        return Ok(password_page(visit, status, &arrival.return_to, look));
    }
    if open.methods.is_empty() {
        let t = FactorWords::of(visit.locale);
        return Ok(logins::confirm_page(visit, t.again, &open.providers, &arrival.return_to));
    }
    let OpenConfirmation { methods, address, phone, sent, resend_in, .. } = open;
    let open = OpenStep { methods, enrol: Vec::new(), address, phone, sent, resend_in };
    let options = match asked_for(&open, arrival) {
        Some(Method::Passkey) => Some(identity.confirmation_options(ctx).await.map_err(refuse)?),
        _ => None,
    };
    Ok(step_page(visit, status, &open, arrival, look, options.as_ref(), Place::Confirm))
}

pub(super) fn password_page(visit: &Visit, status: StatusCode, return_to: &str, look: Look<'_>) -> Response {
    let (t, shared) = (FactorWords::of(visit.locale), Words::of(visit.locale));
    let return_to = ReturnTo::parse(return_to);
    let hidden = vec![("return_to", return_to.as_ref().map_or("", ReturnTo::as_str))];
    let mut password = Field::current_password(shared, "password", shared.current_password).wrong(look.error).focused();
    Field::focus_first_wrong([&mut password]);
    let back = (ACCOUNT, t.back);
    let content = FormPage {
        title: t.again,
        lead: t.confirm_lead,
        alert: look.alert,
        action: CONFIRM,
        button: t.go_on,
        hidden,
        fields: vec![password],
        back,
    };
    let title = if status.is_success() { t.again.to_owned() } else { error_title(shared, t.again) };
    Page::gate(visit, &title).back_to(CONFIRM).respond(status, &content)
}

fn otherwise(err: IdentityError, return_to: &str) -> Result<Response, Problem> {
    match err {
        IdentityError::Forbidden(Forbidden::NotSignedIn) => {
            Ok(sign_in_first(if ReturnTo::parse(return_to).is_some() { return_to } else { FACTORS }))
        }
        err => Err(refuse(err)),
    }
}
