//! Signing in with an account elsewhere: there and back, and what is to be said on the way.

mod account;
#[cfg(test)]
pub(super) mod samples;
mod words;

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use baluarte_kernel::{Ctx, Forbidden, Secret};
use baluarte_web::{Caller, Page, Path, Problem, Query, ReturnTo, SameOrigin, Visit, cookie, fill};
use http::{HeaderMap, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

pub(super) use self::words::LoginWords;
use super::{
    ACCOUNT, LOGIN, Message, Words, alert,
    factors::confirm::confirm_first,
    refuse, register, return_query, see_other,
    sign_in::{destination, enter},
    sign_in_first,
};
use crate::{
    Arrived, Errand, Identity, IdentityError, LoginError, NamedLimit, ProviderAnswer, ProviderName, Registration, Returned, ToConnect,
};

const CONNECT: &str = "/auth/connect";
const LOGINS: &str = "/auth/account/logins";

pub(super) fn routes(identity: &Identity) -> Router {
    let counted = |route| NamedLimit::Account.on(identity, route);
    Router::new()
        .route("/auth/with/{provider}", counted(get(begin)))
        .route("/auth/callback/{provider}", counted(get(end)))
        .route(CONNECT, get(show_connect).merge(counted(post(connect))))
        .route(LOGINS, get(account::show))
        .route("/auth/account/logins/remove", get(account::show_remove).merge(counted(post(account::remove))))
        .with_state(identity.clone())
}

/// Buttons of the sign-in and registration pages; nothing where there are no providers.
#[derive(Template)]
#[template(path = "logins/buttons.html")]
pub(super) struct Buttons<'a> {
    title: &'a str,
    pub(super) buttons: Vec<Button>,
}

pub(super) struct Button {
    href: String,
    label: String,
    title: String,
}

impl<'a> Buttons<'a> {
    pub(super) fn to_sign_in(visit: &Visit, providers: &[ProviderName], return_to: &str) -> Self {
        let t = LoginWords::of(visit.locale);
        Self::of(t.or, t.continue_with, providers, &return_query(return_to))
    }

