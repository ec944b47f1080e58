use baluarte_db::DbError;

use crate::job::JobId;

/// What the queue can refuse to operators.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    #[error("no job {0}")]
    JobNotFound(JobId),
    #[error("no schedule of that name")]
    ScheduleNotFound,
    /// It runs or is done, or another job waits or runs under its unique key.
    #[error("the job cannot be tried again")]
    NotRetryable,
    #[error("the job is over")]
    NotCancelable,
    /// Says what is wrong, without any value.
    #[error("the payload cannot be used: {0}")]
    BadPayload(String),
    /// A bulk retry names what it is about.
    #[error("only dead and canceled jobs are tried again in bulk")]
    BadFilter,
    #[error(transparent)]
    Forbidden(#[from] baluarte_kernel::Forbidden),
    #[error("jobs storage")]
    Storage(#[from] DbError),
}
