//! Round by round, on a clock that the tests move.

use baluarte_backplane::Backplane;
use baluarte_db::{
    Db,
    sea_orm::{ConnectionTrait as _, Value},
    sql,
};
use baluarte_kernel::{Actor, Clock, Ctx, Event, Period, Published, Secret, Timestamp, UserId};
use baluarte_secrets::Secrets;
use baluarte_testkit::{TestDb, each_backend};
use serde::{Deserialize, Serialize};

use super::*;
use crate::{
    Failure, Job, JobId, JobView, JobsConfig, MIGRATIONS, Options, Policy, Recurring, Registry, Run, State, Subscription,
    store::{
        claim::{self, Ended, Ending, Taker},
        operator,
    },
};

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Serialize, Deserialize)]
struct Deed {
    fails: bool,
}

impl Job for Deed {
    const KIND: &'static str = "test.deed";
    const POLICY: Policy = Policy::new().max_attempts(2).retry(Duration::from_secs(60), Duration::from_secs(100));
    type Deps = ();
    async fn run(self, _: Run, (): ()) -> Result<(), Failure> {
        if self.fails { Err(Failure::give_up("no use")) } else { Ok(()) }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Hear(Published);

impl Job for Hear {
    const KIND: &'static str = "test.hear";
    type Deps = ();
    async fn run(self, _: Run, (): ()) -> Result<(), Failure> {
        Ok(())
    }
}

/// Somebody waits for it.
#[derive(Serialize, Deserialize)]
struct Answer {}

impl Job for Answer {
    const KIND: &'static str = "test.answer";
    const POLICY: Policy = Policy::new().follows();
    type Deps = ();
    async fn run(self, _: Run, (): ()) -> Result<(), Failure> {
        Ok(())
    }
}

struct Site {
    db: Db,
    clock: Clock,
    ctx: Ctx,
    jobs: Jobs,
    registry: Registry,
    metrics: Metrics,
    watch: Watch,
}

impl Site {
    async fn new(test: &TestDb, config: JobsConfig) -> Self {
        let (db, clock) = (test.open(&[MIGRATIONS]).await, test.clock.clone());
        let secrets = Secrets::new(&Secret::new("k"), &Secret::new("s"));
        let jobs = Jobs::new(&config, db.clone(), Backplane::local(clock.clone()), secrets, clock.clone(), [Subscription::of::<Hear>(&[])]);
        let registry = Registry::default().register::<Deed>(()).register::<Hear>(());
        let metrics = Metrics::default();
        let watch = Watch::new(jobs.clone(), registry.clone(), metrics.clone());
        Self { db, ctx: Ctx { actor: Actor::Anonymous, ..Ctx::system(clock.clone()) }, clock, jobs, registry, metrics, watch }
    }

    async fn enqueue(&self, fails: bool, options: Options) -> Result<JobId, DbError> {
        let tx = self.db.begin().await?;
        let id = self.jobs.enqueue(&self.ctx, &tx, &Deed { fails }, options).await?;
        tx.commit().await?;
        Ok(id)
    }

    async fn deed(&self, fails: bool) -> JobId {
        self.enqueue(fails, Options::default()).await.expect("enqueued")
    }

    async fn run_due(&self) {
        self.jobs.run_due_for_tests(&self.registry).await.expect("done");
    }

    async fn round(&mut self) {
        let now = Instant::now();
        (self.watch.count_at, self.watch.prune_at) = (now, now);
        self.watch.round().await.expect("a round");
    }

    /// As if we had looked all the time for so many heartbeats more.
    fn heartbeats_pass(&mut self, count: u32) {
        let span = self.jobs.inner.config.heartbeat.get() * count;
        for (_, since) in self.watch.signs.values_mut() {
            *since = since.checked_sub(span).expect("the machine has run for so long");
        }
        self.watch.nobody_since = self.watch.nobody_since.and_then(|since| since.checked_sub(span));
    }

    async fn running(&self, id: JobId, worker: &str, attempts: i64) {
        let text = "UPDATE jobs SET state = 'running', worker = $3, attempts = $2, started_at = run_at, progress = 'half' WHERE id = $1";
        self.execute(text, [id.to_string().into(), attempts.into(), worker.into()]).await;
    }

    async fn found(&self, id: JobId) -> JobView {
        operator::find(self.db.read(), id).await.expect("looked for").expect("it is there").job
    }

    async fn state(&self, id: JobId) -> Option<State> {
        operator::find(self.db.read(), id).await.expect("looked for").map(|found| found.job.state)
    }

    async fn execute(&self, text: &str, values: impl IntoIterator<Item = Value>) {
        let tx = self.db.begin().await.expect("a transaction");
        tx.execute_raw(sql(&tx, text, values)).await.expect("executed");
        tx.commit().await.expect("committed");
    }

    async fn count(&self, what: &str) -> i64 {
        let row = self.db.read().query_one_raw(sql(self.db.read(), &format!("SELECT count(*) AS n FROM {what}"), [])).await;
        row.expect("asked").expect("a row").try_get("", "n").expect("a number")
    }

    fn metric(&self, name: &str) -> i64 {
        let text = self.metrics.render();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} is not in\n{text}"));
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
    }
}

fn small() -> JobsConfig {
    JobsConfig { keep_at_most: 3, max_queued: 5, ..JobsConfig::default() }
}

each_backend! {
    async fn finished_jobs_are_kept_for_their_time_and_waiting_ones_for_ever(test: TestDb) {
        let mut site = Site::new(&test, JobsConfig::default()).await;
        let later = Options { run_at: Some(test.clock.now().plus(300 * DAY)), ..Options::default() };
        let (done, dead, waiting) = (site.deed(false).await, site.deed(true).await, site.enqueue(false, later).await.expect("enqueued"));
        site.run_due().await;
        test.clock.advance(3 * DAY);
        site.round().await;
        assert_eq!((site.state(done).await, site.state(dead).await), (Some(State::Done), Some(State::Dead)));
        test.clock.advance(Duration::from_secs(1));
        site.round().await;
        assert_eq!((site.state(done).await, site.state(dead).await, site.count("job_errors").await), (None, Some(State::Dead), 1));
        test.clock.advance(27 * DAY);
        site.round().await;
        assert_eq!((site.state(dead).await, site.count("job_errors").await), (None, 0), "its errors go with it");
        assert_eq!(site.state(waiting).await, Some(State::Scheduled));
        assert_eq!(site.metric("baluarte_jobs_pruned_total"), 2);
    }

    async fn of_finished_jobs_no_more_are_kept_than_configured_however_young(test: TestDb) {
        let mut site = Site::new(&test, small()).await;
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push((site.deed(false).await, site.deed(true).await));
            site.run_due().await;
            test.clock.advance(Duration::from_secs(1));
        }
        site.round().await;
        for (n, (done, dead)) in ids.into_iter().enumerate() {
            assert_eq!((site.state(done).await.is_some(), site.state(dead).await.is_some()), (n >= 2, n >= 2), "{n}");
        }
        // Many at once, too, piece by piece.
        let tx = site.db.begin().await.expect("a transaction");
        let many: Vec<_> = (0..1_200).map(|_| Deed { fails: false }).collect();
        site.jobs.enqueue_all(&site.ctx, &tx, &many, &Options::default()).await.expect("enqueued");
        tx.commit().await.expect("committed");
        site.execute("UPDATE jobs SET state = 'done', finished_at = $1 WHERE state = 'ready'", [test.clock.now().micros().into()]).await;
        test.clock.advance(4 * DAY);
        site.round().await;
        assert_eq!((site.count("jobs WHERE state = 'done'").await, site.count("jobs WHERE state = 'dead'").await), (0, 3));
    }

