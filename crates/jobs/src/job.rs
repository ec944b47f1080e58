//! What a job is to the component that has one.

use std::{fmt, time::Duration};

use baluarte_kernel::{Ctx, Id, Kind, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::attempt::Progress;

/// Marks the identifiers of jobs.
pub enum JobKind {}
impl Kind for JobKind {
    const PREFIX: &'static str = "job";
}
pub type JobId = Id<JobKind>;

/// Deferred work: a payload that is stored as JSON, and what to do with it. It runs at least once, so it must bear being
/// done twice.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Component and imperative, `identity.send_welcome`. It is stored: it stays what it is.
    const KIND: &'static str;
    const POLICY: Policy = Policy::new();
    /// What it needs to run, given to [`Registry::register`](crate::Registry::register).
    type Deps: Clone + Send + Sync + 'static;

    /// One attempt. It is dropped at an `.await` when it takes longer than its policy allows, and counts as failed when it
    /// panics. Whatever error it comes back with is tried again, unless the [`Failure`] says otherwise.
    fn run(self, run: Run, deps: Self::Deps) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// How jobs of one kind are treated. What is not said comes from `[jobs]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub(crate) max_attempts: Option<u32>,
    pub(crate) retry_base: Option<Duration>,
    pub(crate) retry_cap: Duration,
    pub(crate) time_limit: Duration,
    pub(crate) at_once: Option<u32>,
    pub(crate) priority: Priority,
    pub(crate) sealed: bool,
    pub(crate) useful_for: Option<Duration>,
    pub(crate) follows: bool,
}

impl Policy {
    /// A minute for each run, pauses of at most six hours, no limit of its own to how many run at once.
    pub const fn new() -> Self {
        Self {
            max_attempts: None,
            retry_base: None,
            retry_cap: Duration::from_secs(6 * 3_600),
            time_limit: Duration::from_secs(60),
            at_once: None,
            priority: Priority::Normal,
            sealed: false,
            useful_for: None,
            follows: false,
        }
    }

    /// After so many failed runs it is dead.
    #[must_use]
    pub const fn max_attempts(self, count: u32) -> Self {
        Self { max_attempts: Some(count), ..self }
    }

    /// The first pause, and the longest one; each is twice the one before, give or take a quarter.
    #[must_use]
    pub const fn retry(self, base: Duration, cap: Duration) -> Self {
        Self { retry_base: Some(base), retry_cap: cap, ..self }
    }

    /// A run that takes longer is dropped and has failed.
    #[must_use]
    pub const fn time_limit(self, limit: Duration) -> Self {
        Self { time_limit: limit, ..self }
    }

    /// So many run at the same time, over all replicas.
    #[must_use]
    pub const fn at_once(self, count: u32) -> Self {
        Self { at_once: Some(count), ..self }
    }

    #[must_use]
    pub const fn priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// The payload holds a secret: it is encrypted in the database and shown to nobody.
    #[must_use]
    pub const fn sealed(self) -> Self {
        Self { sealed: true, ..self }
    }

    /// It is not begun any more so long after it was enqueued.
    #[must_use]
    pub const fn useful_for(self, span: Duration) -> Self {
        Self { useful_for: Some(span), ..self }
    }

    /// It follows from something that somebody does, which would be refused without it: let in also when `jobs.max_queued` jobs wait, as
    /// long as there is reserve.
    #[must_use]
    pub const fn follows(self) -> Self {
        Self { follows: true, ..self }
    }
}

impl Policy {
    /// Kinds with a limit have a lane of their own.
    pub(crate) const fn lane(&self, kind: &'static str) -> &'static str {
        if self.at_once.is_some() { kind } else { "" }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

/// Among jobs that are due, who goes first. A constant stream of higher ones keeps lower ones waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody is waiting for it.
    High,
    #[default]
    Normal,
    /// Whenever there is nothing else to do.
    Low,
}

impl Priority {
    pub(crate) const fn stored(self) -> i64 {
        match self {
            Self::High => 10,
            Self::Normal => 50,
            Self::Low => 90,
        }
    }

    pub(crate) const fn name_of(stored: i64) -> &'static str {
        match stored {
            ..=10 => "high",
            11..=50 => "normal",
            51.. => "low",
        }
    }
}

/// What is special about one job. `Options::default()` is a job of its kind's policy, due at once.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Not before; at once when absent or past.
    pub run_at: Option<Timestamp>,
    pub priority: Option<Priority>,
    /// While a job of the same kind with this key waits or runs, another one is not enqueued: the earlier one is returned.
    pub unique_key: Option<String>,
    /// To find it by; letters, digits and `-.:/@`; what else there is becomes a hyphen.
    pub tags: Vec<String>,
    pub max_attempts: Option<u32>,
    /// It is not begun any more after that.
    pub expires_at: Option<Timestamp>,
}

/// One attempt of a job, as the job sees it.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: JobId,
    /// Counts from one.
    pub attempt: u32,
    pub max_attempts: u32,
    /// Baluarte itself acts.
    pub ctx: Ctx,
    pub(crate) canceled: CancellationToken,
    pub(crate) number: u64,
    pub(crate) reports: mpsc::Sender<Progress>,
}

impl Run {
    /// Nobody wants the result any more: somebody canceled the job, it was taken from this worker, or the worker cannot reach the
    /// database and others may soon do it again. Long runs look at it and return; ten seconds later they are dropped.
    pub fn canceled(&self) -> &CancellationToken {
        &self.canceled
    }

    /// Says how far it has come, `3 of 10 files`: shown to operators, written about once a second, at most 200 characters.
    pub fn progress(&self, text: impl fmt::Display) {
        let text = text.to_string().chars().filter(|c| !c.is_control()).take(200).collect();
        // Nobody listens after a stop; and who says more than is heard says it again soon.
        let _ = self.reports.try_send(Progress { run: self.number, job: self.id, text });
    }

    /// After this attempt there is no other.
    pub fn is_last_attempt(&self) -> bool {
        self.attempt >= self.max_attempts
    }
}

/// Why an attempt did not do it, and what is to happen now. Any error becomes one that is tried again.
///
/// The text is stored and shown to operators: no secrets in it.
#[derive(Debug)]
pub struct Failure {
    pub(crate) then: Then,
    pub(crate) why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    BackOff,
    RetryAfter(Duration),
    /// As `RetryAfter`, and the attempt does not count.
    Snooze(Duration),
    GiveUp,
}

impl Failure {
    /// Tried again after the usual pause. For errors that are no `std::error::Error`, such as those of `anyhow`.
    pub fn retry(why: impl fmt::Display) -> Self {
        Self { then: Then::BackOff, why: format!("{why:#}") }
    }

    /// Tried again after this pause, whatever the back-off says: the other side told us.
    pub fn retry_after(pause: Duration, why: impl fmt::Display) -> Self {
        Self { then: Then::RetryAfter(pause), why: format!("{why:#}") }
    }

    /// Not its turn yet: tried again after this pause, and not counted as an attempt.
    pub fn snooze(pause: Duration, why: impl fmt::Display) -> Self {
        Self { then: Then::Snooze(pause), why: format!("{why:#}") }
    }

    /// Trying again would not help: the job is dead.
    pub fn give_up(why: impl fmt::Display) -> Self {
        Self { then: Then::GiveUp, why: format!("{why:#}") }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(err: E) -> Self {
        let mut why = err.to_string();
        let mut source = err.source();
        while let Some(cause) = source {
            why.push_str(": ");
            why.push_str(&cause.to_string());
            source = cause.source();
        }
        Self { then: Then::BackOff, why }
    }
}
