//! What somebody has set up, and changing it.

use askama::Template;
use axum::{extract::State, response::Response};
use baluarte_kernel::{Ctx, Forbidden, Secret};
use baluarte_web::{Caller, Form, Page, Problem, Query, SameOrigin, Visit, fill};
use http::StatusCode;
use serde::Deserialize;

use super::{FACTORS, FactorWords, Look, alert, codes_page, enrol::code_page, totp_page};
use crate::{
    EmailEnrolment, Factor, FactorKind, Factors, Identity, IdentityError, MfaPolicy, Passkey, Reauthentication, TrustedDevice,
    TrustedDeviceId,
    pages::{
        Words,
        device::{readable, summary},
        error_title,
        field::Field,
        refuse, see_other, sign_in_first,
    },
};

#[derive(Template)]
#[template(path = "factors/factors.html")]
struct FactorsPage<'a> {
    t: &'static FactorWords,
    done: &'a str,
    alert: &'a str,
    required: bool,
    off: bool,
    ways: Vec<Way<'a>>,
    any: bool,
    /// Absent where browsers know no passkeys.
    passkeys: Option<Vec<Listed>>,
    may_add: bool,
    recovery: String,
    few: bool,
    trusted: Vec<Trusted>,
}

/// One kind of factor, in force or not.
struct Way<'a> {
    kind: &'static str,
    title: &'a str,
    lead: &'a str,
    since: Option<String>,
    used: Option<String>,
    action: &'static str,
    set_up_label: &'a str,
    /// Setting it up begins with a form of its own, not at once.
    by_form: bool,
    /// What it is now; it can be changed there.
    detail: Option<&'a str>,
    remove_label: &'a str,
    /// It can be set up.
    offered: bool,
}

struct Listed {
    id: String,
    name: String,
    synced: bool,
    since: String,
    used: Option<String>,
    rename_label: String,
    remove_label: String,
}

struct Trusted {
    id: String,
    name: String,
    ip: String,
    until: String,
    until_readable: String,
    label: String,
}

/// A question before something that cannot be undone.
#[derive(Template)]
#[template(path = "factors/again.html")]
struct AgainPage<'a> {
    t: &'static FactorWords,
    title: &'a str,
    lead: &'a str,
    alert: &'a str,
    action: &'a str,
    kind: &'a str,
    id: &'a str,
    email: &'a str,
    button: &'a str,
    danger: bool,
    password: Field<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Arrival {
    done: String,
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Change {
    kind: String,
    /// The page asks for it only where it is needed; empty means not asked.
    password: Secret,
    pub(super) code: Secret,
    pub(super) phone: String,
    id: String,
}

impl Change {
    pub(super) fn shown(&self) -> Reauthentication {
        Reauthentication { password: Some(self.password.clone()), code: None }
    }
}

/// What is asked about.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) title: &'a str,
    pub(super) lead: &'a str,
    pub(super) action: &'a str,
    pub(super) kind: &'a str,
    pub(super) id: &'a str,
    pub(super) button: &'a str,
    pub(super) danger: bool,
}

pub(super) async fn show(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Query(arrival): Query<Arrival>,
) -> Result<Response, Problem> {
    let t = FactorWords::of(visit.locale);
    let done = match arrival.done.as_str() {
        "removed" => t.done_removed,
        "added" => t.done_added,
        "passkey" => t.done_passkey,
        "forgotten" => t.done_forgotten,
        _ => "",
    };
    overview(&identity, &ctx, &visit, StatusCode::OK, done, "").await
}

async fn overview(identity: &Identity, ctx: &Ctx, visit: &Visit, status: StatusCode, done: &str, alert: &str) -> Result<Response, Problem> {
    let found = match identity.list_factors(ctx).await {
        Ok(found) => found,
        Err(err) => return otherwise(err),
    };
    let trusted = identity.list_trusted_devices(ctx).await.map_err(refuse)?;
    let passkeys = if identity.knows_passkeys() { Some(identity.list_passkeys(ctx).await.map_err(refuse)?) } else { None };
    Ok(factors_page(visit, status, &found, passkeys.as_deref(), &trusted, done, alert))
}

