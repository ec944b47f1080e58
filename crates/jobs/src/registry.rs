//! Who does which kind of job, and who wants to hear of which event.

use std::{collections::BTreeMap, fmt, sync::Arc};

use baluarte_kernel::{BoxFuture, Periodic};

use crate::{
    cron::{BadTimetable, Timetable},
    job::{Failure, Job, Policy, Run},
    schedule::{Recurring, Schedule},
};

/// What a component's jobs are and how they run: handed to the server in `Component::jobs`.
#[derive(Clone, Default)]
pub struct Registry {
    pub(crate) handlers: BTreeMap<&'static str, Handler>,
    pub(crate) schedules: Vec<Schedule>,
}

type RunPayload = dyn Fn(&str, Run) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Handler {
    pub(crate) policy: Policy,
    pub(crate) run: Arc<RunPayload>,
    /// Is that text a payload of this kind?
    pub(crate) check: fn(&str) -> Result<(), serde_json::Error>,
}

impl Registry {
    /// From now on there is somebody who does `J`.
    ///
    /// # Panics
    /// When somebody else has registered the kind: each has one handler.
    #[must_use]
    pub fn register<J: Job>(mut self, deps: J::Deps) -> Self {
        let run = move |payload: &str, run: Run| -> BoxFuture<'static, Result<(), Failure>> {
            match serde_json::from_str::<J>(payload) {
                Ok(job) => Box::pin(job.run(run, deps.clone())),
                // A newer program may know it; the error names no value.
                Err(err) => {
                    let why = format!("the payload cannot be read (line {}, column {})", err.line(), err.column());
                    Box::pin(std::future::ready(Err(Failure::retry(why))))
                }
            }
        };
        let check = |payload: &str| serde_json::from_str::<J>(payload).map(drop);
        self.insert(J::KIND, Handler { policy: J::POLICY, run: Arc::new(run), check });
        self
    }

    /// A task with a timetable. Each run is a job of the task's name.
    ///
    /// # Panics
    /// When its timetable cannot be read: it is written in the program. One from a configuration belongs into
    /// [`schedule`](Self::schedule).
    #[must_use]
    pub fn periodic(mut self, task: Periodic) -> Self {
        let policy = Policy::new().time_limit(task.time_limit).at_once(1).max_attempts(5);
        let deed = task.clone();
        let run = move |_: &str, run: Run| -> BoxFuture<'static, Result<(), Failure>> {
            let done = deed.run(run.ctx);
            Box::pin(async move { done.await.map_err(Failure::retry) })
        };
        self.insert(
            task.name,
            Handler { policy, run: Arc::new(run), check: |payload| serde_json::from_str::<NoPayload>(payload).map(drop) },
        );
        let timetable = Timetable::parse(&task.cron, &task.time_zone).unwrap_or_else(|bad| panic!("{}: {bad}", task.name));
        let recurring = Recurring::new(task.name, task.cron, task.time_zone);
        self.schedules.push(Schedule { recurring, timetable, kind: task.name, policy, payload: "{}".into() });
        self
    }

    /// A job with a timetable. Two runs never overlap.
    ///
    /// # Errors
    /// When `cron` or `time_zone` cannot be read.
    pub fn schedule<J: Job>(mut self, recurring: Recurring, job: &J) -> Result<Self, BadTimetable> {
        let timetable = Timetable::parse(&recurring.cron, &recurring.time_zone)?;
        let payload = serde_json::to_string(job).unwrap_or_default().into();
        self.schedules.push(Schedule { recurring, timetable, kind: J::KIND, policy: J::POLICY, payload });
        Ok(self)
    }

    /// Everything of both.
    ///
    /// # Panics
    /// When both know the same kind.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (kind, handler) in other.handlers {
            self.insert(kind, handler);
        }
        self.schedules.extend(other.schedules);
        self
    }

    fn insert(&mut self, kind: &'static str, handler: Handler) {
        assert!(self.handlers.insert(kind, handler).is_none(), "the kind {kind} has two handlers");
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}

#[derive(serde::Deserialize)]
struct NoPayload {}

/// Events of these names become jobs of that kind, whose payload is the [`Published`](baluarte_kernel::Published) event.
/// A constant of the component that wants to hear, listed in `server/src/components.rs`: whoever publishes, be it a command
/// without any worker, enqueues the same jobs.
#[derive(Debug, Clone, Copy)]
pub struct Subscription {
    pub(crate) kind: &'static str,
    pub(crate) policy: Policy,
    pub(crate) events: &'static [&'static str],
}

impl Subscription {
    /// `events`: names such as `user.deleted`; none at all: every event.
    pub const fn of<J: Job>(events: &'static [&'static str]) -> Self {
        Self { kind: J::KIND, policy: J::POLICY, events }
    }

    pub(crate) fn wants(&self, event: &str) -> bool {
        self.events.is_empty() || self.events.contains(&event)
    }
}
