#![doc = include_str!("../README.md")]

use baluarte_db::{Db, DbError, Tx};
use baluarte_kernel::{Ctx, Locale, Timestamp};
use serde::{Deserialize, Serialize};

/// `[notify]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyConfig {
    /// The sender's address: `Shop <no-reply@example.com>`.
    pub email_from: String,
    /// `smtp://USER:PASSWORD@HOST:587` (STARTTLS) or `smtps://…:465`.
    pub smtp_url: baluarte_kernel::Secret,
    /// Keep messages readable under /dev/outbox instead of only sending them. Refused in production.
    pub dev_outbox: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Email,
    Sms,
}

/// A message as its template made it.
#[derive(Debug, Clone)]
pub struct Message {
    pub channel: Channel,
    pub to: String,
    pub locale: Locale,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    /// Which template: `identity.verify_email`.
    pub kind: &'static str,
    /// Not worth sending after this moment.
    pub useful_until: Timestamp,
}

/// Accepts messages. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Notify {}

impl Notify {
    pub fn new(_config: &NotifyConfig, _db: Db) -> Self {
        unimplemented!("notify")
    }

    /// Writes the message in the caller's transaction; it is delivered after the commit, or never if that fails.
    pub async fn send(&self, _ctx: &Ctx, _tx: &Tx, _message: Message) -> Result<(), DbError> {
        unimplemented!("notify")
    }

    pub fn email_configured(&self) -> bool {
        unimplemented!("notify")
    }
}
