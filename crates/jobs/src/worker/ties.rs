//! What ties a worker to the others: it signs on, shows that it lives, finds out what they want, and leaves.

use std::time::Instant;

use baluarte_db::DbError;

use super::Worker;
use crate::{
    bell::Ring,
    job::JobId,
    schedule::Agenda,
    store::{
        claim::{self, Taker},
        queue, workers,
    },
    watch::BEATS,
};

impl Worker {
    pub(super) async fn leave(&mut self) -> Result<(), DbError> {
        let Some(id) = self.id.clone() else { return Ok(()) };
        let inner = &self.jobs.inner;
        let taker = Taker { worker: &id, now: inner.clock.now() };
        let tx = inner.db.begin().await?;
        claim::finish(&tx, &inner.db, taker, &self.endings).await?;
        tx.commit().await?;
        // What the database believes that we hold, which may be more than we know.
        let left = claim::held(&inner.db, &id).await?;
        let tx = inner.db.begin().await?;
        let left: Vec<JobId> = left.into_iter().map(|(job, _)| job).collect();
        claim::give_back(&tx, &inner.db, taker, &left).await?;
        workers::leave(&tx, &id).await?;
        tx.commit().await?;
        inner.bell.ring(Ring::All);
        Ok(())
    }

    pub(super) async fn sign_on(&mut self) -> Result<(), DbError> {
        let inner = &self.jobs.inner;
        let id = format!("wrk_{:032x}", rand::random::<u128>());
        let schedules = &self.runner.registry.schedules;
        if !self.told_schedules {
            Agenda::forget_others(&self.jobs, schedules).await?;
            self.told_schedules = true;
        }
        self.agenda = Agenda::open(&self.jobs, schedules).await?;
        self.look_into_other_lanes().await?;
        self.life = inner.db.live_as(&id);
        self.here = Some(self.jobs.set_here(&id));
        // Last: nobody is to miss a worker that did not get to the end of this.
        workers::register(&inner.db, &id, &self.shift.name, inner.config.concurrency, inner.clock.now()).await?;
        self.id = Some(id);
        self.contact = Instant::now();
        self.beat_at = Instant::now() + inner.config.heartbeat.get() / BEATS;
        self.lanes.look_everywhere();
        Ok(())
    }

    /// A kind may have got a limit, or lost it, since its jobs were written, or other replicas may still see it so.
    pub(super) async fn look_into_other_lanes(&self) -> Result<(), DbError> {
        let handlers = &self.runner.registry.handlers;
        let lane_of = |kind: &str| handlers.get_key_value(kind).map(|(kind, handler)| handler.policy.lane(kind));
        queue::move_to_lanes(&self.jobs.inner.db, lane_of).await
    }

    /// A sign of life, and a look at what others want of what runs here.
    pub(super) async fn beat(&mut self, stopping: bool) -> Result<(), DbError> {
        let Some(id) = self.id.clone() else { return Ok(()) };
        let inner = &self.jobs.inner;
        if !workers::beat(&inner.db, &id, self.crew.running(), stopping, inner.clock.now()).await? {
            tracing::error!(target: "jobs", worker = self.shift.name, jobs = self.held.len(), "this worker was taken for dead; others do its jobs, it begins anew");
            self.abandon();
            self.id = None;
            self.endings.clear();
            self.returned.clear();
            return self.sign_on().await;
        }
        self.beat_at = Instant::now() + inner.config.heartbeat.get() / BEATS;
        self.reconcile().await
    }

    /// Nobody waits for what runs any more.
    pub(super) fn abandon(&mut self) {
        self.crew.take_back();
        self.pace.slow_down();
        self.meters.running.add(-i64::try_from(self.held.len()).unwrap_or(0));
        self.held.cancel_all();
    }

    /// Gives back what the database believes to run here and does not, and stops what somebody canceled.
    pub(super) async fn reconcile(&mut self) -> Result<(), DbError> {
        let Some(id) = self.id.clone() else { return Ok(()) };
        (self.others_called, self.reconciled_at) = (false, Instant::now());
        let inner = &self.jobs.inner;
        let mut strays = Vec::new();
        for (job, cancel) in claim::held(&inner.db, &id).await? {
            let ended = self.endings.iter().any(|ended| ended.id == job);
            if !ended && !self.held.cancel_if(job, cancel) {
                strays.push(job);
            }
        }
        if !strays.is_empty() {
            let tx = inner.db.begin().await?;
            claim::give_back(&tx, &inner.db, Taker { worker: &id, now: inner.clock.now() }, &strays).await?;
            tx.commit().await?;
            self.lanes.look_everywhere();
        }
        Ok(())
    }

    /// One line each way.
    pub(super) fn tell_of_outage(&mut self, attended: &Result<(), DbError>) {
        match attended {
            Ok(()) => {
                if std::mem::take(&mut self.away) {
                    tracing::info!(target: "jobs", "the database answers: jobs are done again");
                }
            }
            Err(err) => {
                if !std::mem::replace(&mut self.away, true) {
                    let cause = std::error::Error::source(err).map(ToString::to_string).unwrap_or_default();
                    tracing::error!(target: "jobs", error = %err, cause, "the queue cannot be reached: jobs wait");
                }
                // By now others may believe that this worker is gone, and do its jobs.
                if self.contact.elapsed() > self.jobs.inner.patience(self.life.is_some()) {
                    self.return_waiting();
                    let stopped = self.held.stop_all();
                    if stopped > 0 {
                        tracing::warn!(target: "jobs", jobs = stopped, "no contact for too long: what runs here is stopped");
                    }
                }
            }
        }
    }
}
