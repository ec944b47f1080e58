//! The account of whoever is signed in: profile, password, devices, the end.

use askama::Template;
use axum::{extract::State, response::Response};
use baluarte_kernel::{Ctx, FreeForAll, Locale, PageQuery, Principal, Secret, SessionId};
use baluarte_web::{Caller, Form, Page, Problem, Query, SameOrigin, Visit, language_cookie};
use http::{StatusCode, header};
use serde::Deserialize;

use super::{
    ACCOUNT, Words, alert,
    api_keys::KeyWords,
    device::{Device, readable, summary},
    error_title,
    factors::{FactorWords, confirm::confirm_first},
    field::Field,
    logins::LoginWords,
    password_words, refuse, see_other, sign_in_first,
};
use crate::{Alert, AlertKind, Identity, IdentityError, Name, ProfileChange, Session, User};

const DELETE: &str = "/auth/account/delete";

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    t: &'static Words,
    f: &'static FactorWords,
    k: &'static KeyWords,
    l: &'static LoginWords,
    no_password: bool,
    connects: bool,
    /// A second factor is in force.
    protected: bool,
    user: &'a User,
    plan: &'a str,
    role: &'a str,
    since: String,
    languages: [Locale; 3],
    done: &'a str,
    alert: &'a str,
    name: Field<'a>,
    current: Field<'a>,
    new: Field<'a>,
    devices: Vec<Device>,
    alerts: Vec<Warned>,
    /// There are devices that the list does not show.
    more: bool,
    /// There are devices besides this one.
    others: bool,
}

/// Something its owner should know: what, where, when.
struct Warned {
    text: &'static str,
    place: String,
    at: String,
    readable: String,
}

impl Warned {
    fn new(t: &'static Words, alert: &Alert) -> Self {
        let place = alert.ip.map(|ip| format!(" · {ip}")).unwrap_or_default();
        let text = match alert.kind {
            AlertKind::RefreshReused => t.alert_refresh,
        };
        let place = format!("{}{place}", summary(t, alert.user_agent.as_deref()));
        Self { text, place, at: alert.at.to_string(), readable: readable(&alert.at.to_string()) }
    }
}

