//! What runs in this process.

use std::{collections::HashMap, time::Instant};

use tokio_util::sync::CancellationToken;

use crate::{
    job::JobId,
    store::claim::{Claimed, Ended, Ending},
};

/// Jobs of this worker. A run has a number of its own, because a job can come back while a run that nobody wants any more has
/// not yet ended.
#[derive(Default)]
pub(super) struct HeldJobs {
    jobs: HashMap<JobId, Held>,
    runs: u64,
    progress: HashMap<JobId, String>,
}

pub(super) struct Held {
    run: u64,
    pub(super) kind: String,
    pub(super) began: Instant,
    canceled: CancellationToken,
}

impl HeldJobs {
    pub(super) fn add(&mut self, job: &Claimed) -> (u64, CancellationToken) {
        self.runs += 1;
        let canceled = CancellationToken::new();
        let held = Held { run: self.runs, kind: job.kind.clone(), began: Instant::now(), canceled: canceled.clone() };
        if let Some(before) = self.jobs.insert(job.id, held) {
            before.canceled.cancel();
        }
        (self.runs, canceled)
    }

    pub(super) fn remove(&mut self, run: u64, id: JobId) -> Option<Held> {
        if self.jobs.get(&id)?.run != run {
            return None;
        }
        self.progress.remove(&id);
        self.jobs.remove(&id)
    }

    /// Stops a run that somebody canceled. False: nothing of the kind runs here.
    pub(super) fn cancel_if(&self, id: JobId, cancel: bool) -> bool {
        let held = self.jobs.get(&id);
        if let Some(held) = held
            && cancel
        {
            held.canceled.cancel();
        }
        held.is_some()
    }

    /// Stops all of them, and forgets them.
    pub(super) fn cancel_all(&mut self) {
        self.progress.clear();
        for (_, held) in self.jobs.drain() {
            held.canceled.cancel();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn set_progress(&mut self, run: u64, id: JobId, text: String) {
        if self.jobs.get(&id).is_some_and(|held| held.run == run) {
            self.progress.insert(id, text);
        }
    }

    pub(super) fn has_progress(&self) -> bool {
        !self.progress.is_empty()
    }

    pub(super) fn take_progress(&mut self) -> HashMap<JobId, String> {
        std::mem::take(&mut self.progress)
    }
}

impl Held {
    /// A canceled run that did not do it is canceled, not tried again.
    pub(super) fn ending(&self, ended: Ended) -> Ended {
        let ending = match ended.ending {
            Ending::Retry { error, .. } | Ending::Dead { error } if self.canceled.is_cancelled() => Ending::Canceled { error },
            other => other,
        };
        Ended { ending, ..ended }
    }
}
