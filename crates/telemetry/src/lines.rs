//! Lines on their way out: every producer appends to a buffer of its own, one thread writes the buffers.
//!
//! A producer never waits for the disk or the terminal. A buffer that is full loses lines, and says how many.

use std::{
    io::Write,
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::metrics::{Counter, Metrics};

/// The most that one buffer holds before lines are dropped, in bytes.
const LANE_LIMIT: usize = 1 << 20;
/// The most that an empty buffer keeps, in bytes.
const KEPT: usize = 1 << 18;
/// How long lines are gathered before they are written together.
const GATHER: Duration = Duration::from_millis(20);
const FLUSH_WAIT: Duration = Duration::from_secs(2);

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Json,
    Text,
}

/// All buffers of the process and the thread that empties them.
pub(crate) struct Lines {
    shared: Arc<Shared>,
    dropped: Counter,
}

struct Shared {
    lanes: Mutex<Vec<Arc<Lane>>>,
    /// Set when a buffer stopped being empty; cleared by the writer before it looks at them.
    waiting: AtomicBool,
    wake: Mutex<Rounds>,
    bell: Condvar,
}

/// Counts the writer's rounds, so that `flush` knows when one has begun and ended after its call.
#[derive(Default)]
struct Rounds {
    started: u64,
    finished: u64,
    flush: bool,
    closed: bool,
}

/// One producer's buffer.
pub(crate) struct Lane {
    buffer: Mutex<Vec<u8>>,
    dropped: Counter,
    shared: Arc<Shared>,
}

impl Lines {
    pub(crate) fn start(out: Box<dyn Write + Send>, metrics: &Metrics) -> Self {
        let dropped =
            metrics.counter("baluarte_access_log_dropped_total", "Log lines lost because the log's reader was slower than the log.", &[]);
        let shared =
            Arc::new(Shared { lanes: Mutex::default(), waiting: AtomicBool::new(false), wake: Mutex::default(), bell: Condvar::new() });
        let writer = Arc::clone(&shared);
        let spawned = thread::Builder::new().name("log-writer".to_owned()).spawn(move || writer.run(out));
        if spawned.is_err() {
            // Without the thread nothing drains; say so by closing, which makes every line count as dropped.
            lock(&shared.wake).closed = true;
        }
        Self { shared, dropped }
    }

    pub(crate) fn lane(&self) -> Arc<Lane> {
        let lane = Arc::new(Lane { buffer: Mutex::default(), dropped: self.dropped.clone(), shared: Arc::clone(&self.shared) });
        lock(&self.shared.lanes).push(Arc::clone(&lane));
        lane
    }

    pub(crate) fn flush(&self) {
        let mut rounds = lock(&self.shared.wake);
        let target = rounds.started + 1;
        rounds.flush = true;
        self.shared.bell.notify_all();
        let done = self.shared.bell.wait_timeout_while(rounds, FLUSH_WAIT, |rounds| rounds.finished < target && !rounds.closed);
        drop(done);
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        lock(&self.shared.wake).closed = true;
        self.shared.bell.notify_all();
    }
}

impl Lane {
    /// Lets `write` append one line (its newline included) to the buffer.
    pub(crate) fn append(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut buffer = lock(&self.buffer);
        if buffer.len() >= LANE_LIMIT {
            drop(buffer);
            self.dropped.add(1);
            return;
        }
        let was_empty = buffer.is_empty();
        write(&mut buffer);
        drop(buffer);
        // Only the line that ends an empty spell rings: the writer takes along whatever else came until it looks.
        if was_empty && !self.shared.waiting.swap(true, Ordering::AcqRel) {
            drop(lock(&self.shared.wake));
            self.shared.bell.notify_all();
        }
    }
}

impl Shared {
    fn run(&self, mut out: Box<dyn Write + Send>) {
        let mut spare = Vec::new();
        loop {
            let closed = self.sleep();
            for lane in lock(&self.lanes).iter() {
                mem::swap(&mut *lock(&lane.buffer), &mut spare);
                // Nobody to tell when the log itself cannot be written.
                let _ = out.write_all(&spare);
                spare.clear();
                // A burst must not keep its memory for ever; what a busy core writes each time need not be asked for each time.
                spare.shrink_to(KEPT);
            }
            let _ = out.flush();
            let mut rounds = lock(&self.wake);
            rounds.finished = rounds.started;
            drop(rounds);
            self.bell.notify_all();
            if closed {
                return;
            }
        }
    }

    /// Until there is something to write and it has been gathered for a moment; true when the process is done.
    fn sleep(&self) -> bool {
        let idle = |rounds: &mut Rounds| !self.waiting.load(Ordering::Acquire) && !rounds.flush && !rounds.closed;
        let rounds = self.bell.wait_while(lock(&self.wake), idle).unwrap_or_else(PoisonError::into_inner);
        let (mut rounds, _) =
            self.bell.wait_timeout_while(rounds, GATHER, |rounds| !rounds.flush && !rounds.closed).unwrap_or_else(PoisonError::into_inner);
        self.waiting.store(false, Ordering::Release);
        rounds.flush = false;
        rounds.started += 1;
        rounds.closed
    }
}

/// A poisoned lock only means that some thread panicked while it held plain bytes: they are still bytes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
