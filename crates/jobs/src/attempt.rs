//! One run of one job, from its payload to how it ended.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use baluarte_kernel::{Clock, Ctx, Timestamp};
use baluarte_secrets::Secrets;
use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;

use crate::{
    config::JobsConfig,
    job::{Failure, Run, Then},
    registry::{Handler, Registry},
    store::queue::{Claimed, Ended, Ending},
};

/// An error is shortened to this before it is stored.
const ERROR_CHARS: usize = 2_000;

/// What every run needs.
pub(crate) struct Runner {
    pub(crate) registry: Registry,
    pub(crate) config: JobsConfig,
    pub(crate) secrets: Secrets,
    pub(crate) clock: Clock,
}

impl Runner {
    /// Never panics and always ends, at the latest when the time limit of the kind is over.
    pub(crate) async fn run(self: Arc<Self>, job: Claimed, canceled: CancellationToken) -> Ended {
        let ending = self.ending(&job, canceled).await;
        Ended { id: job.id, attempt: job.attempt, ending }
    }

    async fn ending(&self, job: &Claimed, canceled: CancellationToken) -> Ending {
        let now = self.clock.now();
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
        let ctx = Ctx::system(self.clock.clone());
        let run = Run { id: job.id, attempt: job.attempt, max_attempts: job.max_attempts, ctx, canceled };
        let limit = handler.policy.time_limit;
        let work = AssertUnwindSafe(async { (handler.run)(payload, run).await }).catch_unwind();
        let failure = match tokio::time::timeout(limit, work).await {
            Ok(Ok(Ok(()))) => return Ending::Done,
            Ok(Ok(Err(failure))) => failure,
            Ok(Err(panic)) => Failure::retry(format!("it panicked: {}", panic_text(panic.as_ref()))),
            Err(_) => Failure::retry(format!("it took longer than {limit:?}")),
        };
        self.failed(job, Some(handler), failure, self.clock.now())
    }

    fn failed(&self, job: &Claimed, handler: Option<&Handler>, failure: Failure, now: Timestamp) -> Ending {
        let error: String = failure.why.chars().take(ERROR_CHARS).collect();
        let last = job.attempt >= job.max_attempts;
        match failure.then {
            Then::GiveUp => Ending::Dead { error },
            Then::Snooze(pause) => Ending::Retry { at: now.plus(pause), counts: false, error },
            Then::BackOff | Then::RetryAfter(_) if last => Ending::Dead { error },
            Then::RetryAfter(pause) => Ending::Retry { at: now.plus(pause), counts: true, error },
            Then::BackOff => {
                let policy = handler.map(|it| it.policy).unwrap_or_default();
                let base = policy.retry_base.unwrap_or(self.config.retry_base.get());
                let at = now.plus(pause(base, policy.retry_cap, job.attempt, rand::random_range(0.75..1.25)));
                Ending::Retry { at, counts: true, error }
            }
        }
    }
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
