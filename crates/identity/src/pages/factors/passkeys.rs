//! Passkeys on pages: the browser signs, the form carries it.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::{Ctx, Secret};
use baluarte_web::{Caller, Form, Page, Problem, Query, ReturnTo, SameOrigin, Visit, asset_url};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{
    FACTORS, FactorWords,
    account::{Question, again, ask, otherwise, sheet},
};
use crate::{
    CreationOptions, Identity, IdentityError, PasskeyId, Reauthentication, SessionKind,
    pages::{
        LOGIN, Words, alert,
        device::summary,
        error_title,
        field::Field,
        refuse, return_query, see_other,
        sign_in::{destination, keep},
    },
};

const NEW: &str = "/auth/account/factors/passkeys/new";
const ADD: &str = "/auth/account/factors/passkeys";
const REMOVE: &str = "/auth/account/factors/passkeys/remove";

/// What the script works on.
#[derive(Template)]
#[template(path = "factors/passkey_form.html")]
pub(in crate::pages) struct PasskeyForm<'a> {
    t: &'static FactorWords,
    action: &'a str,
    /// `create` or `get`.
    kind: &'static str,
    options: String,
    /// Where the script gets others when these are over; then the browser also offers passkeys by itself.
    renew: &'static str,
    hidden: Vec<(&'a str, &'a str)>,
    name: Option<Field<'a>>,
    trust: &'a str,
    button: &'a str,
    script: &'static str,
}

impl<'a> PasskeyForm<'a> {
    fn new(visit: &Visit, kind: &'static str, options: &impl Serialize, action: &'a str, button: &'a str) -> Self {
        Self {
            t: FactorWords::of(visit.locale),
            action,
            kind,
            // What is made of strings and numbers always becomes JSON; an empty object only fails in the browser.
            options: serde_json::to_string(options).unwrap_or_else(|_| "{}".to_owned()),
            renew: "",
            hidden: Vec::new(),
            name: None,
            trust: "",
            button,
            script: asset_url("passkey.js"),
        }
    }

    /// Beside the password, for whoever it is.
    pub(in crate::pages) fn sign_in(visit: &Visit, options: &impl Serialize, return_to: &'a str) -> Self {
        let button = FactorWords::of(visit.locale).passkey_sign_in;
        let form = Self::new(visit, "get", options, "/auth/login/passkey", button);
        Self { renew: "/api/v1/auth/passkey/options", hidden: vec![("return_to", return_to)], ..form }
    }

    /// After the password.
    pub(super) fn step(visit: &Visit, options: &impl Serialize, action: &'a str, hidden: Vec<(&'a str, &'a str)>, trust: &'a str) -> Self {
        let form = Self::new(visit, "get", options, action, FactorWords::of(visit.locale).passkey_use);
        Self { hidden, trust, ..form }
    }
}

#[derive(Template)]
#[template(path = "factors/passkey_new.html")]
struct NewPage<'a> {
    t: &'static FactorWords,
    alert: &'a str,
    form: PasskeyForm<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PasskeyChange {
    id: String,
    name: String,
    password: Secret,
    credential: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::pages) struct SignInForm {
    credential: String,
    return_to: String,
}

// ── signing in ──

pub(in crate::pages) async fn submit_sign_in(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<SignInForm>,
) -> Result<Response, Problem> {
    let signed_in = match serde_json::from_str(&form.credential) {
        Ok(assertion) => identity.sign_in_with_passkey(&ctx, &assertion, SessionKind::Cookie).await,
        Err(_) => Err(IdentityError::PasskeyRefused),
    };
    match signed_in {
        Ok(signed_in) => {
            let mut response = see_other(destination(&form.return_to).as_str());
            keep(&identity, &signed_in, response.headers_mut());
            Ok(response)
        }
        Err(IdentityError::PasskeyRefused | IdentityError::FactorUnavailable) => {
            let query = ReturnTo::parse(&form.return_to).map_or_else(String::new, |_| return_query(&form.return_to).replacen('?', "&", 1));
            Ok(see_other(&format!("{LOGIN}?done=passkey{query}")))
        }
        Err(err) => match alert(Words::of(visit.locale), &err) {
            Some((status, words)) => {
                let look = crate::pages::sign_in::Look { return_to: &form.return_to, alert: &words, ..Default::default() };
                Ok(crate::pages::sign_in::page(&identity, &ctx, &visit, status, look))
            }
            None => Err(refuse(err)),
        },
    }
}

// ── setting one up ──

pub(super) async fn show_new(State(identity): State<Identity>, Caller(ctx): Caller, visit: Visit) -> Result<Response, Problem> {
    begin(&identity, &ctx, &visit, &Secret::default()).await
}

