//! The second question of a sign-in. Which attempt it is stands in a cookie of its own, never in an address or on the page.

use askama::Template;
use axum::{extract::State, response::Response};
use baluarte_kernel::{Ctx, Secret};
use baluarte_web::{Caller, Form, Page, Problem, Query, ReturnTo, SameOrigin, Visit, cookie, fill};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::{CONFIRM, ENROL, FactorWords, Look, STEP, alert, lifetime, method_name, passkeys::PasskeyForm};
use crate::{
    Answer, FactorKind, Identity, IdentityError, Method, OpenStep, RequestOptions, SecondStep,
    http::limits::count_answer,
    pages::{
        LOGIN, Words, error_title,
        field::Field,
        refuse, return_query, see_other,
        sign_in::{destination, keep},
    },
};

#[derive(Template)]
#[template(path = "factors/step.html")]
struct StepPage<'a> {
    t: &'static FactorWords,
    title: &'a str,
    /// Where the forms go.
    place: &'static str,
    lead: &'a str,
    alert: &'a str,
    method: &'a str,
    /// Absent: a code has to be sent first, or nothing can be done.
    code: Option<Field<'a>>,
    passkey: Option<PasskeyForm<'a>>,
    /// Codes can be sent.
    send: bool,
    sent: bool,
    /// Seconds until another code may be asked for.
    wait: u64,
    resend_in: String,
    trust: String,
    return_to: &'a str,
    /// Back to the password.
    start_over: bool,
    /// `(address, label)` of the other methods.
    others: Vec<(String, &'a str)>,
}

