//! Real workers, on the system's clock.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use baluarte_audit::{Audit, AuditConfig};
use baluarte_backplane::Backplane;
use baluarte_db::{Db, sea_orm::ConnectionTrait as _, sql};
use baluarte_jobs::{Failure, Filter, Job, JobId, Jobs, JobsConfig, MIGRATIONS, Operator, Options, Policy, Registry, Run, State};
use baluarte_kernel::{Clock, Ctx, PageQuery, Period, Secret};
use baluarte_secrets::Secrets;
use baluarte_telemetry::Metrics;
use baluarte_testkit::{Dialect, TestDb, each_backend, run_on};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::shift::Worker;

#[derive(Clone)]
struct World {
    began: Arc<Mutex<Vec<String>>>,
    /// Permits let runs end.
    gate: Arc<Semaphore>,
    running: Arc<AtomicU32>,
    most: Arc<AtomicU32>,
}

/// Does what its text says.
#[derive(Serialize, Deserialize)]
struct Deed(String);

impl Job for Deed {
    const KIND: &'static str = "test.deed";
    const POLICY: Policy = Policy::new().time_limit(Duration::from_millis(300)).retry(Duration::from_millis(1), Duration::from_millis(1));
    type Deps = World;
    async fn run(self, run: Run, world: World) -> Result<(), Failure> {
        world.began.lock().unwrap().push(format!("{} {}", self.0, run.attempt));
        match self.0.as_str() {
            "panic" => panic!("on purpose"),
            "hang" => std::future::pending().await,
            "give up" => Err(Failure::give_up("no use")),
            "fail" => Err(Failure::retry("not yet")),
            _ => Ok(()),
        }
    }
}

/// Waits at the gate; three at once.
#[derive(Serialize, Deserialize)]
struct Wait {}

