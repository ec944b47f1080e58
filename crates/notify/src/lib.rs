#![doc = include_str!("../README.md")]

mod actions;
mod callback;
mod config;
mod error;
mod guard;
mod http;
mod letter;
mod message;
mod phone;
mod provider;
mod report;
mod service;
mod store;

use std::{fmt, sync::Arc, time::Duration};

pub use self::http::{PROBLEMS, routes};
pub use actions::ACTIONS;
use baluarte_audit::Audit;
use baluarte_db::{Db, DbError, Migration, Migrations, Tx};
use baluarte_jobs::{Jobs, Options};
use baluarte_kernel::{Clock, Ctx};
use baluarte_secrets::Secrets;
use baluarte_telemetry::Metrics;
use baluarte_web::OutboxMessage;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use callback::SendGridKey;
pub use config::{HttpProviderConfig, NotifyConfig, SendGridConfig, SmsGuardConfig, TwilioConfig};
pub use error::NotifyError;
use guard::Guard;
pub use guard::SmsRefused;
pub use letter::{Action, Letter};
pub use message::{Channel, Message, MessageFilter, MessageId, MessageKind, State, Stored, Suppression, SuppressionId, SuppressionKind};
use message::{Content, normal};
pub use phone::{BadPhone, Country, Phone};
pub use provider::ProviderCheck;
use provider::Providers;
use report::Report;
use service::deliver::Deliver;
pub use service::{ProviderState, SUBSCRIPTIONS, Waiting};
use store::{Kept, suppressions};

pub const MIGRATIONS: Migrations = Migrations {
    component: "notify",
    steps: &[
        Migration::common("0001_messages", include_str!("../migrations/0001_messages.sql")),
        Migration::common("0002_delivery", include_str!("../migrations/0002_delivery.sql")),
        Migration::common("0003_people", include_str!("../migrations/0003_people.sql")),
    ],
};

/// Callers of these prove who they are by a signature: the general limit of anonymous callers is not for them.
pub const CALLBACKS: &str = "/api/v1/notify/callbacks/";

const SEALED_FOR: &str = "notify.message";

/// Accepts messages and delivers them. Cheap to clone.
#[derive(Clone)]
pub struct Notify {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    jobs: Jobs,
    audit: Audit,
    secrets: Secrets,
    clock: Clock,
    public_url: String,
    providers: Providers,
    guard: Guard,
    report: Arc<Report>,
    /// Reports of text messages are signed with its token.
    twilio: Option<TwilioConfig>,
    sendgrid_key: Option<SendGridKey>,
    suppress_bounced: Duration,
    suppress_complained: Duration,
    keep: Duration,
    alarm_after: Duration,
    dev_outbox: bool,
}

/// What notify stands on.
#[derive(Clone)]
pub struct Parts {
    pub db: Db,
    pub jobs: Jobs,
    pub audit: Audit,
    pub secrets: Secrets,
    pub clock: Clock,
    /// Without a slash at the end.
    pub public_url: Arc<str>,
}

/// The configuration of a provider cannot work; a sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadProvider(String);