pub(super) fn factors_page(
    visit: &Visit,
    status: StatusCode,
    found: &Factors,
    passkeys: Option<&[Passkey]>,
    trusted: &[TrustedDevice],
    done: &str,
    alert: &str,
) -> Response {
    let t = FactorWords::of(visit.locale);
    let off = found.policy == MfaPolicy::Off;
    let way = |kind: FactorKind| {
        let factor: Option<&Factor> = found.factors.iter().find(|factor| factor.kind == kind);
        let (title, lead, set_up_label, remove_label, action) = match kind {
            FactorKind::Totp => (t.totp, t.totp_lead, t.set_up_totp, t.remove_totp, "/auth/account/factors/totp"),
            FactorKind::Passkey => (t.passkeys, t.passkeys_lead, t.passkey_add, t.passkey_remove, ""),
            FactorKind::Sms => (t.sms, t.sms_lead, t.set_up_sms, t.remove_sms, "/auth/account/factors/sms"),
            FactorKind::Email => (t.email, t.email_lead, t.set_up_email, t.remove_email, "/auth/account/factors/email"),
        };
        Way {
            kind: kind.as_str(),
            title,
            lead,
            since: factor.map(|factor| fill(t.on_since, &[&readable(&factor.confirmed_at.to_string())])),
            used: factor.and_then(|factor| factor.last_used_at).map(|at| fill(t.last_used, &[&readable(&at.to_string())])),
            action,
            set_up_label,
            remove_label,
            by_form: kind == FactorKind::Sms,
            detail: found.phone.as_deref().filter(|_| kind == FactorKind::Sms),
            offered: !off
                && match kind {
                    FactorKind::Totp => true,
                    FactorKind::Passkey => false,
                    FactorKind::Email => found.email_available,
                    FactorKind::Sms => found.sms_available,
                },
        }
    };
    let trusted = trusted.iter().map(|device| {
        let name = summary(Words::of(visit.locale), device.user_agent.as_deref());
        Trusted {
            id: device.id.to_string(),
            label: fill(t.forget_device, &[&name]),
            name,
            ip: device.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            until: device.expires_at.to_string(),
            until_readable: readable(&device.expires_at.to_string()),
        }
    });
    let content = FactorsPage {
        t,
        done,
        alert,
        required: found.policy == MfaPolicy::Required,
        off,
        // What nobody can set up here is not shown either.
        ways: FactorKind::ALL
            .into_iter()
            .map(way)
            .filter(|way| way.offered || way.since.is_some() || way.kind == "totp")
            // Shown one by one.
            .filter(|way| way.kind != FactorKind::Passkey.as_str())
            .collect(),
        passkeys: passkeys.map(|passkeys| passkeys.iter().map(|passkey| listed(t, passkey)).collect()),
        may_add: !off,
        any: !found.factors.is_empty(),
        recovery: fill(t.recovery_left, &[&found.recovery_codes.to_string()]),
        few: found.recovery_codes < 3,
        trusted: trusted.collect(),
    };
    let title = if status.is_success() { t.factors.to_owned() } else { error_title(Words::of(visit.locale), t.factors) };
    Page::sheet(visit, &title).back_to(FACTORS).respond(status, &content)
}

fn listed(t: &FactorWords, passkey: &Passkey) -> Listed {
    Listed {
        id: passkey.id.to_string(),
        synced: passkey.backed_up,
        since: fill(t.on_since, &[&readable(&passkey.created_at.to_string())]),
        used: passkey.last_used_at.map(|at| fill(t.last_used, &[&readable(&at.to_string())])),
        rename_label: fill(t.rename_of, &[&passkey.name]),
        remove_label: fill(t.remove_of, &[&passkey.name]),
        name: passkey.name.clone(),
    }
}

// ── what a typed code led to ──

