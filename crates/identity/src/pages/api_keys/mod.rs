//! API keys on pages: listed, made, shown once, rotated and revoked.

#[cfg(test)]
pub(super) mod samples;
mod words;

use std::time::Duration;

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use baluarte_kernel::{ApiKeyId, Ctx, Forbidden, Period, Timestamp};
use baluarte_web::{Caller, Form, Page, Problem, Query, SameOrigin, Visit, fill};
use http::StatusCode;
use serde::Deserialize;

pub(super) use self::words::KeyWords;
use super::{Words, device::readable, error_title, factors::confirm::confirm_first, field::Field, refuse, see_other, sign_in_first};
use crate::{ApiKey, CreatedApiKey, Identity, IdentityError, Name, NamedLimit, NewApiKey};

const KEYS: &str = "/auth/account/api-keys";
const NEW: &str = "/auth/account/api-keys/new";
const ROTATE: &str = "/auth/account/api-keys/rotate";
const DAY: u64 = 86_400;
/// In days.
const SPANS: [u64; 5] = [7, 30, 90, 180, 365];
/// How a form names a scope, so that each is a field of its own.
const SCOPE: &str = "scope.";

pub(super) fn routes(identity: &Identity) -> Router {
    let counted = |form| NamedLimit::Account.on(identity, form);
    Router::new()
        .route(KEYS, get(show))
        .route(NEW, get(show_new).merge(counted(post(submit_new))))
        .route(ROTATE, get(show_rotate).merge(counted(post(submit_rotate))))
        .route("/auth/account/api-keys/revoke", post(revoke))
        .with_state(identity.clone())
}

#[derive(Template)]
#[template(path = "api_keys/list.html")]
struct ListPage<'a> {
    t: &'static KeyWords,
    done: &'a str,
    alert: &'a str,
    keys: Vec<Row>,
}

struct Row {
    id: String,
    name: String,
    hint: String,
    scopes: String,
    made: Time,
    used: Option<Time>,
    ends: Time,
    over: bool,
    replaced: bool,
    rotate_label: String,
    revoke_label: String,
}

struct Time {
    at: String,
    shown: String,
}

impl Time {
    fn of(at: Timestamp) -> Self {
        let at = at.to_string();
        Self { shown: readable(&at), at }
    }
}

#[derive(Template)]
#[template(path = "api_keys/new.html")]
struct NewPage<'a> {
    t: &'static KeyWords,
    alert: &'a str,
    name: Field<'a>,
    scopes: Vec<Choice>,
    scopes_error: &'a str,
    spans: Vec<(u64, String, bool)>,
}

struct Choice {
    name: String,
    label: String,
    checked: bool,
}

#[derive(Template)]
#[template(path = "api_keys/rotate.html")]
struct RotatePage<'a> {
    t: &'static KeyWords,
    id: &'a str,
    lead: String,
}

#[derive(Template)]
#[template(path = "api_keys/shown.html")]
struct ShownPage<'a> {
    t: &'static KeyWords,
    name: &'a str,
    scopes: String,
    key: &'a str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Arrival {
    done: String,
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WhichKey {
    id: String,
    /// Empty: at once.
    overlap: String,
}

/// What was typed into the form for a key that is to be.
#[derive(Default)]
struct Wish {
    name: String,
    scopes: Vec<String>,
    days: u64,
}

impl Wish {
    fn read(fields: Vec<(String, String)>) -> Self {
        let mut wish = Self::default();
        for (field, value) in fields {
            match (field.as_str(), field.strip_prefix(SCOPE)) {
                ("name", _) => wish.name = value,
                ("days", _) => wish.days = value.parse().unwrap_or_default(),
                (_, Some(scope)) => wish.scopes.push(scope.to_owned()),
                _ => {}
            }
        }
        wish
    }
}

