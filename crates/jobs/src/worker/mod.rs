//! The loop that takes jobs, has them run, and writes down what became of them: both in one commit.

mod crew;
mod due;
mod held;
mod lanes;
mod pace;
mod ties;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use baluarte_db::{DbError, Life};
use baluarte_kernel::Timestamp;
use baluarte_telemetry::Metrics;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::{
    crew::{Crew, Start},
    held::HeldJobs,
    lanes::Lanes,
    pace::Pace,
};
use crate::{
    Jobs,
    attempt::{Progress, Runner},
    bell::Ring,
    job::JobId,
    meters::WorkMeters,
    registry::Registry,
    schedule::{Agenda, KEPT},
    store::claim::{self, Claimed, Ended, Taker},
};

/// Looks at the queue without being told: a hint may get lost.
const LOOK: Duration = Duration::from_secs(2);
/// Between attempts to reach a database that is away.
const AWAY: Duration = Duration::from_millis(500);
/// Who calls without saying why may want something canceled; what runs is looked through for it at most so often.
const CALLS: Duration = Duration::from_secs(1);
/// What ended is written down so soon, even while more begins and ends.
const GATHER: Duration = Duration::from_millis(2);
/// What runs say about their progress waits here to be heard; beyond, it is not.
const REPORTS: usize = 1_024;
/// What runs say about their progress is written at most so often.
const PROGRESS: Duration = Duration::from_secs(1);

/// How a worker is run.
#[derive(Clone)]
pub struct Shift {
    /// What operators see: host and process.
    pub name: String,
    /// Nothing is taken any more once it is canceled.
    pub stopping: CancellationToken,
    /// After that the worker has this long to finish what it has begun; the rest goes back to the queue.
    pub grace: Duration,
    pub metrics: Metrics,
}

struct Worker {
    jobs: Jobs,
    runner: Arc<Runner>,
    shift: Shift,
    /// Another one after every loss: nobody comes back under the same.
    id: Option<String>,
    /// What others see of us while we wait for the writer.
    life: Option<Life>,
    /// What our own process sees of us.
    here: Option<Arc<String>>,
    held: HeldJobs,
    lanes: Lanes,
    agenda: Agenda,
    /// What this program does not have any more is forgotten.
    told_schedules: bool,
    keep_schedules_at: Instant,
    crew: Crew,
    pace: Pace,
    progress: mpsc::Receiver<Progress>,
    /// Ended and not yet written down.
    endings: Vec<Ended>,
    /// When the first of them was noticed.
    ended_at: Instant,
    /// Taken, not begun, and not yet given back.
    returned: Vec<JobId>,
    /// When the next scheduled job is due, if anybody knows.
    next_due: Option<Timestamp>,
    look_at: Instant,
    beat_at: Instant,
    progress_at: Instant,
    /// Somebody called, perhaps to cancel what runs here.
    others_called: bool,
    reconciled_at: Instant,
    /// When the database last answered.
    contact: Instant,
    /// Nobody knows what became of the last transaction.
    uncertain: bool,
    away: bool,
    meters: WorkMeters,
}

impl Jobs {
    /// Does jobs until told to stop, and then what is left of them within the grace. One for each process.
    pub async fn work(self, registry: Registry, shift: Shift) {
        let (sender, progress) = mpsc::channel(REPORTS);
        let now = Instant::now();
        let runner = self.runner(registry.clone());
        let concurrency = self.inner.config.concurrency as usize;
        let worker = Worker {
            crew: Crew::new(Arc::clone(&runner), concurrency, sender),
            pace: Pace::new(concurrency),
            runner,
            lanes: Lanes::of(&registry),
            held: HeldJobs::default(),
            id: None,
            life: None,
            here: None,
            agenda: Agenda::default(),
            told_schedules: false,
            keep_schedules_at: now + KEPT,
            progress,
            endings: Vec::new(),
            ended_at: now,
            returned: Vec::new(),
            next_due: None,
            look_at: now,
            beat_at: now,
            progress_at: now,
            others_called: false,
            reconciled_at: now,
            contact: now,
            uncertain: false,
            away: false,
            meters: WorkMeters::new(shift.metrics.clone()),
            shift,
            jobs: self.clone(),
        };
        tokio::select! {
            () = worker.run() => {}
            () = self.inner.bell.listen(&self.inner.db, &self.inner.backplane) => {}
        }
    }

    fn runner(&self, registry: Registry) -> Arc<Runner> {
        let inner = &self.inner;
        Arc::new(Runner { registry, config: inner.config.clone(), secrets: inner.secrets.clone(), clock: inner.clock.clone() })
    }
}

impl Worker {
    async fn run(mut self) {
        let stopping = self.shift.stopping.clone();
        while !stopping.is_cancelled() {
            let attended = self.attend(true).await;
            self.tell_of_outage(&attended);
            self.wait(&stopping).await;
        }
        self.finish().await;
    }

