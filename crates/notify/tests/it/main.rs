//! What becomes of messages, on both databases, with mail servers and providers on real sockets.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod api;
mod callbacks;
mod delivery;
mod guard;
mod outbox;
mod people;
mod providers;
mod smtp_server;
mod sweep;

use std::{sync::Arc, time::Duration};

use baluarte_audit::{Audit, AuditConfig};
use baluarte_backplane::Backplane;
use baluarte_db::{
    Db, Migrations,
    sea_orm::{ConnectionTrait as _, TryGetable},
    sql,
};
use baluarte_jobs::{Jobs, JobsConfig, Registry};
use baluarte_kernel::{Clock, Ctx, Locale, Secret};
use baluarte_notify::{Channel, Message, MessageId, Notify, NotifyConfig, Parts, SUBSCRIPTIONS, TwilioConfig};
use baluarte_secrets::Secrets;
use baluarte_testkit::{FakeTwilio, TestDb};

const ALL: &[Migrations] = &[baluarte_audit::MIGRATIONS, baluarte_jobs::MIGRATIONS, baluarte_notify::MIGRATIONS];
const PUBLIC_URL: &str = "https://shop.example";
const MINUTE: Duration = Duration::from_secs(60);

/// One replica with its worker.
#[derive(Clone)]
struct App {
    db: Db,
    clock: Clock,
    jobs: Jobs,
    notify: Notify,
    registry: Registry,
}

impl App {
    async fn start(test: &TestDb, config: &NotifyConfig) -> Self {
        let (db, clock) = (test.open(ALL).await, test.clock.clone());
        let secrets = Secrets::new(&Secret::new("k"), &Secret::new("s"));
        let jobs = Jobs::new(
            &JobsConfig::default(),
            db.clone(),
            Backplane::local(clock.clone()),
            secrets.clone(),
            clock.clone(),
            SUBSCRIPTIONS.iter().copied(),
        );
        let parts = Parts {
            db: db.clone(),
            jobs: jobs.clone(),
            audit: Audit::start(&AuditConfig::default(), baluarte_audit::Parts::new(&db, &secrets, &clock)).await.unwrap(),
            secrets,
            clock: clock.clone(),
            public_url: Arc::from(PUBLIC_URL),
        };
        let notify = Notify::new(config, parts).unwrap();
        Self { registry: notify.registry(), db, clock, jobs, notify }
    }

    fn ctx(&self) -> Ctx {
        Ctx::operator(self.clock.clone())
    }

    async fn send(&self, message: Message) -> MessageId {
        let tx = self.db.begin().await.unwrap();
        let id = self.notify.send(&self.ctx(), &tx, message).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// Runs the jobs that are due; returns how many.
    async fn work(&self) -> usize {
        self.jobs.run_due_for_tests(&self.registry).await.unwrap().len()
    }

    /// The same a minute later.
    async fn work_later(&self) -> usize {
        self.clock.advance(MINUTE);
        self.work().await
    }

    fn mail(&self, to: &str) -> Message {
        Message {
            channel: Channel::Email,
            to: to.into(),
            locale: Locale::Pt,
            subject: "Confirmação".into(),
            text: "https://shop.example/verify?token=t0ken".into(),
            html: Some("<p>t0ken</p>".into()),
            kind: "identity.verify_email",
            useful_until: self.clock.now().plus(Duration::from_secs(3_600)),
            about: None,
        }
    }

    fn sms(&self, to: &str) -> Message {
        Message {
            channel: Channel::Sms,
            to: to.into(),
            locale: Locale::Pt,
            subject: String::new(),
            text: format!("482913 para {to}"),
            html: None,
            kind: "identity.sms_code",
            useful_until: self.clock.now().plus(Duration::from_secs(600)),
            about: None,
        }
    }

    /// A column of a message.
    async fn stored<T: TryGetable>(&self, id: MessageId, column: &str) -> T {
        let text = format!("SELECT {column} FROM messages WHERE id = $1");
        let row = self.db.read().query_one_raw(sql(self.db.read(), &text, [id.to_string().into()])).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    async fn state(&self, id: MessageId) -> String {
        self.stored(id, "state").await
    }

    async fn count(&self, from: &str) -> i64 {
        let text = format!("SELECT COUNT(*) FROM {from}");
        self.db.read().query_one_raw(sql(self.db.read(), &text, [])).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    }

    async fn execute(&self, text: &str) {
        let tx = self.db.begin().await.unwrap();
        tx.execute_unprepared(text).await.unwrap();
        tx.commit().await.unwrap();
    }
}

fn by_smtp(port: u16) -> NotifyConfig {
    NotifyConfig {
        email_from: "Shop <shop@example.com>".into(),
        smtp_url: Secret::new(format!("smtp://127.0.0.1:{port}")),
        ..Default::default()
    }
}

fn by_twilio(twilio: &FakeTwilio) -> NotifyConfig {
    let twilio = TwilioConfig {
        account_sid: FakeTwilio::ACCOUNT.into(),
        auth_token: Secret::new(FakeTwilio::TOKEN),
        phone_number: "+351910000000".into(),
        api_base: twilio.url().into(),
        ..TwilioConfig::default()
    };
    NotifyConfig { twilio, ..Default::default() }
}