impl Notify {
    /// Connects to nobody yet. Call it on the control runtime. `config` has been validated.
    pub fn new(config: &NotifyConfig, parts: Parts) -> Result<Self, BadProvider> {
        let Parts { db, jobs, audit, secrets, clock, public_url } = parts;
        let report = Arc::<Report>::default();
        let providers = Providers::new(config, &public_url, &clock, &report).map_err(BadProvider)?;
        let key = config.sendgrid.webhook_key.trim();
        let inner = Inner {
            guard: Guard::new(&config.sms_guard, config.twilio.sender().as_ref(), secrets.clone()),
            sendgrid_key: if key.is_empty() { None } else { Some(key.parse().map_err(|err: &str| BadProvider(err.to_owned()))?) },
            twilio: config.twilio.is_configured().then(|| config.twilio.clone()),
            report,
            public_url: public_url.to_string(),
            suppress_bounced: config.suppress_bounced.get(),
            suppress_complained: config.suppress_complained.get(),
            keep: config.keep.get(),
            alarm_after: config.alarm_after.get(),
            dev_outbox: config.dev_outbox == Some(true),
            db,
            jobs,
            audit,
            secrets,
            clock,
            providers,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Shows counts in `/metrics`: `baluarte_notify_…`. Call it once.
    pub fn report(&self, metrics: &Metrics) {
        let names = Channel::ALL.into_iter().flat_map(|channel| self.inner.providers.of(channel));
        let names: Vec<String> = names.map(|provider| provider.name.to_string()).collect();
        self.inner.report.to(metrics, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let weak = Arc::downgrade(&self.inner);
        metrics.on_scrape(move || {
            if let Some(inner) = weak.upgrade() {
                inner.report.sms_stopped(inner.guard.is_stopped(inner.clock.now()));
            }
        });
    }

    /// Writes the message and the job that delivers it in the caller's transaction; it is delivered after the commit, or never
    /// if that fails.
    ///
    /// # Errors
    /// [`NotifyError::Sms`] when a text message may not go to that number; whether a budget is used up shows only later.
    pub async fn send(&self, ctx: &Ctx, tx: &Tx, message: Message) -> Result<MessageId, NotifyError> {
        if message.channel == Channel::Sms && self.has_provider(Channel::Sms) {
            self.inner.guard.check(&message.to)?;
        }
        let message =
            Message { to: if message.channel == Channel::Sms { normal(Channel::Sms, &message.to) } else { message.to }, ..message };
        let content = Content { subject: message.subject.clone(), text: message.text.clone(), html: message.html.clone() };
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(&content).expect("strings always become JSON"));
        let sealed = self.inner.secrets.seal(SEALED_FOR, &plain);
        let id = MessageId::generate();
        // Lying in the outbox is all the delivery there is without a provider in development.
        let delivered = self.inner.dev_outbox && !self.has_provider(message.channel);
        let state = if delivered { State::Sent } else { State::Queued };
        store::insert(tx, id, &message, sealed, state, ctx.now()).await?;
        if !delivered {
            self.inner.jobs.enqueue(ctx, tx, &Deliver { message: id }, Options::default()).await?;
        }
        Ok(id)
    }

    /// Mail leaves this machine: a provider and a sender are configured.
    pub fn email_configured(&self) -> bool {
        self.has_provider(Channel::Email)
    }

    /// Text messages leave this machine.
    pub fn sms_configured(&self) -> bool {
        self.has_provider(Channel::Sms)
    }

    /// Somebody will be able to read a message sent by this channel, be it in the development outbox.
    pub fn delivers(&self, channel: Channel) -> bool {
        self.inner.dev_outbox || self.has_provider(channel)
    }

    /// May a text message go to that number? Says nothing about budgets.
    pub fn check_sms(&self, to: &str) -> Result<Phone, SmsRefused> {
        if self.has_provider(Channel::Sms) {
            return self.inner.guard.check(to).map(|(phone, _)| phone);
        }
        to.parse().map_err(|_| SmsRefused::BadNumber)
    }

    /// What was or would have been sent, newest first, at most `limit`; empty unless the development outbox is on.
    pub async fn outbox(&self, limit: u32) -> Result<Vec<OutboxMessage>, DbError> {
        if !self.inner.dev_outbox {
            return Ok(Vec::new());
        }
        let kept = store::list_kept(&self.inner.db, i64::from(limit)).await?;
        // What was sealed with an earlier SECRET_KEY of a development machine is left out.
        let readable = kept.into_iter().filter_map(|Kept { id, channel, to, sealed, created_at }| {
            let Content { subject, text, html } = self.open(&sealed)?;
            Some(OutboxMessage { id, channel, to, subject, text, html, created_at })
        });
        Ok(readable.collect())
    }

    fn open(&self, sealed: &str) -> Option<Content> {
        let plain = zeroize::Zeroizing::new(self.inner.secrets.open(SEALED_FOR, sealed).ok()?);
        serde_json::from_slice(&plain).ok()
    }

    /// What a suppressed address is found by: without SECRET_KEY nobody can tell which one it is. `address` in its normal form.
    pub(crate) fn suppression_key(&self, channel: Channel, address: &str) -> String {
        let hash = self.inner.secrets.keyed_hash("notify.suppression", format!("{}:{address}", channel.as_str()).as_bytes());
        format!("h1.{}", URL_SAFE_NO_PAD.encode(hash))
    }

    /// An address in its normal form, as the list is searched for it.
    pub(crate) fn sought(&self, channel: Channel, address: String) -> suppressions::Sought {
        suppressions::Sought { key: self.suppression_key(channel, &address), clear: address }
    }

    fn has_provider(&self, channel: Channel) -> bool {
        !self.inner.providers.of(channel).is_empty()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |channel| self.inner.providers.of(channel).iter().map(|provider| provider.name.to_string()).collect::<Vec<_>>();
        f.debug_struct("Notify")
            .field("email", &names(Channel::Email))
            .field("sms", &names(Channel::Sms))
            .field("dev_outbox", &self.inner.dev_outbox)
            .finish()
    }
}

/// Tries the providers of a configuration without a database: asks them whether they would take a message, and sends none.
pub async fn check_providers(config: &NotifyConfig, public_url: &str) -> Result<Vec<ProviderCheck>, BadProvider> {
    let providers = Providers::new(config, public_url, &Clock::System, &Arc::default()).map_err(BadProvider)?;
    Ok(providers.check().await)
}
