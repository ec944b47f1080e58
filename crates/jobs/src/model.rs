//! What operators see.

use baluarte_kernel::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::job::JobId;

/// Where a job is. `retrying` is a job that waits for its next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Due later.
    Scheduled,
    /// Failed, and due again later.
    Retrying,
    Ready,
    Running,
    Done,
    /// Given up.
    Dead,
    Canceled,
}

impl State {
    pub const ALL: [Self; 7] = [Self::Scheduled, Self::Retrying, Self::Ready, Self::Running, Self::Done, Self::Dead, Self::Canceled];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Retrying => "retrying",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Canceled => "canceled",
        }
    }

    pub(crate) fn of(stored: &str, attempts: u32) -> Option<Self> {
        match (stored, attempts) {
            ("scheduled", 0) => Some(Self::Scheduled),
            ("scheduled", _) => Some(Self::Retrying),
            (other, _) => Self::ALL.into_iter().find(|state| state.name() == other),
        }
    }
}

impl std::str::FromStr for State {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|state| state.name() == text);
        found.ok_or_else(|| format!("is one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// Which jobs.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub state: Option<State>,
    pub kind: Option<String>,
    pub tag: Option<String>,
}

/// A job, without its payload.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobView {
    #[schema(value_type = String, example = "job_0192f0c1d2e37000a1b2c3d4e5f60718")]
    pub id: JobId,
    #[schema(example = "notify.send")]
    pub kind: String,
    pub state: State,
    /// `high`, `normal` or `low`.
    pub priority: &'static str,
    /// Runs that were begun.
    pub attempts: u32,
    pub max_attempts: u32,
    pub tags: Vec<String>,
    #[schema(required)]
    pub unique_key: Option<String>,
    /// When it is or was due.
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Timestamp,
    /// It is not begun any more after that.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub expires_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub finished_at: Option<Timestamp>,
    /// Who runs it, or ran it last.
    #[schema(required)]
    pub worker: Option<String>,
    /// It runs, and was asked to stop.
    pub cancel_requested: bool,
    /// What it says of itself while it runs.
    #[schema(required)]
    pub progress: Option<String>,
    /// Why the latest attempt failed.
    #[schema(required)]
    pub error: Option<String>,
    /// The request that caused it.
    #[schema(required)]
    pub request_id: Option<String>,
}

/// A job with everything that is known of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobDetail {
    #[serde(flatten)]
    pub job: JobView,
    /// The payload is encrypted and shown to nobody.
    pub sealed: bool,
    /// The payload, with `[redacted]` in place of what looks like a secret; null when it is sealed.
    #[schema(value_type = Object, required)]
    pub payload: Value,
    /// Why attempts failed, the latest first.
    pub errors: Vec<AttemptError>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AttemptError {
    pub attempt: u32,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub error: String,
}

/// How many jobs of one kind are in one state.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CountView {
    pub kind: String,
    #[schema(example = "ready")]
    pub state: String,
    pub jobs: u32,
    /// How long ago the first of them was due, began or ended, in seconds; zero for what is due later.
    pub oldest_seconds: u64,
}

/// A process that does jobs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WorkerView {
    pub id: String,
    /// Host and process.
    #[schema(example = "web-1:4711")]
    pub name: String,
    pub version: String,
    /// `alive`, `stopping`, or `lost`: it fell silent, and others do its jobs.
    pub state: &'static str,
    /// Jobs at the same time, at most.
    pub concurrency: u32,
    pub running: u32,
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub lost_at: Option<Timestamp>,
}

/// A timetable, and how far it has come.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ScheduleView {
    #[schema(example = "audit.prune")]
    pub name: String,
    /// Of its jobs.
    pub kind: String,
    #[schema(example = "0 3 * * *")]
    pub cron: String,
    #[schema(example = "UTC")]
    pub time_zone: String,
    #[schema(value_type = String, format = DateTime)]
    pub next_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub last_at: Option<Timestamp>,
    #[schema(required)]
    pub last_job: Option<String>,
    /// `waiting`, `retrying`, `done`, `dead`, `canceled`; `overlapped` when the run before was still going on, `skipped` when
    /// it was missed.
    #[schema(required)]
    pub last_outcome: Option<String>,
    /// Runs that did not happen in their time.
    pub missed: u32,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub missed_at: Option<Timestamp>,
}
