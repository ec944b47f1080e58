//! What operators see and change.

use std::{sync::Arc, time::Duration};

use baluarte_audit::{Audit, AuditConfig};
use baluarte_backplane::Backplane;
use baluarte_db::{Db, sea_orm::ConnectionTrait as _, sql};
use baluarte_jobs::{
    Failure, Filter, Job, JobId, Jobs, JobsConfig, JobsError, MIGRATIONS, Operator, Options, Policy, Priority, Recurring, Registry, Run,
    State,
};
use baluarte_kernel::{Actor, CredentialKind, Ctx, PageQuery, Principal, Secret, Timestamp, UserId};
use baluarte_secrets::Secrets;
use baluarte_testkit::{TestDb, each_backend};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Does not work until its `to` is somebody.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Letter {
    to: String,
    reset_token: String,
}

impl Job for Letter {
    const KIND: &'static str = "test.letter";
    const POLICY: Policy = Policy::new().max_attempts(1);
    type Deps = ();
    async fn run(self, _: Run, (): ()) -> Result<(), Failure> {
        match (self.to.as_str(), self.reset_token.as_str()) {
            ("somebody", "hunter2") => Ok(()),
            ("somebody", _) => Err(Failure::give_up("the token was lost")),
            _ => Err(Failure::retry("nobody lives there")),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    to: String,
}

impl Job for Sealed {
    const KIND: &'static str = "test.sealed";
    const POLICY: Policy = Policy::new().sealed().max_attempts(1);
    type Deps = ();
    async fn run(self, _: Run, (): ()) -> Result<(), Failure> {
        if self.to == "somebody" { Ok(()) } else { Err(Failure::retry("nobody lives there")) }
    }
}

struct Site {
    db: Db,
    ctx: Ctx,
    jobs: Jobs,
    operator: Operator,
    registry: Registry,
}

impl Site {
    async fn new(test: &TestDb) -> Self {
        let db = test.open(&[baluarte_audit::MIGRATIONS, MIGRATIONS]).await;
        let (secrets, clock) = (Secrets::new(&Secret::new("k"), &Secret::new("s")), test.clock.clone());
        let audit = Audit::start(&AuditConfig::default(), baluarte_audit::Parts::new(&db, &secrets, &clock)).await.unwrap();
        let jobs = Jobs::new(&JobsConfig::default(), db.clone(), Backplane::local(clock.clone()), secrets, clock.clone(), []);
        let registry = Registry::default().register::<Letter>(()).register::<Sealed>(());
        let registry = registry.schedule(Recurring::new("test.daily", "0 0 * * *", "UTC"), &letter("somebody")).unwrap();
        let operator = Operator::new(jobs.clone(), audit, registry.clone());
        Self { db, ctx: Ctx::operator(clock), jobs, operator, registry }
    }

    async fn enqueue<J: Job>(&self, job: J, options: Options) -> JobId {
        let tx = self.db.begin().await.unwrap();
        let id = self.jobs.enqueue(&self.ctx, &tx, &job, options).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    async fn run(&self) {
        self.jobs.run_due_for_tests(&self.registry).await.unwrap();
    }

    async fn ids(&self, filter: Filter) -> Vec<JobId> {
        let page = self.operator.list_jobs(&self.ctx, &filter, &PageQuery::default()).await.unwrap();
        page.items.into_iter().map(|job| job.id).collect()
    }

    async fn state(&self, id: JobId) -> State {
        self.operator.find_job(&self.ctx, id).await.unwrap().job.state
    }

    async fn audited(&self) -> Vec<String> {
        let rows = self
            .db
            .read()
            .query_all_raw(sql(self.db.read(), "SELECT action FROM audit_entries WHERE action LIKE 'jobs.%' ORDER BY seq", []))
            .await
            .unwrap();
        rows.iter().map(|row| row.try_get("", "action").unwrap()).collect()
    }
}

fn letter(to: &str) -> Letter {
    Letter { to: to.to_owned(), reset_token: "hunter2".to_owned() }
}

fn of(state: State) -> Filter {
    Filter { state: Some(state), ..Filter::default() }
}

each_backend! {
    async fn jobs_are_found_by_state_kind_and_tag_page_by_page(test: TestDb) {
        let site = Site::new(&test).await;
        let tagged = |tags: &[&str]| Options { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..Options::default() };
        let done = site.enqueue(letter("somebody"), tagged(&["order:1", "a"])).await;
        let dead = site.enqueue(letter("nobody"), tagged(&["order:11"])).await;
        let sealed = site.enqueue(Sealed { to: "somebody".into() }, tagged(&["order:1"])).await;
        site.run().await;
        let later = Options { run_at: Some(test.clock.now().plus(Duration::from_secs(60))), priority: Some(Priority::High), ..Options::default() };
        let scheduled = site.enqueue(letter("x"), later).await;
        let ready = site.enqueue(letter("x"), tagged(&["or%er_1"])).await;
        assert_eq!(site.ids(Filter::default()).await, [ready, scheduled, sealed, dead, done], "the newest first");
        for (filter, expected) in [
            (of(State::Done), vec![sealed, done]),
            (of(State::Dead), vec![dead]),
            (of(State::Scheduled), vec![scheduled]),
            (of(State::Ready), vec![ready]),
            (of(State::Running), vec![]),
            (Filter { kind: Some("test.sealed".into()), ..of(State::Done) }, vec![sealed]),
            (Filter { kind: Some("test".into()), ..Filter::default() }, vec![]),
            (Filter { tag: Some("order:1".into()), ..Filter::default() }, vec![sealed, done]),
            (Filter { tag: Some("order:1".into()), kind: Some("test.letter".into()), ..of(State::Done) }, vec![done]),
            (Filter { tag: Some("order".into()), ..Filter::default() }, vec![]),
            (Filter { tag: Some("or-er-1".into()), ..Filter::default() }, vec![ready]),
            (Filter { tag: Some("or%er_1".into()), ..Filter::default() }, vec![ready]),
            (Filter { tag: Some("%".into()), ..Filter::default() }, vec![]),
        ] {
            assert_eq!(site.ids(filter.clone()).await, expected, "{filter:?}");
        }
        let mut cursor = None;
        let mut seen = Vec::new();
        loop {
            let page = site.operator.list_jobs(&site.ctx, &Filter::default(), &PageQuery { limit: Some(2), cursor }).await.unwrap();
            seen.extend(page.items.iter().map(|job| job.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, [ready, scheduled, sealed, dead, done]);
    }

    async fn counts_tell_how_long_the_oldest_has_been_there(test: TestDb) {
        let site = Site::new(&test).await;
        site.enqueue(letter("nobody"), Options::default()).await;
        site.run().await;
        test.clock.advance(Duration::from_secs(10));
        site.enqueue(letter("x"), Options::default()).await;
        test.clock.advance(Duration::from_secs(5));
        site.enqueue(letter("x"), Options::default()).await;
        let later = Options { run_at: Some(test.clock.now().plus(Duration::from_secs(60))), ..Options::default() };
        site.enqueue(Sealed { to: "x".into() }, later).await;
        let mut counts: Vec<_> = site.operator.count_jobs(&site.ctx).await.unwrap().into_iter().map(|it| (it.kind, it.state, it.jobs, it.oldest_seconds)).collect();
        counts.sort();
        let expected = [("test.letter", "dead", 1, 15), ("test.letter", "ready", 2, 5), ("test.sealed", "scheduled", 1, 0)];
        assert_eq!(counts, expected.map(|(kind, state, jobs, age)| (kind.to_owned(), state.to_owned(), jobs, age)));
    }

    async fn a_payload_is_shown_without_its_secrets_which_survive_an_edit(test: TestDb) {
        let site = Site::new(&test).await;
        let (id, sealed) = (site.enqueue(letter("nobody"), Options::default()).await, site.enqueue(Sealed { to: "nobody".into() }, Options::default()).await);
        site.run().await;
        let shown = site.operator.find_job(&site.ctx, id).await.unwrap();
        assert_eq!((shown.payload, shown.sealed), (json!({ "to": "nobody", "reset_token": "[redacted]" }), false));
        assert_eq!(shown.errors.iter().map(|it| (it.attempt, it.error.as_str())).collect::<Vec<_>>(), [(1, "nobody lives there")]);
        let hidden = site.operator.find_job(&site.ctx, sealed).await.unwrap();
        assert_eq!((hidden.payload, hidden.sealed), (json!(null), true));

        for (payload, why) in [(json!({ "to": 1 }), "does not fit"), (json!({ "to": "x", "reset_token": "y", "more": "z" }), "does not fit"), (json!({ "to": "x".repeat(300_000), "reset_token": "y" }), "longer than")] {
            let refused = site.operator.edit_job(&site.ctx, id, payload).await.unwrap_err();
            assert!(matches!(&refused, JobsError::BadPayload(said) if said.contains(why) && !said.contains("hunter2")), "{refused}");
        }
        site.operator.edit_job(&site.ctx, id, json!({ "to": "somebody", "reset_token": "[redacted]" })).await.unwrap();
        site.operator.edit_job(&site.ctx, sealed, json!({ "to": "somebody" })).await.unwrap();
        site.run().await;
        assert_eq!((site.state(id).await, site.state(sealed).await), (State::Done, State::Done));
        let job = site.operator.find_job(&site.ctx, id).await.unwrap().job;
        assert_eq!((job.attempts, job.max_attempts), (2, 2), "one more attempt, because none was left");
        assert_eq!(site.audited().await, ["jobs.job.edited", "jobs.job.edited"]);
    }

    async fn what_is_over_is_tried_again_and_what_is_not_is_refused(test: TestDb) {
        let site = Site::new(&test).await;
        let unique = || Options { unique_key: Some("k".into()), ..Options::default() };
        let dead = site.enqueue(letter("nobody"), unique()).await;
        site.run().await;
        let other = site.enqueue(letter("x"), unique()).await;
        assert!(matches!(site.operator.retry_job(&site.ctx, dead).await, Err(JobsError::NotRetryable)), "another one has its key");
        assert!(matches!(site.operator.retry_job(&site.ctx, other).await, Err(JobsError::NotRetryable)), "it waits already");
        assert!(!site.operator.cancel_job(&site.ctx, other).await.unwrap());
        assert!(matches!(site.operator.cancel_job(&site.ctx, other).await, Err(JobsError::NotCancelable)));
        site.operator.retry_job(&site.ctx, dead).await.unwrap();
        assert_eq!((site.state(dead).await, site.state(other).await), (State::Ready, State::Canceled));
        let nobody = JobId::generate();
        assert!(matches!(site.operator.retry_job(&site.ctx, nobody).await, Err(JobsError::JobNotFound(_))));
        assert!(matches!(site.operator.cancel_job(&site.ctx, nobody).await, Err(JobsError::JobNotFound(_))));
        assert!(matches!(site.operator.find_job(&site.ctx, nobody).await, Err(JobsError::JobNotFound(_))));
        // Refusals leave nothing in the audit log.
        assert_eq!(site.audited().await, ["jobs.job.canceled", "jobs.job.retried"]);
    }

    async fn many_are_tried_again_at_once_by_kind_and_only_what_is_over(test: TestDb) {
        let site = Site::new(&test).await;
        for _ in 0..3 {
            site.enqueue(letter("nobody"), Options::default()).await;
        }
        let sealed = site.enqueue(Sealed { to: "nobody".into() }, Options::default()).await;
        site.run().await;
        for state in [None, Some(State::Done), Some(State::Running), Some(State::Ready), Some(State::Scheduled)] {
            let refused = site.operator.retry_jobs(&site.ctx, &Filter { state, ..Filter::default() }).await;
            assert!(matches!(refused, Err(JobsError::BadFilter)), "{state:?}");
        }
        let letters = Filter { kind: Some("test.letter".into()), ..of(State::Dead) };
        assert_eq!(site.operator.retry_jobs(&site.ctx, &letters).await.unwrap(), 3);
        assert_eq!(site.operator.retry_jobs(&site.ctx, &letters).await.unwrap(), 0);
        assert_eq!(site.state(sealed).await, State::Dead);
        assert_eq!(site.audited().await, ["jobs.queue.retried"; 2]);
    }

    async fn a_run_started_by_hand_is_the_one_that_goes_on(test: TestDb) {
        let site = Site::new(&test).await;
        site.jobs.start_schedules_for_tests(&site.registry).await.unwrap();
        let first = site.operator.run_schedule(&site.ctx, "test.daily").await.unwrap();
        assert_eq!(site.operator.run_schedule(&site.ctx, "test.daily").await.unwrap(), first);
        site.run().await;
        assert_ne!(site.operator.run_schedule(&site.ctx, "test.daily").await.unwrap(), first);
        let listed = site.operator.list_schedules(&site.ctx).await.unwrap();
        assert_eq!((listed.len(), listed[0].name.as_str(), listed[0].last_outcome.as_deref()), (1, "test.daily", Some("waiting")));
        assert!(matches!(site.operator.run_schedule(&site.ctx, "test.nobody").await, Err(JobsError::ScheduleNotFound)));
    }

    async fn ordinary_people_are_refused_everything(test: TestDb) {
        let site = Site::new(&test).await;
        let id = site.enqueue(letter("nobody"), Options::default()).await;
        site.run().await;
        let principal = Principal {
            user_id: UserId::generate(),
            email: String::new(),
            name: String::new(),
            role: "user".to_owned(),
            session_id: None,
            key_id: None,
            scopes: None,
            credential: CredentialKind::AccessToken,
            issued_at: Timestamp::default(),
            proven_at: Timestamp::default(),
            epoch: 0,
            expires_at: Timestamp::from_micros(i64::MAX),
        };
        let ordinary = Ctx { actor: Actor::User(Arc::new(principal)), ..Ctx::system(test.clock.clone()) };
        let anonymous = Ctx { actor: Actor::Anonymous, ..Ctx::system(test.clock.clone()) };
        for ctx in [ordinary, anonymous] {
            let operator = &site.operator;
            let refused = [
                operator.list_jobs(&ctx, &Filter::default(), &PageQuery::default()).await.err(),
                operator.count_jobs(&ctx).await.err(),
                operator.find_job(&ctx, id).await.err(),
                operator.retry_job(&ctx, id).await.err(),
                operator.retry_jobs(&ctx, &of(State::Dead)).await.err(),
                operator.edit_job(&ctx, id, json!({ "to": "a", "reset_token": "b" })).await.err(),
                operator.cancel_job(&ctx, id).await.err(),
                operator.list_workers(&ctx).await.err(),
                operator.list_schedules(&ctx).await.err(),
                operator.run_schedule(&ctx, "test.daily").await.err(),
            ];
            assert!(refused.iter().all(|err| matches!(err, Some(JobsError::Forbidden(_)))), "{refused:?}");
        }
        assert_eq!((site.state(id).await, site.audited().await.len()), (State::Dead, 0));
    }
}
