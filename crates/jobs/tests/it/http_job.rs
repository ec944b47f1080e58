//! Calls to receivers that behave and receivers that do not.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use baluarte_audit::{Audit, AuditConfig};
use baluarte_backplane::Backplane;
use baluarte_db::Db;
use baluarte_jobs::{
    JobId, Jobs, JobsConfig, MIGRATIONS, Registry, SUBSCRIPTION,
    http_job::{Courier, Endpoints, HttpJob, HttpJobError, HttpJobs, NewHttpJob, Parts},
};
use baluarte_kernel::{Actor, Clock, CredentialKind, Ctx, Event, PageQuery, Principal, Secret, Timestamp, UserId};
use baluarte_outbound::{Names, SigningKey, sign};
use baluarte_secrets::Secrets;
use baluarte_telemetry::Metrics;
use baluarte_testkit::{Receiver, Reply, TestDb, each_backend};
use serde_json::{Value, json};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct Site {
    db: Db,
    clock: Clock,
    jobs: Jobs,
    http: HttpJobs,
    registry: Registry,
    ctx: Ctx,
}

/// Somebody who holds an API key with these scopes.
fn caller(clock: &Clock, role: &str, scopes: Option<&[&str]>) -> Ctx {
    let principal = Principal {
        user_id: UserId::generate(),
        email: String::new(),
        name: String::new(),
        role: role.to_owned(),
        session_id: None,
        key_id: None,
        scopes: scopes.map(|scopes| scopes.iter().map(|scope| (*scope).to_owned()).collect()),
        credential: CredentialKind::ApiKey,
        issued_at: Timestamp::default(),
        proven_at: Timestamp::default(),
        epoch: 0,
        expires_at: Timestamp::from_micros(i64::MAX),
    };
    Ctx { actor: Actor::User(Arc::new(principal)), ..Ctx::system(clock.clone()) }
}

impl Site {
    async fn new(test: &TestDb, endpoints: Value, names: Names) -> Self {
        Self::with_schedules(test, endpoints, json!({}), names).await
    }

    async fn with_schedules(test: &TestDb, endpoints: Value, schedules: Value, names: Names) -> Self {
        let db = test.open(&[MIGRATIONS, baluarte_audit::MIGRATIONS]).await;
        let secrets = Secrets::new(&Secret::new("k"), &Secret::new("s"));
        let clock = test.clock.clone();
        let jobs =
            Jobs::new(&JobsConfig::default(), db.clone(), Backplane::local(clock.clone()), secrets.clone(), clock.clone(), [SUBSCRIPTION]);
        let endpoints = Endpoints::new(&serde_json::from_value(endpoints).unwrap(), &BTreeMap::new(), secrets.clone());
        let courier = Courier::with_names(names, false, 64, clock.clone(), Metrics::default()).unwrap();
        let audit = Audit::start(&AuditConfig::default(), baluarte_audit::Parts::new(&db, &secrets, &clock)).await.unwrap();
        let schedules = serde_json::from_value(schedules).unwrap();
        let http = HttpJobs::new(Parts { jobs: jobs.clone(), db: db.clone(), audit, endpoints, courier, schedules });
        let ctx = caller(&clock, "user", Some(&["jobs"]));
        Self { registry: http.registry().unwrap().merge(jobs.registry()), db, clock, jobs, http, ctx }
    }

    /// The receiver is the endpoint `app`.
    async fn with_app(test: &TestDb, app: &Receiver) -> Self {
        let endpoints = json!({ "app": { "url": app.url(), "secrets": [SECRET], "timeout": "300ms" } });
        Self::new(test, endpoints, Names::of_the_system()).await
    }

    async fn enqueue(&self, path: &str) -> JobId {
        self.http.enqueue_http_job(&self.ctx, hook(path)).await.unwrap().id
    }

    /// Runs what is due and says what became of the job.
    async fn run(&self, id: JobId) -> HttpJob {
        self.jobs.run_due_for_tests(&self.registry).await.unwrap();
        self.http.find_http_job(&self.ctx, id).await.unwrap().0
    }
}

fn hook(path: &str) -> NewHttpJob {
    let body = Some(json!({ "order": 4711 }));
    NewHttpJob { endpoint: Some("app".into()), path: Some(path.into()), body, ..NewHttpJob::default() }
}

