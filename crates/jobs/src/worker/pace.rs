//! How many jobs a worker holds.

use std::time::{Duration, Instant};

/// More than this is never taken ahead. A thousand jobs make one commit cheap; SQLite's one writer is kept about 15 ms by it.
const AHEAD: usize = 1_000;
/// What is taken ahead is meant to begin within this.
const SOON: Duration = Duration::from_millis(25);
/// What has not begun by then goes back: somebody else may be free, and more urgent work may have come.
const TOO_LONG: Duration = Duration::from_millis(500);

/// As many jobs as may run at the same time, and more when they are through faster than a commit takes: then the next ones are
/// taken ahead, twice as many each time that none of the last ones had to wait.
pub(super) struct Pace {
    concurrency: usize,
    ahead: usize,
    /// When what was taken last began, and whether it was as much as might be taken.
    last: Option<(Instant, bool)>,
}

impl Pace {
    pub(super) fn new(concurrency: usize) -> Self {
        Self { concurrency, ahead: 0, last: None }
    }

    pub(super) fn hold_at_most(&self) -> usize {
        self.concurrency + self.ahead
    }

    /// `waiting`: some of what was taken has not yet begun.
    pub(super) fn before_turn(&mut self, waiting: bool) {
        let Some((at, full)) = self.last else { return };
        let soon = at.elapsed() <= SOON;
        if full && soon && !waiting {
            self.ahead = (self.ahead * 2).max(self.concurrency).min(AHEAD);
        } else if waiting && !soon {
            self.ahead /= 2;
        }
    }

    /// `full`: there may be more.
    pub(super) fn took(&mut self, full: bool) {
        self.last = Some((Instant::now(), full));
    }

    /// Nothing is taken ahead until it has proved again that it would begin soon.
    pub(super) fn slow_down(&mut self) {
        self.ahead = 0;
    }

    /// `waited`: the first of those that have not begun.
    pub(super) fn is_too_much(&self, waited: Option<Duration>) -> bool {
        waited.is_some_and(|waited| waited > TOO_LONG)
    }

    pub(super) fn returns_at(&self, now: Instant, waited: Option<Duration>) -> Option<Instant> {
        waited.map(|waited| now + TOO_LONG.saturating_sub(waited) + Duration::from_millis(1))
    }
}