/// What the question is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// A sign-in; the browser may be trusted afterwards.
    SignIn { trusted_for: std::time::Duration },
    /// Somebody signed in shows that it is still them.
    Confirm,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Arrival {
    pub(super) method: String,
    pub(super) return_to: String,
    /// A number to be; with `number` not empty the page asks for another one.
    pub(super) phone: String,
    pub(super) number: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CodeForm {
    pub(super) method: String,
    pub(super) code: Secret,
    pub(super) credential: String,
    pub(super) password: Secret,
    pub(super) trust: String,
    pub(super) return_to: String,
}

/// After the right password: to the question, or to setting up what will be asked for.
pub(in crate::pages) async fn begin(identity: &Identity, ctx: &Ctx, step: &SecondStep, return_to: &str) -> Response {
    // What is asked for first is sent at once.
    if let Some(method) = step.methods.first().filter(|method| method.kind().is_some_and(FactorKind::is_sent))
        && let Err(err) = identity.send_code(ctx, &step.mfa_token, *method, None).await
    {
        // The page has a button for it.
        tracing::info!(target: "identity", error = %err, "no code was sent yet");
    }
    let place = if step.enrol.is_empty() { STEP } else { ENROL };
    let mut response = see_other(&format!("{place}{}", return_query(return_to)));
    response.headers_mut().append(header::SET_COOKIE, identity.step_cookie(&step.mfa_token, step.expires_in.as_secs()));
    response
}

/// The attempt is over: back to the password.
pub(super) fn over(identity: &Identity, return_to: &str) -> Response {
    let query = ReturnTo::parse(return_to).map_or_else(String::new, |_| return_query(return_to).replacen('?', "&", 1));
    let mut response = see_other(&format!("{LOGIN}?done=over{query}"));
    response.headers_mut().append(header::SET_COOKIE, identity.forget_step_cookie());
    response
}

pub(super) fn token(identity: &Identity, headers: &HeaderMap) -> Secret {
    Secret::new(cookie(headers, identity.step_cookie_name()).unwrap_or_default())
}

pub(super) async fn show(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
    Query(arrival): Query<Arrival>,
) -> Result<Response, Problem> {
    match identity.find_second_step(&ctx, &token(&identity, &headers)).await {
        Ok(open) if !open.enrol.is_empty() => Ok(see_other(&format!("{ENROL}{}", return_query(&arrival.return_to)))),
        Ok(open) => render(&identity, &ctx, &visit, &headers, StatusCode::OK, &open, &arrival, Look::default()).await,
        Err(IdentityError::SecondStepOver) if ctx.user().is_ok() => Ok(see_other(destination(&arrival.return_to).as_str())),
        Err(IdentityError::SecondStepOver) => Ok(over(&identity, &arrival.return_to)),
        Err(err) => Err(refuse(err)),
    }
}

pub(super) async fn submit(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
    Form(form): Form<CodeForm>,
) -> Result<Response, Problem> {
    let t = FactorWords::of(visit.locale);
    let mfa_token = token(&identity, &headers);
    let arrival = Arrival { method: form.method.clone(), return_to: form.return_to.clone(), ..Arrival::default() };
    let assertion = serde_json::from_str(&form.credential).ok();
    let (status, words, error) = if form.code.is_empty() && assertion.is_none() {
        (StatusCode::UNPROCESSABLE_ENTITY, String::new(), t.code_missing)
    } else {
        let method = parse(&form.method).unwrap_or(Method::Totp);
        let answer = Answer { mfa_token: mfa_token.clone(), method, code: form.code, assertion, trust_device: !form.trust.is_empty() };
        let answered = match count_answer(&identity, &ctx, &mfa_token).await {
            Ok(_) => identity.answer(&ctx, &answer).await,
            Err(problem) if problem.code == "limits.exceeded" => return Err(problem),
            // What else there is to say, the answer says itself.
            Err(_) => identity.answer(&ctx, &answer).await,
        };
        match answered {
            Ok(signed_in) => {
                let mut response = see_other(destination(&form.return_to).as_str());
                keep(&identity, &signed_in, response.headers_mut());
                response.headers_mut().append(header::SET_COOKIE, identity.forget_step_cookie());
                return Ok(response);
            }
            Err(IdentityError::WrongCode) if method == Method::Passkey => (StatusCode::UNAUTHORIZED, t.passkey_refused.to_owned(), ""),
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
        // That was the last try.
        Err(IdentityError::SecondStepOver) => Ok(over(&identity, &form.return_to)),
        Err(err) => Err(refuse(err)),
    }
}

pub(super) async fn send(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
    Form(form): Form<Arrival>,
) -> Result<Response, Problem> {
    let mfa_token = token(&identity, &headers);
    let method = parse(&form.method).filter(|method| *method == Method::Sms).unwrap_or(Method::Email);
    let arrival = Arrival { method: method_name(method).to_owned(), return_to: form.return_to, ..Arrival::default() };
    match identity.send_code(&ctx, &mfa_token, method, None).await {
        Ok(()) => {
            let query = return_query(&arrival.return_to).replacen('?', "&", 1);
            Ok(see_other(&format!("{STEP}?method={}{query}", arrival.method)))
        }
        Err(IdentityError::SecondStepOver) => Ok(over(&identity, &arrival.return_to)),
        Err(err) => {
            let Some((status, words)) = alert(&visit, &err) else { return Err(refuse(err)) };
            let open = identity.find_second_step(&ctx, &mfa_token).await.map_err(refuse)?;
            render(&identity, &ctx, &visit, &headers, status, &open, &arrival, Look { alert: &words, error: "" }).await
        }
    }
}

pub(super) fn parse(method: &str) -> Option<Method> {
    Method::ALL.into_iter().find(|known| known.as_str() == method)
}

#[expect(clippy::too_many_arguments, reason = "what was asked for, by whom, and what is to be said about it")]
async fn render(
    identity: &Identity,
    ctx: &Ctx,
    visit: &Visit,
    headers: &HeaderMap,
    status: StatusCode,
    open: &OpenStep,
    arrival: &Arrival,
    look: Look<'_>,
) -> Result<Response, Problem> {
    let options = match asked_for(open, arrival) {
        Some(Method::Passkey) => Some(identity.step_options(ctx, &token(identity, headers)).await.map_err(refuse)?),
        _ => None,
    };
    Ok(step_page(
        visit,
        status,
        open,
        arrival,
        look,
        options.as_ref(),
        Place::SignIn { trusted_for: identity.config().trusted_device_lifetime.get() },
    ))
}

pub(super) fn asked_for(open: &OpenStep, arrival: &Arrival) -> Option<Method> {
    parse(&arrival.method).filter(|method| open.methods.contains(method)).or_else(|| open.methods.first().copied())
}

pub(super) fn step_page(
    visit: &Visit,
    status: StatusCode,
    open: &OpenStep,
    arrival: &Arrival,
    look: Look<'_>,
    options: Option<&RequestOptions>,
    place: Place,
) -> Response {
    let (t, shared) = (FactorWords::of(visit.locale), Words::of(visit.locale));
    let method = asked_for(open, arrival);
    let (path, heading, trust, sent_to) = match place {
        Place::SignIn { trusted_for } => (STEP, t.step, fill(t.trust_days, &[&lifetime(t, trusted_for)]), t.step_email_sent),
        Place::Confirm => (CONFIRM, t.again, String::new(), t.confirm_sent),
    };
    // How codes of this method are sent, and whether the one that counts was.
    let sends = method.and_then(Method::kind).filter(|kind| kind.is_sent());
    let sent = sends.is_some() && open.sent == sends;
    let phone = open.phone.as_deref().unwrap_or_default();
    let lead = match method {
        Some(Method::Totp) => fill(t.step_totp, &[&visit.site.brand]),
        Some(Method::Email) if sent => fill(sent_to, &[&open.address]),
        Some(Method::Sms) if sent => fill(sent_to, &[phone]),
        Some(Method::Sms) => fill(t.step_email, &[phone]),
        Some(Method::Email) => fill(t.step_email, &[&open.address]),
        Some(Method::Passkey) => t.step_passkey.to_owned(),
        Some(Method::Recovery) => t.step_recovery.to_owned(),
        None => t.step_none.to_owned(),
    };
    let mut code = match method {
        Some(Method::Recovery) => Some(Field::recovery_code(shared, t.recovery_code, t.recovery_hint)),
        Some(Method::Email | Method::Sms) if !sent => None,
        Some(Method::Totp | Method::Email | Method::Sms) => Some(Field::code(shared, t.code, t.code_hint)),
        Some(Method::Passkey) | None => None,
    }
    .map(|field| field.wrong(look.error).focused());
    if let Some(code) = &mut code {
        Field::focus_first_wrong([code]);
    }
    let return_to = ReturnTo::parse(&arrival.return_to);
    let others = open.methods.iter().filter(|other| Some(**other) != method).map(|other| {
        let label = match other {
            Method::Totp => t.use_totp,
            Method::Email => t.use_email,
            Method::Sms => t.use_sms,
            Method::Passkey => t.use_passkey,
            Method::Recovery => t.use_recovery,
        };
        (format!("{path}?method={}{}", other.as_str(), return_query(&arrival.return_to).replacen('?', "&", 1)), label)
    });
    let wait = open.resend_in.as_millis().div_ceil(1_000) as u64;
    let back = return_to.as_ref().map_or("", ReturnTo::as_str);
    let passkey = options.map(|options| PasskeyForm::step(visit, options, path, vec![("method", "passkey"), ("return_to", back)], &trust));
    let content = StepPage {
        t,
        title: heading,
        place: path,
        start_over: matches!(place, Place::SignIn { .. }),
        passkey,
        lead: &lead,
        alert: look.alert,
        method: method.map_or("", method_name),
        code,
        send: sends.is_some(),
        sent,
        wait,
        resend_in: fill(t.resend_in, &[&wait.to_string()]),
        trust: trust.clone(),
        return_to: back,
        others: others.collect(),
    };
    let title = if status.is_success() { heading.to_owned() } else { error_title(shared, heading) };
    // Where a form that only POST answers was shown again, the language switch comes back to the question.
    Page::gate(visit, &title).back_to(path).respond(status, &content)
}
