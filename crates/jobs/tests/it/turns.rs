//! Many jobs in few turns: what is taken together is still run, tried again, canceled and given back one by one.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use baluarte_audit::{Audit, AuditConfig};
use baluarte_backplane::Backplane;
use baluarte_db::{Db, sea_orm::ConnectionTrait as _};
use baluarte_jobs::{Failure, Filter, Job, JobId, Jobs, JobsConfig, MIGRATIONS, Operator, Options, Policy, Priority, Registry, Run, State};
use baluarte_kernel::{Clock, Ctx, PageQuery, Secret};
use baluarte_secrets::Secrets;
use baluarte_testkit::{TestDb, each_backend};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::shift::Worker;

#[derive(Clone)]
struct World {
    ran: Arc<Mutex<Vec<String>>>,
    gate: Arc<Semaphore>,
}

/// Is done at its first step, or fails there.
#[derive(Serialize, Deserialize)]
struct Quick(String);

impl Job for Quick {
    const KIND: &'static str = "test.quick";
    const POLICY: Policy = Policy::new().retry(Duration::from_millis(1), Duration::from_millis(1));
    type Deps = World;
    async fn run(self, run: Run, world: World) -> Result<(), Failure> {
        let failed = self.0 == "fails once" && run.attempt == 1;
        world.ran.lock().unwrap().push(self.0);
        if failed { Err(Failure::retry("not yet")) } else { Ok(()) }
    }
}

/// Waits at the gate.
#[derive(Serialize, Deserialize)]
struct Slow {}

impl Job for Slow {
    const KIND: &'static str = "test.slow";
    type Deps = World;
    async fn run(self, _: Run, world: World) -> Result<(), Failure> {
        world.ran.lock().unwrap().push("slow".to_owned());
        world.gate.acquire().await.unwrap().forget();
        Ok(())
    }
}

/// The same, in a lane of its own.
#[derive(Serialize, Deserialize)]
struct Limited {}

impl Job for Limited {
    const KIND: &'static str = "test.limited";
    const POLICY: Policy = Policy::new().at_once(10);
    type Deps = World;
    async fn run(self, _: Run, world: World) -> Result<(), Failure> {
        world.gate.acquire().await.unwrap().forget();
        Ok(())
    }
}

struct Site {
    db: Db,
    jobs: Jobs,
    operator: Operator,
    ctx: Ctx,
    world: World,
    registry: Registry,
}

impl Site {
    /// At most so many runs at the same time.
    async fn new(test: &TestDb, concurrency: u32) -> Self {
        let db = test.open(&[baluarte_audit::MIGRATIONS, MIGRATIONS]).await;
        let clock = Clock::System;
        let secrets = Secrets::new(&Secret::new("k"), &Secret::new("s"));
        let audit = Audit::start(&AuditConfig::default(), baluarte_audit::Parts::new(&db, &secrets, &clock)).await.unwrap();
        let config = JobsConfig { concurrency, ..JobsConfig::default() };
        let jobs = Jobs::new(&config, db.clone(), Backplane::local(clock.clone()), secrets, clock.clone(), []);
        let world = World { ran: Arc::default(), gate: Arc::new(Semaphore::new(0)) };
        let registry =
            Registry::default().register::<Quick>(world.clone()).register::<Slow>(world.clone()).register::<Limited>(world.clone());
        let operator = Operator::new(jobs.clone(), audit, registry.clone());
        Self { db, jobs, operator, ctx: Ctx::system(clock), world, registry }
    }

    fn worker(&self) -> Worker {
        Worker::start(&self.jobs, &self.registry, Duration::from_secs(30))
    }

    async fn enqueue<J: Job>(&self, jobs: &[J], options: Options) -> Vec<JobId> {
        let tx = self.db.begin().await.unwrap();
        let ids = self.jobs.enqueue_all(&self.ctx, &tx, jobs, &options).await.unwrap();
        tx.commit().await.unwrap();
        ids
    }

    async fn count(&self, state: State) -> u32 {
        let counts = self.operator.count_jobs(&self.ctx).await.unwrap();
        counts.iter().filter(|count| count.state == state.name()).map(|count| count.jobs).sum()
    }

