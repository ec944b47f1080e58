//! Where calls wait for the recorder: each core has a buffer of its own, of bounded size.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use baluarte_kernel::Timestamp;
use baluarte_telemetry::metrics::Counter;
use tokio::sync::Notify;

use super::Call;

/// A buffer with so much in it is emptied before its time.
pub(super) const FULL: usize = 1 << 20;
/// An empty buffer keeps no more memory than this, or twice what it held last.
const SPARE: usize = 1 << 16;

/// One core's buffer of recorded calls.
pub struct Lane {
    core: usize,
    /// In bytes.
    limit: usize,
    waiting: Mutex<Waiting>,
    bells: Arc<Bells>,
    lost: Counter,
}

#[derive(Default)]
struct Waiting {
    frames: Vec<u8>,
    gap: Option<Gap>,
}

/// Calls that found the buffer full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) core: usize,
    pub(crate) count: u64,
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
}

/// How the recorder is woken.
#[derive(Default)]
pub(super) struct Bells {
    /// Rung, and not looked after yet.
    rung: AtomicBool,
    pub(super) some: Notify,
    pub(super) many: Notify,
}

impl Lane {
    pub(super) fn new(core: usize, limit: usize, bells: Arc<Bells>, lost: Counter) -> Self {
        Self { core, limit, waiting: Mutex::default(), bells, lost }
    }

    /// Keeps the call for the recorder; waits for nothing. A full buffer loses it, which is counted and becomes an entry.
    pub fn record(&self, call: &Call<'_>) {
        let mut waiting = self.waiting();
        if waiting.frames.len() >= self.limit {
            let gap = waiting.gap.get_or_insert(Gap { core: self.core, count: 0, first_at: call.at, last_at: call.at });
            gap.count += 1;
            gap.first_at = gap.first_at.min(call.at);
            gap.last_at = gap.last_at.max(call.at);
            drop(waiting);
            self.lost.add(1);
            return;
        }
        let frames = &mut waiting.frames;
        let before = frames.len();
        framed(frames, |frames| call.write_record(frames));
        framed(frames, |frames| call.write_private(frames));
        let after = frames.len();
        drop(waiting);
        if before == 0 && !self.bells.rung.swap(true, Ordering::AcqRel) {
            self.bells.some.notify_one();
        }
        if before < FULL && after >= FULL {
            self.bells.many.notify_one();
        }
    }

    /// Takes what waits, leaving `spare` as the next buffer.
    pub(super) fn take(&self, spare: &mut Vec<u8>) -> Option<Gap> {
        spare.clear();
        let mut waiting = self.waiting();
        mem::swap(&mut waiting.frames, spare);
        waiting.gap.take()
    }

    /// In bytes.
    pub(super) fn held(&self) -> usize {
        self.waiting().frames.len()
    }

    /// A poisoned lock only means that some thread panicked while it held plain bytes.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("core", &self.core).finish()
    }
}

impl Bells {
    /// What comes from now on rings again.
    pub(super) fn answer(&self) {
        self.rung.store(false, Ordering::Release);
    }
}

/// Buffers that are emptied in turn.
#[derive(Default)]
pub(super) struct Taken(Vec<u8>);

impl Taken {
    /// Appends a lane's frames to `all`.
    pub(super) fn from(&mut self, lane: &Lane, all: &mut Vec<u8>) -> Option<Gap> {
        let gap = lane.take(&mut self.0);
        all.extend_from_slice(&self.0);
        self.0.shrink_to(SPARE.max(2 * self.0.len()));
        gap
    }
}

/// Its length in two bytes, then what `write` appends.
fn framed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0, 0]);
    write(out);
    // The parts of a call are cut so that all of them together stay far below this.
    let length = u16::try_from(out.len() - at - 2).unwrap_or(0);
    out[at..at + 2].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::{super::call::tests::call, *};

    fn lane(limit: usize) -> (Lane, Counter) {
        let lost = Counter::default();
        (Lane::new(3, limit, Arc::default(), lost.clone()), lost)
    }

    #[test]
    fn a_full_buffer_counts_what_it_loses_and_since_when() {
        let (lane, lost) = lane(1);
        for at in [50, 70, 60, 90] {
            lane.record(&call(at, "/"));
        }
        let (mut all, mut taken) = (Vec::new(), Taken::default());
        let gap = taken.from(&lane, &mut all);
        let [first_at, last_at] = [60, 90].map(Timestamp::from_micros);
        assert_eq!(gap, Some(Gap { core: 3, count: 3, first_at, last_at }));
        assert_eq!(lost.get(), 3);
        lane.record(&call(95, "/"));
        let before = all.len();
        assert_eq!(taken.from(&lane, &mut all), None);
        assert_eq!(all.len(), 2 * before, "one call before the gap and one after it");
    }

    #[test]
    fn the_first_call_rings_once_and_a_large_pile_rings_again() {
        let (lane, _) = lane(2 * FULL);
        let is_rung = |bell: &Notify| std::pin::pin!(bell.notified()).enable();
        lane.record(&call(1, "/"));
        assert!(is_rung(&lane.bells.some) && !is_rung(&lane.bells.many));
        lane.record(&call(2, "/"));
        assert!(!is_rung(&lane.bells.some));
        while lane.held() < FULL {
            lane.record(&call(3, "/"));
        }
        assert!(is_rung(&lane.bells.many));
    }
}
