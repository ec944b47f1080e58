//! The HTTP API of identity.

mod admin;
mod auth;
mod keys;
mod limits;
mod passwords;
mod problems;
mod sessions;
mod users;
mod views;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Identity;

pub use limits::NamedLimit;
pub use problems::PROBLEMS;

/// Everything programs use; whatever tries a password or sends a mail is counted together with the pages' forms.
pub(crate) fn routes(identity: Identity) -> OpenApiRouter {
    let counted = |limit: NamedLimit, (schemas, paths, methods)| (schemas, paths, limit.on(&identity, methods));
    OpenApiRouter::new()
        .routes(counted(NamedLimit::Account, routes!(auth::register_user)))
        .routes(counted(NamedLimit::Login, routes!(auth::sign_in)))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::sign_out))
        .routes(counted(NamedLimit::Account, routes!(auth::verify_email)))
        .routes(counted(NamedLimit::ForgotPassword, routes!(auth::resend_verification)))
        .routes(counted(NamedLimit::ForgotPassword, routes!(passwords::forgot_password)))
        .routes(counted(NamedLimit::Account, routes!(passwords::reset_password)))
        .routes(counted(NamedLimit::Account, routes!(passwords::change_password)))
        .routes(routes!(users::find_me, users::update_profile))
        .routes(counted(NamedLimit::Account, routes!(users::delete_me)))
        .routes(routes!(users::list_people))
        .routes(routes!(sessions::list_sessions))
        .routes(routes!(sessions::revoke_session))
        .routes(routes!(admin::list_users, admin::create_user))
        .routes(routes!(admin::find_user, admin::update_user))
        .routes(routes!(admin::end_sessions))
        .routes(routes!(keys::list_keys))
        .with_state(identity)
}
