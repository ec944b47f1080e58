//! Requests that are made later, signed, and made again until they succeed: jobs for the customer's own app, and the
//! courier that webhooks travel with.

mod actions;
mod answer;
mod call;
mod config;
mod endpoints;
mod job;
mod model;
mod problems;
mod request;
mod routes;
mod service;
mod store;
mod targets;

use std::{collections::BTreeMap, fmt, sync::Arc};

use baluarte_audit::Audit;
use baluarte_db::{Batch, Db, DbError};

pub use actions::ACTIONS;
pub use call::{Call, Courier, Outcome, Report, Verdict};
pub use config::{EndpointConfig, HttpScheduleConfig, MissedCalls, validate};
pub use endpoints::{Destination, Endpoints, NoDestination};
pub use model::{CallMade, HttpJob, HttpJobError, NewHttpJob};
pub use problems::PROBLEMS;
pub use request::{HttpRequest, Target, origin, shown};
pub use service::SCOPE;
use store::NewCall;

use crate::{JobId, Jobs, Run};

/// The longest body of a request.
pub const MAX_BODY: usize = 128 << 10;
/// Calls written down in one commit.
const CALLS: usize = 128;

/// Jobs that call an address. Cheap to clone.
#[derive(Clone)]
pub struct HttpJobs {
    inner: Arc<Inner>,
}

struct Inner {
    jobs: Jobs,
    db: Db,
    audit: Audit,
    endpoints: Endpoints,
    courier: Courier,
    schedules: BTreeMap<String, HttpScheduleConfig>,
    calls: Batch<NewCall, ()>,
}

/// What HTTP jobs are made of.
pub struct Parts {
    pub jobs: Jobs,
    pub db: Db,
    pub audit: Audit,
    pub endpoints: Endpoints,
    pub courier: Courier,
    /// `[jobs.schedules]`
    pub schedules: BTreeMap<String, HttpScheduleConfig>,
}

impl HttpJobs {
    /// Call it on the control runtime.
    pub fn new(parts: Parts) -> Self {
        let Parts { jobs, db, audit, endpoints, courier, schedules } = parts;
        let calls = Batch::new(db.clone(), CALLS, |tx, calls| {
            Box::pin(async move {
                for call in calls {
                    store::insert_call(tx, call).await?;
                }
                Ok(vec![(); calls.len()])
            })
        });
        Self { inner: Arc::new(Inner { jobs, db, audit, endpoints, courier, schedules, calls }) }
    }

    pub fn endpoints(&self) -> &Endpoints {
        &self.inner.endpoints
    }

    pub fn courier(&self) -> &Courier {
        &self.inner.courier
    }

    /// Writes down what became of a call that the job `run` made. Not worth making the call again when it fails.
    pub async fn keep(&self, run: &Run, report: Report) {
        if let Err(err) = self.inner.calls.submit(NewCall { job: run.id, attempt: run.attempt, report }).await {
            tracing::warn!(target: "jobs", error = %err, job = %run.id, "what a receiver answered could not be written down");
        }
    }

    /// The calls that were made for a job, the latest first.
    pub async fn list_calls(&self, job: JobId, limit: u32) -> Result<Vec<CallMade>, DbError> {
        store::list_calls(self.inner.db.read(), job, i64::from(limit)).await
    }
}

impl fmt::Debug for HttpJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpJobs").finish_non_exhaustive()
    }
}
