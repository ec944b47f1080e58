//! What `/metrics` tells about messages.

use std::sync::OnceLock;

use baluarte_telemetry::Metrics;

use crate::{
    Channel, Waiting,
    message::State,
    provider::{Accepted, Refused},
};

const MESSAGES: &str = "baluarte_notify_messages_total";
const MESSAGES_HELP: &str = "Messages by what became of them.";
const ATTEMPTS: &str = "baluarte_notify_attempts_total";
const ATTEMPTS_HELP: &str = "Messages handed to a provider, by its answer.";
const OPEN: &str = "baluarte_notify_provider_open";
const OPEN_HELP: &str = "1 while a provider that failed is left alone.";
const SMS_REFUSED: &str = "baluarte_notify_sms_refused_total";
const SMS_REFUSED_HELP: &str = "Text messages that the guard did not let pass.";
const SMS_STOPPED: &str = "baluarte_notify_sms_stopped";
const SMS_STOPPED_HELP: &str = "1 while text messages are held back because a budget for all of them, or for a country, is used up.";
const WAITING: &str = "baluarte_notify_waiting";
const WAITING_HELP: &str = "Messages that are still to be sent.";
const OLDEST: &str = "baluarte_notify_oldest_seconds";
const OLDEST_HELP: &str = "How long the first message has waited that is still to be sent.";
const CALLBACKS: &str = "baluarte_notify_callbacks_total";
const CALLBACKS_HELP: &str = "Reports of providers about the delivery of messages.";

const OUTCOMES: [&str; 4] = ["accepted", "refused", "failed", "unknown"];

/// Counts of the whole process; a command counts nowhere.
#[derive(Default)]
pub(crate) struct Report(OnceLock<Metrics>);

impl Report {
    /// From now on it counts there. Every series is there from the start, at zero.
    pub(crate) fn to(&self, metrics: &Metrics, providers: &[&str]) {
        for channel in Channel::ALL {
            for state in State::ALL.into_iter().filter(|state| *state != State::Queued) {
                metrics.counter(MESSAGES, MESSAGES_HELP, &[("channel", channel.as_str()), ("state", state.as_str())]);
            }
            metrics.gauge(WAITING, WAITING_HELP, &[("channel", channel.as_str())]);
            metrics.gauge(OLDEST, OLDEST_HELP, &[("channel", channel.as_str())]);
        }
        for provider in providers {
            for outcome in OUTCOMES {
                metrics.counter(ATTEMPTS, ATTEMPTS_HELP, &[("provider", provider), ("outcome", outcome)]);
            }
            metrics.gauge(OPEN, OPEN_HELP, &[("provider", provider)]);
        }
        metrics.gauge(SMS_STOPPED, SMS_STOPPED_HELP, &[]);
        // Whoever asks twice gets the first.
        let _ = self.0.set(metrics.clone());
    }

    pub(crate) fn messages(&self, channel: Channel, state: State) {
        if let Some(metrics) = self.0.get() {
            metrics.counter(MESSAGES, MESSAGES_HELP, &[("channel", channel.as_str()), ("state", state.as_str())]).add(1);
        }
    }

    pub(crate) fn attempt(&self, provider: &str, result: &Result<Accepted, Refused>) {
        let outcome = match result {
            Ok(_) => "accepted",
            Err(Refused::Message(_) | Refused::Address(..)) => "refused",
            Err(Refused::Provider { .. }) => "failed",
            Err(Refused::Unknown(_)) => "unknown",
        };
        if let Some(metrics) = self.0.get() {
            metrics.counter(ATTEMPTS, ATTEMPTS_HELP, &[("provider", provider), ("outcome", outcome)]).add(1);
        }
    }

    pub(crate) fn provider_open(&self, provider: &str, open: bool) {
        if let Some(metrics) = self.0.get() {
            metrics.gauge(OPEN, OPEN_HELP, &[("provider", provider)]).set(i64::from(open));
        }
    }

    /// `reason`: one of the guard's words.
    pub(crate) fn sms_refused(&self, reason: &'static str) {
        if let Some(metrics) = self.0.get() {
            metrics.counter(SMS_REFUSED, SMS_REFUSED_HELP, &[("reason", reason)]).add(1);
        }
    }

    pub(crate) fn sms_stopped(&self, stopped: bool) {
        if let Some(metrics) = self.0.get() {
            metrics.gauge(SMS_STOPPED, SMS_STOPPED_HELP, &[]).set(i64::from(stopped));
        }
    }

    pub(crate) fn waiting(&self, waiting: &Waiting) {
        if let Some(metrics) = self.0.get() {
            let labels = [("channel", waiting.channel.as_str())];
            metrics.gauge(WAITING, WAITING_HELP, &labels).set(i64::try_from(waiting.messages).unwrap_or(i64::MAX));
            metrics.gauge(OLDEST, OLDEST_HELP, &labels).set(i64::try_from(waiting.oldest.as_secs()).unwrap_or(i64::MAX));
        }
    }

    /// `outcome`: `accepted`, `forged`, `stale`, `failed`.
    pub(crate) fn callback(&self, provider: &'static str, outcome: &'static str) {
        if let Some(metrics) = self.0.get() {
            metrics.counter(CALLBACKS, CALLBACKS_HELP, &[("provider", provider), ("outcome", outcome)]).add(1);
        }
    }
}
