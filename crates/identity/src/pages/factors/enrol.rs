//! Setting up the factor that a role demands, before the first session begins.

use askama::Template;
use axum::{extract::State, response::Response};
use baluarte_web::{Caller, Form, Page, Problem, Query, ReturnTo, SameOrigin, Visit, fill};
use http::{HeaderMap, StatusCode, header};

use super::{
    ENROL, FactorWords, FormPage, Look, alert, codes_page, method_name,
    phone::{Wrong, number_words, phone_page},
    step::{Arrival, CodeForm, over, parse, token},
    totp_page,
};
use crate::{
    Answer, FactorKind, Identity, IdentityError, Method, OpenStep,
    http::limits::count_answer,
    pages::{
        Words,
        device::readable,
        error_title,
        field::Field,
        refuse, return_query, see_other,
        sign_in::{destination, keep},
    },
};

#[derive(Template)]
#[template(path = "factors/choose.html")]
struct ChoosePage<'a> {
    t: &'static FactorWords,
    alert: &'a str,
    totp: bool,
    email: bool,
    sms: bool,
    /// Where a number is typed.
    number: String,
    return_to: &'a str,
}

pub(super) async fn show(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
    Query(arrival): Query<Arrival>,
) -> Result<Response, Problem> {
    let mfa_token = token(&identity, &headers);
    let open = match identity.find_second_step(&ctx, &mfa_token).await {
        Ok(open) if !open.enrol.is_empty() => open,
        Ok(_) => return Ok(see_other(&format!("{}{}", super::STEP, return_query(&arrival.return_to)))),
        Err(IdentityError::SecondStepOver) if ctx.user().is_ok() => return Ok(see_other(destination(&arrival.return_to).as_str())),
        Err(IdentityError::SecondStepOver) => return Ok(over(&identity, &arrival.return_to)),
        Err(err) => return Err(refuse(err)),
    };
    render(&identity, &ctx, &visit, &headers, StatusCode::OK, &open, &arrival, Look::default()).await
}

pub(super) async fn choose(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
    Form(form): Form<Arrival>,
) -> Result<Response, Problem> {
    let mfa_token = token(&identity, &headers);
    let begun = match parse(&form.method) {
        Some(method @ (Method::Email | Method::Sms)) => identity.send_code(&ctx, &mfa_token, method, Some(&form.phone)).await,
        _ => identity.enrol_in_step(&ctx, &mfa_token).await.map(drop),
    };
    match begun {
        Ok(()) => {
            let method = parse(&form.method).unwrap_or(Method::Totp);
            let query = return_query(&form.return_to).replacen('?', "&", 1);
            Ok(see_other(&format!("{ENROL}?method={}{query}", method_name(method))))
        }
        Err(IdentityError::SecondStepOver) => Ok(over(&identity, &form.return_to)),
        Err(err) if number_words(FactorWords::of(visit.locale), &err).is_some() => {
            let error = number_words(FactorWords::of(visit.locale), &err).unwrap_or_default();
            Ok(ask_number(&visit, StatusCode::UNPROCESSABLE_ENTITY, &form, Wrong { phone: error, ..Wrong::default() }))
        }
        Err(err) => {
            let Some((status, words)) = alert(&visit, &err) else { return Err(refuse(err)) };
            let open = identity.find_second_step(&ctx, &mfa_token).await.map_err(refuse)?;
            render(&identity, &ctx, &visit, &headers, status, &open, &form, Look { alert: &words, error: "" }).await
        }
    }
}

pub(super) async fn confirm(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
    Form(form): Form<CodeForm>,
) -> Result<Response, Problem> {
    let t = FactorWords::of(visit.locale);
    let mfa_token = token(&identity, &headers);
    let method = parse(&form.method).unwrap_or(Method::Totp);
    let arrival = Arrival { method: method_name(method).to_owned(), return_to: form.return_to.clone(), ..Arrival::default() };
    let (status, words, error) = if form.code.is_empty() {
        (StatusCode::UNPROCESSABLE_ENTITY, String::new(), t.code_missing)
    } else {
        if let Err(problem) = count_answer(&identity, &ctx, &mfa_token).await
            && problem.code == "limits.exceeded"
        {
            return Err(problem);
        }
        let answer = Answer { mfa_token: mfa_token.clone(), method, code: form.code, assertion: None, trust_device: false };
        match identity.answer(&ctx, &answer).await {
            Ok(signed_in) => {
                let next = destination(&form.return_to);
                let today = readable(&ctx.now().to_string());
                let account = signed_in.user.email.as_str();
                let mut response = codes_page(&visit, account, &signed_in.recovery_codes, false, next.as_str(), &today);
                keep(&identity, &signed_in, response.headers_mut());
                response.headers_mut().append(header::SET_COOKIE, identity.forget_step_cookie());
                return Ok(response);
            }
            Err(IdentityError::WrongCode) => (StatusCode::UNAUTHORIZED, String::new(), t.wrong_code),
            Err(IdentityError::SecondStepOver) => return Ok(over(&identity, &form.return_to)),
            Err(err) => match alert(&visit, &err) {
                Some((status, words)) => (status, words, ""),
                None => return Err(refuse(err)),
            },
        }
    };
    match identity.find_second_step(&ctx, &mfa_token).await {
        Ok(open) => render(&identity, &ctx, &visit, &headers, status, &open, &arrival, Look { alert: &words, error }).await,
        Err(IdentityError::SecondStepOver) => Ok(over(&identity, &form.return_to)),
        Err(err) => Err(refuse(err)),
    }
}

