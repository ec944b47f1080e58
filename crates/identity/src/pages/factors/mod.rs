//! Pages about second factors: the second question of a sign-in, and what somebody has set up.

mod account;
pub(super) mod confirm;
mod enrol;
pub(super) mod passkeys;
mod phone;
#[cfg(test)]
pub(super) mod samples;
pub(super) mod step;
mod words;

use std::time::Duration;

use askama::Template;
use axum::{
    Router,
    response::Response,
    routing::{get, post},
};
use baluarte_kernel::Secret;
use baluarte_web::{Page, Visit, fill};
use http::StatusCode;

pub(super) use self::words::FactorWords;
use super::{Words, error_title, field::Field, span};
use crate::{Identity, IdentityError, Method, NamedLimit, TotpEnrolment, factors::QrPath};

const STEP: &str = "/auth/login/step";
const ENROL: &str = "/auth/login/enrol";
const CONFIRM: &str = "/auth/confirm";
const FACTORS: &str = "/auth/account/factors";

pub(super) fn routes(identity: &Identity) -> Router {
    // What takes a password or sends a mail is counted like the API's endpoints; answers to the second question are
    // counted where it is known whose they are.
    let counted = |limit: NamedLimit, form| limit.on(identity, form);
    let (account, mfa) = (NamedLimit::Account, NamedLimit::Mfa);
    Router::new()
        .route(STEP, get(step::show).post(step::submit))
        .route("/auth/login/step/send", counted(account, post(step::send)))
        .route(ENROL, get(enrol::show).merge(counted(account, post(enrol::choose))))
        .route("/auth/login/enrol/confirm", post(enrol::confirm))
        .route(CONFIRM, get(confirm::show).merge(counted(mfa, post(confirm::submit))))
        .route("/auth/confirm/send", counted(account, post(confirm::send)))
        .route(FACTORS, get(account::show))
        .route("/auth/account/factors/totp", get(account::show_totp).merge(counted(account, post(account::begin_totp))))
        .route("/auth/account/factors/totp/confirm", counted(mfa, post(account::confirm_totp)))
        .route("/auth/account/factors/email", get(account::show_email).merge(counted(account, post(account::begin_email))))
        .route("/auth/account/factors/email/confirm", counted(mfa, post(account::confirm_email)))
        .route("/auth/account/factors/sms", get(phone::show).merge(counted(account, post(phone::begin))))
        .route("/auth/account/factors/sms/confirm", get(phone::show_code).merge(counted(mfa, post(phone::confirm))))
        .route("/auth/account/factors/passkeys/new", get(passkeys::show_new).merge(counted(account, post(passkeys::confirm_new))))
        .route("/auth/account/factors/passkeys", counted(mfa, post(passkeys::add)))
        .route("/auth/account/factors/passkeys/rename", counted(account, post(passkeys::rename)))
        .route("/auth/account/factors/passkeys/remove", get(passkeys::show_remove).merge(counted(account, post(passkeys::remove))))
        .route("/auth/account/factors/remove", get(account::show_remove).merge(counted(account, post(account::remove))))
        .route("/auth/account/factors/recovery", get(account::show_replace).merge(counted(account, post(account::replace))))
        .route("/auth/account/factors/trusted/forget", post(account::forget))
        .with_state(identity.clone())
}

/// A form with one code in it.
#[derive(Template)]
#[template(path = "factors/form.html")]
struct FormPage<'a> {
    title: &'a str,
    lead: &'a str,
    alert: &'a str,
    action: &'a str,
    button: &'a str,
    /// Hidden fields.
    hidden: Vec<(&'a str, &'a str)>,
    fields: Vec<Field<'a>>,
    /// Where to go instead.
    back: (&'a str, &'a str),
}

/// An authenticator app that is being set up.
#[derive(Template)]
#[template(path = "factors/totp.html")]
struct TotpPage<'a> {
    t: &'static FactorWords,
    alert: &'a str,
    action: &'a str,
    hidden: Vec<(&'a str, &'a str)>,
    qr: Option<QrPath>,
    url: &'a str,
    /// In groups of four.
    secret: String,
    code: Field<'a>,
    back: (&'a str, &'a str),
}

/// Recovery codes, this once.
#[derive(Template)]
#[template(path = "factors/codes.html")]
struct CodesPage<'a> {
    t: &'static FactorWords,
    account: &'a str,
    void: bool,
    codes: Vec<&'a str>,
    next: &'a str,
}

/// What a form with a code shows besides its labels.
#[derive(Clone, Copy, Default)]
struct Look<'a> {
    alert: &'a str,
    error: &'a str,
}

fn totp_page(
    visit: &Visit,
    status: StatusCode,
    enrolment: &TotpEnrolment,
    action: &str,
    hidden: Vec<(&str, &str)>,
    back: (&str, &str),
    look: Look<'_>,
) -> Response {
    let (t, shared) = (FactorWords::of(visit.locale), Words::of(visit.locale));
    let mut code = Field::code(shared, t.code, t.code_hint).wrong(look.error);
    Field::focus_first_wrong([&mut code]);
    let secret = enrolment.secret.expose().as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
    let url = enrolment.otpauth_url.expose();
    let content = TotpPage { t, alert: look.alert, action, hidden, qr: QrPath::of(url), url, secret, code, back };
    let title = if status.is_success() { t.scan.to_owned() } else { error_title(shared, t.scan) };
    Page::gate(visit, &title).respond(status, &content)
}

/// `void`: there were others before. The sheet says whose they are, but nothing that opens the account by itself.
fn codes_page(visit: &Visit, account: &str, codes: &[Secret], void: bool, next: &str, today: &str) -> Response {
    let t = FactorWords::of(visit.locale);
    let account = fill(t.codes_for, &[account, &visit.site.brand, today]);
    let content = CodesPage { t, account: &account, void, codes: codes.iter().map(Secret::expose).collect(), next };
    Page::sheet(visit, t.codes).back_to(FACTORS).respond(StatusCode::OK, &content)
}

/// A refusal that a form with a code shows above itself.
fn alert(visit: &Visit, err: &IdentityError) -> Option<(StatusCode, String)> {
    match err {
        IdentityError::CodeTooSoon { retry_after } => {
            let wait = span(Words::of(visit.locale), *retry_after);
            Some((StatusCode::TOO_MANY_REQUESTS, fill(FactorWords::of(visit.locale).too_soon, &[&wait])))
        }
        other => super::alert(Words::of(visit.locale), other),
    }
}

/// `30 days`, `12 h`.
fn lifetime(t: &FactorWords, span: Duration) -> String {
    let hours = span.as_secs() / 3_600;
    if hours >= 48 { fill(t.days, &[&(hours / 24).to_string()]) } else { fill(t.hours, &[&hours.max(1).to_string()]) }
}

fn method_name(method: Method) -> &'static str {
    method.as_str()
}
