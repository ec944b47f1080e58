//! A provider that fails is left alone for a while, so that the next one is asked without waiting for it first.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use baluarte_kernel::{Clock, Timestamp};

use super::{Accepted, Refused};
use crate::report::Report;

/// So many failures in a row open it.
const FAILURES: u32 = 5;
/// So long nobody asks; then one message tries. Doubles with each such try that fails.
const FIRST_REST: Duration = Duration::from_secs(15);
const LONGEST_REST: Duration = Duration::from_secs(300);

/// Each process judges for itself.
pub(crate) struct Breaker {
    provider: String,
    clock: Clock,
    report: Arc<Report>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    /// Nobody asks before.
    rests_until: Option<Timestamp>,
    rest: Duration,
    /// Failing was logged, recovering was not yet.
    open: bool,
}

impl Breaker {
    pub(crate) fn new(provider: &str, clock: Clock, report: Arc<Report>) -> Self {
        Self { provider: provider.to_owned(), clock, report, state: Mutex::default() }
    }

    /// `None`: ask it. Otherwise the time until it may be asked again. Of those who ask when its rest is over, one may.
    pub(crate) fn rests_for(&self) -> Option<Duration> {
        let now = self.clock.now();
        let mut state = self.lock();
        let until = state.rests_until?;
        if until > now {
            return Some(until.since(now));
        }
        // This one tries; the others wait for what it finds out, or as long as an answer may take.
        state.rests_until = Some(now.plus(super::PATIENCE));
        None
    }

    pub(crate) fn is_open(&self) -> bool {
        self.lock().open
    }

    pub(crate) fn note(&self, result: &Result<Accepted, Refused>) {
        let now = self.clock.now();
        let mut state = self.lock();
        self.report.attempt(&self.provider, result);
        match result {
            // It answered, and with sense: nothing is wrong with the provider.
            Ok(_) | Err(Refused::Message(_) | Refused::Address(..)) => {
                if state.open {
                    tracing::info!(target: "notify", provider = self.provider, "the provider takes messages again");
                }
                *state = State::default();
                self.report.provider_open(&self.provider, false);
            }
            // A limit is obeyed at once, and is no failure.
            Err(Refused::Provider { pause: Some(pause), .. }) => {
                state.rests_until = Some(now.plus(*pause));
            }
            Err(Refused::Provider { why, .. } | Refused::Unknown(why)) => {
                state.failures = state.failures.saturating_add(1);
                if state.failures < FAILURES {
                    // Whoever tried after a rest has failed: the rest goes on, longer.
                    if !state.open {
                        return;
                    }
                }
                state.rest = if state.open { (state.rest * 2).min(LONGEST_REST) } else { FIRST_REST };
                state.rests_until = Some(now.plus(state.rest));
                if !std::mem::replace(&mut state.open, true) {
                    tracing::error!(target: "notify", provider = self.provider, error = why, "the provider fails and is left alone for a while");
                }
                self.report.provider_open(&self.provider, true);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in here leaves a state that the next answer corrects.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> (Breaker, Clock) {
        let clock = Clock::fixed(Timestamp::from_unix_seconds(1_000));
        (Breaker::new("test", clock.clone(), Arc::default()), clock)
    }

    fn failed() -> Result<Accepted, Refused> {
        Err(Refused::provider("away"))
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_not_by_refusals_of_messages() {
        let (breaker, _) = breaker();
        for _ in 0..FAILURES - 1 {
            breaker.note(&failed());
            breaker.note(&Err(Refused::Message("bad".into())));
        }
        assert!(breaker.rests_for().is_none() && !breaker.is_open());
        for _ in 0..FAILURES {
            breaker.note(&failed());
        }
        assert_eq!((breaker.rests_for(), breaker.is_open()), (Some(FIRST_REST), true));
    }

    #[test]
    fn after_its_rest_one_tries_and_the_rest_doubles_until_one_succeeds() {
        let (breaker, clock) = breaker();
        for _ in 0..FAILURES {
            breaker.note(&failed());
        }
        clock.advance(FIRST_REST);
        assert!(breaker.rests_for().is_none(), "one tries");
        assert!(breaker.rests_for().is_some(), "and the others wait");
        breaker.note(&failed());
        assert_eq!(breaker.rests_for(), Some(FIRST_REST * 2));
        clock.advance(FIRST_REST * 2);
        assert!(breaker.rests_for().is_none());
        breaker.note(&Ok(Accepted::default()));
        assert!(breaker.rests_for().is_none() && !breaker.is_open());
    }

    #[test]
    fn a_limit_is_obeyed_at_once() {
        let (breaker, clock) = breaker();
        breaker.note(&Err(Refused::Provider { why: "429".into(), pause: Some(Duration::from_secs(7)) }));
        assert_eq!((breaker.rests_for(), breaker.is_open()), (Some(Duration::from_secs(7)), false));
        clock.advance(Duration::from_secs(7));
        assert!(breaker.rests_for().is_none());
    }
}