async fn show(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Query(arrival): Query<Arrival>,
) -> Result<Response, Problem> {
    let t = KeyWords::of(visit.locale);
    let (done, alert) = match arrival.done.as_str() {
        "revoked" => (t.done_revoked, ""),
        "gone" => ("", t.gone),
        "too-many" => ("", t.too_many),
        _ => ("", ""),
    };
    match identity.list_api_keys(&ctx).await {
        Ok(keys) => Ok(list(&visit, &keys, ctx.now(), done, alert)),
        Err(err) => otherwise(err, KEYS),
    }
}

fn list(visit: &Visit, keys: &[ApiKey], now: Timestamp, done: &str, alert: &str) -> Response {
    let t = KeyWords::of(visit.locale);
    let row = |key: &ApiKey| Row {
        id: key.id.to_string(),
        rotate_label: fill(t.rotate_one, &[&key.name]),
        revoke_label: fill(t.revoke_one, &[&key.name]),
        name: key.name.clone(),
        hint: format!("{}…", key.hint),
        scopes: key.scopes.join(", "),
        made: Time::of(key.created_at),
        used: key.last_used_at.map(Time::of),
        ends: Time::of(key.expires_at),
        over: key.expires_at <= now,
        replaced: key.replaced_by.is_some(),
    };
    let content = ListPage { t, done, alert, keys: keys.iter().map(row).collect() };
    Page::sheet(visit, t.keys).back_to(KEYS).respond(StatusCode::OK, &content)
}

async fn show_new(State(identity): State<Identity>, Caller(ctx): Caller, visit: Visit) -> Result<Response, Problem> {
    // Asked before anything is typed.
    match identity.list_factors(&ctx).await {
        Ok(factors) if factors.fresh => form(&identity, &ctx, &visit, StatusCode::OK, &Wish { days: 90, ..Wish::default() }, "", ""),
        Ok(_) => Ok(confirm_first(NEW)),
        Err(err) => otherwise(err, NEW),
    }
}

fn form(
    identity: &Identity,
    ctx: &Ctx,
    visit: &Visit,
    status: StatusCode,
    wish: &Wish,
    name_error: &str,
    scopes_error: &str,
) -> Result<Response, Problem> {
    let offered = identity.offered_scopes(ctx).map_err(refuse)?;
    Ok(new_page(visit, status, &offered, identity.config().api_key_lifetime, wish, (name_error, scopes_error)))
}

fn new_page(visit: &Visit, status: StatusCode, offered: &[String], longest: Period, wish: &Wish, errors: (&str, &str)) -> Response {
    let (t, shared) = (KeyWords::of(visit.locale), Words::of(visit.locale));
    let choice = |name: &String| Choice { label: t.scope(name), checked: wish.scopes.contains(name), name: name.clone() };
    let longest = longest.get().as_secs() / DAY;
    let mut spans: Vec<u64> = SPANS.into_iter().filter(|days| *days < longest).collect();
    spans.push(longest.max(1));
    let mut name = Field::plain(shared, "name", t.name, t.name_hint, &wish.name).wrong(errors.0);
    Field::focus_first_wrong([&mut name]);
    let content = NewPage {
        t,
        alert: "",
        name,
        scopes: offered.iter().map(choice).collect(),
        scopes_error: errors.1,
        spans: spans.into_iter().map(|days| (days, fill(t.days, &[&days.to_string()]), days == wish.days)).collect(),
    };
    let title = if status.is_success() { t.make.to_owned() } else { error_title(shared, t.make) };
    Page::gate(visit, &title).back_to(KEYS).respond(status, &content)
}