    async fn a_full_queue_refuses_new_jobs_until_some_are_done_and_still_works(test: TestDb) {
        let mut site = Site::new(&test, small()).await;
        site.registry = site.registry.clone().schedule(Recurring::new("test.often", "* * * * *", "UTC"), &Deed { fails: false }).expect("it can be read");
        site.jobs.start_schedules_for_tests(&site.registry).await.expect("nothing is due");
        for _ in 0..5 {
            site.deed(false).await;
        }
        site.round().await;
        assert!(matches!(site.enqueue(false, Options::default()).await, Err(DbError::Unavailable(_))));
        let tx = site.db.begin().await.expect("a transaction");
        assert!(matches!(site.jobs.enqueue_all(&site.ctx, &tx, &[Deed { fails: false }], &Options::default()).await, Err(DbError::Unavailable(_))));
        tx.rollback().await.expect("rolled back");
        // A worker starts what is due before it takes jobs: it must get that far.
        test.clock.advance(Duration::from_secs(60));
        site.jobs.start_schedules_for_tests(&site.registry).await.expect("its run is let in");
        assert_eq!(site.count("jobs WHERE state = 'ready'").await, 6);
        site.run_due().await;
        site.round().await;
        site.deed(false).await;
        assert_eq!(site.metric("baluarte_jobs_count{kind=\"test.deed\",state=\"ready\"}"), 0, "counted before it was written");
    }

