//! So that one dead or slow receiver does not keep the workers busy: for each place that is called, how many calls at a
//! time, and a breaker that opens when it fails again and again.
//!
//! All in memory and for this process alone: a hint about what is worth trying, never the truth about a job.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use baluarte_kernel::Timestamp;

/// Failures in a row after which a place is left alone.
const FAILURES: u32 = 5;
const FIRST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(120);
/// Those who find every place taken are sent away for at most so long.
const LONGEST_QUEUE: Duration = Duration::from_secs(300);
/// More places than that are not told apart by their failures: the idle ones are forgotten.
const MOST: usize = 4_096;

/// Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Targets(Arc<Mutex<HashMap<String, Place>>>);

struct Place {
    running: usize,
    failures: u32,
    /// Since the breaker opened: no call before that moment, then one at a time until one succeeds.
    rest_until: Option<Timestamp>,
    rest: Duration,
    /// How long a call takes here.
    usual: Duration,
    /// When those who were sent away have had their turn.
    queued_until: Timestamp,
}

impl Default for Place {
    fn default() -> Self {
        let (rest, usual) = (FIRST_REST, Duration::from_millis(200));
        Self { running: 0, failures: 0, rest_until: None, rest, usual, queued_until: Timestamp::default() }
    }
}

/// The right to make one call; given back when dropped.
pub(super) struct Turn {
    targets: Targets,
    origin: String,
    began: Timestamp,
}

/// Why there is no turn, and when to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// As many calls as are allowed are under way.
    Full(Duration),
    /// It has failed too often.
    Resting(Duration),
}

impl Targets {
    /// A turn at this place, of `concurrency`; or when to ask again: those who wait are spread over the time it will take.
    pub(super) fn enter(&self, origin: &str, concurrency: usize, now: Timestamp) -> Result<Turn, Wait> {
        let mut places = self.lock();
        if places.len() >= MOST && !places.contains_key(origin) {
            places.retain(|_, place| place.running > 0 || place.rest_until.is_some_and(|until| until > now));
        }
        let place = places.entry(origin.to_owned()).or_default();
        let concurrency = match place.rest_until {
            Some(until) if now < until => return Err(Wait::Resting(place.queue_behind(until, 1, now))),
            // One to see whether it is back.
            Some(_) => 1,
            None => concurrency.max(1),
        };
        if place.running >= concurrency {
            return Err(Wait::Full(place.queue_behind(now, concurrency, now)));
        }
        place.running += 1;
        Ok(Turn { targets: self.clone(), origin: origin.to_owned(), began: now })
    }

    /// How many places are left alone for now.
    pub(super) fn resting(&self) -> usize {
        self.lock().values().filter(|place| place.rest_until.is_some()).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Each who waits comes a little later than the one before, as fast as the place takes them.
    fn queue_behind(&mut self, first: Timestamp, concurrency: usize, now: Timestamp) -> Duration {
        let share = self.usual / u32::try_from(concurrency).unwrap_or(1).max(1);
        let at = self.queued_until.max(first).plus(share.max(Duration::from_millis(5)));
        // The line is as long as it gets; the next one joins somewhere before its end.
        self.queued_until = if at.since(now) > LONGEST_QUEUE { first } else { at };
        at.since(now).clamp(Duration::from_millis(50), LONGEST_QUEUE)
    }
}

impl Turn {
    /// The place answered and is well, whatever it said about this one request.
    pub(super) fn worked(self, now: Timestamp) {
        self.end(now, |place| {
            place.failures = 0;
            place.rest_until = None;
            place.rest = FIRST_REST;
        });
    }

    /// No answer, or one that says that the place itself is in trouble; returns whether it is left alone from now on.
    pub(super) fn failed(self, now: Timestamp) -> bool {
        let mut opened = false;
        self.end(now, |place| {
            place.failures = place.failures.saturating_add(1);
            if place.failures >= FAILURES {
                opened = place.rest_until.is_none();
                place.rest_until = Some(now.plus(place.rest));
                place.rest = (place.rest * 2).min(LONGEST_REST);
            }
        });
        opened
    }

    fn end(&self, now: Timestamp, change: impl FnOnce(&mut Place)) {
        let took = now.since(self.began);
        if let Some(place) = self.targets.lock().get_mut(&self.origin) {
            place.usual = (place.usual * 7 + took) / 8;
            change(place);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(place) = self.targets.lock().get_mut(&self.origin) {
            place.running = place.running.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_unix_seconds(1_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_full_place_sends_the_others_away_one_behind_the_other() {
        let targets = Targets::default();
        let turns: Vec<_> = (0..2).map(|_| targets.enter("http://a", 2, AT).ok().unwrap()).collect();
        let waits: Vec<_> = (0..100).filter_map(|_| targets.enter("http://a", 2, AT).err()).collect();
        let Some((Wait::Full(first), Wait::Full(last))) = waits.first().copied().zip(waits.last().copied()) else { panic!("{waits:?}") };
        assert!(first < SECOND && last > SECOND * 5 && last <= LONGEST_QUEUE, "{first:?} {last:?}");
        // Another place has its own.
        assert!(targets.enter("http://b", 2, AT).is_ok());
        drop(turns);
        assert!(targets.enter("http://a", 2, AT).is_ok());
    }

    #[test]
    fn a_place_that_fails_again_and_again_is_left_alone_and_then_tried_by_one() {
        let targets = Targets::default();
        for n in 1..=FAILURES {
            let opened = targets.enter("http://a", 9, AT).ok().unwrap().failed(AT);
            assert_eq!(opened, n == FAILURES);
        }
        assert!(matches!(targets.enter("http://a", 9, AT), Err(Wait::Resting(wait)) if wait >= FIRST_REST));
        assert_eq!(targets.resting(), 1);
        let later = AT.plus(FIRST_REST);
        let probe = targets.enter("http://a", 9, later).ok().unwrap();
        assert!(matches!(targets.enter("http://a", 9, later), Err(Wait::Full(_))));
        // Still dead: twice as long.
        assert!(!probe.failed(later));
        assert!(matches!(targets.enter("http://a", 9, later.plus(FIRST_REST)), Err(Wait::Resting(_))));
        let back = later.plus(FIRST_REST * 2);
        targets.enter("http://a", 9, back).ok().unwrap().worked(back);
        assert_eq!((targets.resting(), (0..9).map(|_| targets.enter("http://a", 9, back)).filter(Result::is_ok).count()), (0, 9));
    }

    #[test]
    fn a_turn_that_is_given_up_is_given_back_and_says_nothing_about_the_place() {
        let targets = Targets::default();
        for _ in 0..FAILURES * 2 {
            drop(targets.enter("http://a", 1, AT).ok().unwrap());
        }
        assert_eq!(targets.resting(), 0);
        assert!(targets.enter("http://a", 1, AT).is_ok());
    }

    #[test]
    fn places_are_forgotten_when_there_are_too_many() {
        let targets = Targets::default();
        for n in 0..MOST * 2 {
            drop(targets.enter(&format!("http://{n}"), 1, AT));
        }
        assert!(targets.lock().len() <= MOST);
    }
}
