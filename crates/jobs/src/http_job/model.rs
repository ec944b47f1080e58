use std::{collections::BTreeMap, time::Duration};

use baluarte_db::DbError;
use baluarte_kernel::{Timestamp, UserId};

use super::request::Wrong;
use crate::JobId;

/// What somebody asks for, as it came.
#[derive(Debug, Clone, Default)]
pub struct NewHttpJob {
    pub url: Option<String>,
    pub endpoint: Option<String>,
    pub path: Option<String>,
    pub method: Option<String>,
    pub headers: BTreeMap<String, String>,
    pub body: Option<serde_json::Value>,
    pub run_at: Option<Timestamp>,
    pub max_attempts: Option<u32>,
    pub unique_key: Option<String>,
}

/// A job that calls an address, as lists show it: nothing in it is secret.
#[derive(Debug, Clone)]
pub struct HttpJob {
    pub id: JobId,
    pub owner: Option<UserId>,
    pub method: String,
    /// Without its query.
    pub target: String,
    pub state: String,
    pub attempts: i64,
    pub max_attempts: i64,
    pub run_at: Timestamp,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// A call that was made for a job.
#[derive(Debug, Clone)]
pub struct CallMade {
    pub attempt: i64,
    pub began_at: Timestamp,
    pub took: Duration,
    pub status: Option<i64>,
    pub answer: String,
    pub error: Option<String>,
}

/// What HTTP jobs can refuse.
#[derive(Debug, thiserror::Error)]
pub enum HttpJobError {
    #[error("the request cannot be made")]
    Invalid(Vec<Wrong>),
    #[error("no such job")]
    NotFound,
    #[error("the job has ended")]
    Ended,
    #[error(transparent)]
    Forbidden(#[from] baluarte_kernel::Forbidden),
    #[error("job storage")]
    Storage(#[from] DbError),
}