    async fn what_has_happened_is_followed_up_in_a_full_queue_and_jobs_go_on_until_the_reserve_is_used_up(test: TestDb) {
        let mut site = Site::new(&test, small()).await;
        let system = Ctx::system(test.clock.clone());
        for _ in 0..5 {
            site.deed(false).await;
        }
        site.round().await;
        let deleted = || Event::UserDeleted { user_id: UserId::generate() };
        let tx = site.db.begin().await.expect("a transaction");
        site.jobs.publish(&site.ctx, &tx, deleted()).await.expect("an account can be deleted");
        site.jobs.enqueue(&system, &tx, &Deed { fails: false }, Options::default()).await.expect("a job may go on with another one");
        site.jobs.enqueue(&site.ctx, &tx, &Answer {}, Options::default()).await.expect("what people wait for is let in");
        let many: Vec<_> = (0..97).map(|_| Deed { fails: false }).collect();
        site.jobs.enqueue_all(&system, &tx, &many, &Options::default()).await.expect("enqueued");
        tx.commit().await.expect("committed");
        assert!(matches!(site.enqueue(false, Options::default()).await, Err(DbError::Unavailable(_))), "nobody begins something new");
        site.round().await;
        let tx = site.db.begin().await.expect("a transaction");
        assert!(matches!(site.jobs.publish(&site.ctx, &tx, deleted()).await, Err(DbError::Unavailable(_))));
        assert!(matches!(site.jobs.enqueue(&system, &tx, &Deed { fails: false }, Options::default()).await, Err(DbError::Unavailable(_))));
        assert!(matches!(site.jobs.enqueue(&site.ctx, &tx, &Answer {}, Options::default()).await, Err(DbError::Unavailable(_))));
    }

    async fn a_worker_without_a_sign_of_life_is_told_once_and_its_jobs_come_back_after_a_pause_with_the_attempt_counted(test: TestDb) {
        let mut site = Site::new(&test, JobsConfig { heartbeat: Period::from_secs(30), ..JobsConfig::default() }).await;
        let mut other = Site::new(&test, JobsConfig { heartbeat: Period::from_secs(30), ..JobsConfig::default() }).await;
        let (first, last, canceled) = (site.deed(false).await, site.deed(false).await, site.deed(false).await);
        workers::register(&site.db, "wrk_1", "web-1:7", 10, test.clock.now()).await.expect("registered");
        for (id, attempts) in [(first, 1), (last, 2), (canceled, 1)] {
            site.running(id, "wrk_1", attempts).await;
        }
        site.execute("UPDATE jobs SET cancel_requested = TRUE WHERE id = $1", [canceled.to_string().into()]).await;
        site.round().await;
        site.round().await;
        assert_eq!((site.metric("baluarte_jobs_workers_lost_total"), site.metric("baluarte_jobs_workers")), (0, 1));
        // Whoever has just come back to the database does not judge: to it everybody looks silent.
        other.round().await;
        assert_eq!(site.state(first).await, Some(State::Running));
        site.heartbeats_pass(1);
        other.heartbeats_pass(1);
        site.round().await;
        other.round().await;
        let told = site.metric("baluarte_jobs_workers_lost_total") + other.metric("baluarte_jobs_workers_lost_total");
        assert_eq!((told, site.metric("baluarte_jobs_workers"), site.metric("baluarte_jobs_rescued_total")), (1, 0, 3));
        let listed = workers::list(&site.db).await.expect("a list");
        assert_eq!((listed[0].name.as_str(), listed[0].state, listed[0].lost_at), ("web-1:7", "lost", Some(test.clock.now())));
        // The attempt counts, and the next one waits: a job that kills its worker each time does not take one after the other with it.
        let found = site.found(first).await;
        assert_eq!((found.state, found.attempts, found.worker, found.progress, found.error.as_deref()), (State::Retrying, 1, None, None, Some("its worker was lost")));
        let pause = found.run_at.since(test.clock.now()).as_secs();
        assert!((45..=75).contains(&pause), "{pause}: as after any other failure of its kind");
        assert_eq!((site.state(last).await, site.state(canceled).await), (Some(State::Dead), Some(State::Canceled)));
        assert_eq!(site.count("job_errors WHERE error = 'its worker was lost'").await, 3);
        // It is shown for a day.
        test.clock.advance(DAY);
        site.round().await;
        assert_eq!(site.count("workers").await, 1);
        test.clock.advance(Duration::from_secs(1));
        site.round().await;
        assert_eq!(site.count("workers").await, 0);
    }

