//! How many requests may be under way to one upstream, over all cores, and how many may wait for a place.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::sync::Notify;

#[derive(Debug)]
pub(crate) struct Gate {
    max: usize,
    max_waiting: usize,
    inside: AtomicUsize,
    waiting: AtomicUsize,
    left: Notify,
}

impl Gate {
    pub(crate) fn new(max: usize, max_waiting: usize) -> Self {
        Self { max, max_waiting, inside: AtomicUsize::new(0), waiting: AtomicUsize::new(0), left: Notify::new() }
    }

    pub(crate) fn inside(&self) -> usize {
        self.inside.load(Ordering::Relaxed)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A place, to be given back with [`leave`](Self::leave). False: all places and all waiting places are taken, or none became
    /// free in time.
    pub(crate) async fn enter(&self, patience: Duration) -> bool {
        self.try_enter() || Box::pin(tokio::time::timeout(patience, self.wait())).await.unwrap_or(false)
    }

    fn try_enter(&self) -> bool {
        self.inside.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |inside| (inside < self.max).then_some(inside + 1)).is_ok()
    }

    pub(crate) fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::SeqCst);
        // Whoever counts themselves as waiting looks at `inside` again before sleeping, so nobody sleeps through this.
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.left.notify_one();
        }
    }

    async fn wait(&self) -> bool {
        if self.waiting.fetch_add(1, Ordering::SeqCst) >= self.max_waiting {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            return false;
        }
        let _waiter = Waiter(self);
        loop {
            let left = self.left.notified();
            if self.try_enter() {
                return true;
            }
            left.await;
        }
    }
}

struct Waiter<'a>(&'a Gate);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        // This one may have taken the only wake-up and gone away instead of entering: pass it on.
        if self.0.waiting.load(Ordering::SeqCst) > 0 && self.0.inside() < self.0.max {
            self.0.left.notify_one();
        }
    }
}