pub(super) enum Tried {
    /// The factor is in force: where to go, or the recovery codes that came with it.
    Over(Response),
    /// The form once more, and what it says.
    Again { status: StatusCode, alert: String, error: &'static str },
}

/// `confirmed`: what the service said; `None` where nothing was typed.
pub(super) fn tried(ctx: &Ctx, visit: &Visit, confirmed: Option<Result<Vec<Secret>, IdentityError>>) -> Result<Tried, Problem> {
    let t = FactorWords::of(visit.locale);
    let wrong = |error| Tried::Again { status: StatusCode::UNPROCESSABLE_ENTITY, alert: String::new(), error };
    match confirmed {
        None => Ok(wrong(t.code_missing)),
        Some(Ok(codes)) if codes.is_empty() => Ok(Tried::Over(see_other(&format!("{FACTORS}?done=added")))),
        Some(Ok(codes)) => Ok(Tried::Over(sheet(ctx, visit, &codes, false))),
        Some(Err(IdentityError::BadCode)) => Ok(wrong(t.wrong_code)),
        Some(Err(err)) => match alert(visit, &err) {
            Some((status, alert)) => Ok(Tried::Again { status, alert, error: "" }),
            None => otherwise(err).map(Tried::Over),
        },
    }
}

// ── authenticator app ──

pub(super) async fn begin_totp(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Change>,
) -> Result<Response, Problem> {
    match identity.begin_totp_factor(&ctx, &form.shown()).await {
        Ok(_) => Ok(see_other("/auth/account/factors/totp")),
        Err(err) => ask(&identity, &ctx, &visit, set_up(&visit, "/auth/account/factors/totp"), err).await,
    }
}

pub(super) async fn show_totp(State(identity): State<Identity>, Caller(ctx): Caller, visit: Visit) -> Result<Response, Problem> {
    pending_totp(&identity, &ctx, &visit, StatusCode::OK, Look::default()).await
}

async fn pending_totp(identity: &Identity, ctx: &Ctx, visit: &Visit, status: StatusCode, look: Look<'_>) -> Result<Response, Problem> {
    let t = FactorWords::of(visit.locale);
    match identity.find_pending_totp(ctx).await {
        Ok(Some(enrolment)) => {
            let action = "/auth/account/factors/totp/confirm";
            Ok(totp_page(visit, status, &enrolment, action, Vec::new(), (FACTORS, t.back), look))
        }
        Ok(None) => Ok(see_other(FACTORS)),
        Err(err) => otherwise(err),
    }
}

pub(super) async fn confirm_totp(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Change>,
) -> Result<Response, Problem> {
    let confirmed = if form.code.is_empty() { None } else { Some(identity.confirm_totp_factor(&ctx, &form.code).await) };
    match tried(&ctx, &visit, confirmed)? {
        Tried::Over(response) => Ok(response),
        Tried::Again { status, alert, error } => pending_totp(&identity, &ctx, &visit, status, Look { alert: &alert, error }).await,
    }
}

// ── codes by mail ──

pub(super) async fn begin_email(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Change>,
) -> Result<Response, Problem> {
    match identity.begin_email_factor(&ctx, &form.shown()).await {
        Ok(EmailEnrolment::Confirmed(codes)) if codes.is_empty() => Ok(see_other(&format!("{FACTORS}?done=added"))),
        Ok(EmailEnrolment::Confirmed(codes)) => Ok(sheet(&ctx, &visit, &codes, false)),
        Ok(EmailEnrolment::CodeSent) => Ok(see_other("/auth/account/factors/email")),
        Err(err) => ask(&identity, &ctx, &visit, set_up(&visit, "/auth/account/factors/email"), err).await,
    }
}

pub(super) async fn show_email(Caller(ctx): Caller, visit: Visit) -> Response {
    email_code(&ctx, &visit, StatusCode::OK, Look::default())
}

fn email_code(ctx: &Ctx, visit: &Visit, status: StatusCode, look: Look<'_>) -> Response {
    let Ok(principal) = ctx.user() else { return sign_in_first(FACTORS) };
    let t = FactorWords::of(visit.locale);
    let lead = fill(t.confirm_email_lead, &[&principal.email]);
    let action = "/auth/account/factors/email/confirm";
    code_page(visit, status, t.confirm_email, &lead, action, Vec::new(), (FACTORS, t.back), look)
}

pub(super) async fn confirm_email(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Change>,
) -> Result<Response, Problem> {
    let confirmed = if form.code.is_empty() { None } else { Some(identity.confirm_email_factor(&ctx, &form.code).await) };
    match tried(&ctx, &visit, confirmed)? {
        Tried::Over(response) => Ok(response),
        Tried::Again { status, alert, error } => Ok(email_code(&ctx, &visit, status, Look { alert: &alert, error })),
    }
}

// ── taking away, making anew ──

#[cfg(test)]
pub(super) fn ask_removal(ctx: &Ctx, visit: &Visit) -> Response {
    again(ctx, visit, StatusCode::OK, removal(visit, "totp"), "", "")
}

pub(super) async fn show_remove(Caller(ctx): Caller, visit: Visit, Query(arrival): Query<Arrival>) -> Response {
    again(&ctx, &visit, StatusCode::OK, removal(&visit, &arrival.kind), "", "")
}

pub(super) async fn remove(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Change>,
) -> Result<Response, Problem> {
    let question = removal(&visit, &form.kind);
    if form.password.is_empty() {
        return Ok(again(&ctx, &visit, StatusCode::UNPROCESSABLE_ENTITY, question, "", Words::of(visit.locale).password_missing));
    }
    let Ok(kind) = form.kind.parse::<FactorKind>() else { return Ok(see_other(FACTORS)) };
    match identity.remove_factor(&ctx, kind, &form.shown()).await {
        Ok(()) => Ok(see_other(&format!("{FACTORS}?done=removed"))),
        Err(err) => ask(&identity, &ctx, &visit, question, err).await,
    }
}

pub(super) async fn show_replace(Caller(ctx): Caller, visit: Visit) -> Response {
    again(&ctx, &visit, StatusCode::OK, replacement(&visit), "", "")
}

pub(super) async fn replace(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Change>,
) -> Result<Response, Problem> {
    if form.password.is_empty() {
        let missing = Words::of(visit.locale).password_missing;
        return Ok(again(&ctx, &visit, StatusCode::UNPROCESSABLE_ENTITY, replacement(&visit), "", missing));
    }
    match identity.replace_recovery_codes(&ctx, &form.shown()).await {
        Ok(codes) => Ok(sheet(&ctx, &visit, &codes, true)),
        Err(err) => ask(&identity, &ctx, &visit, replacement(&visit), err).await,
    }
}

pub(super) async fn forget(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    Form(form): Form<Change>,
) -> Result<Response, Problem> {
    let forgotten = match form.id.parse::<TrustedDeviceId>() {
        Ok(id) => identity.forget_trusted_device(&ctx, id).await,
        Err(_) => Err(IdentityError::TrustedDeviceNotFound),
    };
    match forgotten {
        // Gone already is as good as gone.
        Ok(()) | Err(IdentityError::TrustedDeviceNotFound) => Ok(see_other(&format!("{FACTORS}?done=forgotten"))),
        Err(err) => otherwise(err),
    }
}

fn set_up<'a>(visit: &Visit, action: &'a str) -> Question<'a> {
    let t = FactorWords::of(visit.locale);
    Question { title: t.again, lead: t.again_lead, action, kind: "", id: "", button: t.go_on, danger: false }
}

