//! One run of one job, from its payload to how it ended.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use baluarte_kernel::{Clock, Ctx, Timestamp};
use baluarte_secrets::Secrets;
use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    config::JobsConfig,
    job::{Failure, JobId, Policy, Run, Then},
    registry::{Handler, Registry},
    store::claim::{Claimed, Ended, Ending},
};

/// An error is shortened to this before it is stored.
const ERROR_CHARS: usize = 2_000;
/// A run that was canceled and goes on is dropped after this.
const CANCEL_PATIENCE: Duration = Duration::from_secs(10);

/// How far a run says that it has come.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The number of the run.
    pub(crate) run: u64,
    pub(crate) job: JobId,
    pub(crate) text: String,
}

/// What every run needs.
pub(crate) struct Runner {
    pub(crate) registry: Registry,
    pub(crate) config: JobsConfig,
    pub(crate) secrets: Secrets,
    pub(crate) clock: Clock,
}

impl Runner {
    /// Never panics and always ends, at the latest when the time limit of the kind is over.
    pub(crate) async fn run(
        self: Arc<Self>,
        job: Claimed,
        number: u64,
        canceled: CancellationToken,
        reports: mpsc::Sender<Progress>,
    ) -> Ended {
        let ctx = Ctx::system(self.clock.clone());
        let run = Run { id: job.id, attempt: job.attempt, max_attempts: job.max_attempts, ctx, canceled, number, reports };
        let ending = self.ending(&job, run).await;
        Ended { id: job.id, attempt: job.attempt, ending, schedule: job.schedule }
    }

    async fn ending(&self, job: &Claimed, run: Run) -> Ending {
        let now = self.clock.now();
        if run.canceled.is_cancelled() {
            return Ending::Canceled { error: "it was canceled before it was its turn".to_owned() };
        }
        if job.expires_at.is_some_and(|at| at <= now) {
            return Ending::Canceled { error: "its useful life was over before it was its turn".to_owned() };
        }
        let Some(handler) = self.registry.handlers.get(job.kind.as_str()) else {
            return self.failed(job, None, Failure::retry("nobody here does this kind of job"), now);
        };
        let opened;
        let payload = if job.sealed {
            match self.secrets.open(&crate::seal_context(&job.kind), &job.payload).ok().and_then(|plain| String::from_utf8(plain).ok()) {
                Some(plain) => {
                    opened = plain;
                    &opened
                }
                None => return Ending::Dead { error: "sealed with another SECRET_KEY".to_owned() },
            }
        } else {
            &job.payload
        };
        let (limit, canceled) = (handler.policy.time_limit, run.canceled.clone());
        let work = AssertUnwindSafe(async { (handler.run)(payload, run).await }).catch_unwind();
        let patience = async {
            canceled.cancelled().await;
            tokio::time::sleep(CANCEL_PATIENCE).await;
        };
        let failure = tokio::select! {
            biased;
            ended = work => match ended {
                Ok(Ok(())) => return Ending::Done,
                Ok(Err(failure)) => failure,
                Err(panic) => Failure::retry(format!("it panicked: {}", panic_text(panic.as_ref()))),
            },
            () = tokio::time::sleep(limit) => Failure::retry(format!("it took longer than {limit:?}")),
            () = patience => Failure::retry("it was canceled and did not stop by itself"),
        };
        self.failed(job, Some(handler), failure, self.clock.now())
    }

    fn failed(&self, job: &Claimed, handler: Option<&Handler>, failure: Failure, now: Timestamp) -> Ending {
        // PostgreSQL stores no NUL.
        let error: String = failure.why.chars().map(|c| if c == '\0' { ' ' } else { c }).take(ERROR_CHARS).collect();
        let last = job.attempt >= job.max_attempts;
        match failure.then {
            Then::GiveUp => Ending::Dead { error },
            Then::Snooze(pause) => Ending::Retry { at: now.plus(pause), counts: false, error },
            Then::BackOff | Then::RetryAfter(_) if last => Ending::Dead { error },
            Then::RetryAfter(pause) => Ending::Retry { at: now.plus(pause), counts: true, error },
            Then::BackOff => {
                let at = now.plus(back_off(handler.map(|it| it.policy), &self.config, job.attempt));
                Ending::Retry { at, counts: true, error }
            }
        }
    }
}

/// One line for what did not just go well.
pub(crate) fn tell(kind: &str, ended: &Ended) {
    let (id, attempt) = (ended.id, ended.attempt);
    match &ended.ending {
        Ending::Done => tracing::debug!(target: "jobs", %id, kind, attempt, "a job is done"),
        Ending::Retry { at, error, counts: true } => {
            tracing::warn!(target: "jobs", %id, kind, attempt, error, next = %at, "a job failed and is tried again")
        }
        Ending::Retry { at, error, counts: false } => {
            tracing::debug!(target: "jobs", %id, kind, attempt, error, next = %at, "a job waits for its turn")
        }
        Ending::Dead { error } => tracing::error!(target: "jobs", %id, kind, attempt, error, "a job failed and is given up"),
        Ending::Canceled { error } => tracing::warn!(target: "jobs", %id, kind, attempt, error, "a job is canceled"),
    }
}

/// The pause after the `attempt`-th run has failed. `policy`: of the kind, where it is known.
pub(crate) fn back_off(policy: Option<Policy>, config: &JobsConfig, attempt: u32) -> Duration {
    let policy = policy.unwrap_or_default();
    let base = policy.retry_base.unwrap_or(config.retry_base.get());
    pause(base, policy.retry_cap, attempt, rand::random_range(0.75..1.25))
}

/// Doubles with each attempt; `jitter` keeps jobs that failed together from coming back together.
fn pause(base: Duration, cap: Duration, attempt: u32, jitter: f64) -> Duration {
    base.saturating_mul(1 << attempt.saturating_sub(1).min(30)).min(cap).mul_f64(jitter)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap() {
        let (base, cap) = (Duration::from_secs(5), Duration::from_secs(3_600));
        let pauses: Vec<_> = [1, 2, 3, 10, 11, u32::MAX].into_iter().map(|attempt| pause(base, cap, attempt, 1.0).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 2_560, 3_600, 3_600]);
    }
}