    async fn until(&self, state: State, jobs: u32) {
        while self.count(state).await != jobs {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn ran(&self) -> Vec<String> {
        self.world.ran.lock().unwrap().clone()
    }
}

fn quick(text: &str, count: usize) -> Vec<Quick> {
    (0..count).map(|_| Quick(text.to_owned())).collect()
}

each_backend! {
    async fn of_many_jobs_taken_together_each_runs_once_and_only_what_failed_runs_again(test: TestDb) {
        let site = Site::new(&test, 20).await;
        site.enqueue(&quick("well", 1_500), Options::default()).await;
        site.enqueue(&quick("fails once", 5), Options::default()).await;
        site.enqueue(&quick("well", 1_500), Options::default()).await;
        let worker = site.worker();
        site.until(State::Done, 3_005).await;
        worker.stop().await;
        let ran = site.ran();
        assert_eq!(ran.iter().filter(|ran| *ran == "well").count(), 3_000);
        assert_eq!(ran.iter().filter(|ran| *ran == "fails once").count(), 10);
    }

    async fn more_urgent_jobs_go_first_however_many_are_taken_together(test: TestDb) {
        let site = Site::new(&test, 1).await;
        site.enqueue(&quick("low", 300), Options { priority: Some(Priority::Low), ..Options::default() }).await;
        site.enqueue(&quick("high", 300), Options { priority: Some(Priority::High), ..Options::default() }).await;
        let worker = site.worker();
        site.until(State::Done, 600).await;
        worker.stop().await;
        assert_eq!(site.ran(), [vec!["high"; 300], vec!["low"; 300]].concat());
    }

    async fn a_flood_in_one_lane_leaves_room_for_the_others(test: TestDb) {
        let site = Site::new(&test, 2).await;
        site.enqueue(&(0..10).map(|_| Limited {}).collect::<Vec<_>>(), Options::default()).await;
        site.enqueue(&quick("of another kind", 3), Options::default()).await;
        let worker = site.worker();
        // Each that ends leaves its place to another lane first.
        site.world.gate.add_permits(4);
        while site.ran().len() < 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        site.world.gate.add_permits(6);
        site.until(State::Done, 13).await;
        worker.stop().await;
    }

    async fn jobs_that_were_written_when_their_kind_had_another_limit_are_done(test: TestDb) {
        let site = Site::new(&test, 5).await;
        site.enqueue(&[Limited {}], Options::default()).await;
        let later = Options { run_at: Some(site.ctx.now().plus(Duration::from_millis(50))), ..Options::default() };
        site.enqueue(&[Quick("later".to_owned())], later).await;
        site.enqueue(&[Quick("at once".to_owned())], Options::default()).await;
        let tx = site.db.begin().await.unwrap();
        // As a version wrote them in which the one kind had no limit and the other one had.
        tx.execute_unprepared("UPDATE jobs SET lane = CASE WHEN lane = '' THEN 'test.quick' ELSE '' END").await.unwrap();
        tx.commit().await.unwrap();
        site.world.gate.add_permits(1);
        let worker = site.worker();
        site.until(State::Done, 3).await;
        worker.stop().await;
    }

    async fn a_run_that_waits_holds_up_only_itself(test: TestDb) {
        let site = Site::new(&test, 2).await;
        site.enqueue(&[Slow {}], Options::default()).await;
        site.enqueue(&quick("well", 500), Options::default()).await;
        let worker = site.worker();
        site.until(State::Done, 500).await;
        site.world.gate.add_permits(1);
        site.until(State::Done, 501).await;
        worker.stop().await;
    }

    async fn what_was_taken_ahead_and_cannot_begin_goes_back_as_if_never_taken(test: TestDb) {
        let site = Site::new(&test, 1).await;
        // They let the worker take ever more ahead.
        site.enqueue(&quick("before", 600), Options::default()).await;
        site.enqueue(&[Slow {}], Options::default()).await;
        let after = site.enqueue(&quick("after", 600), Options::default()).await;
        let worker = site.worker();
        site.until(State::Done, 600).await;
        // Meanwhile they belong to the worker, perhaps, and have not begun.
        assert!(site.ran().iter().all(|ran| ran != "after"));
        site.operator.cancel_job(&site.ctx, after[3]).await.unwrap();
        site.until(State::Ready, 599).await;
        let page = PageQuery { limit: Some(100), cursor: None };
        let ready = site.operator.list_jobs(&site.ctx, &Filter { state: Some(State::Ready), ..Filter::default() }, &page).await.unwrap();
        assert!(ready.items.iter().all(|job| job.attempts == 0 && job.worker.is_none()));
        site.world.gate.add_permits(1);
        site.until(State::Done, 1_200).await;
        assert_eq!(site.count(State::Canceled).await, 1);
        assert_eq!(site.ran().iter().filter(|ran| *ran == "after").count(), 599);
        worker.stop().await;
    }

    async fn a_job_on_its_last_attempt_is_not_taken_before_it_can_begin(test: TestDb) {
        let site = Site::new(&test, 1).await;
        // They let the worker take ever more ahead.
        site.enqueue(&quick("before", 600), Options::default()).await;
        site.enqueue(&[Slow {}], Options::default()).await;
        let once = Options { max_attempts: Some(1), ..Options::default() };
        site.enqueue(&quick("once", 50), once).await;
        let worker = site.worker();
        while !site.ran().contains(&"slow".to_owned()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // If the worker were killed now, each of them would still have its attempt.
        let running = Filter { state: Some(State::Running), ..Filter::default() };
        let running = site.operator.list_jobs(&site.ctx, &running, &PageQuery::default()).await.unwrap();
        assert!(running.items.iter().all(|job| job.max_attempts > 1), "{:?}", running.items.first());
        site.world.gate.add_permits(1);
        site.until(State::Done, 651).await;
        worker.stop().await;
    }
}