    async fn neither_a_clock_that_is_set_nor_one_that_differs_makes_a_living_worker_look_lost(test: TestDb) {
        let mut site = Site::new(&test, JobsConfig::default()).await;
        let at = test.clock.now();
        // Its clock is a day behind ours.
        workers::register(&site.db, "wrk_1", "web-1:7", 10, at.minus(DAY)).await.expect("registered");
        let id = site.deed(false).await;
        site.running(id, "wrk_1", 1).await;
        site.round().await;
        test.clock.advance(DAY);
        for beat in 1..=3 {
            site.heartbeats_pass(1);
            let said = at.minus(DAY).plus(Duration::from_secs(beat));
            assert!(workers::beat(&site.db, "wrk_1", 1, false, said).await.expect("said"), "{beat}");
            site.round().await;
        }
        // Its clock was put back.
        site.heartbeats_pass(1);
        assert!(workers::beat(&site.db, "wrk_1", 1, false, at.minus(300 * DAY)).await.expect("said"));
        site.round().await;
        assert_eq!((site.state(id).await, site.metric("baluarte_jobs_workers_lost_total")), (Some(State::Running), 0));
    }

    async fn whoever_was_away_for_a_heartbeat_judges_nobody_for_another_one(test: TestDb) {
        let mut site = Site::new(&test, JobsConfig::default()).await;
        workers::register(&site.db, "wrk_1", "web-1:7", 10, test.clock.now()).await.expect("registered");
        site.round().await;
        // Stopped by a signal, say, together with the worker.
        site.heartbeats_pass(2);
        site.watch.looked_at = site.watch.looked_at.checked_sub(Duration::from_secs(60)).expect("the machine has run for so long");
        site.round().await;
        assert_eq!(site.metric("baluarte_jobs_workers_lost_total"), 0);
        site.heartbeats_pass(1);
        site.round().await;
        assert_eq!(site.metric("baluarte_jobs_workers_lost_total"), 1);
    }

    async fn a_job_that_somebody_else_has_by_now_is_not_taken_away_by_a_late_rescue(test: TestDb) {
        let site = Site::new(&test, JobsConfig::default()).await;
        let id = site.deed(false).await;
        site.running(id, "wrk_lost", 1).await;
        let found = workers::orphans(&site.db).await.expect("found");
        // Another replica was quicker, and a worker that signed on after we looked has it.
        site.running(id, "wrk_new", 2).await;
        let late: Vec<_> = found.into_iter().map(|it| (it, test.clock.now())).collect();
        assert_eq!(workers::rescue(&site.db, &late, test.clock.now()).await.expect("tried"), 0);
        let kept = site.found(id).await;
        assert_eq!((kept.state, kept.worker.as_deref(), late.len()), (State::Running, Some("wrk_new"), 1));
    }

    async fn a_process_does_not_take_its_own_worker_for_dead_because_the_disk_is_slow(test: TestDb) {
        let mut site = Site::new(&test, JobsConfig::default()).await;
        workers::register(&site.db, "wrk_1", "web-1:7", 10, test.clock.now()).await.expect("registered");
        let here = site.jobs.set_here("wrk_1");
        site.round().await;
        site.heartbeats_pass(9);
        site.round().await;
        assert_eq!(site.metric("baluarte_jobs_workers_lost_total"), 0);
        drop(here);
        site.round().await;
        assert_eq!(site.metric("baluarte_jobs_workers_lost_total"), 1);
    }

