//! The HTTP API of notify.

mod admin;
mod callbacks;
mod problems;

use baluarte_db::DbError;
use baluarte_web::{
    Problem,
    problem::{NOT_FOUND, UNAVAILABLE},
};
pub use problems::PROBLEMS;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Notify, NotifyError, SmsRefused, service::CallbackError};

/// Everything programs use: what operators see, and what providers report.
pub fn routes(notify: Notify) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(admin::list_messages))
        .routes(routes!(admin::list_providers))
        .routes(routes!(admin::find_message))
        .routes(routes!(admin::resend_message))
        .routes(routes!(admin::list_suppressions, admin::add_suppression))
        .routes(routes!(admin::remove_suppression))
        .routes(routes!(callbacks::twilio_report))
        .routes(routes!(callbacks::sendgrid_report))
        .with_state(notify)
}

impl From<NotifyError> for Problem {
    fn from(err: NotifyError) -> Self {
        match &err {
            NotifyError::NotFound => Self::of(&NOT_FOUND),
            NotifyError::CannotResend(_) => Self::of(&problems::CANNOT_RESEND).detail(err.to_string()),
            NotifyError::Sms(refused) => match refused {
                SmsRefused::BadNumber => Self::of(&problems::BAD_NUMBER).detail(err.to_string()),
                SmsRefused::Country | SmsRefused::Premium => Self::of(&problems::NUMBER_REFUSED),
                SmsRefused::NumberBudget | SmsRefused::BlockBudget | SmsRefused::CountryBudget | SmsRefused::TotalBudget => {
                    Self::of(&problems::BUDGET_SPENT)
                }
            },
            NotifyError::Forbidden(denied) => Self::forbidden(denied),
            NotifyError::Storage(storage) => from_storage(storage, &err),
        }
    }
}

impl From<CallbackError> for Problem {
    fn from(err: CallbackError) -> Self {
        match &err {
            CallbackError::Forged => Self::of(&problems::NOT_GENUINE),
            CallbackError::Stale => Self::of(&problems::STALE),
            CallbackError::NotExpected => Self::of(&NOT_FOUND),
            CallbackError::Malformed(why) => Self::of(&problems::REPORT_UNREADABLE).detail(*why),
            CallbackError::Storage(storage) => from_storage(storage, &err),
        }
    }
}

fn from_storage(storage: &DbError, err: &(dyn std::error::Error + 'static)) -> Problem {
    match storage {
        DbError::Unavailable(_) => Problem::of(&UNAVAILABLE),
        _ => Problem::internal(err),
    }
}