pub(super) async fn confirm_new(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<PasskeyChange>,
) -> Result<Response, Problem> {
    begin(&identity, &ctx, &visit, &form.password).await
}

async fn begin(identity: &Identity, ctx: &Ctx, visit: &Visit, password: &Secret) -> Result<Response, Problem> {
    let t = FactorWords::of(visit.locale);
    match identity.begin_passkey(ctx, &Reauthentication { password: Some(password.clone()), code: None }).await {
        Ok(options) => Ok(new_page(visit, StatusCode::OK, &options, ctx.user_agent.as_deref(), "")),
        Err(err) => {
            let question = Question { title: t.again, lead: t.again_lead, action: NEW, kind: "", id: "", button: t.go_on, danger: false };
            ask(identity, ctx, visit, question, err).await
        }
    }
}

pub(super) fn new_page(visit: &Visit, status: StatusCode, options: &CreationOptions, user_agent: Option<&str>, alert: &str) -> Response {
    let (t, shared) = (FactorWords::of(visit.locale), Words::of(visit.locale));
    let suggested = summary(shared, user_agent);
    let name = Field::plain(shared, "name", t.passkey_name, t.passkey_name_hint, &suggested);
    let form = PasskeyForm { name: Some(name), ..PasskeyForm::new(visit, "create", options, ADD, t.passkey_create) };
    let title = if status.is_success() { t.passkey_new.to_owned() } else { error_title(shared, t.passkey_new) };
    Page::gate(visit, &title).back_to(FACTORS).respond(status, &NewPage { t, alert, form }).into_response()
}

pub(super) async fn add(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<PasskeyChange>,
) -> Result<Response, Problem> {
    let t = FactorWords::of(visit.locale);
    let added = match serde_json::from_str(&form.credential) {
        Ok(credential) => identity.add_passkey(&ctx, &form.name, &credential).await,
        Err(_) => Err(IdentityError::BadPasskey),
    };
    let words = match added {
        Ok((_, codes)) if codes.is_empty() => return Ok(see_other(&format!("{FACTORS}?done=passkey"))),
        Ok((_, codes)) => return Ok(sheet(&ctx, &visit, &codes, false)),
        Err(IdentityError::BadPasskey) => t.passkey_failed,
        Err(IdentityError::PasskeyExists) => t.passkey_exists,
        Err(IdentityError::TooManyPasskeys) => t.passkey_many,
        Err(err) => return otherwise(err),
    };
    match identity.begin_passkey(&ctx, &Reauthentication::default()).await {
        Ok(options) => Ok(new_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, &options, ctx.user_agent.as_deref(), words)),
        Err(IdentityError::ReauthenticationNeeded) => Ok(see_other(NEW)),
        Err(err) => otherwise(err),
    }
}

// ── looking after them ──

pub(super) async fn rename(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    Form(form): Form<PasskeyChange>,
) -> Result<Response, Problem> {
    let renamed = match form.id.parse::<PasskeyId>() {
        Ok(id) => identity.rename_passkey(&ctx, id, &form.name).await,
        Err(_) => Err(IdentityError::PasskeyNotFound),
    };
    match renamed {
        Ok(()) | Err(IdentityError::PasskeyNotFound) => Ok(see_other(FACTORS)),
        Err(err) => otherwise(err),
    }
}

fn removal<'a>(visit: &Visit, id: &'a str) -> Question<'a> {
    let t = FactorWords::of(visit.locale);
    Question { title: t.passkey_remove, lead: t.remove_lead, action: REMOVE, kind: "passkey", id, button: t.passkey_remove, danger: true }
}

pub(super) async fn show_remove(Caller(ctx): Caller, visit: Visit, Query(change): Query<PasskeyChange>) -> Response {
    again(&ctx, &visit, StatusCode::OK, removal(&visit, &change.id), "", "")
}

pub(super) async fn remove(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<PasskeyChange>,
) -> Result<Response, Problem> {
    let question = removal(&visit, &form.id);
    if form.password.is_empty() {
        return Ok(again(&ctx, &visit, StatusCode::UNPROCESSABLE_ENTITY, question, "", Words::of(visit.locale).password_missing));
    }
    let Ok(id) = form.id.parse::<PasskeyId>() else { return Ok(see_other(FACTORS)) };
    let shown = Reauthentication { password: Some(form.password.clone()), code: None };
    match identity.remove_passkey(&ctx, id, &shown).await {
        Ok(()) => Ok(see_other(&format!("{FACTORS}?done=removed"))),
        Err(err) => ask(&identity, &ctx, &visit, question, err).await,
    }
}
