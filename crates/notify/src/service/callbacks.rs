//! What providers report afterwards.

use std::sync::Arc;

use baluarte_db::{DbError, Tx};
use baluarte_kernel::Ctx;
use serde::Deserialize;

use crate::{
    Notify,
    callback::{self, NotGenuine, SENDGRID_PATH, TWILIO_PATH},
    message::{MessageId, State, without_recipient},
    provider::Suppress,
    store::{self, End},
};

/// Why a report changed nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallbackError {
    #[error("the signature is not the provider's")]
    Forged,
    #[error("signed too long ago")]
    Stale,
    /// Without the secret that signs them, no report can be believed.
    #[error("reports of this provider are not expected here")]
    NotExpected,
    /// The text says what is wrong with it.
    #[error("{0}")]
    Malformed(&'static str),
    #[error("notify storage")]
    Storage(#[from] DbError),
}

impl From<NotGenuine> for CallbackError {
    fn from(err: NotGenuine) -> Self {
        match err {
            NotGenuine::Forged => Self::Forged,
            NotGenuine::Stale => Self::Stale,
        }
    }
}

/// One of the events that SendGrid sends together.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SendGridEvent {
    event: String,
    /// Ours, from `custom_args`.
    baluarte_message: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    reason: Option<String>,
    sg_message_id: Option<String>,
}

/// Events in one call at most: SendGrid sends fewer.
const MOST_EVENTS: usize = 10_000;
/// Events in one transaction.
const PIECE: usize = 200;

/// What a report says about a message.
struct Verdict<'a> {
    /// Absent: it stays in its state.
    state: Option<State>,
    error: Option<String>,
    suppress: Option<Suppress>,
    reference: Option<&'a str>,
}

impl Notify {
    /// The state of a text message. `query`: of the address that Twilio called.
    pub(crate) async fn twilio_report(
        &self,
        ctx: &Ctx,
        query: Option<&str>,
        parameters: &[(String, String)],
        signature: &str,
    ) -> Result<(), CallbackError> {
        let config = self.inner.twilio.as_ref().ok_or(CallbackError::NotExpected)?;
        let url = format!("{}{TWILIO_PATH}{}", self.inner.public_url, query.map(|query| format!("?{query}")).unwrap_or_default());
        callback::twilio(&config.auth_token, &url, parameters, signature)?;
        let value = |name: &str| parameters.iter().find(|(held, _)| held == name).map_or("", |(_, value)| value.as_str());
        if value("AccountSid") != config.account_sid {
            return Err(CallbackError::Forged);
        }
        let named = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).find(|(name, _)| name == "message");
        let id =
            named.and_then(|(_, value)| value.parse::<MessageId>().ok()).ok_or(CallbackError::Malformed("the address names no message"))?;
        let code: u32 = value("ErrorCode").parse().unwrap_or(0);
        let state = match value("MessageStatus") {
            "sent" => Some(State::Sent),
            "delivered" | "read" => Some(State::Delivered),
            "undelivered" => Some(State::Bounced),
            "failed" | "canceled" => Some(State::Failed),
            // On its way.
            _ => return Ok(()),
        };
        let suppress = match code {
            // No such telephone, or none that takes text messages.
            30_005 | 30_006 => Some(Suppress::Bounced),
            21_610 => Some(Suppress::OptedOut),
            _ => None,
        };
        let error = matches!(state, Some(State::Bounced | State::Failed)).then(|| format!("Twilio error {code}"));
        let verdict = Verdict { state, error, suppress, reference: Some(value("MessageSid")).filter(|sid| !sid.is_empty()) };
        let tx = self.inner.db.begin().await?;
        self.believe(ctx, &tx, id, verdict).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What became of mails. The body is read once it is known to be SendGrid's.
    pub(crate) async fn sendgrid_report(&self, ctx: &Ctx, timestamp: &str, signature: &str, body: &[u8]) -> Result<(), CallbackError> {
        let key = self.inner.sendgrid_key.as_ref().ok_or(CallbackError::NotExpected)?;
        key.verify(timestamp, body, signature, ctx.now())?;
        let events: Vec<SendGridEvent> =
            serde_json::from_slice(body).map_err(|_| CallbackError::Malformed("expected a list of events in JSON"))?;
        for piece in events.get(..MOST_EVENTS).unwrap_or(&events).chunks(PIECE) {
            let tx = self.inner.db.begin().await?;
            for event in piece {
                // Mails of somebody else who shares the account carry no identifier of ours.
                let Some(id) = event.baluarte_message.as_deref().and_then(|text| text.parse::<MessageId>().ok()) else { continue };
                if let Some(verdict) = event.verdict() {
                    self.believe(ctx, &tx, id, verdict).await?;
                }
            }
            tx.commit().await?;
        }
        Ok(())
    }

