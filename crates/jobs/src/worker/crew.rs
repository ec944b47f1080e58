//! Runs what was taken.
//!
//! Most runs are short, and a task for each costs more than they do. So a few tasks go through what waits and begin one run after
//! the other; a run that does not end at its first step gets a task of its own and holds nobody up.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    attempt::{Progress, Runner},
    job::JobId,
    store::claim::{Claimed, Ended},
};

/// Runs that one task begins without letting others of the runtime have a turn.
const STRETCH: u32 = 32;

/// A run that is to begin.
pub(super) struct Start {
    pub(super) run: u64,
    pub(super) job: Claimed,
    pub(super) canceled: CancellationToken,
}

pub(super) struct Crew(Arc<Shared>);

struct Shared {
    runner: Arc<Runner>,
    progress: mpsc::Sender<Progress>,
    /// Runs at the same time, at most.
    concurrency: usize,
    /// Tasks that begin runs at the same time, at most.
    hands: usize,
    desk: Mutex<Desk>,
    /// Something ended, the first since somebody asked.
    ended: Notify,
    /// Nothing more begins by itself.
    settled: Notify,
}

#[derive(Default)]
struct Desk {
    waiting: VecDeque<(Instant, Start)>,
    /// Begun and not ended.
    running: usize,
    /// Tasks that begin runs.
    hands: usize,
    ended: Vec<(u64, Ended)>,
}

impl Crew {
    pub(super) fn new(runner: Arc<Runner>, concurrency: usize, progress: mpsc::Sender<Progress>) -> Self {
        let hands = tokio::runtime::Handle::current().metrics().num_workers().min(concurrency);
        Self(Arc::new(Shared {
            runner,
            progress,
            concurrency,
            hands,
            desk: Mutex::default(),
            ended: Notify::new(),
            settled: Notify::new(),
        }))
    }

    pub(super) fn begin(&self, starts: impl IntoIterator<Item = Start>) {
        let now = Instant::now();
        let mut desk = self.0.desk();
        desk.waiting.extend(starts.into_iter().map(|start| (now, start)));
        for _ in desk.hands..self.0.hands.min(desk.waiting.len()) {
            desk.hands += 1;
            tokio::spawn(Arc::clone(&self.0).go_through());
        }
    }

    /// What ended since it was asked last.
    pub(super) fn ended(&self) -> Vec<(u64, Ended)> {
        std::mem::take(&mut self.0.desk().ended)
    }

    /// Nothing more begins by itself: all that was to begin has, or as many run as may.
    pub(super) fn is_settled(&self) -> bool {
        self.0.desk().hands == 0
    }

    /// How long the first of those that wait has waited.
    pub(super) fn waited(&self) -> Option<Duration> {
        self.0.desk().waiting.front().map(|(since, _)| since.elapsed())
    }

    /// Those that have not begun, which now never do.
    pub(super) fn take_back(&self) -> Vec<(u64, JobId)> {
        self.0.desk().waiting.drain(..).map(|(_, start)| (start.run, start.job.id)).collect()
    }

    /// Begun and not ended.
    pub(super) fn running(&self) -> usize {
        self.0.desk().running
    }

    /// Waits until nothing more begins by itself or, unless that is known already, something ended. It may also be nothing new.
    /// Dropping the future loses nothing.
    pub(super) async fn changed(&self, ended: bool) {
        tokio::select! {
            biased;
            () = self.0.settled.notified() => {}
            () = self.0.ended.notified(), if !ended => {}
        }
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, desk: &mut Desk, ended: (u64, Ended)) {
        desk.running -= 1;
        desk.ended.push(ended);
        if desk.ended.len() == 1 {
            self.ended.notify_one();
        }
    }

    /// Puts down what ended, and takes the next one.
    fn next(&self, ended: Option<(u64, Ended)>) -> Option<Start> {
        let mut desk = self.desk();
        if let Some(ended) = ended {
            self.record(&mut desk, ended);
        }
        if desk.running < self.concurrency
            && let Some((_, start)) = desk.waiting.pop_front()
        {
            desk.running += 1;
            return Some(start);
        }
        desk.hands -= 1;
        if desk.hands == 0 {
            self.settled.notify_one();
        }
        None
    }

    async fn go_through(self: Arc<Self>) {
        let (mut ended, mut begun) = (None, 0_u32);
        while let Some(Start { run, job, canceled }) = self.next(ended.take()) {
            let mut work = Box::pin(Arc::clone(&self.runner).run(job, run, canceled, self.progress.clone()));
            match futures::poll!(&mut work) {
                Poll::Ready(outcome) => ended = Some((run, outcome)),
                Poll::Pending => {
                    let shared = Arc::clone(&self);
                    tokio::spawn(async move {
                        let outcome = work.await;
                        shared.end((run, outcome));
                    });
                }
            }
            begun = begun.wrapping_add(1);
            if begun.is_multiple_of(STRETCH) {
                // What ended must not wait for our turn.
                if let Some(ended) = ended.take() {
                    let mut desk = self.desk();
                    self.record(&mut desk, ended);
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// A run with a task of its own has ended: there is room for another one.
    fn end(self: Arc<Self>, ended: (u64, Ended)) {
        let mut desk = self.desk();
        self.record(&mut desk, ended);
        if !desk.waiting.is_empty() && desk.hands < self.hands {
            desk.hands += 1;
            drop(desk);
            tokio::spawn(self.go_through());
        }
    }
}
