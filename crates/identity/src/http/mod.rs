//! The HTTP API of identity.

mod admin;
mod api_keys;
mod auth;
mod email_change;
mod invitations;
mod keys;
pub(crate) mod limits;
mod logins;
mod magic_link;
mod mfa;
mod operator;
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
        .routes(counted(NamedLimit::Account, routes!(mfa::passkeys::passkey_options)))
        .routes(counted(NamedLimit::Login, routes!(mfa::passkeys::sign_in_with_passkey)))
        .routes(routes!(mfa::sign_in::answer))
        .routes(counted(NamedLimit::Account, routes!(mfa::sign_in::send_code)))
        .routes(counted(NamedLimit::Account, routes!(mfa::sign_in::enrol)))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::sign_out))
        .routes(counted(NamedLimit::Account, routes!(auth::verify_email)))
        .routes(counted(NamedLimit::ForgotPassword, routes!(auth::resend_verification)))
        .routes(counted(NamedLimit::Account, routes!(auth::end_session)))
        .routes(counted(NamedLimit::ForgotPassword, routes!(auth::ask_to_unlock)))
        .routes(counted(NamedLimit::Account, routes!(auth::unlock)))
        .routes(counted(NamedLimit::ForgotPassword, routes!(passwords::forgot_password)))
        .routes(counted(NamedLimit::Account, routes!(passwords::reset_password)))
        .routes(counted(NamedLimit::Account, routes!(passwords::change_password)))
        .routes(routes!(users::find_me, users::update_profile))
        .routes(counted(NamedLimit::Account, routes!(users::delete_me)))
        .routes(counted(NamedLimit::ForgotPassword, routes!(magic_link::ask_magic_link)))
        .routes(counted(NamedLimit::Login, routes!(magic_link::sign_in_by_link)))
        .routes(counted(NamedLimit::Account, routes!(invitations::accept_invitation)))
        .routes(routes!(invitations::list_invitations, invitations::invite))
        .routes(routes!(invitations::revoke_invitation))
        .routes(routes!(email_change::find_email_change, email_change::cancel_email_change))
        .routes(counted(NamedLimit::Account, routes!(email_change::ask_email_change)))
        .routes(counted(NamedLimit::Account, routes!(email_change::confirm_email_change)))
        .routes(counted(NamedLimit::Account, routes!(email_change::refuse_email_change)))
        .routes(routes!(users::list_people))
        .routes(routes!(sessions::list_sessions))
        .routes(routes!(sessions::revoke_session))
        .routes(counted(NamedLimit::Mfa, routes!(mfa::step_up::find_confirmation, mfa::step_up::confirm)))
        .routes(counted(NamedLimit::Account, routes!(mfa::step_up::send_confirmation)))
        .routes(routes!(logins::list_providers))
        .routes(routes!(logins::list_logins))
        .routes(counted(NamedLimit::Account, routes!(logins::disconnect_login)))
        .routes(routes!(mfa::list_factors))
        .routes(counted(NamedLimit::Account, routes!(mfa::totp::begin_totp_factor, mfa::totp::remove_totp_factor)))
        .routes(counted(NamedLimit::Mfa, routes!(mfa::totp::confirm_totp_factor)))
        .routes(counted(NamedLimit::Account, routes!(mfa::email::begin_email_factor, mfa::email::remove_email_factor)))
        .routes(counted(NamedLimit::Mfa, routes!(mfa::email::confirm_email_factor)))
        .routes(counted(NamedLimit::Account, routes!(mfa::sms::begin_sms_factor, mfa::sms::remove_sms_factor)))
        .routes(counted(NamedLimit::Mfa, routes!(mfa::sms::confirm_sms_factor)))
        .routes(routes!(mfa::passkeys::list_passkeys))
        .routes(counted(NamedLimit::Account, routes!(mfa::passkeys::begin_passkey)))
        .routes(counted(NamedLimit::Mfa, routes!(mfa::passkeys::add_passkey)))
        .routes(counted(NamedLimit::Account, routes!(mfa::passkeys::rename_passkey, mfa::passkeys::remove_passkey)))
        .routes(counted(NamedLimit::Account, routes!(mfa::recovery::replace_recovery_codes)))
        .routes(routes!(mfa::trusted::list_trusted_devices))
        .routes(routes!(mfa::trusted::forget_trusted_device))
        .routes(routes!(api_keys::list_api_keys))
        .routes(counted(NamedLimit::Account, routes!(api_keys::create_api_key)))
        .routes(counted(NamedLimit::Account, routes!(api_keys::rotate_api_key)))
        .routes(routes!(api_keys::revoke_api_key))
        .routes(routes!(admin::list_users, admin::create_user))
        .routes(routes!(admin::find_user, admin::update_user))
        .routes(routes!(admin::end_sessions))
        .routes(routes!(admin::delete_user))
        .routes(routes!(operator::find_details))
        .routes(routes!(operator::require_reset))
        .routes(routes!(operator::remove_factor))
        .routes(routes!(operator::unblock))
        .routes(routes!(keys::list_keys))
        .with_state(identity)
}
