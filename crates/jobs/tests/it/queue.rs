use std::sync::{Arc, Mutex};

use baluarte_backplane::Backplane;
use baluarte_db::Db;
use baluarte_jobs::{Failure, Job, Jobs, JobsConfig, MIGRATIONS, Options, Policy, Priority, Registry, Run, Subscription};
use baluarte_kernel::{Ctx, Event, Published, Secret, UserId};
use baluarte_secrets::Secrets;
use baluarte_testkit::{TestDb, each_backend};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Note {
    text: String,
}

type Heard = Arc<Mutex<Vec<String>>>;

impl Job for Note {
    const KIND: &'static str = "test.note";
    type Deps = Heard;
    async fn run(self, _: Run, heard: Heard) -> Result<(), Failure> {
        heard.lock().unwrap().push(self.text);
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Forget(Published);

impl Job for Forget {
    const KIND: &'static str = "test.forget";
    const POLICY: Policy = Policy::new().sealed().at_once(1);
    type Deps = Heard;
    async fn run(self, _: Run, heard: Heard) -> Result<(), Failure> {
        heard.lock().unwrap().push(self.0.event.name().to_owned());
        Ok(())
    }
}

struct Site {
    db: Db,
    ctx: Ctx,
    jobs: Jobs,
    registry: Registry,
    heard: Heard,
}

impl Site {
    async fn new(test: &TestDb) -> Self {
        let db = test.open(&[baluarte_audit::MIGRATIONS, MIGRATIONS]).await;
        let secrets = Secrets::new(&Secret::new("k"), &Secret::new("s"));
        let backplane = Backplane::local(test.clock.clone());
        let subscriptions = [Subscription::of::<Forget>(&["user.deleted"])];
        let jobs = Jobs::new(&JobsConfig::default(), db.clone(), backplane, secrets, test.clock.clone(), subscriptions);
        let heard = Heard::default();
        let registry = Registry::default().register::<Note>(heard.clone()).register::<Forget>(heard.clone());
        Self { db, ctx: Ctx::system(test.clock.clone()), jobs, registry, heard }
    }

    async fn note(&self, text: &str, options: Options) {
        let tx = self.db.begin().await.unwrap();
        self.jobs.enqueue(&self.ctx, &tx, &Note { text: text.to_owned() }, options).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn run(&self) -> Vec<String> {
        self.jobs.run_due_for_tests(&self.registry).await.unwrap();
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

each_backend! {
    async fn a_job_exists_with_the_fact_that_causes_it_or_not_at_all(test: TestDb) {
        let site = Site::new(&test).await;
        let tx = site.db.begin().await.unwrap();
        site.jobs.enqueue(&site.ctx, &tx, &Note { text: "never".to_owned() }, Options::default()).await.unwrap();
        tx.rollback().await.unwrap();
        site.note("once", Options::default()).await;
        assert_eq!(site.run().await, ["once"]);
        assert!(site.run().await.is_empty());
    }

    async fn higher_priority_goes_first_and_later_jobs_wait_for_their_time(test: TestDb) {
        let site = Site::new(&test).await;
        let hour = std::time::Duration::from_secs(3_600);
        site.note("low", Options { priority: Some(Priority::Low), ..Options::default() }).await;
        site.note("normal", Options::default()).await;
        site.note("later", Options { run_at: Some(test.clock.now().plus(hour)), priority: Some(Priority::High), ..Options::default() }).await;
        site.note("high", Options { priority: Some(Priority::High), ..Options::default() }).await;
        assert_eq!(site.run().await, ["high", "normal", "low"]);
        test.clock.advance(hour);
        assert_eq!(site.run().await, ["later"]);
    }

    async fn what_nobody_needs_any_more_is_not_begun(test: TestDb) {
        let site = Site::new(&test).await;
        let minute = std::time::Duration::from_secs(60);
        site.note("too late", Options { expires_at: Some(test.clock.now().plus(minute)), ..Options::default() }).await;
        site.note("in time", Options { expires_at: Some(test.clock.now().plus(minute * 2)), ..Options::default() }).await;
        test.clock.advance(minute);
        assert_eq!(site.run().await, ["in time"]);
        assert!(site.run().await.is_empty(), "it does not come back");
    }

    async fn a_unique_key_is_taken_while_its_job_waits(test: TestDb) {
        let site = Site::new(&test).await;
        let unique = || Options { unique_key: Some("k".to_owned()), ..Options::default() };
        site.note("first", unique()).await;
        site.note("second", unique()).await;
        assert_eq!(site.run().await, ["first"]);
        site.note("third", unique()).await;
        assert_eq!(site.run().await, ["third"]);
    }

    async fn an_event_becomes_a_job_for_each_subscriber(test: TestDb) {
        let site = Site::new(&test).await;
        let tx = site.db.begin().await.unwrap();
        let user_id = UserId::generate();
        site.jobs.publish(&site.ctx, &tx, Event::UserDisabled { user_id }).await.unwrap();
        site.jobs.publish(&site.ctx, &tx, Event::UserDeleted { user_id }).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(site.run().await, ["user.deleted"]);
    }
}
