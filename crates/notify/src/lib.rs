#![doc = include_str!("../README.md")]

mod config;
mod deliver;
mod message;
mod smtp;
mod store;

use std::{fmt, sync::Arc};

use baluarte_db::{Db, DbError, Migration, Migrations, Tx};
use baluarte_kernel::Ctx;
use baluarte_secrets::Secrets;
use baluarte_web::OutboxMessage;
pub use config::NotifyConfig;
pub use message::{Channel, Message};
use message::{Content, MessageId};
use smtp::Smtp;
use store::Kept;
use tokio::sync::Notify as Wake;

pub const MIGRATIONS: Migrations =
    Migrations { component: "notify", steps: &[Migration::common("0001_messages", include_str!("../migrations/0001_messages.sql"))] };

const SEALED_FOR: &str = "notify.message";

/// Accepts messages and delivers them. Cheap to clone.
#[derive(Clone)]
pub struct Notify {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    secrets: Secrets,
    smtp: Option<Smtp>,
    dev_outbox: bool,
    wake: Arc<Wake>,
}

/// The configuration of a provider cannot work; a sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadProvider(String);

impl Notify {
    /// Connects to nobody yet. Call it on the control runtime.
    pub fn new(config: &NotifyConfig, db: Db, secrets: Secrets) -> Result<Self, BadProvider> {
        let smtp = Smtp::new(config).map_err(BadProvider)?;
        let inner = Inner { db, secrets, smtp, dev_outbox: config.dev_outbox == Some(true), wake: Arc::new(Wake::new()) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Writes the message in the caller's transaction; it is delivered after the commit, or never if that fails.
    pub async fn send(&self, ctx: &Ctx, tx: &Tx, message: Message) -> Result<(), DbError> {
        let content = Content { subject: message.subject.clone(), text: message.text.clone(), html: message.html.clone() };
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(&content).expect("strings always become JSON"));
        let sealed = self.inner.secrets.seal(SEALED_FOR, &plain);
        // Lying in the outbox is all the delivery there is without a provider in development.
        let delivered = self.inner.dev_outbox && !self.has_provider(message.channel);
        let state = if delivered { "sent" } else { "waiting" };
        store::insert(tx, MessageId::generate(), &message, sealed, state, ctx.now()).await?;
        if !delivered {
            let wake = Arc::clone(&self.inner.wake);
            tx.after_commit(move || wake.notify_one());
        }
        Ok(())
    }

    /// Mail leaves this machine: a server and a sender are configured.
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

    fn has_provider(&self, channel: Channel) -> bool {
        match channel {
            Channel::Email => self.inner.smtp.is_some(),
            Channel::Sms => false,
        }
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { smtp, dev_outbox, .. } = &*self.inner;
        f.debug_struct("Notify").field("smtp", &smtp.is_some()).field("dev_outbox", dev_outbox).finish()
    }
}