    async fn whoever_was_taken_for_dead_gets_nothing_and_has_no_say_any_more(test: TestDb) {
        let site = Site::new(&test, JobsConfig::default()).await;
        for worker in ["wrk_1", "wrk_2"] {
            workers::register(&site.db, worker, worker, 10, test.clock.now()).await.expect("registered");
        }
        site.execute("UPDATE workers SET lost_at = 1 WHERE id = 'wrk_1'", []).await;
        let id = site.deed(false).await;
        let taker = |worker| Taker { worker, now: test.clock.now() };
        let tx = site.db.begin().await.expect("a transaction");
        let taken = async |worker| claim::claim(&tx, &site.db, taker(worker), "", &["test.deed"], 9).await.expect("claimed").len();
        assert_eq!((taken("wrk_1").await, taken("wrk_2").await), (0, 1));
        tx.commit().await.expect("committed");
        let endings = || {
            let error = || "no".to_owned();
            [Ending::Done, Ending::Retry { at: test.clock.now(), counts: true, error: error() }, Ending::Dead { error: error() }, Ending::Canceled { error: error() }]
        };
        // Another worker's word, and this worker's word about a run before this one.
        for (worker, attempt) in [("wrk_1", 1), ("wrk_2", 0)] {
            for ending in endings() {
                let done = ending == Ending::Done;
                if done && worker == "wrk_2" {
                    continue;
                }
                let tx = site.db.begin().await.expect("a transaction");
                claim::finish(&tx, &site.db, taker(worker), &[Ended { id, attempt, ending, schedule: None }]).await.expect("written");
                tx.commit().await.expect("committed");
                let kept = site.found(id).await;
                assert_eq!((kept.state, kept.worker.as_deref(), kept.attempts), (State::Running, Some("wrk_2"), 1), "{worker} {done}");
            }
        }
    }

    async fn many_jobs_of_a_lost_worker_are_rescued_piece_by_piece(test: TestDb) {
        let mut site = Site::new(&test, JobsConfig::default()).await;
        let tx = site.db.begin().await.expect("a transaction");
        let many: Vec<_> = (0..450).map(|_| Deed { fails: false }).collect();
        site.jobs.enqueue_all(&site.ctx, &tx, &many, &Options::default()).await.expect("enqueued");
        tx.commit().await.expect("committed");
        site.execute("UPDATE jobs SET state = 'running', worker = 'wrk_lost', attempts = 1, started_at = run_at", []).await;
        site.round().await;
        assert_eq!((site.metric("baluarte_jobs_rescued_total"), site.count("jobs WHERE state = 'scheduled'").await), (450, 450));
    }

    async fn what_became_of_a_schedules_run_is_told_also_when_its_worker_was_lost_or_somebody_canceled_it(test: TestDb) {
        let mut site = Site::new(&test, JobsConfig::default()).await;
        let registry = site.registry.clone().schedule(Recurring::new("test.often", "* * * * *", "UTC"), &Deed { fails: false }).expect("it can be read");
        site.jobs.start_schedules_for_tests(&registry).await.expect("nothing is due");
        test.clock.advance(Duration::from_secs(60));
        site.jobs.start_schedules_for_tests(&registry).await.expect("started");
        let outcome = async || crate::store::schedules::list(&site.db).await.expect("a list")[0].last_outcome.clone().unwrap_or_default();
        assert_eq!(outcome().await, "waiting");
        let page = baluarte_kernel::PageQuery::default();
        let id = operator::list(&site.db, &crate::Filter::default(), &page).await.expect("a list").items[0].id;
        for (attempts, becomes) in [(1, "retrying"), (2, "dead")] {
            site.running(id, "wrk_lost", attempts).await;
            let orphans = workers::orphans(&site.db).await.expect("found").into_iter().map(|it| (it, test.clock.now())).collect::<Vec<_>>();
            workers::rescue(&site.db, &orphans, test.clock.now()).await.expect("rescued");
            assert_eq!(outcome().await, becomes);
        }
        site.execute("UPDATE jobs SET state = 'ready'", []).await;
        let tx = site.db.begin().await.expect("a transaction");
        site.jobs.cancel(&tx, id, test.clock.now()).await.expect("canceled");
        tx.commit().await.expect("committed");
        assert_eq!(outcome().await, "canceled");
        site.round().await;
    }