#[expect(clippy::too_many_arguments, reason = "what was asked for, by whom, and what is to be said about it")]
async fn render(
    identity: &Identity,
    ctx: &baluarte_kernel::Ctx,
    visit: &Visit,
    headers: &HeaderMap,
    status: StatusCode,
    open: &OpenStep,
    arrival: &Arrival,
    look: Look<'_>,
) -> Result<Response, Problem> {
    let t = FactorWords::of(visit.locale);
    let return_to = ReturnTo::parse(&arrival.return_to);
    let return_to = return_to.as_ref().map_or("", ReturnTo::as_str);
    let back_to = format!("{ENROL}{}", return_query(&arrival.return_to));
    let back = (back_to.as_str(), t.back);
    let hidden = vec![("method", arrival.method.as_str()), ("return_to", return_to)];
    match parse(&arrival.method) {
        Some(Method::Totp) => {
            let pending = identity.find_pending_totp_in_step(ctx, &token(identity, headers)).await.map_err(refuse)?;
            if let Some(enrolment) = pending {
                return Ok(totp_page(visit, status, &enrolment, "/auth/login/enrol/confirm", hidden, back, look));
            }
        }
        Some(Method::Sms) if open.sent == Some(FactorKind::Sms) && arrival.number.is_empty() => {
            let lead = fill(t.confirm_phone_lead, &[open.phone.as_deref().unwrap_or_default()]);
            return Ok(code_page(visit, status, t.confirm_phone, &lead, "/auth/login/enrol/confirm", hidden, back, look));
        }
        Some(Method::Sms) if open.enrol.contains(&FactorKind::Sms) => {
            return Ok(ask_number(visit, status, arrival, Wrong { alert: look.alert, ..Wrong::default() }));
        }
        Some(Method::Email) if open.sent == Some(FactorKind::Email) => {
            let lead = fill(t.confirm_email_lead, &[&open.address]);
            return Ok(code_page(visit, status, t.confirm_email, &lead, "/auth/login/enrol/confirm", hidden, back, look));
        }
        _ => {}
    }
    Ok(choose_page(visit, status, &open.enrol, return_to, look.alert))
}

fn ask_number(visit: &Visit, status: StatusCode, arrival: &Arrival, wrong: Wrong<'_>) -> Response {
    let return_to = ReturnTo::parse(&arrival.return_to);
    let hidden = vec![("method", "sms"), ("return_to", return_to.as_ref().map_or("", ReturnTo::as_str))];
    let back = format!("{ENROL}{}", return_query(&arrival.return_to));
    phone_page(visit, status, (ENROL, &back), hidden, &arrival.phone, wrong)
}

pub(super) fn choose_page(visit: &Visit, status: StatusCode, enrol: &[FactorKind], return_to: &str, alert: &str) -> Response {
    let t = FactorWords::of(visit.locale);
    let has = |kind| enrol.contains(&kind);
    let number = format!("{ENROL}?method=sms&number=new{}", return_query(return_to).replacen('?', "&", 1));
    let (totp, email, sms) = (has(FactorKind::Totp), has(FactorKind::Email), has(FactorKind::Sms));
    let content = ChoosePage { t, alert, totp, email, sms, number, return_to };
    let title = if status.is_success() { t.enrol.to_owned() } else { error_title(Words::of(visit.locale), t.enrol) };
    Page::gate(visit, &title).back_to(ENROL).respond(status, &content)
}

#[expect(clippy::too_many_arguments, reason = "a form: its words, where it goes, what is wrong")]
pub(super) fn code_page(
    visit: &Visit,
    status: StatusCode,
    title: &str,
    lead: &str,
    action: &str,
    hidden: Vec<(&str, &str)>,
    back: (&str, &str),
    look: Look<'_>,
) -> Response {
    let (t, shared) = (FactorWords::of(visit.locale), Words::of(visit.locale));
    let mut code = Field::code(shared, t.code, t.code_hint).wrong(look.error).focused();
    Field::focus_first_wrong([&mut code]);
    let content = FormPage { title, lead, alert: look.alert, action, button: t.turn_on, hidden, fields: vec![code], back };
    let told = if status.is_success() { title.to_owned() } else { error_title(shared, title) };
    Page::gate(visit, &told).back_to(back.0).respond(status, &content)
}
