//! Server-rendered pages under `/auth/…`: they work without JavaScript, and every form answers with a redirect or with
//! itself and what is wrong.

mod account;
mod api_keys;
mod console;
mod device;
mod email_change;
mod factors;
mod field;
mod invitation;
mod logins;
mod magic_link;
mod notices;
mod passwords;
mod register;
mod sign_in;
#[cfg(test)]
mod tests;
mod verify;
mod words;

use std::time::Duration;

use askama::Template;
use axum::{
    Router,
    extract::Request,
    handler::Handler,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use baluarte_web::{Page, Problem, ReturnTo, Visit, fill};
use http::{HeaderValue, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use self::words::Words;
use crate::{BadPassword, Identity, IdentityError, NamedLimit};

/// A device as its owner knows it, for mails.
pub(crate) fn device_name(locale: baluarte_kernel::Locale, user_agent: Option<&str>) -> String {
    device::summary(Words::of(locale), user_agent)
}

const LOGIN: &str = "/auth/login";
const ACCOUNT: &str = "/auth/account";

pub(crate) fn routes(identity: Identity) -> Router {
    // What tries a password or sends a mail is counted by the client's address, together with the API's endpoints.
    let counted = |limit: NamedLimit, form: MethodRouter<Identity>| limit.on(&identity, form.with_state(identity.clone()));
    Router::new()
        .route(LOGIN, counted(NamedLimit::Login, post(sign_in::submit)))
        .route("/auth/register", counted(NamedLimit::Account, post(register::submit)))
        .route("/auth/verify-email/resend", counted(NamedLimit::ForgotPassword, post(verify::submit_resend)))
        .route("/auth/account/password", counted(NamedLimit::Account, post(account::submit_password)))
        .route("/auth/account/delete", counted(NamedLimit::Account, post(account::submit_delete)))
        .route("/auth/login/passkey", counted(NamedLimit::Login, post(factors::passkeys::submit_sign_in)))
        .merge(factors::routes(&identity))
        .merge(email_change::routes(&identity))
        .merge(api_keys::routes(&identity))
        .merge(console::routes(&identity))
        .merge(logins::routes(&identity))
        .merge(magic_link::routes(&identity))
        .merge(invitation::routes(&identity))
        .merge(notices::routes(&identity))
        .merge(uncounted(identity.clone()))
}

fn uncounted(identity: Identity) -> Router {
    Router::new()
        .route(LOGIN, get(sign_in::show))
        .route("/auth/register", get(register::show))
        .route("/auth/check-mail", get(passwords::check_mail))
        .route("/auth/forgot-password", get(passwords::show_forgot))
        .route("/auth/reset-password", get(passwords::show_reset))
        // Nobody guesses a link's token, and whoever registers, confirms and signs in should not be told to wait.
        .route("/auth/verify-email", get(verify::show).post(verify::submit))
        .route("/auth/verify-email/resend", get(verify::show_resend))
        .route(ACCOUNT, get(account::show))
        .route("/auth/account/profile", post(account::submit_profile))
        .route("/auth/account/sessions/end", post(account::end_session))
        .route("/auth/account/sessions/end-others", post(account::end_other_sessions))
        .route("/auth/account/delete", get(account::show_delete))
        .route("/auth/logout", post(sign_in::sign_out))
        .route("/auth/signed-out", get(sign_in::signed_out))
        .with_state(identity)
}

/// `POST /auth/forgot-password` of a form; the JSON sort is answered by `http`.
pub(crate) async fn submit_forgot_password(identity: Identity, request: Request) -> Response {
    passwords::submit_forgot.call(request, identity).await
}

/// `POST /auth/magic-link` of a form; the JSON sort is answered by `http`.
pub(crate) async fn submit_magic_link(identity: Identity, request: Request) -> Response {
    magic_link::submit.call(request, identity).await
}

/// `POST /auth/reset-password` of a form; the JSON sort is answered by `http`.
pub(crate) async fn submit_reset_password(identity: Identity, request: Request) -> Response {
    passwords::submit_reset.call(request, identity).await
}

/// A page with a heading, a sentence or two, and where to go next.
#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    title: &'a str,
    text: &'a str,
    more: &'a str,
    links: Vec<(&'a str, &'a str)>,
}

fn message(visit: &Visit, status: StatusCode, content: &Message<'_>) -> Response {
    Page::gate(visit, content.title).respond(status, content)
}

/// The end of a form that did its work: GET something else.
fn see_other(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::try_from(to).unwrap_or(HeaderValue::from_static(ACCOUNT)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// To the sign-in page, and back to `path` afterwards.
fn sign_in_first(path: &str) -> Response {
    see_other(&format!("{LOGIN}{}", return_query(path)))
}

/// `?return_to=…`, or nothing for an address that is not a path of our own.
fn return_query(path: &str) -> String {
    ReturnTo::parse(path).map_or_else(String::new, |path| format!("?return_to={}", utf8_percent_encode(path.as_str(), NON_ALPHANUMERIC)))
}

/// The title of a form that is shown again says so first: screen readers read it first.
fn error_title(t: &Words, title: &str) -> String {
    fill(t.error_title, &[title])
}

/// What is wrong with a new password, in the reader's language.
fn password_words(t: &'static Words, bad: BadPassword) -> &'static str {
    match bad {
        BadPassword::TooShort => t.password_short,
        BadPassword::TooLong => t.password_long,
        BadPassword::Common => t.password_common,
        BadPassword::Personal => t.password_personal,
    }
}

/// A refusal that a form shows above itself, with its status; others become error pages.
fn alert(t: &'static Words, err: &IdentityError) -> Option<(StatusCode, String)> {
    match err {
        IdentityError::WrongCredentials => Some((StatusCode::UNAUTHORIZED, t.wrong_credentials.to_owned())),
        IdentityError::EmailNotVerified => Some((StatusCode::FORBIDDEN, t.not_verified.to_owned())),
        IdentityError::AccountDisabled => Some((StatusCode::FORBIDDEN, t.disabled.to_owned())),
        IdentityError::ResetRequired => Some((StatusCode::FORBIDDEN, t.reset_required.to_owned())),
        IdentityError::LastOwner => Some((StatusCode::CONFLICT, t.last_owner.to_owned())),
        IdentityError::Outranked => Some((StatusCode::FORBIDDEN, t.outranked.to_owned())),
        IdentityError::EmailTaken => Some((StatusCode::CONFLICT, t.email_taken.to_owned())),
        IdentityError::LastAdmin => Some((StatusCode::CONFLICT, t.last_admin.to_owned())),
        IdentityError::Busy => Some((StatusCode::SERVICE_UNAVAILABLE, t.busy.to_owned())),
        IdentityError::TooManyAttempts { retry_after } => {
            Some((StatusCode::TOO_MANY_REQUESTS, fill(t.too_many_attempts, &[&span(t, *retry_after)])))
        }
        IdentityError::WrongPassword
        | IdentityError::BadPassword(_)
        | IdentityError::RegistrationClosed
        | IdentityError::InvitationNeeded
        | IdentityError::RefreshInvalid
        | IdentityError::RefreshReused
        | IdentityError::LinkInvalid
        | IdentityError::SameEmail
        | IdentityError::NoMail
        | IdentityError::MagicLinksOff
        | IdentityError::OtherBrowser
        | IdentityError::InvitationNeedsEmail
        | IdentityError::TooManyInvitations
        | IdentityError::InvitationNotFound
        | IdentityError::AddressMissing
        | IdentityError::TooManyMails { .. }
        | IdentityError::SecondStepOver
        | IdentityError::WrongCode
        | IdentityError::BadCode
        | IdentityError::CodeTooSoon { .. }
        | IdentityError::FactorUnavailable
        | IdentityError::PhoneRefused(_)
        | IdentityError::FactorExists
        | IdentityError::FactorNotFound
        | IdentityError::FactorRequired
        | IdentityError::FactorsOff
        | IdentityError::ReauthenticationNeeded
        | IdentityError::ConfirmationNeeded
        | IdentityError::BadPasskey
        | IdentityError::PasskeyRefused
        | IdentityError::PasskeyExists
        | IdentityError::TooManyPasskeys
        | IdentityError::PasskeyNotFound
        | IdentityError::TrustedDeviceNotFound
        | IdentityError::BadApiKey(..)
        | IdentityError::TooManyApiKeys
        | IdentityError::ApiKeyNotFound
        | IdentityError::ApiKeyReplaced
        | IdentityError::Login(_)
        | IdentityError::UserNotFound(_)
        | IdentityError::SessionNotFound
        | IdentityError::BadCursor(_)
        | IdentityError::Forbidden(_)
        | IdentityError::Internal(_)
        | IdentityError::Storage(_) => None,
    }
}

/// `40 s`, `3 min`: rounded up.
fn span(t: &Words, wait: Duration) -> String {
    let seconds = wait.as_secs().max(1);
    if seconds < 90 { fill(t.seconds, &[&seconds.to_string()]) } else { fill(t.minutes, &[&seconds.div_ceil(60).to_string()]) }
}

/// An error that no form of ours shows.
fn refuse(err: IdentityError) -> Problem {
    Problem::from(err)
}
