use baluarte_db::DbError;

use crate::{SmsRefused, State};

/// What notify can refuse, in its own words.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    #[error("no such message or suppression")]
    NotFound,
    /// Taken by a provider, too late, or waiting already.
    #[error("a message that is {} is not sent again", .0.as_str())]
    CannotResend(State),
    #[error(transparent)]
    Sms(#[from] SmsRefused),
    #[error(transparent)]
    Forbidden(#[from] baluarte_kernel::Forbidden),
    #[error("notify storage")]
    Storage(#[from] DbError),
}
