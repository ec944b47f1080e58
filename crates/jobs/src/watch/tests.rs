//! Round by round, on a clock that the tests move.

use baluarte_backplane::Backplane;
use baluarte_db::{
    Db,
    sea_orm::{ConnectionTrait as _, Value},
    sql,
};
use baluarte_kernel::{Clock, Ctx, Event, Period, Published, Secret, Timestamp, UserId};
use baluarte_secrets::Secrets;
use baluarte_testkit::{TestDb, each_backend};
use serde::{Deserialize, Serialize};

use super::*;
use crate::{Failure, Job, JobId, JobsConfig, MIGRATIONS, Options, Policy, Recurring, Registry, Run, State, Subscription, store::operator};

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Serialize, Deserialize)]
struct Deed {
    fails: bool,
}

impl Job for Deed {
    const KIND: &'static str = "test.deed";
    const POLICY: Policy = Policy::new().max_attempts(2);
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
        let watch = Watch::new(jobs.clone(), metrics.clone());
        Self { db, ctx: Ctx::system(clock.clone()), clock, jobs, registry, metrics, watch }
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

    /// As after a heartbeat with the database.
    async fn round(&mut self) {
        let now = Instant::now();
        (self.watch.count_at, self.watch.prune_at) = (now, now);
        self.watch.present_since = now.checked_sub(self.jobs.inner.config.heartbeat.get());
        self.watch.round().await.expect("a round");
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
        let published = site.jobs.publish(&site.ctx, &tx, Event::UserDeleted { user_id: UserId::generate() }).await;
        assert!(matches!(published, Err(DbError::Unavailable(_))));
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

    async fn a_worker_without_a_sign_of_life_is_told_once_and_its_jobs_go_back_with_the_attempt_counted(test: TestDb) {
        let mut site = Site::new(&test, JobsConfig { heartbeat: Period::from_secs(30), ..JobsConfig::default() }).await;
        let mut other = Site::new(&test, JobsConfig { heartbeat: Period::from_secs(30), ..JobsConfig::default() }).await;
        let (first, last, canceled) = (site.deed(false).await, site.deed(false).await, site.deed(false).await);
        workers::register(&site.db, "wrk_1", "web-1:7", 10, test.clock.now()).await.expect("registered");
        let running = |attempts: i64, id: JobId| {
            ("UPDATE jobs SET state = 'running', worker = 'wrk_1', attempts = $2, started_at = run_at, progress = 'half' WHERE id = $1", [id.to_string().into(), attempts.into()])
        };
        for (id, attempts) in [(first, 1), (last, 2), (canceled, 1)] {
            let (text, values) = running(attempts, id);
            site.execute(text, values).await;
        }
        site.execute("UPDATE jobs SET cancel_requested = TRUE WHERE id = $1", [canceled.to_string().into()]).await;
        test.clock.advance(Duration::from_secs(30));
        site.round().await;
        assert_eq!((site.metric("baluarte_jobs_workers_lost_total"), site.metric("baluarte_jobs_workers")), (0, 1));
        assert_eq!(site.state(first).await, Some(State::Running));

        test.clock.advance(Duration::from_secs(1));
        // Whoever has just come back to the database does not judge: to it everybody looks silent.
        other.watch.round().await.expect("a round");
        assert_eq!(site.state(first).await, Some(State::Running));
        site.round().await;
        other.round().await;
        let told = site.metric("baluarte_jobs_workers_lost_total") + other.metric("baluarte_jobs_workers_lost_total");
        assert_eq!((told, site.metric("baluarte_jobs_workers"), site.metric("baluarte_jobs_rescued_total")), (1, 0, 3));
        let listed = workers::list(&site.db).await.expect("a list");
        assert_eq!((listed[0].name.as_str(), listed[0].state, listed[0].lost_at), ("web-1:7", "lost", Some(test.clock.now())));
        // The attempt counts: a job that kills its worker each time comes to an end.
        let found = operator::find(site.db.read(), first).await.expect("found").expect("it is there").job;
        assert_eq!((found.state, found.attempts, found.worker, found.progress, found.error.as_deref()), (State::Ready, 1, None, None, Some("its worker was lost")));
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

    async fn what_is_counted_tells_kinds_states_and_ages(test: TestDb) {
        let mut site = Site::new(&test, JobsConfig::default()).await;
        site.deed(true).await;
        site.run_due().await;
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
        assert!(site.watch.told_nobody_works);
        workers::register(&site.db, "wrk_1", "web-1:7", 10, site.clock.now()).await.expect("registered");
        site.round().await;
        assert!(!site.watch.told_nobody_works);
    }
}

/// Two pools and two bells on one PostgreSQL database, without Redis: what two processes are to each other.
#[test]
fn another_process_hears_of_a_job_at_once_through_postgresql() {
    baluarte_testkit::run_on(baluarte_testkit::Dialect::Postgres, |test: TestDb| async move {
        let (here, there) = (Site::new(&test, JobsConfig::default()).await, Site::new(&test, JobsConfig::default()).await);
        let stopping = CancellationToken::new();
        let carries = tokio::spawn(here.jobs.clone().watch(Metrics::default(), stopping.clone()));
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