    async fn what_is_counted_tells_kinds_states_and_ages(test: TestDb) {
        let mut site = Site::new(&test, JobsConfig::default()).await;
        site.deed(true).await;
        site.run_due().await;
        let soon = Options { run_at: Some(test.clock.now().plus(Duration::from_secs(6))), ..Options::default() };
        let soon = site.enqueue(false, soon).await.expect("enqueued");
        test.clock.advance(Duration::from_secs(5));
        site.deed(false).await;
        site.deed(false).await;
        test.clock.advance(Duration::from_secs(7));
        site.round().await;
        for (name, value) in [("count", 2), ("oldest_seconds", 7)] {
            assert_eq!(site.metric(&format!("baluarte_jobs_{name}{{kind=\"test.deed\",state=\"ready\"}}")), value);
        }
        for (name, value) in [("count", 1), ("oldest_seconds", 12)] {
            assert_eq!(site.metric(&format!("baluarte_jobs_{name}{{kind=\"test.deed\",state=\"dead\"}}")), value);
        }
        assert!(!site.watch.told_nobody_works, "for seven seconds nobody needs to worry");
        test.clock.advance(Duration::from_secs(60));
        site.round().await;
        assert!(!site.watch.told_nobody_works, "a worker may be about to sign on");
        site.heartbeats_pass(1);
        site.round().await;
        assert!(site.watch.told_nobody_works);
        workers::register(&site.db, "wrk_1", "web-1:7", 10, site.clock.now()).await.expect("registered");
        site.round().await;
        assert!(!site.watch.told_nobody_works);
        // What was to be done later and is due is missed no less.
        site.execute("DELETE FROM workers", []).await;
        site.execute("DELETE FROM jobs WHERE id <> $1", [soon.to_string().into()]).await;
        site.round().await;
        site.heartbeats_pass(1);
        site.round().await;
        assert!(site.watch.told_nobody_works);
    }
}

/// Two pools and two bells on one PostgreSQL database, without Redis: what two processes are to each other.
#[test]
fn another_process_hears_of_a_job_at_once_through_postgresql() {
    baluarte_testkit::run_on(baluarte_testkit::Dialect::Postgres, |test: TestDb| async move {
        let (here, there) = (Site::new(&test, JobsConfig::default()).await, Site::new(&test, JobsConfig::default()).await);
        let stopping = CancellationToken::new();
        let carries = tokio::spawn(here.jobs.clone().watch(here.registry.clone(), Metrics::default(), stopping.clone()));
        let inner = std::sync::Arc::clone(&there.jobs.inner);
        let listens = tokio::spawn(async move { inner.bell.listen(&inner.db, &inner.backplane).await });
        // A new connection may have missed something.
        assert!(there.jobs.inner.bell.heard().await.contains(&Ring::All));
        here.deed(false).await;
        assert!(there.jobs.inner.bell.heard().await.contains(&Ring::Lane(String::new())));
        let later = Options { run_at: Some(Timestamp::from_micros(i64::MAX / 2)), ..Options::default() };
        here.enqueue(false, later).await.expect("enqueued");
        assert!(there.jobs.inner.bell.heard().await.contains(&Ring::Later));
        // Commands ring before they end, without anybody who carries.
        stopping.cancel();
        carries.await.expect("it ends when it is told to");
        here.deed(false).await;
        here.jobs.flush_hints().await;
        assert!(there.jobs.inner.bell.heard().await.contains(&Ring::Lane(String::new())));
        listens.abort();
    });
}

/// On SQLite a process shows that it lives without having to wait for the one writer.
#[test]
fn a_living_process_that_waits_for_the_writer_is_not_taken_for_dead() {
    baluarte_testkit::run_on(baluarte_testkit::Dialect::Sqlite, |test: TestDb| async move {
        let mut site = Site::new(&test, JobsConfig::default()).await;
        workers::register(&site.db, "wrk_1", "web-1:7", 10, test.clock.now()).await.expect("registered");
        let life = test.open(&[MIGRATIONS]).await.live_as("wrk_1").expect("it lives");
        site.round().await;
        site.heartbeats_pass(9);
        site.round().await;
        assert_eq!(site.metric("baluarte_jobs_workers_lost_total"), 0);
        drop(life);
        site.round().await;
        assert_eq!(site.metric("baluarte_jobs_workers_lost_total"), 1, "its process has ended");
        // One that hangs is given up in the end.
        workers::register(&site.db, "wrk_2", "web-1:8", 10, test.clock.now()).await.expect("registered");
        let life = site.db.live_as("wrk_2").expect("it lives");
        site.round().await;
        site.heartbeats_pass(10);
        site.round().await;
        assert_eq!(site.metric("baluarte_jobs_workers_lost_total"), 2);
        drop(life);
    });
}
