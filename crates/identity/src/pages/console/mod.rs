//! Pages for those who help to run the place: who has an account, and what can be done for them or against them. They work without
//! JavaScript.

mod acts;
#[cfg(test)]
pub(super) mod samples;
mod user;
mod users;
mod words;

use axum::{
    Router,
    response::Response,
    routing::{get, post},
};
use baluarte_kernel::Forbidden;
use baluarte_web::Problem;

use self::words::ConsoleWords;
use super::{factors::confirm::confirm_first, refuse, see_other, sign_in_first};
use crate::{AccountState, FactorKind, Identity, IdentityError};

const USERS: &str = "/console/users";

pub(super) fn routes(identity: &Identity) -> Router {
    Router::new()
        .route("/console", get(async || see_other(USERS)))
        .route(USERS, get(users::show))
        .route("/console/users/{id}", get(user::show))
        .route("/console/users/{id}/{act}", post(acts::submit))
        .with_state(identity.clone())
}

/// Whoever has no session signs in and comes back; whoever has not shown lately who they are does that.
fn otherwise(err: IdentityError, path: &str) -> Result<Response, Problem> {
    match err {
        IdentityError::Forbidden(Forbidden::NotSignedIn) => Ok(sign_in_first(path)),
        IdentityError::ConfirmationNeeded => Ok(confirm_first(path)),
        err => Err(refuse(err)),
    }
}

fn factor_name(t: &'static ConsoleWords, kind: FactorKind) -> &'static str {
    match kind {
        FactorKind::Totp => t.totp,
        FactorKind::Email => t.email,
        FactorKind::Sms => t.sms,
        FactorKind::Passkey => t.passkey,
    }
}

fn state_name(t: &'static ConsoleWords, state: AccountState) -> &'static str {
    match state {
        AccountState::Active => t.active,
        AccountState::Disabled => t.disabled,
        AccountState::Unverified => t.unverified,
        AccountState::ResetRequired => t.reset_required,
    }
}