    /// Finishes what was begun, for as long as there is grace, and gives back the rest.
    async fn finish(mut self) {
        let deadline = Instant::now() + self.shift.grace;
        // The others see at once that it stops.
        self.beat_at = Instant::now();
        self.return_waiting();
        while !self.is_idle() && Instant::now() < deadline {
            let attended = self.attend(false).await;
            self.tell_of_outage(&attended);
            if self.is_idle() {
                break;
            }
            let until = if self.away { Instant::now() + AWAY } else { self.beat_at.min(self.turn_at()) };
            // Over when something ended, or when it is time.
            let _ = tokio::time::timeout_at(deadline.min(until).into(), self.crew.changed(!self.endings.is_empty())).await;
        }
        let left = self.held.len();
        self.held.cancel_all();
        match self.leave().await {
            Ok(()) if left > 0 => {
                tracing::warn!(target: "jobs", jobs = left, "the time to stop was over: unfinished jobs are back in the queue")
            }
            Ok(()) => {}
            Err(err) => tracing::warn!(target: "jobs", error = %err, "the worker could not sign off: others will find its jobs"),
        }
        self.jobs.flush_hints().await;
    }

    /// Everything there is to do now. `take`: also takes jobs.
    async fn attend(&mut self, take: bool) -> Result<(), DbError> {
        self.drain();
        let now = Instant::now();
        if self.id.is_none() {
            self.sign_on().await?;
        }
        if now >= self.beat_at {
            self.beat(!take).await?;
        }
        if self.others_called && now >= self.reconciled_at + CALLS && !self.held.is_empty() {
            self.reconcile().await?;
        }
        if std::mem::take(&mut self.uncertain) {
            self.uncertain = true;
            self.reconcile().await?;
            self.uncertain = false;
            self.lanes.look_everywhere();
        }
        if take {
            let clock = self.jobs.inner.clock.now();
            if self.agenda.next_at().is_some_and(|at| at <= clock) {
                self.agenda.start_due(&self.jobs).await?;
                self.lanes.look_everywhere();
            }
            if now >= self.keep_schedules_at {
                self.agenda.keep(&self.jobs).await?;
                self.look_into_other_lanes().await?;
                self.lanes.look_everywhere();
                self.keep_schedules_at = now + KEPT;
            }
            if now >= self.look_at {
                self.look().await?;
            }
        }
        if self.pace.is_too_much(self.crew.waited()) {
            self.return_waiting();
        }
        while self.is_time_for_a_turn(take) {
            self.turn(take).await?;
            self.drain();
        }
        self.write_progress().await?;
        self.contact = Instant::now();
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.held.is_empty() && self.endings.is_empty() && self.returned.is_empty()
    }

    /// As soon as there is something to write or to take, but while runs begin and end one after the other, not for each of them.
    fn is_time_for_a_turn(&self, take: bool) -> bool {
        if self.endings.is_empty() && self.returned.is_empty() {
            return take && self.may_take();
        }
        !self.returned.is_empty() || self.crew.is_settled() || Instant::now() >= self.turn_at()
    }

    /// At the latest, when something has ended.
    fn turn_at(&self) -> Instant {
        if self.endings.is_empty() { Instant::now() + Duration::from_secs(3_600) } else { self.ended_at + GATHER }
    }

    fn may_take(&self) -> bool {
        let due = self.next_due.is_some_and(|at| at <= self.jobs.inner.clock.now());
        self.free() > 0 && (due || self.lanes.any())
    }

    fn free(&self) -> usize {
        self.pace.hold_at_most().saturating_sub(self.held.len())
    }

    /// What was taken and has not begun goes back to the queue.
    fn return_waiting(&mut self) {
        for (run, id) in self.crew.take_back() {
            if self.held.remove(run, id).is_some() {
                self.meters.running.add(-1);
                self.returned.push(id);
            }
        }
        self.pace.slow_down();
    }

    /// In one commit: what became of the runs that ended, and the next ones.
    async fn turn(&mut self, take: bool) -> Result<(), DbError> {
        let Some(id) = self.id.clone() else { return Ok(()) };
        let inner = Arc::clone(&self.jobs.inner);
        let taker = Taker { worker: &id, now: inner.clock.now() };
        self.pace.before_turn(self.crew.waited().is_some());
        // Until the commit has succeeded.
        self.uncertain = true;
        let tx = inner.db.begin().await?;
        claim::prepare(&tx, &inner.db).await?;
        claim::finish(&tx, &inner.db, taker, &self.endings).await?;
        claim::give_back(&tx, &inner.db, taker, &self.returned).await?;
        let (mut free, mut claimed) = (0, Vec::new());
        if take && self.may_take() {
            if self.next_due.is_some_and(|at| at <= taker.now) {
                claim::promote(&tx, &inner.db, taker.now).await?.iter().for_each(|lane| self.lanes.mark(lane));
                self.look_at = Instant::now();
                self.next_due = None;
            }
            free = self.free();
            claimed = self.lanes.claim(&tx, &inner.db, taker, free).await?;
            let last = self.last_attempts_ahead(&mut claimed);
            if !last.is_empty() {
                claim::give_back(&tx, &inner.db, taker, &last).await?;
                self.lanes.look_everywhere();
                self.pace.slow_down();
            }
        }
        tx.commit().await?;
        self.uncertain = false;
        self.endings.clear();
        if !self.returned.is_empty() {
            self.returned.clear();
            self.lanes.look_everywhere();
            inner.bell.ring(Ring::All);
        }
        if !claimed.is_empty() {
            self.pace.took(claimed.len() == free);
            self.begin(claimed);
        }
        Ok(())
    }