    async fn believe(&self, ctx: &Ctx, tx: &Tx, id: MessageId, verdict: Verdict<'_>) -> Result<(), DbError> {
        let Some(message) = store::find(tx, id).await? else { return Ok(()) };
        let error = verdict.error.map(|text| without_recipient(&text, message.channel, &message.to));
        if let Some(state) = verdict.state {
            let end = End { state, error: error.as_deref(), reference: verdict.reference, keep: self.inner.dev_outbox };
            if store::advance(tx, id, &end, ctx.now()).await? {
                let (report, channel) = (Arc::clone(&self.inner.report), message.channel);
                let (kind, error) = (message.kind.clone(), error.clone().unwrap_or_default());
                tx.after_commit(move || {
                    report.messages(channel, state);
                    if matches!(state, State::Bounced | State::Failed) {
                        tracing::warn!(target: "notify", %id, kind, channel = channel.as_str(), error, "a message did not arrive");
                    }
                });
            }
        }
        if let Some(reason) = verdict.suppress {
            let detail = error.unwrap_or_default();
            self.suppress(ctx, tx, &self.suppression(&message, &detail, reason, ctx.now())).await?;
        }
        Ok(())
    }

    pub(crate) fn count_callback(&self, provider: &'static str, outcome: &'static str) {
        self.inner.report.callback(provider, outcome);
    }

    /// Where SendGrid's event webhook is to be pointed at.
    pub fn sendgrid_callback_url(&self) -> String {
        format!("{}{SENDGRID_PATH}", self.inner.public_url)
    }
}

impl SendGridEvent {
    fn verdict(&self) -> Option<Verdict<'_>> {
        let why = |what: &str| {
            Some(format!("SendGrid: {what}: {}", self.reason.as_deref().unwrap_or_default().chars().take(200).collect::<String>()))
        };
        let verdict = |state, error, suppress| Some(Verdict { state, error, suppress, reference: self.sg_message_id.as_deref() });
        let said = |word: &str| self.reason.as_deref().is_some_and(|reason| reason.to_ascii_lowercase().contains(word));
        match self.event.as_str() {
            "processed" => verdict(Some(State::Sent), None, None),
            "delivered" => verdict(Some(State::Delivered), None, None),
            // The receiving server refuses us for now; the address may be good.
            "bounce" if self.kind.as_deref() == Some("blocked") => verdict(Some(State::Bounced), why("blocked"), None),
            "bounce" => verdict(Some(State::Bounced), why("bounced"), Some(Suppress::Bounced)),
            "dropped" if said("bounced") || said("invalid") => verdict(Some(State::Failed), why("dropped"), Some(Suppress::Bounced)),
            "dropped" if said("spam report") => verdict(Some(State::Failed), why("dropped"), Some(Suppress::Complained)),
            "dropped" => verdict(Some(State::Failed), why("dropped"), None),
            "spamreport" => verdict(None, why("called unwanted"), Some(Suppress::Complained)),
            _ => None,
        }
    }
}
