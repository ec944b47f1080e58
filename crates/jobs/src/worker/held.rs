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
    /// Told to stop because the database was away for too long, not because somebody canceled the job.
    stopped: bool,
}

impl HeldJobs {
    pub(super) fn add(&mut self, job: &Claimed) -> (u64, CancellationToken) {
        self.runs += 1;
        let canceled = CancellationToken::new();
        let held = Held { run: self.runs, kind: job.kind.clone(), began: Instant::now(), canceled: canceled.clone(), stopped: false };
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
    pub(super) fn cancel_if(&mut self, id: JobId, cancel: bool) -> bool {
        let Some(held) = self.jobs.get_mut(&id) else { return false };
        if cancel {
            held.stopped = false;
            held.canceled.cancel();
        }
        true
    }

    /// Tells all of them to stop that were not told before. How they end counts as for any other run: a job that takes the worker's
    /// contact away each time comes to an end, too. Returns how many there are.
    pub(super) fn stop_all(&mut self) -> usize {
        let mut told = 0;
        for held in self.jobs.values_mut().filter(|held| !held.canceled.is_cancelled()) {
            held.stopped = true;
            held.canceled.cancel();
            told += 1;
        }
        told
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
    /// A canceled run that did not do it is canceled, not tried again; one that was only stopped has failed.
    pub(super) fn ending(&self, ended: Ended) -> Ended {
        let canceled = self.canceled.is_cancelled() && !self.stopped;
        let ending = match ended.ending {
            Ending::Retry { error, .. } | Ending::Dead { error } if canceled => Ending::Canceled { error },
            other => other,
        };
        Ended { ending, ..ended }
    }
}
