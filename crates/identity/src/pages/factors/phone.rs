//! A telephone number that becomes a factor, or takes the place of one.

use axum::{extract::State, response::Response};
use baluarte_notify::SmsRefused;
use baluarte_web::{Caller, Form, Page, Problem, SameOrigin, Visit, fill};
use http::StatusCode;

use super::{
    FACTORS, FactorWords, FormPage, Look,
    account::{Change, Tried, otherwise, tried},
    alert,
    enrol::code_page,
};
use crate::{
    Identity, IdentityError,
    pages::{Words, error_title, field::Field, see_other, sign_in_first},
};

const PHONE: &str = "/auth/account/factors/sms";
const CONFIRM: &str = "/auth/account/factors/sms/confirm";

/// What is wrong with the form, or what it asks for besides.
#[derive(Clone, Copy, Default)]
pub(super) struct Wrong<'a> {
    pub(super) alert: &'a str,
    pub(super) phone: &'a str,
    /// `Some`: the password is asked for.
    pub(super) password: Option<&'a str>,
}

pub(super) fn phone_page(
    visit: &Visit,
    status: StatusCode,
    (action, back): (&str, &str),
    hidden: Vec<(&str, &str)>,
    typed: &str,
    wrong: Wrong<'_>,
) -> Response {
    let (t, shared) = (FactorWords::of(visit.locale), Words::of(visit.locale));
    let mut phone = Field::phone(shared, t.phone, t.phone_hint, typed).wrong(wrong.phone);
    let mut password = wrong.password.map(|error| Field::current_password(shared, "password", shared.current_password).wrong(error));
    Field::focus_first_wrong(std::iter::once(&mut phone).chain(password.as_mut()));
    let back = (back, t.back);
    let fields = std::iter::once(phone).chain(password).collect();
    let content = FormPage { title: t.phone_title, lead: t.phone_lead, alert: wrong.alert, action, button: t.send, hidden, fields, back };
    let title = if status.is_success() { t.phone_title.to_owned() } else { error_title(shared, t.phone_title) };
    Page::gate(visit, &title).back_to(back.0).respond(status, &content)
}

/// What the form says about a number; `None` when it is about something else.
pub(super) fn number_words(t: &'static FactorWords, err: &IdentityError) -> Option<&'static str> {
    match err {
        IdentityError::PhoneRefused(SmsRefused::BadNumber) => Some(t.phone_bad),
        IdentityError::PhoneRefused(_) => Some(t.phone_refused),
        _ => None,
    }
}

pub(super) async fn show(Caller(ctx): Caller, visit: Visit) -> Response {
    if ctx.user().is_err() {
        return sign_in_first(FACTORS);
    }
    phone_page(&visit, StatusCode::OK, (PHONE, FACTORS), Vec::new(), "", Wrong::default())
}

pub(super) async fn begin(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Change>,
) -> Result<Response, Problem> {
    let (t, shared) = (FactorWords::of(visit.locale), Words::of(visit.locale));
    let shown = form.shown();
    let asked = shown.password.as_ref().is_some_and(|password| !password.is_empty()).then_some("");
    let words;
    let (status, wrong) = match identity.begin_sms_factor(&ctx, &form.phone, &shown).await {
        Ok(()) => return Ok(see_other(CONFIRM)),
        Err(IdentityError::ReauthenticationNeeded) => (StatusCode::FORBIDDEN, Wrong { password: Some(""), ..Wrong::default() }),
        Err(IdentityError::WrongPassword) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Wrong { password: Some(shared.wrong_password), ..Wrong::default() })
        }
        // As it was to be.
        Err(IdentityError::FactorExists) => return Ok(see_other(FACTORS)),
        Err(err) => match (number_words(t, &err), alert(&visit, &err)) {
            (Some(error), _) => (StatusCode::UNPROCESSABLE_ENTITY, Wrong { phone: error, password: asked, ..Wrong::default() }),
            (None, Some((status, told))) => {
                words = told;
                (status, Wrong { alert: &words, password: asked, ..Wrong::default() })
            }
            (None, None) => return otherwise(err),
        },
    };
    Ok(phone_page(&visit, status, (PHONE, FACTORS), Vec::new(), &form.phone, wrong))
}

pub(super) async fn show_code(State(identity): State<Identity>, Caller(ctx): Caller, visit: Visit) -> Result<Response, Problem> {
    pending(&identity, &ctx, &visit, StatusCode::OK, Look::default()).await
}

async fn pending(
    identity: &Identity,
    ctx: &baluarte_kernel::Ctx,
    visit: &Visit,
    status: StatusCode,
    look: Look<'_>,
) -> Result<Response, Problem> {
    let t = FactorWords::of(visit.locale);
    match identity.find_pending_phone(ctx).await {
        Ok(Some(hint)) => {
            let lead = fill(t.confirm_phone_lead, &[&hint]);
            Ok(code_page(visit, status, t.confirm_phone, &lead, CONFIRM, Vec::new(), (PHONE, t.other_number), look))
        }
        Ok(None) => Ok(see_other(PHONE)),
        Err(err) => otherwise(err),
    }
}

pub(super) async fn confirm(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Form(form): Form<Change>,
) -> Result<Response, Problem> {
    let confirmed = if form.code.is_empty() { None } else { Some(identity.confirm_sms_factor(&ctx, &form.code).await) };
    match tried(&ctx, &visit, confirmed)? {
        Tried::Over(response) => Ok(response),
        Tried::Again { status, alert, error } => pending(&identity, &ctx, &visit, status, Look { alert: &alert, error }).await,
    }
}