fn to(url: impl Into<String>) -> NewHttpJob {
    NewHttpJob { url: Some(url.into()), ..NewHttpJob::default() }
}

fn seconds_from(clock: &Clock, at: Timestamp) -> u64 {
    at.since(clock.now()).as_secs()
}

each_backend! {
    async fn what_somebody_had_called_goes_with_their_account_and_what_is_to_be_called_is_called(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::with_app(&test, &app).await;
        let Actor::User(principal) = &site.ctx.actor else { panic!("somebody asks") };
        let user_id = principal.user_id;
        app.plan([Reply::With { status: 200, headers: Vec::new(), body: "thank you zoe@example.com".into() }]);
        let done = site.enqueue("/hooks/done").await;
        assert_eq!(site.run(done).await.state, "done");
        let later = NewHttpJob { run_at: Some(site.clock.now().plus(Duration::from_secs(60))), ..hook("/hooks/later") };
        let later = site.http.enqueue_http_job(&site.ctx, later).await.unwrap().id;
        let operator = Ctx::operator(site.clock.clone());
        let others = site.http.enqueue_http_job(&operator, hook("/hooks/others")).await.unwrap().id;
        site.jobs.run_due_for_tests(&site.registry).await.unwrap();

        let tx = site.db.begin().await.unwrap();
        site.jobs.publish(&operator, &tx, Event::UserDeleted { user_id }).await.unwrap();
        tx.commit().await.unwrap();
        site.jobs.run_due_for_tests(&site.registry).await.unwrap();
        assert!(matches!(site.http.find_http_job(&operator, done).await, Err(HttpJobError::NotFound)));
        assert!(site.http.list_calls(done, 9).await.unwrap().is_empty());
        assert_eq!(site.http.find_http_job(&operator, others).await.unwrap().0.state, "done");
        let waiting = site.http.find_http_job(&operator, later).await.unwrap().0;
        assert_eq!((waiting.owner, waiting.state.as_str()), (None, "scheduled"));
        site.clock.advance(Duration::from_secs(60));
        site.jobs.run_due_for_tests(&site.registry).await.unwrap();
        assert_eq!(app.received().len(), 3);
        // It looks once more when nothing is under way any more, and then that one is gone, too.
        site.clock.advance(Duration::from_secs(600));
        site.jobs.run_due_for_tests(&site.registry).await.unwrap();
        assert!(matches!(site.http.find_http_job(&operator, later).await, Err(HttpJobError::NotFound)));
    }

    async fn a_call_is_signed_as_standard_webhooks_says_and_2xx_means_done(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::with_app(&test, &app).await;
        let mut new = hook("/hooks/order-paid?x=1");
        new.headers.insert("X-Shop".into(), "a".into());
        let id = site.http.enqueue_http_job(&site.ctx, new).await.unwrap().id;
        let job = site.run(id).await;
        assert_eq!((job.state.as_str(), job.attempts, job.target.ends_with("/hooks/order-paid?…")), ("done", 1, true), "{job:?}");
        let sent = app.received().remove(0);
        assert_eq!((sent.method.as_str(), sent.target.as_str(), &sent.body[..]), ("POST", "/hooks/order-paid?x=1", &br#"{"order":4711}"#[..]));
        assert_eq!((sent.header("x-shop"), sent.header("content-type")), (Some("a"), Some("application/json")));
        assert_eq!(sent.header("x-baluarte-attempt"), Some("1"));
        let key: SigningKey = SECRET.parse().unwrap();
        for (name, value) in sign(&[key], &id.to_string(), site.clock.now(), &sent.body).unwrap() {
            assert_eq!(sent.headers.get(&name), Some(&value), "{name}");
        }
        let (_, calls) = site.http.find_http_job(&site.ctx, id).await.unwrap();
        assert_eq!((calls.len(), calls[0].status, calls[0].error.as_deref()), (1, Some(204), None));
    }

    async fn anything_else_is_tried_again_with_growing_pauses_and_the_same_id(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::with_app(&test, &app).await;
        app.plan([Reply::Status(500), Reply::HangUp, Reply::Silence, Reply::header(302, "location", "http://127.0.0.1:1/")]);
        let id = site.enqueue("/hooks/x").await;
        let mut before = 0;
        for (attempt, why) in [(1, "answered 500"), (2, ""), (3, "no answer in time"), (4, "redirects are not followed")] {
            let job = site.run(id).await;
            assert_eq!((job.state.as_str(), job.attempts), ("scheduled", attempt), "{job:?}");
            assert!(job.error.as_deref().unwrap_or_default().contains(why), "{job:?}");
            let pause = seconds_from(&site.clock, job.run_at);
            assert!(pause >= before && pause <= 60, "{pause} after {before}");
            before = pause;
            site.clock.advance(Duration::from_secs(3_600));
        }
        assert_eq!(site.run(id).await.state, "done");
        let received = app.received();
        assert_eq!(received.len(), 5);
        let ids: Vec<_> = received.iter().map(|it| it.header("webhook-id").unwrap()).collect();
        assert!(ids.iter().all(|sent| *sent == id.to_string()));
        assert_ne!(received[0].header("webhook-timestamp"), received[4].header("webhook-timestamp"));
    }

    async fn retry_after_is_obeyed_in_both_forms(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::with_app(&test, &app).await;
        // The clock of the test stands at 2027-01-15T08:00:00Z.
        app.plan([Reply::header(429, "retry-after", "1234"), Reply::header(503, "retry-after", "Fri, 15 Jan 2027 10:00:00 GMT")]);
        let id = site.enqueue("/hooks/x").await;
        assert_eq!(seconds_from(&site.clock, site.run(id).await.run_at), 1234);
        site.clock.advance(Duration::from_secs(3_600));
        assert_eq!(seconds_from(&site.clock, site.run(id).await.run_at), 3_600);
    }

    async fn gone_is_given_up_at_once(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::with_app(&test, &app).await;
        app.plan([Reply::Status(410)]);
        let id = site.enqueue("/hooks/x").await;
        assert_eq!(site.run(id).await.state, "dead");
        assert_eq!(app.received().len(), 1);
    }

    async fn a_huge_answer_does_no_harm_and_its_status_counts(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::with_app(&test, &app).await;
        app.plan([
            Reply::With { status: 500, headers: vec![], body: "Authorization: Bearer abcdefghij ".repeat(100_000) },
            Reply::With { status: 200, headers: vec![], body: "x".repeat(10_000_000) },
        ]);
        let id = site.enqueue("/hooks/x").await;
        site.run(id).await;
        site.clock.advance(Duration::from_secs(3_600));
        assert_eq!(site.run(id).await.state, "done");
        let (_, calls) = site.http.find_http_job(&site.ctx, id).await.unwrap();
        assert!(calls.iter().all(|call| call.answer.len() < 600), "{calls:?}");
        assert!(calls[1].answer.starts_with("Authorization: Bearer [redacted]"), "{}", calls[1].answer);
    }

    async fn private_addresses_are_refused_at_once_or_when_their_name_is_asked(test: TestDb) {
        let app = Receiver::start().await;
        // Whatever the name said when somebody looked, now it is this machine.
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let names = Names::from_fn(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            vec!["127.0.0.1".parse::<IpAddr>().unwrap()]
        });
        let site = Site::new(&test, json!({}), names).await;
        for url in ["http://127.0.0.1:8080/", "http://169.254.169.254/latest/meta-data", "http://[::1]/", "http://2130706433/", "http://u:p@x.example/", "http://x.example:25/"] {
            let refused = site.http.enqueue_http_job(&site.ctx, to(url)).await;
            assert!(matches!(&refused, Err(HttpJobError::Invalid(wrong)) if wrong[0].0 == "/url"), "{url}: {refused:?}");
        }
        let id = site.http.enqueue_http_job(&site.ctx, to(format!("http://rebinding.example:{}/", app.port()))).await.unwrap().id;
        let job = site.run(id).await;
        assert_eq!((job.state.as_str(), job.error.as_deref()), ("scheduled", Some("not a public address")));
        assert!(asked.load(Ordering::SeqCst) > 0);
        assert_eq!(app.received().len(), 0);
    }

    async fn an_endpoint_may_be_private_and_only_under_its_path(test: TestDb) {
        let app = Receiver::start().await;
        let endpoints = json!({ "app": { "url": app.url(), "path": "/hooks/" } });
        let site = Site::new(&test, endpoints, Names::of_the_system()).await;
        let id = site.http.enqueue_http_job(&site.ctx, to(format!("{}/hooks/x", app.url()))).await.unwrap().id;
        assert_eq!(site.run(id).await.state, "done");
        for new in [to(format!("{}/admin", app.url())), to(format!("{}/hooks/../admin", app.url())), hook("/admin"), hook("/hooks/%2e%2e/admin")] {
            assert!(matches!(site.http.enqueue_http_job(&site.ctx, new).await, Err(HttpJobError::Invalid(_))));
        }
        let unknown = NewHttpJob { endpoint: Some("nobody".into()), ..hook("/") };
        assert!(matches!(site.http.enqueue_http_job(&site.ctx, unknown).await, Err(HttpJobError::Invalid(_))));
        assert_eq!(app.received().len(), 1);
    }

    async fn a_dead_receiver_is_left_alone_without_using_up_attempts(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::with_app(&test, &app).await;
        app.otherwise(Reply::HangUp);
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(site.enqueue("/hooks/x").await);
        }
        site.jobs.run_due_for_tests(&site.registry).await.unwrap();
        assert_eq!(app.received().len(), 5, "the breaker opens after five failures");
        let mut untried = 0;
        for id in &ids {
            let job = site.http.find_http_job(&site.ctx, *id).await.unwrap().0;
            untried += usize::from(job.attempts == 0 && job.state == "scheduled");
        }
        assert_eq!(untried, 15);
        app.otherwise(Reply::Status(204));
        for _ in 0..20 {
            site.clock.advance(Duration::from_secs(60));
            site.jobs.run_due_for_tests(&site.registry).await.unwrap();
        }
        for id in ids {
            assert_eq!(site.http.find_http_job(&site.ctx, id).await.unwrap().0.state, "done");
        }
    }

    async fn one_sees_and_cancels_ones_own_jobs_and_needs_the_scope(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::with_app(&test, &app).await;
        let later = NewHttpJob { run_at: Some(site.clock.now().plus(Duration::from_secs(60))), ..hook("/hooks/x") };
        let mine = site.http.enqueue_http_job(&site.ctx, later).await.unwrap().id;
        let stranger = caller(&site.clock, "user", Some(&["jobs"]));
        let admin = caller(&site.clock, "admin", None);
        assert!(matches!(site.http.find_http_job(&stranger, mine).await, Err(HttpJobError::NotFound)));
        assert!(matches!(site.http.cancel_http_job(&stranger, mine).await, Err(HttpJobError::NotFound)));
        assert!(site.http.find_http_job(&admin, mine).await.is_ok());
        for nobody in [caller(&site.clock, "user", None), caller(&site.clock, "admin", Some(&["chat"]))] {
            assert!(matches!(site.http.enqueue_http_job(&nobody, hook("/")).await, Err(HttpJobError::Forbidden(_))));
            assert!(matches!(site.http.list_http_jobs(&nobody, &PageQuery::default()).await, Err(HttpJobError::Forbidden(_))));
        }
        let page = PageQuery { limit: Some(1), cursor: None };
        site.enqueue("/hooks/y").await;
        let first = site.http.list_http_jobs(&site.ctx, &page).await.unwrap();
        let second = site.http.list_http_jobs(&site.ctx, &PageQuery { cursor: first.next_cursor, ..page }).await.unwrap();
        assert_eq!((second.items[0].id, second.next_cursor), (mine, None));
        assert!(site.http.list_http_jobs(&stranger, &PageQuery::default()).await.unwrap().items.is_empty());
        site.http.cancel_http_job(&site.ctx, mine).await.unwrap();
        assert!(matches!(site.http.cancel_http_job(&site.ctx, mine).await, Err(HttpJobError::Ended)));
        site.clock.advance(Duration::from_secs(60));
        assert_eq!(site.run(mine).await.state, "canceled");
    }

    async fn a_unique_key_finds_the_job_that_waits_and_only_ones_own(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::with_app(&test, &app).await;
        let keyed = || NewHttpJob { unique_key: Some("order-1".into()), ..hook("/hooks/x") };
        let first = site.http.enqueue_http_job(&site.ctx, keyed()).await.unwrap().id;
        assert_eq!(site.http.enqueue_http_job(&site.ctx, keyed()).await.unwrap().id, first);
        let stranger = caller(&site.clock, "user", Some(&["jobs"]));
        assert_ne!(site.http.enqueue_http_job(&stranger, keyed()).await.unwrap().id, first);
        site.run(first).await;
        assert_ne!(site.http.enqueue_http_job(&site.ctx, keyed()).await.unwrap().id, first);
    }

    async fn nothing_secret_of_a_request_is_in_the_database(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::with_app(&test, &app).await;
        let mut new = hook("/hooks/x?token=hunter2");
        new.headers.insert("authorization".into(), "Bearer hunter2-hunter2".into());
        new.body = Some(json!({ "card": "hunter2" }));
        // It answers with a copy of what it got.
        app.plan([Reply::With { status: 500, headers: vec![], body: "you sent hunter2-hunter2".into() }]);
        let id = site.http.enqueue_http_job(&site.ctx, new).await.unwrap().id;
        site.run(id).await;
        for table in ["jobs", "http_jobs", "http_calls", "job_errors", "audit_entries"] {
            let text = dump(&site.db, table).await;
            assert!(!text.contains("hunter2") && !text.contains("MfKQ9r8G"), "{table}: {text}");
        }
        assert_eq!(app.received()[0].header("authorization"), Some("Bearer hunter2-hunter2"));
    }

    async fn a_configured_schedule_calls_in_its_time_with_its_attempts_and_is_shown_as_a_job(test: TestDb) {
        let app = Receiver::start().await;
        let nightly = json!({ "cron": "0 9 * * *", "endpoint": "app", "path": "/hooks/nightly?full=1", "max_attempts": 2, "body": { "n": 1 },
            "headers": { "X-Token": "hunter22" } });
        let endpoints = json!({ "app": { "url": app.url(), "secrets": [SECRET] } });
        let site = Site::with_schedules(&test, endpoints, json!({ "nightly": nightly }), Names::of_the_system()).await;
        site.jobs.start_schedules_for_tests(&site.registry).await.unwrap();
        assert!(site.jobs.run_due_for_tests(&site.registry).await.unwrap().is_empty(), "it is eight");
        app.plan([Reply::Status(500), Reply::Status(500)]);
        test.clock.advance(Duration::from_secs(3_600));
        let mut ran = Vec::new();
        for _ in 0..3 {
            // A day has one run, however often somebody looks.
            site.jobs.start_schedules_for_tests(&site.registry).await.unwrap();
            ran.extend(site.jobs.run_due_for_tests(&site.registry).await.unwrap());
            test.clock.advance(Duration::from_secs(60));
        }
        assert_eq!(ran, ["jobs.call_scheduled", "jobs.call_scheduled"]);
        let sent = app.received();
        assert_eq!((sent.len(), sent[0].target.as_str(), sent[0].header("x-token")), (2, "/hooks/nightly?full=1", Some("hunter22")));
        let id: JobId = sent[0].header("webhook-id").unwrap().parse().unwrap();
        let (job, calls) = site.http.find_http_job(&caller(&site.clock, "admin", None), id).await.unwrap();
        assert_eq!((job.state.as_str(), job.attempts, job.max_attempts, job.method.as_str(), job.owner), ("dead", 2, 2, "POST", None));
        assert_eq!((job.target, calls.len()), (format!("{}/hooks/nightly?…", app.url()), 2));
        assert!(matches!(site.http.find_http_job(&site.ctx, id).await, Err(HttpJobError::NotFound)), "it is nobody's but the operator's");
        test.clock.advance(Duration::from_secs(86_400));
        site.jobs.start_schedules_for_tests(&site.registry).await.unwrap();
        site.jobs.run_due_for_tests(&site.registry).await.unwrap();
        assert_eq!(app.received().len(), 3, "a run that was given up keeps none away");
    }
}

/// Every value of a table as text.
async fn dump(db: &Db, table: &str) -> String {
    use baluarte_db::sea_orm::ConnectionTrait as _;
    let statement = baluarte_db::sql(db.read(), &format!("SELECT * FROM {table}"), []);
    let mut text = String::new();
    for row in db.read().query_all_raw(statement).await.unwrap() {
        for column in row.column_names() {
            let bytes = || row.try_get::<Vec<u8>>("", &column).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            text.push_str(&row.try_get::<String>("", &column).or_else(|_| bytes()).unwrap_or_default());
            text.push(' ');
        }
    }
    text
}
