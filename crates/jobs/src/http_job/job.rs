//! The kinds of job that call an address.

use std::time::Duration;

use baluarte_kernel::{Periodic, WorkError};
use serde::{Deserialize, Serialize};

use super::{
    HttpJobs,
    call::{Call, Outcome, Verdict},
    config::LONGEST_TIMEOUT,
    endpoints::NoDestination,
    request::{HttpRequest, shown},
};
use crate::{Failure, Job, Options, Policy, Registry, Run};

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
    pub fn registry(&self) -> Registry {
        let registry = Registry::default().register::<CallHttp>(self.clone()).register::<CallScheduled>(self.clone());
        self.inner.schedules.iter().fold(registry, |registry, (name, schedule)| {
            let (http, of) = (self.clone(), name.clone());
            // Once for each schedule of the configuration, which is read at the start only.
            let task: &'static str = Box::leak(format!("jobs.schedules.{name}").into_boxed_str());
            let task = Periodic::new(task, schedule.cron.clone(), move |ctx| {
                let (http, of) = (http.clone(), of.clone());
                async move { http.start_scheduled(&ctx, &of).await.map_err(WorkError::from) }
            });
            registry.periodic(task.in_time_zone(schedule.time_zone.clone()))
        })
    }

    /// The timetable's own job only enqueues: the call has the attempts and pauses of an HTTP job. While one run waits for
    /// its receiver there is no second one.
    async fn start_scheduled(&self, ctx: &baluarte_kernel::Ctx, name: &str) -> Result<(), baluarte_db::DbError> {
        let Some(schedule) = self.inner.schedules.get(name) else { return Ok(()) };
        let request = schedule.request();
        let tx = self.inner.db.begin().await?;
        let options = Options {
            unique_key: Some(name.to_owned()),
            tags: vec![format!("schedule:{name}")],
            max_attempts: schedule.max_attempts,
            ..Options::default()
        };
        let id = self.inner.jobs.enqueue(ctx, &tx, &CallScheduled { schedule: name.to_owned() }, options).await?;
        super::store::insert_http_job(&tx, id, None, &request.method, &self.shown_target(&request)).await?;
        tx.commit().await
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
