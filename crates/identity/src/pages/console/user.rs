//! One account, with what belongs to it and what can be done.

use askama::Template;
use axum::{extract::State, response::Response};
use baluarte_kernel::{Ctx, Timestamp, UserId};
use baluarte_web::{Caller, Page, Path, Problem, Query, Visit, fill};
use http::StatusCode;
use serde::Deserialize;

use super::{ConsoleWords, USERS, factor_name, otherwise, users::special};
use crate::{
    Identity, UserDetails,
    pages::{
        Words,
        device::{readable, summary},
        error_title,
    },
    permissions::{POSTS, Permission},
};

#[derive(Template)]
#[template(path = "console/user.html")]
struct UserPage<'a> {
    t: &'static ConsoleWords,
    found: &'a UserDetails,
    id: String,
    plan: &'a str,
    states: Vec<&'static str>,
    created: When,
    seen: Option<When>,
    done: &'a str,
    alert: &'a str,
    acts: Vec<Form>,
    roles: Vec<&'static str>,
    factors: Vec<Line>,
    recovery: String,
    /// Kinds that can be taken away.
    kinds: Vec<(&'static str, &'static str)>,
    devices: Vec<Line>,
    attempts: Vec<Line>,
    messages: Vec<Line>,
    entries: Vec<Line>,
}

/// A moment for machines and for people.
struct When {
    at: String,
    readable: String,
}

impl From<Timestamp> for When {
    fn from(at: Timestamp) -> Self {
        Self { readable: readable(&at.to_string()), at: at.to_string() }
    }
}

/// A row of a list: what, something about it, and when.
struct Line {
    what: String,
    code: bool,
    about: String,
    label: &'static str,
    when: Option<When>,
    bad: bool,
}

impl Line {
    fn new(what: impl Into<String>, about: impl Into<String>) -> Self {
        Self { what: what.into(), code: false, about: about.into(), label: "", when: None, bad: false }
    }

    fn at(self, label: &'static str, when: Option<Timestamp>) -> Self {
        Self { label, when: when.map(When::from), ..self }
    }
}

/// One thing that can be done.
struct Form {
    act: &'static str,
    title: &'static str,
    lead: &'static str,
    danger: bool,
    /// It asks for a role, or for a factor and how its owner was made sure of.
    role: bool,
    factor: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Arrival {
    done: String,
}

/// What the page says besides the account itself.
#[derive(Clone, Copy, Default)]
pub(in crate::pages) struct Look<'a> {
    pub(super) done: &'a str,
    pub(super) alert: &'a str,
}

pub(super) async fn show(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Path(id): Path<UserId>,
    Query(arrival): Query<Arrival>,
) -> Result<Response, Problem> {
    let done = if arrival.done.is_empty() { "" } else { ConsoleWords::of(visit.locale).done };
    render(&identity, &ctx, &visit, id, StatusCode::OK, Look { done, alert: "" }).await
}

pub(super) async fn render(
    identity: &Identity,
    ctx: &Ctx,
    visit: &Visit,
    id: UserId,
    status: StatusCode,
    look: Look<'_>,
) -> Result<Response, Problem> {
    match identity.find_details(ctx, id).await {
        Ok(found) => Ok(page(visit, &found, &identity.plan_of(id), status, look)),
        Err(err) => otherwise(err, &address(id)),
    }
}

pub(super) fn address(id: UserId) -> String {
    format!("{USERS}/{id}")
}

pub(super) fn page(visit: &Visit, found: &UserDetails, plan: &str, status: StatusCode, look: Look<'_>) -> Response {
    let (t, shared, user) = (ConsoleWords::of(visit.locale), Words::of(visit.locale), &found.user);
    let path = address(user.id);
    let content = UserPage {
        t,
        id: user.id.to_string(),
        plan,
        states: special(t, user),
        created: user.created_at.into(),
        seen: user.last_sign_in_at.map(When::from),
        done: look.done,
        alert: look.alert,
        acts: forms(t, found),
        roles: POSTS.iter().map(|post| post.role).chain(["user"]).collect(),
        factors: factors(t, found),
        recovery: fill(t.recovery_left, &[&found.recovery_codes.to_string()]),
        kinds: found.factors.iter().map(|factor| (factor.kind.as_str(), factor_name(t, factor.kind))).collect(),
        devices: devices(t, shared, found),
        attempts: attempts(t, found),
        messages: found
            .messages
            .iter()
            .map(|it| Line { code: true, ..Line::new(&it.kind, it.state.as_str()) }.at("", Some(it.created_at)))
            .collect(),
        entries: found.entries.iter().map(|it| entry(it, user.id)).collect(),
        found,
    };
    let name = user.name.as_str();
    let title = if status.is_success() { name.to_owned() } else { error_title(shared, name) };
    Page::sheet(visit, &title).back_to(&path).respond(status, &content)
}

