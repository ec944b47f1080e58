//! What the tests share: everything webhooks need, and nothing else.

use std::{collections::BTreeMap, time::Duration};

use baluarte_audit::{Audit, AuditConfig};
use baluarte_backplane::Backplane;
use baluarte_db::{Db, sea_orm::ConnectionTrait as _, sql};
use baluarte_jobs::{
    Jobs, JobsConfig, Registry,
    http_job::{Courier, Endpoints, HttpJobs},
};
use baluarte_kernel::{Clock, Ctx, Event, EventId, PageQuery, Secret, UserId};
use baluarte_secrets::Secrets;
use baluarte_telemetry::Metrics;
use baluarte_testkit::{Receiver, TestDb};
use baluarte_webhooks::{Delivery, Endpoint, EndpointId, NewEndpoint, Parts, SUBSCRIPTIONS, Webhooks, WebhooksConfig};
use serde_json::json;

pub(crate) struct Site {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) jobs: Jobs,
    pub(crate) webhooks: Webhooks,
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    /// The operator.
    pub(crate) ctx: Ctx,
}

impl Site {
    /// The receiver may be called although it is on this machine.
    pub(crate) async fn new(test: &TestDb, app: &Receiver) -> Self {
        Self::with(test, app, WebhooksConfig::default()).await
    }

    pub(crate) async fn with(test: &TestDb, app: &Receiver, config: WebhooksConfig) -> Self {
        let db = test.open(&[baluarte_audit::MIGRATIONS, baluarte_jobs::MIGRATIONS, baluarte_webhooks::MIGRATIONS]).await;
        let secrets = Secrets::new(&Secret::new("k"), &Secret::new("s"));
        let (clock, metrics) = (test.clock.clone(), Metrics::default());
        let backplane = Backplane::local(clock.clone());
        let jobs = Jobs::new(
            &JobsConfig::default(),
            db.clone(),
            backplane,
            secrets.clone(),
            clock.clone(),
            SUBSCRIPTIONS.iter().copied().chain([baluarte_jobs::SUBSCRIPTION]),
        );
        let endpoints = json!({ "app": { "url": app.url(), "timeout": "300ms" } });
        let endpoints = Endpoints::new(&serde_json::from_value(endpoints).unwrap(), &BTreeMap::new(), secrets.clone());
        let courier = Courier::new(false, 64, clock.clone(), metrics.clone()).unwrap();
        let audit = Audit::start(&AuditConfig::default(), baluarte_audit::Parts::new(&db, &secrets, &clock)).await.unwrap();
        let parts = baluarte_jobs::http_job::Parts {
            jobs: jobs.clone(),
            db: db.clone(),
            audit: audit.clone(),
            endpoints,
            courier,
            schedules: BTreeMap::new(),
        };
        let http = HttpJobs::new(parts);
        let webhooks = Webhooks::new(Parts { config, db: db.clone(), audit, jobs: jobs.clone(), http, secrets, metrics: metrics.clone() });
        let registry = webhooks.registry().merge(jobs.registry());
        Self { db, jobs, webhooks, registry, metrics, ctx: Ctx::operator(clock.clone()), clock }
    }

    /// An endpoint at this receiver, and its secret.
    pub(crate) async fn register(&self, app: &Receiver, events: &[&str]) -> (EndpointId, Secret) {
        let events = events.iter().map(|name| (*name).to_owned()).collect();
        let new = NewEndpoint { url: format!("{}/webhooks?token=hunter2", app.url()), events, enabled: true, ..NewEndpoint::default() };
        let (endpoint, secret) = self.webhooks.create_endpoint(&self.ctx, new).await.unwrap();
        (endpoint.id, secret)
    }

    /// Somebody was disabled.
    pub(crate) async fn publish(&self) -> EventId {
        self.tell(Event::UserDisabled { user_id: UserId::generate() }).await
    }

    /// As it is told about somebody.
    pub(crate) async fn tell(&self, event: Event) -> EventId {
        let tx = self.db.begin().await.unwrap();
        let id = self.jobs.publish(&self.ctx, &tx, event).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// Everything that is due; the kinds in order.
    pub(crate) async fn work(&self) -> Vec<String> {
        self.jobs.run_due_for_tests(&self.registry).await.unwrap()
    }

    /// What is due during the next while, in steps of an hour.
    pub(crate) async fn work_for(&self, while_: Duration) {
        let end = self.clock.now().plus(while_);
        while self.clock.now() < end {
            self.clock.advance(Duration::from_secs(3_600));
            self.work().await;
        }
    }

    pub(crate) async fn deliveries(&self, endpoint: EndpointId) -> Vec<Delivery> {
        self.webhooks.list_deliveries(&self.ctx, endpoint, None, &PageQuery::default()).await.unwrap().items
    }

    pub(crate) async fn endpoint(&self, id: EndpointId) -> Endpoint {
        self.webhooks.find_endpoint(&self.ctx, id).await.unwrap()
    }

    /// Actions in the audit log.
    pub(crate) async fn audited(&self) -> Vec<String> {
        let rows = self
            .db
            .read()
            .query_all_raw(sql(self.db.read(), "SELECT action FROM audit_entries WHERE action LIKE 'webhooks.%' ORDER BY seq", []))
            .await
            .unwrap();
        rows.iter().map(|row| row.try_get("", "action").unwrap()).collect()
    }

    pub(crate) async fn execute(&self, text: &str) {
        let tx = self.db.begin().await.unwrap();
        tx.execute_unprepared(text).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Every text of a table.
    pub(crate) async fn dump(&self, table: &str) -> String {
        let mut text = String::new();
        for row in self.db.read().query_all_raw(sql(self.db.read(), &format!("SELECT * FROM {table}"), [])).await.unwrap() {
            for column in row.column_names() {
                let bytes = || row.try_get::<Vec<u8>>("", &column).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                text.push_str(&row.try_get::<String>("", &column).or_else(|_| bytes()).unwrap_or_default());
                text.push(' ');
            }
        }
        text
    }
}