    /// What was taken ahead counts as begun when the worker is killed, for nobody can tell. A job on its last attempt would end without
    /// having had it: those are taken only when they begin at once.
    fn last_attempts_ahead(&self, claimed: &mut Vec<Claimed>) -> Vec<JobId> {
        let at_once = (self.jobs.inner.config.concurrency as usize).saturating_sub(self.held.len());
        let mut at = 0;
        let ahead = claimed.extract_if(.., |job| {
            at += 1;
            at > at_once && job.attempt >= job.max_attempts
        });
        ahead.map(|job| job.id).collect()
    }

    fn begin(&mut self, claimed: Vec<Claimed>) {
        let now = self.jobs.inner.clock.now();
        self.meters.running.add(i64::try_from(claimed.len()).unwrap_or(0));
        let mut starts = Vec::with_capacity(claimed.len());
        for job in claimed {
            self.meters.begun(now.since(job.run_at));
            let (run, canceled) = self.held.add(&job);
            starts.push(Start { run, job, canceled });
        }
        self.crew.begin(starts);
    }

    fn drain(&mut self) {
        while let Ok(progress) = self.progress.try_recv() {
            self.note(progress);
        }
        for (run, ended) in self.crew.ended() {
            // Of a job that was lost meanwhile nobody wants to know.
            let Some(job) = self.held.remove(run, ended.id) else { continue };
            self.meters.running.add(-1);
            let ended = job.ending(ended);
            self.meters.ended(&job.kind, &ended.ending, job.began.elapsed());
            crate::attempt::tell(&job.kind, &ended);
            if let Some(lane) = self.lanes.own_lane_of(&job.kind) {
                self.lanes.mark(lane);
            }
            if self.endings.is_empty() {
                self.ended_at = Instant::now();
            }
            self.endings.push(ended);
        }
    }

    fn note(&mut self, Progress { run, job, text }: Progress) {
        self.held.set_progress(run, job, text);
    }

    async fn wait(&mut self, stopping: &CancellationToken) {
        let now = Instant::now();
        let until = if self.away { now + AWAY } else { self.beat_at.min(self.look_at).min(self.due_at(now)).min(self.turn_at()) };
        let until = if self.held.has_progress() { until.min(self.progress_at) } else { until };
        let until = if self.others_called && !self.held.is_empty() { until.min(self.reconciled_at + CALLS) } else { until };
        let until = self.pace.returns_at(now, self.crew.waited()).map_or(until, |at| until.min(at));
        tokio::select! {
            biased;
            () = stopping.cancelled() => {}
            () = self.crew.changed(!self.endings.is_empty()), if !self.away => {}
            Some(progress) = self.progress.recv(), if !self.away => self.note(progress),
            rings = self.jobs.inner.bell.heard() => self.hear(rings),
            () = tokio::time::sleep_until(until.into()) => {}
        }
    }

    /// When the next scheduled job or schedule is due; looking again in between keeps steps of the clock harmless.
    fn due_at(&self, now: Instant) -> Instant {
        let clock = self.jobs.inner.clock.now();
        let next = self.next_due.into_iter().chain(self.agenda.next_at()).min();
        now + next.map_or(Duration::MAX / 4, |at| at.since(clock)).min(Duration::from_secs(60))
    }

    fn hear(&mut self, rings: BTreeSet<Ring>) {
        for ring in rings {
            match ring {
                Ring::Lane(lane) => self.lanes.mark(&lane),
                // A look costs little, and finds out in which lanes there is something.
                Ring::Later => self.look_at = Instant::now(),
                Ring::All => {
                    self.look_at = Instant::now();
                    self.others_called = true;
                }
                Ring::Cancel => self.beat_at = Instant::now(),
            }
        }
    }

    async fn look(&mut self) -> Result<(), DbError> {
        let db = &self.jobs.inner.db;
        let outlook = claim::look(db, &self.lanes.names()).await?;
        self.lanes.set(&outlook.ready);
        self.next_due = outlook.next_at;
        self.look_at = Instant::now() + LOOK;
        Ok(())
    }

    async fn write_progress(&mut self) -> Result<(), DbError> {
        if !self.held.has_progress() || Instant::now() < self.progress_at {
            return Ok(());
        }
        let Some(id) = &self.id else { return Ok(()) };
        let tx = self.jobs.inner.db.begin().await?;
        for (job, text) in self.held.take_progress() {
            claim::set_progress(&tx, id, job, &text).await?;
        }
        tx.commit().await?;
        self.progress_at = Instant::now() + PROGRESS;
        Ok(())
    }
}