    fn of(title: &'a str, label: &str, providers: &[ProviderName], query: &str) -> Self {
        let button = |provider: &ProviderName| Button {
            href: format!("/auth/with/{}{query}", provider.name),
            label: fill(label, &[&provider.title]),
            title: provider.title.clone(),
        };
        Self { title, buttons: providers.iter().map(button).collect() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    return_to: String,
    /// `connect` or `confirm`; empty: to sign in.
    r#for: String,
}

/// Sends the browser there. By a link, because a form may lead to no other site (`form-action`), and harmless: nobody gets anywhere
/// but the visitor, into an account of their own.
async fn begin(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Path(provider): Path<String>,
    headers: HeaderMap,
    Query(wish): Query<Wish>,
) -> Result<Response, Problem> {
    let back = format!("{LOGIN}{}", return_query(&wish.return_to));
    // Other sites may lead to our sign-in page, and no further.
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return Ok(see_other(&back));
    }
    let errand = match wish.r#for.as_str() {
        "connect" => identity.connecting(&ctx).await,
        "confirm" => identity.confirming_by_login(&ctx),
        _ if ctx.user().is_ok() => return Ok(see_other(destination(&wish.return_to).as_str())),
        _ => Ok(Errand::SignIn),
    };
    let errand = match errand {
        Ok(errand) => errand,
        Err(err) => return otherwise(err, LOGINS),
    };
    let used = identity.attempt_cookies().map(|name| cookie(&headers, &name).is_some());
    match identity.begin_login(&ctx, &provider, errand, &wish.return_to, used).await {
        Ok(departure) => {
            let mut response = see_other(&departure.location);
            response.headers_mut().append(header::SET_COOKIE, departure.cookie);
            Ok(response)
        }
        Err(err) => {
            let title = identity.providers().into_iter().find(|known| known.name == provider).map_or_else(String::new, |known| known.title);
            failure(&ctx, &visit, &Way { provider: &provider, title: &title, return_to: &wish.return_to }, err)
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Back {
    state: String,
    code: Secret,
    iss: String,
    error: String,
}

/// Where a provider sends the browser back to.
async fn end(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Path(provider): Path<String>,
    headers: HeaderMap,
    Query(back): Query<Back>,
) -> Result<Response, Problem> {
    let name = identity.attempt_cookie(&back.state);
    let sealed = name.as_deref().and_then(|name| cookie(&headers, name)).map(Secret::new).unwrap_or_default();
    let device = cookie(&headers, identity.device_cookie_name()).map(Secret::new);
    let answer = ProviderAnswer { code: back.code, iss: back.iss, error: back.error };
    let mut response = match identity.end_login(&ctx, &provider, (&back.state, &sealed), &answer, device.as_ref()).await {
        Ok(returned) => arrived(&identity, &ctx, &visit, &provider, returned).await?,
        Err(err) => failure(&ctx, &visit, &Way { provider: "", title: "", return_to: "" }, err)?,
    };
    if let Some(name) = name.filter(|_| !sealed.is_empty()) {
        response.headers_mut().append(header::SET_COOKIE, identity.forget_login_cookie(&name));
    }
    Ok(response)
}

async fn arrived(identity: &Identity, ctx: &Ctx, visit: &Visit, provider: &str, returned: Returned) -> Result<Response, Problem> {
    let Returned { return_to, title, what } = returned;
    let to = |place: &str, cookie| {
        let mut response = see_other(place);
        response.headers_mut().append(header::SET_COOKIE, cookie);
        response
    };
    Ok(match what {
        Ok(Arrived::In(welcome)) => enter(identity, ctx, *welcome, &return_to).await,
        Ok(Arrived::HasAccount(cookie)) => to("/auth/connect?why=known", cookie),
        Ok(Arrived::NoAddress(cookie)) => to("/auth/connect?why=unknown", cookie),
        Ok(Arrived::ToConnect(cookie)) => to(CONNECT, cookie),
        Ok(Arrived::Confirmed(cookie)) => match cookie {
            Some(cookie) => to(destination(&return_to).as_str(), identity.session_cookie(&cookie)),
            None => see_other(destination(&return_to).as_str()),
        },
        Err(err) => failure(ctx, visit, &Way { provider, title: &title, return_to: &return_to }, err)?,
    })
}

/// Where somebody came from who cannot go on.
struct Way<'a> {
    /// Empty where nobody knows.
    provider: &'a str,
    title: &'a str,
    return_to: &'a str,
}

/// What went wrong, and where to go from there: back to what was asked for, whichever way.
fn failure(ctx: &Ctx, visit: &Visit, way: &Way<'_>, err: IdentityError) -> Result<Response, Problem> {
    let (t, shared) = (LoginWords::of(visit.locale), Words::of(visit.locale));
    let with = |text: &str| fill(text, &[way.title]);
    let (status, title, text) = match &err {
        IdentityError::RegistrationClosed | IdentityError::InvitationNeeded => return Ok(register::not_here(visit, &err)),
        IdentityError::Forbidden(Forbidden::NotSignedIn) => return Ok(sign_in_first(LOGINS)),
        IdentityError::Login(login) => match login {
            LoginError::UnknownProvider | LoginError::LastWayIn | LoginError::TooMany => return Err(refuse(err)),
            LoginError::Over => (StatusCode::GONE, t.over.to_owned(), t.over_text),
            LoginError::Declined(why) if wants_the_person(why) => (StatusCode::FORBIDDEN, with(t.needs_you), t.needs_you_text),
            LoginError::Declined(why) if why == "server_error" || why == "temporarily_unavailable" => {
                (StatusCode::BAD_GATEWAY, with(t.away), t.away_text)
            }
            LoginError::Declined(_) => (StatusCode::FORBIDDEN, with(t.declined), t.declined_text),
            LoginError::Unreachable(_) => (StatusCode::BAD_GATEWAY, with(t.away), t.away_text),
            LoginError::NotTaken(_) => (StatusCode::BAD_GATEWAY, with(t.not_taken), t.not_taken_text),
            LoginError::Busy => (StatusCode::SERVICE_UNAVAILABLE, t.busy.to_owned(), t.busy_text),
            LoginError::Taken => (StatusCode::CONFLICT, t.taken.to_owned(), t.taken_text),
            LoginError::NotFound => (StatusCode::FORBIDDEN, with(t.not_taken), t.not_yours),
        },
        _ => match alert(shared, &err) {
            Some((status, words)) => return Ok(page(visit, status, shared.sign_in, &words, &links(ctx, t, way))),
            None => return Err(refuse(err)),
        },
    };
    Ok(page(visit, status, &title, text, &links(ctx, t, way)))
}

/// OpenID Connect Core, 3.1.2.6.
fn wants_the_person(error: &str) -> bool {
    matches!(error, "login_required" | "interaction_required" | "consent_required" | "account_selection_required")
}

fn links<'a>(ctx: &Ctx, t: &'static LoginWords, way: &Way<'_>) -> Vec<(String, &'a str)> {
    let query = return_query(way.return_to);
    if ctx.user().is_ok() {
        return vec![(LOGINS.to_owned(), t.logins), (ACCOUNT.to_owned(), t.back)];
    }
    let again = (!way.provider.is_empty()).then(|| (format!("/auth/with/{}{query}", way.provider), t.try_again));
    again.into_iter().chain([(format!("{LOGIN}{query}"), t.other_ways)]).collect()
}

/// The address holds a code, used or not: it is told to nobody, and the language switch leads elsewhere.
fn page(visit: &Visit, status: StatusCode, title: &str, text: &str, links: &[(String, &str)]) -> Response {
    let links = links.iter().map(|(href, label)| (href.as_str(), *label)).collect();
    Page::gate(visit, title).back_to(LOGIN).secret_address().respond(status, &Message { title, text, more: "", links })
}

// ── connecting ──

#[derive(Template)]
#[template(path = "logins/connect.html")]
struct ConnectPage<'a> {
    t: &'static LoginWords,
    title: &'a str,
    lead: &'a str,
    text: &'a str,
    /// Ask whether to; otherwise explain what comes first.
    confirm: bool,
    links: Vec<(&'a str, &'a str)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Why {
    pub(super) why: String,
}

/// An account elsewhere that waits: what comes first for whoever is not signed in, the question for whoever is.
async fn show_connect(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
    Query(arrival): Query<Why>,
) -> Result<Response, Problem> {
    let sealed = cookie(&headers, identity.waiting_cookie()).map(Secret::new).unwrap_or_default();
    if ctx.user().is_err() {
        return Ok(match identity.peek_waiting_login(&ctx, &sealed) {
            Ok(waiting) => explain(&visit, &waiting, &arrival, identity.config().registration == Registration::Open),
            Err(_) => nothing_waits(&ctx, &visit),
        });
    }
    match identity.find_waiting_login(&ctx, &sealed).await {
        Ok(waiting) => Ok(ask(&ctx, &visit, &waiting)),
        Err(IdentityError::Login(LoginError::Over | LoginError::UnknownProvider)) => Ok(nothing_waits(&ctx, &visit)),
        Err(err) => otherwise(err, CONNECT),
    }
}

fn nothing_waits(ctx: &Ctx, visit: &Visit) -> Response {
    let t = LoginWords::of(visit.locale);
    let way = Way { provider: "", title: "", return_to: "" };
    page(visit, StatusCode::GONE, t.waiting_over, t.waiting_over_text, &links(ctx, t, &way))
}

pub(super) fn explain(visit: &Visit, waiting: &ToConnect, arrival: &Why, open: bool) -> Response {
    let (t, shared) = (LoginWords::of(visit.locale), Words::of(visit.locale));
    let known = arrival.why == "known";
    let (title, lead, text) = if known {
        (t.known_title, fill(t.known_lead, &[&waiting.label, &waiting.title]), t.known_text)
    } else {
        (t.unknown_title, fill(t.unknown_lead, &[&waiting.label, &waiting.title]), t.unknown_text)
    };
    let query = return_query(CONNECT);
    let (sign_in, register) = (format!("{LOGIN}{query}"), format!("/auth/register{query}"));
    let mut links = vec![(sign_in.as_str(), shared.sign_in)];
    if known {
        links.push(("/auth/forgot-password", shared.forgot_link));
    } else if open {
        links.push((register.as_str(), shared.register_button));
    }
    let content = ConnectPage { t, title, lead: &lead, text, confirm: false, links };
    Page::gate(visit, title).respond(StatusCode::OK, &content)
}

pub(super) fn ask(ctx: &Ctx, visit: &Visit, waiting: &ToConnect) -> Response {
    let t = LoginWords::of(visit.locale);
    let title = fill(t.connect_title, &[&waiting.title]);
    let email = ctx.user().map(|principal| principal.email.clone()).unwrap_or_default();
    let text = fill(t.connect_text, &[&email]);
    let back = ReturnTo::parse(&waiting.return_to).unwrap_or_else(|| ReturnTo::fixed(ACCOUNT));
    let content =
        ConnectPage { t, title: &title, lead: &waiting.label, text: &text, confirm: true, links: vec![(back.as_str(), t.not_now)] };
    Page::gate(visit, &title).respond(StatusCode::OK, &content)
}

async fn connect(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let t = LoginWords::of(visit.locale);
    let sealed = cookie(&headers, identity.waiting_cookie()).map(Secret::new).unwrap_or_default();
    let mut response = match identity.connect_login(&ctx, &sealed).await {
        Ok(done) => match ReturnTo::parse(&done.return_to) {
            Some(place) => see_other(place.as_str()),
            None => see_other("/auth/account/logins?done=connected"),
        },
        Err(IdentityError::Login(LoginError::Over | LoginError::UnknownProvider)) => nothing_waits(&ctx, &visit),
        Err(IdentityError::Login(err @ (LoginError::Taken | LoginError::TooMany))) => {
            let text = if err == LoginError::Taken { t.taken_text } else { t.too_many };
            let way = Way { provider: "", title: "", return_to: "" };
            page(&visit, StatusCode::CONFLICT, t.taken, text, &links(&ctx, t, &way))
        }
        // What waits goes on waiting.
        Err(err) => return otherwise(err, CONNECT),
    };
    response.headers_mut().append(header::SET_COOKIE, identity.forget_login_cookie(identity.waiting_cookie()));
    Ok(response)
}

/// Whoever is not signed in any more, or has not shown lately that it is them, does that and comes back.
fn otherwise(err: IdentityError, path: &str) -> Result<Response, Problem> {
    match err {
        IdentityError::Forbidden(Forbidden::NotSignedIn) => Ok(sign_in_first(path)),
        IdentityError::ConfirmationNeeded | IdentityError::ReauthenticationNeeded => Ok(confirm_first(path)),
        err => Err(refuse(err)),
    }
}

// ── showing again who one is ──

#[derive(Template)]
#[template(path = "logins/confirm.html")]
struct ConfirmPage<'a> {
    title: &'a str,
    lead: &'a str,
    buttons: Buttons<'a>,
    back: &'a str,
}

/// For somebody who has neither password nor factor.
pub(super) fn confirm_page(visit: &Visit, title: &str, providers: &[ProviderName], return_to: &str) -> Response {
    let t = LoginWords::of(visit.locale);
    let query = ReturnTo::parse(return_to).map_or_else(
        || "?for=confirm".to_owned(),
        |path| format!("?for=confirm&return_to={}", utf8_percent_encode(path.as_str(), NON_ALPHANUMERIC)),
    );
    let buttons = Buttons::of("", t.continue_with, providers, &query);
    Page::gate(visit, title).respond(StatusCode::OK, &ConfirmPage { title, lead: t.confirm_lead, buttons, back: t.back })
}
