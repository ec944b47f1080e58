//! Doing something to an account. Every form answers with a redirect, or with the page and what is wrong.

use axum::{extract::State, response::Response};
use baluarte_kernel::UserId;
use baluarte_web::{Caller, Form, Path, Problem, SameOrigin, Visit};
use http::StatusCode;
use serde::Deserialize;

use super::{
    ConsoleWords, otherwise,
    user::{Look, address, render},
};
use crate::{
    Act, Identity, IdentityError, Reason,
    pages::{Words, alert, see_other},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    reason: String,
    role: String,
    kind: String,
}

/// What is wrong with what was typed.
enum Wrong {
    Reason,
    Role,
    /// No such act: nothing that a form of ours sends.
    Act,
}

impl Wanted {
    fn act(&self, name: &str) -> Result<(Act, Option<Reason>), Wrong> {
        let act = match name {
            "end-sessions" => Act::EndSessions,
            "unblock" => Act::Unblock,
            "require-reset" => Act::RequireReset,
            "disable" => Act::Disable,
            "enable" => Act::Enable,
            "role" => Act::SetRole(self.role.trim().parse().map_err(|_| Wrong::Role)?),
            "remove-factor" if self.kind.is_empty() => Act::RemoveFactors,
            "remove-factor" => Act::RemoveFactor(self.kind.parse().map_err(|()| Wrong::Act)?),
            _ => return Err(Wrong::Act),
        };
        let reason = Reason::optional(&self.reason).map_err(|_| Wrong::Reason)?;
        // How it was made sure whose factor it is has to be said.
        if reason.is_none() && matches!(act, Act::RemoveFactor(_) | Act::RemoveFactors) { Err(Wrong::Reason) } else { Ok((act, reason)) }
    }
}

pub(super) async fn submit(
    State(identity): State<Identity>,
    _: SameOrigin,
    Caller(ctx): Caller,
    visit: Visit,
    Path((id, act)): Path<(UserId, String)>,
    Form(form): Form<Wanted>,
) -> Result<Response, Problem> {
    let (t, path) = (ConsoleWords::of(visit.locale), address(id));
    let (status, words) = match form.act(&act) {
        Ok((act, reason)) => match identity.act(&ctx, id, act, reason.as_ref()).await {
            Ok(_) => return Ok(see_other(&format!("{path}?done=1"))),
            Err(IdentityError::FactorNotFound) => (StatusCode::CONFLICT, t.gone.to_owned()),
            Err(err) => match alert(Words::of(visit.locale), &err) {
                Some(shown) => shown,
                None => return otherwise(err, &path),
            },
        },
        Err(Wrong::Reason) => (StatusCode::UNPROCESSABLE_ENTITY, t.bad_reason.to_owned()),
        Err(Wrong::Role) => (StatusCode::UNPROCESSABLE_ENTITY, t.bad_role.to_owned()),
        Err(Wrong::Act) => return Err(Problem::of(&baluarte_web::problem::NOT_FOUND)),
    };
    render(&identity, &ctx, &visit, id, status, Look { done: "", alert: &words }).await
}
