//! Everybody who has an account, found and sifted.

use askama::Template;
use axum::{extract::State, response::Response};
use baluarte_kernel::{Cursor, Page, PageQuery, UserId};
use baluarte_web::{Caller, Page as Sheet, Problem, Query, Visit};
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{ConsoleWords, USERS, factor_name, otherwise, state_name};
use crate::{AccountState, FactorKind, Identity, User, UserFilter, pages::device::readable, permissions::POSTS};

#[derive(Template)]
#[template(path = "console/users.html")]
struct UsersPage<'a> {
    t: &'static ConsoleWords,
    asked: &'a Asked,
    roles: Vec<Choice>,
    states: Vec<Choice>,
    factors: Vec<Choice>,
    users: Vec<Row>,
    next: Option<String>,
}

struct Choice {
    value: &'static str,
    label: &'static str,
    chosen: bool,
}

struct Row {
    id: String,
    name: String,
    email: String,
    role: String,
    /// What is special about it.
    states: Vec<&'static str>,
    seen: Option<(String, String)>,
}

/// What the form asked for: as typed, since a filter that is none finds everybody.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::pages) struct Asked {
    pub(super) query: String,
    pub(super) role: String,
    pub(super) state: String,
    pub(super) factor: String,
    pub(super) plan: String,
    pub(super) cursor: String,
}

impl Asked {
    fn filter(&self) -> UserFilter {
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        UserFilter {
            query: text(&self.query),
            role: self.role.trim().parse().ok(),
            disabled: None,
            state: self.state.parse().ok(),
            factor: self.factor.parse().ok(),
            plan: text(&self.plan),
        }
    }

    fn next(&self, cursor: &str) -> String {
        let mut address = format!("{USERS}?");
        for (name, value) in [
            ("query", &*self.query),
            ("role", &self.role),
            ("state", &self.state),
            ("factor", &self.factor),
            ("plan", &self.plan),
            ("cursor", cursor),
        ] {
            if !value.is_empty() {
                address += &format!("{name}={}&", utf8_percent_encode(value, NON_ALPHANUMERIC));
            }
        }
        address.trim_end_matches('&').to_owned()
    }
}

pub(super) async fn show(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    visit: Visit,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    // One that cannot be read begins at the start.
    let cursor = asked.cursor.parse::<Cursor>().ok().filter(|cursor| cursor.key().parse::<UserId>().is_ok());
    match identity.list_users(&ctx, &asked.filter(), &PageQuery { limit: None, cursor }).await {
        Ok(found) => Ok(page(&visit, &asked, &found)),
        Err(err) => otherwise(err, USERS),
    }
}

pub(super) fn page(visit: &Visit, asked: &Asked, found: &Page<User>) -> Response {
    let t = ConsoleWords::of(visit.locale);
    let roles = POSTS.iter().map(|post| post.role).chain(["user"]);
    let content = UsersPage {
        t,
        asked,
        roles: roles.map(|role| Choice { value: role, label: role, chosen: role == asked.role }).collect(),
        states: AccountState::ALL
            .map(|state| Choice { value: state.as_str(), label: state_name(t, state), chosen: state.as_str() == asked.state })
            .into(),
        factors: [("any", t.with_any), ("none", t.with_none)]
            .into_iter()
            .chain(FactorKind::ALL.map(|kind| (kind.as_str(), factor_name(t, kind))))
            .map(|(value, label)| Choice { value, label, chosen: value == asked.factor })
            .collect(),
        users: found.items.iter().map(|user| row(t, user)).collect(),
        next: found.next_cursor.as_ref().and_then(|cursor| serde_json::to_value(cursor).ok()).and_then(|cursor| {
            let cursor = cursor.as_str()?;
            Some(asked.next(cursor))
        }),
    };
    Sheet::sheet(visit, t.users).back_to(USERS).respond(StatusCode::OK, &content)
}

fn row(t: &'static ConsoleWords, user: &User) -> Row {
    Row {
        id: user.id.to_string(),
        name: user.name.to_string(),
        email: user.email.to_string(),
        role: user.role.to_string(),
        states: special(t, user),
        seen: user.last_sign_in_at.map(|at| (at.to_string(), readable(&at.to_string()))),
    }
}

/// Everything that keeps somebody from simply signing in.
pub(super) fn special(t: &'static ConsoleWords, user: &User) -> Vec<&'static str> {
    [
        user.disabled_at.map(|_| t.disabled),
        user.reset_required_at.map(|_| t.reset_required),
        user.email_verified_at.is_none().then_some(t.unverified),
    ]
    .into_iter()
    .flatten()
    .collect()
}