fn forms(t: &'static ConsoleWords, found: &UserDetails) -> Vec<Form> {
    let may = |permission: Permission| found.may.contains(&permission);
    let plain = |act, title, lead| Form { act, title, lead, danger: false, role: false, factor: false };
    let disabled = found.user.disabled_at.is_some();
    let mut forms = Vec::new();
    if may(Permission::EndSessions) {
        forms.push(plain("end-sessions", t.end_sessions, t.end_sessions_lead));
    }
    if may(Permission::Unblock) && !found.throttles.is_empty() {
        forms.push(plain("unblock", t.unblock, t.unblock_lead));
    }
    if may(Permission::RequireReset) {
        forms.push(Form { danger: true, ..plain("require-reset", t.require_reset, t.require_reset_lead) });
    }
    if may(Permission::RemoveFactors) && !found.factors.is_empty() {
        forms.push(Form { danger: true, factor: true, ..plain("remove-factor", t.lost_factor, t.lost_factor_lead) });
    }
    if may(Permission::GiveRoles) {
        forms.push(Form { role: true, ..plain("role", t.give_role, t.give_role_lead) });
    }
    if may(Permission::Disable) && disabled {
        forms.push(plain("enable", t.enable, t.enable_lead));
    } else if may(Permission::Disable) {
        forms.push(Form { danger: true, ..plain("disable", t.disable, t.disable_lead) });
    }
    forms
}

fn factors(t: &'static ConsoleWords, found: &UserDetails) -> Vec<Line> {
    let of = |factor: &crate::Factor| Line::new(factor_name(t, factor.kind), "").at(t.last_used, factor.last_used_at);
    let passkey = |it: &crate::Passkey| Line::new(it.name.as_str(), t.passkey).at(t.last_used, it.last_used_at);
    found.factors.iter().map(of).chain(found.passkeys.iter().map(passkey)).collect()
}

fn devices(t: &'static ConsoleWords, shared: &'static Words, found: &UserDetails) -> Vec<Line> {
    let place = |ip: Option<std::net::IpAddr>| ip.map(|ip| ip.to_string()).unwrap_or_default();
    let session =
        |it: &crate::Session| Line::new(summary(shared, it.user_agent.as_deref()), place(it.ip)).at(t.last_seen, Some(it.last_seen_at));
    let trusted = |it: &crate::TrustedDevice| {
        let about = [place(it.ip).as_str(), t.trusted].join(" · ");
        Line::new(summary(shared, it.user_agent.as_deref()), about.trim_start_matches(" · ")).at(t.last_used, Some(it.last_used_at))
    };
    found.sessions.items.iter().map(session).chain(found.trusted.iter().map(trusted)).collect()
}

fn attempts(t: &'static ConsoleWords, found: &UserDetails) -> Vec<Line> {
    let of = |it: &crate::Throttled| {
        let what = if it.what == "sign_in" { t.what_sign_in } else { t.what_second_factor };
        let place = it.network.as_deref().unwrap_or(t.from_anywhere);
        Line {
            bad: it.blocked_until.is_some(),
            ..Line::new(format!("{what}: {}", it.failures), place).at(t.blocked_until, it.blocked_until)
        }
    };
    let alert = |it: &crate::Alert| {
        let place = it.ip.map(|ip| ip.to_string()).unwrap_or_default();
        Line { bad: true, ..Line::new(t.refresh_reused, place).at("", Some(it.at)) }
    };
    found.alerts.iter().map(alert).chain(found.throttles.iter().map(of)).collect()
}

fn entry(it: &baluarte_audit::Recorded, about: UserId) -> Line {
    // By somebody else: who it was is what one wants to know.
    let by = it.actor.name.clone().filter(|_| it.actor.id != Some(about.to_string()));
    let by = by.unwrap_or_else(|| if it.actor.kind == "user" { String::new() } else { it.actor.kind.clone() });
    let bad = it.severity == "alert" || it.status == "failure";
    Line { code: true, bad, ..Line::new(it.action.as_str(), by) }.at("", Some(it.at))
}