impl Job for Wait {
    const KIND: &'static str = "test.wait";
    const POLICY: Policy = Policy::new().at_once(3);
    type Deps = World;
    async fn run(self, run: Run, world: World) -> Result<(), Failure> {
        let now = world.running.fetch_add(1, Ordering::SeqCst) + 1;
        world.most.fetch_max(now, Ordering::SeqCst);
        world.began.lock().unwrap().push(run.id.to_string());
        let ended = tokio::select! {
            biased;
            () = run.canceled().cancelled() => Err(Failure::retry("was told to stop")),
            permit = world.gate.acquire() => { permit.unwrap().forget(); Ok(()) }
        };
        world.running.fetch_sub(1, Ordering::SeqCst);
        ended
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
    async fn new(test: &TestDb) -> Self {
        let db = test.open(&[baluarte_audit::MIGRATIONS, MIGRATIONS]).await;
        Self::on(db).await
    }

    async fn on(db: Db) -> Self {
        let clock = Clock::System;
        let config = JobsConfig {
            max_attempts: 3,
            retry_base: Period::from_millis(1),
            heartbeat: Period::from_millis(900),
            ..JobsConfig::default()
        };
        let secrets = Secrets::new(&Secret::new("k"), &Secret::new("s"));
        let audit = Audit::start(&AuditConfig::default(), baluarte_audit::Parts::new(&db, &secrets, &clock)).await.unwrap();
        let jobs = Jobs::new(&config, db.clone(), Backplane::local(clock.clone()), secrets, clock.clone(), []);
        let world = World { began: Arc::default(), gate: Arc::new(Semaphore::new(0)), running: Arc::default(), most: Arc::default() };
        let registry = Registry::default().register::<Deed>(world.clone()).register::<Wait>(world.clone());
        let operator = Operator::new(jobs.clone(), audit, registry.clone());
        Self { db, jobs, operator, ctx: Ctx::system(clock), world, registry }
    }

    fn worker(&self, grace: Duration) -> Worker {
        Worker::start(&self.jobs, &self.registry, grace)
    }

    async fn enqueue<J: Job>(&self, job: J) -> JobId {
        let tx = self.db.begin().await.unwrap();
        let id = self.jobs.enqueue(&self.ctx, &tx, &job, Options::default()).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// Waits until the job is in that state; returns its errors, the first one first.
    async fn until(&self, id: JobId, state: State) -> Vec<String> {
        loop {
            let detail = self.operator.find_job(&self.ctx, id).await.unwrap();
            if detail.job.state == state {
                return detail.errors.into_iter().rev().map(|it| it.error).collect();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn until_began(&self, count: usize) -> Vec<String> {
        loop {
            let began = self.world.began.lock().unwrap().clone();
            if began.len() >= count {
                return began;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn execute(&self, text: &str) {
        let tx = self.db.begin().await.unwrap();
        tx.execute_raw(sql(&tx, text, [])).await.unwrap();
        tx.commit().await.unwrap();
    }
}

const LONG: Duration = Duration::from_secs(30);

each_backend! {
    async fn failures_panics_and_overlong_runs_are_tried_again_until_the_attempts_are_used_up(test: TestDb) {
        let site = Site::new(&test).await;
        let worker = site.worker(LONG);
        let (fail, panic, hang) = (site.enqueue(Deed("fail".into())).await, site.enqueue(Deed("panic".into())).await, site.enqueue(Deed("hang".into())).await);
        let give_up = site.enqueue(Deed("give up".into())).await;
        let well = site.enqueue(Deed("well".into())).await;
        assert_eq!(site.until(fail, State::Dead).await, ["not yet"; 3]);
        assert_eq!(site.until(panic, State::Dead).await, ["it panicked: on purpose"; 3]);
        assert_eq!(site.until(hang, State::Dead).await, ["it took longer than 300ms"; 3]);
        assert_eq!(site.until(give_up, State::Dead).await, ["no use"]);
        assert!(site.until(well, State::Done).await.is_empty());
        worker.stop().await;
        assert!(site.operator.list_workers(&site.ctx).await.unwrap().is_empty());
    }

    async fn a_kinds_limit_holds_over_all_workers(test: TestDb) {
        let site = Site::new(&test).await;
        let other = Site { world: site.world.clone(), ..Site::on(test.open(&[baluarte_audit::MIGRATIONS, MIGRATIONS]).await).await };
        let other = Site { registry: site.registry.clone(), ..other };
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(site.enqueue(Wait {}).await);
        }
        let (one, two) = (site.worker(LONG), other.worker(LONG));
        for began in 3..=20 {
            site.until_began(began).await;
            site.world.gate.add_permits(1);
        }
        site.world.gate.add_permits(2);
        for id in ids {
            site.until(id, State::Done).await;
        }
        assert_eq!(site.world.most.load(Ordering::SeqCst), 3);
        one.stop().await;
        two.stop().await;
    }

    async fn a_running_job_is_canceled_cooperatively_and_a_waiting_one_at_once(test: TestDb) {
        let site = Site::new(&test).await;
        let waiting = site.enqueue(Deed("never".into())).await;
        assert!(!site.operator.cancel_job(&site.ctx, waiting).await.unwrap());
        site.until(waiting, State::Canceled).await;
        let running = site.enqueue(Wait {}).await;
        let worker = site.worker(LONG);
        site.until_began(1).await;
        assert!(site.operator.cancel_job(&site.ctx, running).await.unwrap());
        assert_eq!(site.until(running, State::Canceled).await, ["was told to stop"]);
        site.operator.retry_job(&site.ctx, running).await.unwrap();
        site.until_began(2).await;
        site.world.gate.add_permits(1);
        site.until(running, State::Done).await;
        worker.stop().await;
        assert_eq!(site.world.began.lock().unwrap().len(), 2, "what was canceled never began");
    }

    async fn a_stopping_worker_gives_back_what_it_cannot_finish(test: TestDb) {
        let site = Site::new(&test).await;
        let id = site.enqueue(Wait {}).await;
        let worker = site.worker(Duration::from_millis(50));
        site.until_began(1).await;
        worker.stop().await;
        let job = site.operator.find_job(&site.ctx, id).await.unwrap().job;
        assert_eq!((job.state, job.attempts), (State::Ready, 0));
    }

    async fn jobs_of_a_silent_worker_go_to_another_and_its_own_word_no_longer_counts(test: TestDb) {
        let site = Site::new(&test).await;
        let id = site.enqueue(Wait {}).await;
        let slow = site.worker(LONG);
        site.until_began(1).await;
        // As if it had been silent for long: its own next sign of life comes too late.
        site.execute("UPDATE workers SET lost_at = 1").await;
        let watching = CancellationToken::new();
        let watch = tokio::spawn(site.jobs.clone().watch(site.registry.clone(), Metrics::default(), watching.clone()));
        // The worker begins anew and gets the job again; the first run is told to stop.
        assert_eq!(site.until_began(2).await, [id.to_string(), id.to_string()]);
        site.world.gate.add_permits(1);
        assert_eq!(site.until(id, State::Done).await, ["its worker was lost"]);
        slow.stop().await;
        watching.cancel();
        watch.await.unwrap();
    }

    async fn what_the_database_believes_to_run_here_and_does_not_goes_back(test: TestDb) {
        let site = Site::new(&test).await;
        let worker = site.worker(LONG);
        let id = site.enqueue(Deed("well".into())).await;
        site.until(id, State::Done).await;
        // A commit whose answer was lost leaves jobs to a worker that does not know of them.
        site.execute("UPDATE jobs SET state = 'running', attempts = 1").await;
        site.until_began(2).await;
        site.until(id, State::Done).await;
        worker.stop().await;
    }

    async fn a_worker_goes_on_when_the_database_is_back(test: TestDb) {
        let site = Site::new(&test).await;
        let id = site.enqueue(Wait {}).await;
        let worker = site.worker(LONG);
        site.until_began(1).await;
        test.go_away().await;
        site.world.gate.add_permits(1);
        tokio::time::sleep(Duration::from_millis(100)).await;
        test.come_back().await;
        loop {
            // The pool needs a moment, too.
            if site.operator.list_jobs(&site.ctx, &Filter::default(), &PageQuery::default()).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        site.until(id, State::Done).await;
        let next = site.enqueue(Deed("well".into())).await;
        site.until(next, State::Done).await;
        worker.stop().await;
    }

    async fn a_job_that_kills_its_worker_each_time_is_given_up_after_its_attempts(test: TestDb) {
        let site = Site::new(&test).await;
        let (watching, metrics) = (CancellationToken::new(), Metrics::default());
        let watch = tokio::spawn(site.jobs.clone().watch(site.registry.clone(), metrics.clone(), watching.clone()));
        let id = site.enqueue(Wait {}).await;
        for attempt in 1..=3 {
            let worker = site.worker(LONG);
            site.until_began(attempt).await;
            // As by a crash of the process: no word, no sign of life.
            worker.task.abort();
        }
        assert_eq!(site.until(id, State::Dead).await, ["its worker was lost"; 3]);
        let worker = site.worker(LONG);
        let next = site.enqueue(Deed("well".into())).await;
        site.until(next, State::Done).await;
        assert_eq!(site.operator.find_job(&site.ctx, id).await.unwrap().job.attempts, 3, "nobody tries it again");
        worker.stop().await;
        watching.cancel();
        watch.await.unwrap();
        assert!(metrics.render().contains("baluarte_jobs_workers_lost_total 3"), "{}", metrics.render());
    }
}

/// On SQLite nothing stands between a worker and its database.
#[test]
fn a_run_that_was_stopped_because_the_database_was_away_counts_as_an_attempt() {
    run_on(Dialect::Postgres, |test: TestDb| async move {
        let site = Site::new(&test).await;
        let id = site.enqueue(Wait {}).await;
        let worker = site.worker(LONG);
        site.until_began(1).await;
        test.go_away().await;
        while site.world.running.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        test.come_back().await;
        site.until_began(2).await;
        site.world.gate.add_permits(1);
        loop {
            // The pool needs a moment, too.
            if site.operator.list_jobs(&site.ctx, &Filter::default(), &PageQuery::default()).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(site.until(id, State::Done).await, ["was told to stop"]);
        assert_eq!(site.operator.find_job(&site.ctx, id).await.unwrap().job.attempts, 2);
        worker.stop().await;
    });
}