fn removal<'a>(visit: &Visit, kind: &'a str) -> Question<'a> {
    let t = FactorWords::of(visit.locale);
    let title = match kind.parse() {
        Ok(FactorKind::Email) => t.remove_email,
        Ok(FactorKind::Sms) => t.remove_sms,
        Ok(FactorKind::Passkey) => t.passkey_remove,
        Ok(FactorKind::Totp) | Err(()) => t.remove_totp,
    };
    Question { title, lead: t.remove_lead, action: "/auth/account/factors/remove", kind, id: "", button: title, danger: true }
}

fn replacement(visit: &Visit) -> Question<'static> {
    let t = FactorWords::of(visit.locale);
    let action = "/auth/account/factors/recovery";
    Question { title: t.replace_title, lead: t.replace_lead, action, kind: "", id: "", button: t.replace, danger: false }
}

/// What a refusal comes to: the password is asked for, again if need be, or the overview says why not.
pub(super) async fn ask(
    identity: &Identity,
    ctx: &Ctx,
    visit: &Visit,
    question: Question<'_>,
    err: IdentityError,
) -> Result<Response, Problem> {
    let t = Words::of(visit.locale);
    match err {
        IdentityError::ReauthenticationNeeded => Ok(again(ctx, visit, StatusCode::FORBIDDEN, question, "", "")),
        IdentityError::WrongPassword => Ok(again(ctx, visit, StatusCode::UNPROCESSABLE_ENTITY, question, "", t.wrong_password)),
        IdentityError::FactorRequired => {
            overview(identity, ctx, visit, StatusCode::CONFLICT, "", FactorWords::of(visit.locale).last_one).await
        }
        // As it was to be.
        IdentityError::FactorExists | IdentityError::FactorNotFound | IdentityError::PasskeyNotFound => Ok(see_other(FACTORS)),
        err => match alert(visit, &err) {
            Some((status, words)) => Ok(again(ctx, visit, status, question, &words, "")),
            None => otherwise(err),
        },
    }
}

pub(super) fn again(ctx: &Ctx, visit: &Visit, status: StatusCode, question: Question<'_>, alert: &str, error: &str) -> Response {
    let Ok(principal) = ctx.user() else { return sign_in_first(FACTORS) };
    let (t, shared) = (FactorWords::of(visit.locale), Words::of(visit.locale));
    let mut password = Field::current_password(shared, "password", shared.current_password).wrong(error);
    Field::focus_first_wrong([&mut password]);
    let Question { title, lead, action, kind, id, button, danger } = question;
    let content = AgainPage { t, title, lead, alert, action, kind, id, email: &principal.email, button, danger, password };
    let told = if error.is_empty() && alert.is_empty() { title.to_owned() } else { error_title(shared, title) };
    Page::gate(visit, &told).back_to(FACTORS).respond(status, &content)
}

pub(super) fn sheet(ctx: &Ctx, visit: &Visit, codes: &[Secret], void: bool) -> Response {
    let account = ctx.user().map(|principal| principal.email.clone()).unwrap_or_default();
    codes_page(visit, &account, codes, void, &format!("{FACTORS}?done=added"), &readable(&ctx.now().to_string()))
}

/// Whoever has no session any more signs in and comes back.
pub(super) fn otherwise(err: IdentityError) -> Result<Response, Problem> {
    match err {
        IdentityError::Forbidden(Forbidden::NotSignedIn) => Ok(sign_in_first(FACTORS)),
        err => Err(refuse(err)),
    }
}