async fn submit_new(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    if let Err(err) = ctx.user() {
        return otherwise(err.into(), NEW);
    }
    let (t, wish) = (KeyWords::of(visit.locale), Wish::read(fields));
    let wrong = StatusCode::UNPROCESSABLE_ENTITY;
    let name = wish.name.parse::<Name>();
    let (name_error, scopes_error) = (if name.is_err() { t.bad_name } else { "" }, if wish.scopes.is_empty() { t.no_scope } else { "" });
    let (Ok(name), false) = (name, wish.scopes.is_empty()) else {
        return form(&identity, &ctx, &visit, wrong, &wish, name_error, scopes_error);
    };
    // The longest is said by saying nothing: a moment passes until it is counted.
    let span = Duration::from_secs(wish.days.saturating_mul(DAY));
    let expires_at = (wish.days > 0 && span < identity.config().api_key_lifetime.get()).then(|| ctx.now().plus(span));
    match identity.create_api_key(&ctx, NewApiKey { name, scopes: wish.scopes.clone(), expires_at }).await {
        Ok(made) => Ok(shown(&visit, &made)),
        Err(IdentityError::BadApiKey(..)) => form(&identity, &ctx, &visit, wrong, &wish, "", t.no_scope),
        Err(err) => otherwise(err, NEW),
    }
}

/// The answer to the form itself: no address holds the key, and going back does not bring it back.
fn shown(visit: &Visit, made: &CreatedApiKey) -> Response {
    let t = KeyWords::of(visit.locale);
    let content = ShownPage { t, name: &made.key.name, scopes: made.key.scopes.join(", "), key: made.secret.expose() };
    Page::gate(visit, t.new_key).back_to(KEYS).respond(StatusCode::OK, &content)
}

async fn show_rotate(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Query(arrival): Query<Arrival>,
) -> Result<Response, Problem> {
    let keys = match identity.list_api_keys(&ctx).await {
        Ok(keys) => keys,
        Err(err) => return otherwise(err, KEYS),
    };
    match keys.iter().find(|key| key.id.to_string() == arrival.id && key.replaced_by.is_none() && key.expires_at > ctx.now()) {
        Some(key) => Ok(rotation(&visit, key)),
        None => Ok(see_other(&format!("{KEYS}?done=gone"))),
    }
}

fn rotation(visit: &Visit, key: &ApiKey) -> Response {
    let t = KeyWords::of(visit.locale);
    let content = RotatePage { t, id: &key.id.to_string(), lead: fill(t.rotate_lead, &[&key.name]) };
    Page::gate(visit, t.rotate).back_to(KEYS).respond(StatusCode::OK, &content)
}

async fn submit_rotate(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(which): Form<WhichKey>,
) -> Result<Response, Problem> {
    let overlap = which.overlap.parse::<Period>().ok();
    let rotated = match which.id.parse::<ApiKeyId>() {
        Ok(id) => identity.rotate_api_key(&ctx, id, overlap).await,
        Err(_) => Err(IdentityError::ApiKeyNotFound),
    };
    match rotated {
        Ok(made) => Ok(shown(&visit, &made)),
        Err(err) => {
            let again = format!("{ROTATE}?id={}", which.id);
            otherwise(err, if which.id.parse::<ApiKeyId>().is_ok() { &again } else { KEYS })
        }
    }
}

async fn revoke(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    Form(which): Form<WhichKey>,
) -> Result<Response, Problem> {
    let revoked = match which.id.parse::<ApiKeyId>() {
        Ok(id) => identity.revoke_api_key(&ctx, id).await,
        Err(_) => Err(IdentityError::ApiKeyNotFound),
    };
    match revoked {
        // Gone already is as good as gone.
        Ok(()) | Err(IdentityError::ApiKeyNotFound) => Ok(see_other(&format!("{KEYS}?done=revoked"))),
        Err(err) => otherwise(err, KEYS),
    }
}

/// Whoever has to sign in, or to show again who they are, comes back to `path`.
fn otherwise(err: IdentityError, path: &str) -> Result<Response, Problem> {
    match err {
        IdentityError::Forbidden(Forbidden::NotSignedIn) => Ok(sign_in_first(path)),
        IdentityError::ConfirmationNeeded => Ok(confirm_first(path)),
        IdentityError::ApiKeyNotFound | IdentityError::ApiKeyReplaced => Ok(see_other(&format!("{KEYS}?done=gone"))),
        IdentityError::TooManyApiKeys => Ok(see_other(&format!("{KEYS}?done=too-many"))),
        err => Err(refuse(err)),
    }
}