#[derive(Template)]
#[template(path = "delete.html")]
struct DeletePage<'a> {
    t: &'static Words,
    email: &'a str,
    alert: &'a str,
    /// Absent where there is none.
    password: Option<Field<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Arrival {
    done: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Profile {
    name: String,
    locale: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PasswordChange {
    current_password: Secret,
    new_password: Secret,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WhichSession {
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Confirmation {
    password: Secret,
}

/// What the page shows besides the account itself.
#[derive(Default)]
pub(super) struct Look<'a> {
    pub done: &'a str,
    pub alert: &'a str,
    pub name: Option<&'a str>,
    pub name_error: &'a str,
    pub current_error: &'a str,
    pub protected: bool,
    /// The account has none: it signs in with accounts elsewhere, or with a passkey.
    pub no_password: bool,
    /// Accounts elsewhere sign in here.
    pub connects: bool,
    pub alerts: &'a [Alert],
    pub new_error: &'a str,
}

pub(super) async fn show(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Query(arrival): Query<Arrival>,
) -> Result<Response, Problem> {
    let t = Words::of(visit.locale);
    let done = match arrival.done.as_str() {
        "profile" => t.done_profile,
        "password" => t.done_password,
        "session" => t.done_session,
        "others" => t.done_others,
        "verified" => t.done_verified_here,
        _ => "",
    };
    render(&identity, &ctx, &visit, StatusCode::OK, Look { done, ..Look::default() }).await
}

pub(super) async fn submit_profile(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Profile>,
) -> Result<Response, Problem> {
    let Ok(name) = form.name.parse::<Name>() else {
        let look = Look { name: Some(&form.name), name_error: Words::of(visit.locale).bad_name, ..Look::default() };
        return render(&identity, &ctx, &visit, StatusCode::UNPROCESSABLE_ENTITY, look).await;
    };
    let locale = Locale::from_tag(&form.locale);
    match identity.update_profile(&ctx, ProfileChange { name: Some(name), locale }).await {
        Ok(user) => {
            let mut response = see_other(&format!("{ACCOUNT}?done=profile"));
            response.headers_mut().append(header::SET_COOKIE, language_cookie(&visit.site, user.locale));
            Ok(response)
        }
        Err(err) => otherwise(err),
    }
}

pub(super) async fn submit_password(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<PasswordChange>,
) -> Result<Response, Problem> {
    let t = Words::of(visit.locale);
    let missing = |password: &Secret| if password.is_empty() { t.password_missing } else { "" };
    let empty = Look { current_error: missing(&form.current_password), new_error: missing(&form.new_password), ..Look::default() };
    let (status, look) = if !empty.current_error.is_empty() || !empty.new_error.is_empty() {
        (StatusCode::UNPROCESSABLE_ENTITY, empty)
    } else {
        match identity.change_password(&ctx, &form.current_password, form.new_password).await {
            Ok(()) => return Ok(see_other(&format!("{ACCOUNT}?done=password"))),
            Err(IdentityError::WrongPassword) => {
                (StatusCode::UNPROCESSABLE_ENTITY, Look { current_error: t.wrong_password, ..Look::default() })
            }
            Err(IdentityError::BadPassword(bad)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, Look { new_error: password_words(t, bad), ..Look::default() })
            }
            Err(err) => match alert(t, &err) {
                Some((status, words)) => {
                    return render(&identity, &ctx, &visit, status, Look { alert: &words, ..Look::default() }).await;
                }
                None => return otherwise(err),
            },
        }
    };
    render(&identity, &ctx, &visit, status, look).await
}

pub(super) async fn end_session(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    Form(form): Form<WhichSession>,
) -> Result<Response, Problem> {
    let ended = match form.id.parse::<SessionId>() {
        Ok(id) => identity.revoke_session(&ctx, id).await,
        Err(_) => Err(IdentityError::SessionNotFound),
    };
    match ended {
        // Gone already is as good as gone.
        Ok(()) | Err(IdentityError::SessionNotFound) => Ok(see_other(&format!("{ACCOUNT}?done=session"))),
        Err(err) => otherwise(err),
    }
}

pub(super) async fn end_other_sessions(State(identity): State<Identity>, _: SameOrigin, Caller(ctx): Caller) -> Result<Response, Problem> {
    match identity.revoke_other_sessions(&ctx).await {
        Ok(()) => Ok(see_other(&format!("{ACCOUNT}?done=others"))),
        Err(err) => otherwise(err),
    }
}

pub(super) async fn show_delete(State(identity): State<Identity>, Caller(ctx): Caller, visit: Visit) -> Result<Response, Problem> {
    match identity.find_ways_in(&ctx).await {
        Ok(ways) => Ok(ask_before_deleting(&ctx, &visit, StatusCode::OK, "", ways.password.then_some(""))),
        Err(IdentityError::Forbidden(baluarte_kernel::Forbidden::NotSignedIn)) => Ok(sign_in_first(DELETE)),
        Err(err) => Err(refuse(err)),
    }
}

pub(super) async fn submit_delete(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Confirmation>,
) -> Result<Response, Problem> {
    let t = Words::of(visit.locale);
    let has_password = match identity.find_ways_in(&ctx).await {
        Ok(ways) => ways.password,
        Err(err) => return otherwise(err),
    };
    let ask = |status, words: &str, error| ask_before_deleting(&ctx, &visit, status, words, has_password.then_some(error));
    if form.password.is_empty() && has_password {
        return Ok(ask(StatusCode::UNPROCESSABLE_ENTITY, "", t.password_missing));
    }
    match identity.delete_me(&ctx, &form.password).await {
        Ok(()) => {
            let mut response = see_other("/auth/login?done=deleted");
            response.headers_mut().append(header::SET_COOKIE, identity.forget_cookie());
            Ok(response)
        }
        Err(IdentityError::WrongPassword) => Ok(ask(StatusCode::UNPROCESSABLE_ENTITY, "", t.wrong_password)),
        Err(err) => match alert(t, &err) {
            Some((status, words)) => Ok(ask(status, &words, "")),
            None if matches!(err, IdentityError::ConfirmationNeeded) => Ok(confirm_first(DELETE)),
            None => otherwise(err),
        },
    }
}

/// Whoever has no session any more signs in and comes back.
fn otherwise(err: IdentityError) -> Result<Response, Problem> {
    match err {
        IdentityError::Forbidden(baluarte_kernel::Forbidden::NotSignedIn) => Ok(sign_in_first(ACCOUNT)),
        IdentityError::ConfirmationNeeded => Ok(confirm_first(ACCOUNT)),
        err => Err(refuse(err)),
    }
}

async fn render(identity: &Identity, ctx: &Ctx, visit: &Visit, status: StatusCode, look: Look<'_>) -> Result<Response, Problem> {
    if ctx.user().is_err() {
        return Ok(sign_in_first(ACCOUNT));
    }
    let user = match identity.find_me(ctx).await {
        Ok(user) => user,
        Err(err) => return otherwise(err),
    };
    let sessions = identity.list_sessions(ctx, &PageQuery::default()).await.map_err(refuse)?;
    let plan = identity.plan_of(user.id);
    let alerts = identity.list_alerts(ctx).await.map_err(refuse)?;
    let protected = !identity.list_factors(ctx).await.map_err(refuse)?.factors.is_empty();
    let ways = identity.find_ways_in(ctx).await.map_err(refuse)?;
    let connects = !ways.providers.is_empty() || !ways.logins.is_empty();
    Ok(account_page(
        visit,
        &user,
        &plan,
        &sessions,
        status,
        &Look { protected, alerts: &alerts, no_password: !ways.password, connects, ..look },
    ))
}

pub(super) fn account_page(
    visit: &Visit,
    user: &User,
    plan: &str,
    sessions: &baluarte_kernel::Page<Session>,
    status: StatusCode,
    look: &Look<'_>,
) -> Response {
    let t = Words::of(visit.locale);
    let devices: Vec<_> = sessions.items.iter().map(|session| Device::new(t, session)).collect();
    let mut content = AccountPage {
        t,
        f: FactorWords::of(visit.locale),
        k: KeyWords::of(visit.locale),
        l: LoginWords::of(visit.locale),
        no_password: look.no_password,
        connects: look.connects,
        protected: look.protected,
        // Others have the names that the operator gave them.
        plan: if plan == FreeForAll::PLAN { t.plan_free } else { plan },
        role: match user.role.as_str() {
            "user" => t.role_user,
            Principal::OWNER => t.role_owner,
            Principal::ADMIN => t.role_admin,
            "support" => t.role_support,
            "read-only" => t.role_read_only,
            other => other,
        },
        since: readable(&user.created_at.to_string()),
        languages: Locale::ALL,
        done: look.done,
        alert: look.alert,
        name: Field::person(t, look.name.unwrap_or(user.name.as_str())).wrong(look.name_error),
        current: Field::current_password(t, "current_password", t.current_password).wrong(look.current_error),
        new: Field::new_password(t, "new_password", t.new_password).wrong(look.new_error),
        others: devices.iter().any(|device| !device.current),
        devices,
        alerts: look.alerts.iter().map(|alert| Warned::new(t, alert)).collect(),
        more: sessions.next_cursor.is_some(),
        user,
    };
    Field::focus_first_wrong([&mut content.name, &mut content.current, &mut content.new]);
    let title = if status.is_success() { t.account.to_owned() } else { error_title(t, t.account) };
    Page::sheet(visit, &title).back_to(ACCOUNT).respond(status, &content)
}

/// `error`: what is wrong with the password; absent where there is none to ask for.
pub(super) fn ask_before_deleting(ctx: &Ctx, visit: &Visit, status: StatusCode, alert: &str, error: Option<&str>) -> Response {
    let Ok(principal) = ctx.user() else { return sign_in_first(DELETE) };
    let t = Words::of(visit.locale);
    let mut password = error.map(|error| Field::current_password(t, "password", t.current_password).wrong(error));
    if let Some(password) = &mut password {
        Field::focus_first_wrong([password]);
    }
    let title = if status.is_success() { t.delete.to_owned() } else { error_title(t, t.delete) };
    Page::gate(visit, &title).respond(status, &DeletePage { t, email: &principal.email, alert, password })
}
