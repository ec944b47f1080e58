//! The kinds of job that call an address.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    HttpJobs,
    call::{Call, Outcome, Verdict},
    config::LONGEST_TIMEOUT,
    endpoints::NoDestination,
    request::{HttpRequest, shown},
};
use crate::{BadTimetable, Failure, Job, Policy, Recurring, Registry, Run};

/// Longer than the longest call.
const TIME_LIMIT: Duration = LONGEST_TIMEOUT.get().saturating_add(Duration::from_secs(30));

/// Makes one request of a customer until it succeeds.
#[derive(Serialize, Deserialize)]
pub(crate) struct CallHttp {
    #[serde(flatten)]
    pub(crate) request: HttpRequest,
}

impl Job for CallHttp {
    const KIND: &'static str = "jobs.call_http";
    const POLICY: Policy = Policy::new().sealed().time_limit(TIME_LIMIT).retry(Duration::from_secs(5), Duration::from_secs(3_600));
    type Deps = HttpJobs;

    async fn run(self, run: Run, http: HttpJobs) -> Result<(), Failure> {
        http.make(&run, &self.request).await
    }
}

/// Makes the request of a schedule, as the configuration has it at the time: its secrets are not stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct CallScheduled {
    pub(crate) schedule: String,
}

impl Job for CallScheduled {
    const KIND: &'static str = "jobs.call_scheduled";
    const POLICY: Policy = Policy::new().time_limit(TIME_LIMIT).retry(Duration::from_secs(5), Duration::from_secs(3_600));
    type Deps = HttpJobs;

    async fn run(self, run: Run, http: HttpJobs) -> Result<(), Failure> {
        let Some(schedule) = http.inner.schedules.get(&self.schedule) else {
            return Err(Failure::give_up("the schedule is not in the configuration any more"));
        };
        http.make(&run, &schedule.request()).await
    }
}

impl HttpJobs {
    /// What workers do for HTTP jobs, and the timetables of the configured ones.
    ///
    /// # Errors
    /// When a timetable cannot be read; [`validate`](super::validate) says which.
    pub fn registry(&self) -> Result<Registry, BadTimetable> {
        let mut registry = Registry::default().register::<CallHttp>(self.clone()).register::<CallScheduled>(self.clone());
        for (name, schedule) in &self.inner.schedules {
            let (method, target) = (schedule.method.clone(), self.shown_target(&schedule.request()));
            let recurring = Recurring {
                missed: schedule.missed.into(),
                tags: vec![format!("schedule:{name}")],
                max_attempts: schedule.max_attempts,
                // Lists show it as they show what somebody asked for by hand.
                alongside: Some(Arc::new(move |tx, id| {
                    let (method, target) = (method.clone(), target.clone());
                    Box::pin(async move { super::store::insert_http_job(tx, id, None, &method, &target).await })
                })),
                ..Recurring::new(format!("jobs.schedules.{name}"), &schedule.cron, &schedule.time_zone)
            };
            registry = registry.schedule(recurring, &CallScheduled { schedule: name.clone() })?;
        }
        Ok(registry)
    }

    async fn make(&self, run: &Run, request: &HttpRequest) -> Result<(), Failure> {
        let prepared = request.prepare(super::MAX_BODY).map_err(|wrong| {
            let wrong: Vec<String> = wrong.into_iter().map(|(pointer, problem)| format!("{pointer} {problem}")).collect();
            Failure::give_up(format!("the request cannot be made: {}", wrong.join("; ")))
        })?;
        let destination = match self.inner.endpoints.resolve(&request.target, run.attempt) {
            Ok(destination) => destination,
            // The operator can bring it back.
            Err(gone @ NoDestination::UnknownEndpoint(_)) => return Err(Failure::retry(gone)),
            Err(never) => return Err(Failure::give_up(never)),
        };
        let id = run.id.to_string();
        let call = Call {
            destination: &destination,
            id: &id,
            attempt: run.attempt,
            method: prepared.method,
            headers: prepared.headers,
            body: prepared.body,
        };
        match self.inner.courier.call(call).await {
            Outcome::NotYet(wait, why) => Err(Failure::snooze(wait, why)),
            Outcome::Made(report) => {
                let verdict = report.verdict.clone();
                self.keep(run, report).await;
                match verdict {
                    Verdict::Done => Ok(()),
                    Verdict::Gone => Err(Failure::give_up("answered 410: nobody wants this here any more")),
                    Verdict::Failed { why, retry_after: Some(wait) } => Err(Failure::retry_after(wait, why)),
                    Verdict::Failed { why, retry_after: None } => Err(Failure::retry(why)),
                }
            }
        }
    }

    pub(super) fn shown_target(&self, request: &HttpRequest) -> String {
        self.inner.endpoints.resolve(&request.target, 1).map(|destination| shown(&destination.url)).unwrap_or_default()
    }
}
