//! One attempt to deliver one message: the job `notify.deliver`.

use std::time::Duration;

use baluarte_db::DbError;
use baluarte_jobs::{Failure, Job, Policy, Priority, Run};
use baluarte_kernel::{Clock, Ctx, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Channel, Notify,
    guard::SmsRefused,
    message::{Content, MessageId, State, Stored, Suppression, SuppressionId, normal, redacted, without_recipient},
    provider::{Found, Parcel, Provider, Refused, Suppress},
    store::{self, End, suppressions},
};

/// The job that delivers a message. Its payload says which; what it says stays sealed in the message's row.
#[derive(Serialize, Deserialize)]
pub(crate) struct Deliver {
    pub(crate) message: MessageId,
}

impl Job for Deliver {
    const KIND: &'static str = "notify.deliver";
    /// With these pauses about four days: what ends a message is that it is no longer useful. Somebody waits for most of them.
    const POLICY: Policy = Policy::new()
        .max_attempts(400)
        .retry(Duration::from_secs(5), Duration::from_secs(15 * 60))
        .time_limit(Duration::from_secs(180))
        .priority(Priority::High)
        .follows();
    type Deps = Notify;

    async fn run(self, run: Run, notify: Notify) -> Result<(), Failure> {
        match notify.deliver(self.message, run.is_last_attempt(), &run.ctx.clock).await? {
            Turn::Done => Ok(()),
            Turn::Failed(why) => Err(Failure::give_up(why)),
            Turn::Again { pause: None, why } => Err(Failure::retry(why)),
            Turn::Again { pause: Some(pause), why } => Err(Failure::retry_after(pause, why)),
            Turn::NotAsked { pause, why } => Err(Failure::snooze(pause, why)),
        }
    }
}

/// What comes after an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Done,
    /// It will not be sent.
    Failed(String),
    Again {
        /// Absent: the queue's usual back-off.
        pause: Option<Duration>,
        why: String,
    },
    /// No provider was asked, or all said when to come back: this was no attempt.
    NotAsked {
        pause: Duration,
        why: String,
    },
}

/// After an attempt with an unknown outcome: a report of the provider may tell it.
const WAIT_FOR_REPORT: Duration = Duration::from_secs(30);
/// So long after such an attempt only the same provider is asked again, which may recognise the message.
const PINNED: Duration = Duration::from_secs(300);
/// Nobody is asked more often, whatever they say.
const SHORTEST_REST: Duration = Duration::from_secs(5);

impl Notify {
    pub(crate) async fn deliver(&self, id: MessageId, last: bool, clock: &Clock) -> Result<Turn, DbError> {
        let now = clock.now();
        let Some(message) = store::find(self.inner.db.read(), id).await? else { return Ok(Turn::Done) };
        if message.state != State::Queued {
            return Ok(Turn::Done);
        }
        if message.useful_until <= now {
            return self.finish(&message, State::Expired, None, None, now).await;
        }
        let Some(content) = message.sealed.as_deref().and_then(|sealed| self.open(sealed)) else {
            return self.finish(&message, State::Failed, Some("sealed with another SECRET_KEY"), None, now).await;
        };
        let address = normal(message.channel, &message.to);
        if let Some(found) =
            suppressions::find(self.inner.db.read(), message.channel, &self.sought(message.channel, address.clone()), now).await?
        {
            let why = format!("nothing is sent to this address ({}) until {}", found.reason, found.expires_at);
            return self.finish(&message, State::Suppressed, Some(&why), None, now).await;
        }
        let to = if message.channel == Channel::Sms { address } else { message.to.clone() };
        self.ask(message, &to, &content, last, clock).await
    }

    /// Asks one provider after the other until one takes it.
    async fn ask(&self, mut message: Stored, to: &str, content: &Content, last: bool, clock: &Clock) -> Result<Turn, DbError> {
        let id = message.id;
        let now = clock.now();
        let mut only: Option<&str> = None;
        if let (Some(since), Some(name)) = (message.trying_since, message.provider.as_deref())
            && let Some(provider) = self.providers(message.channel).iter().find(|provider| &*provider.name == name)
        {
            let waited = now.since(since);
            if waited < WAIT_FOR_REPORT {
                return Ok(Turn::NotAsked {
                    pause: WAIT_FOR_REPORT - waited,
                    why: "the outcome of the last attempt may still be reported".to_owned(),
                });
            }
            let parcel = Parcel { id, kind: &message.kind, to, content, now, useful_until: message.useful_until };
            match provider.find(parcel, since).await {
                Found::Accepted(accepted) => return self.finish(&message, State::Sent, None, accepted.reference.as_deref(), now).await,
                Found::Never => {}
                Found::Unknown if waited < PINNED => only = Some(&provider.name),
                Found::Unknown => {}
            }
        }
        let mut outcome = Outcome::default();
        for provider in self.providers(message.channel).iter().filter(|provider| only.is_none_or(|name| name == &*provider.name)) {
            if let Some(rest) = provider.breaker.rests_for() {
                outcome.resting(&provider.name, rest);
                continue;
            }
            let now = clock.now();
            if let Err(turn) = self.begin(&message, to, provider, now).await? {
                return Ok(turn);
            }
            let result = provider.send(Parcel { id, kind: &message.kind, to, content, now, useful_until: message.useful_until }).await;
            message.attempts += 1;
            message.counted = true;
            let now = clock.now();
            match result {
                Ok(accepted) => return self.finish(&message, State::Sent, None, accepted.reference.as_deref(), now).await,
                Err(refused) => {
                    let why = format!("{}: {}", provider.name, without_recipient(refused.why(), message.channel, to));
                    match refused {
                        Refused::Message(_) => return self.finish(&message, State::Failed, Some(&why), None, now).await,
                        Refused::Address(_, reason) => return self.finish_and_suppress(&message, &why, reason, now).await,
                        Refused::Unknown(_) => {
                            tracing::warn!(target: "notify", %id, kind = message.kind, error = why, "nobody knows whether the message was taken");
                            store::not_yet(&self.inner.db, id, &why, true).await?;
                            return Ok(Turn::Again { pause: Some(WAIT_FOR_REPORT), why });
                        }
                        Refused::Provider { pause, .. } => outcome.refused(why, pause),
                    }
                }
            }
        }
        self.nobody_took_it(&message, outcome, last, clock.now()).await
    }

    async fn nobody_took_it(&self, message: &Stored, outcome: Outcome, last: bool, now: Timestamp) -> Result<Turn, DbError> {
        let Outcome { failed, why, rest } = outcome;
        let why = if why.is_empty() { "no provider is configured".to_owned() } else { why.join("; ") };
        if !failed {
            store::not_yet(&self.inner.db, message.id, &why, false).await?;
            return Ok(Turn::NotAsked { pause: rest.unwrap_or(Duration::from_secs(60)).max(SHORTEST_REST), why });
        }
        if last {
            return self.finish(message, State::Failed, Some(&why), None, now).await;
        }
        tracing::warn!(
            target: "notify", id = %message.id, kind = message.kind, attempts = message.attempts, error = why, "message not sent; trying again"
        );
        store::not_yet(&self.inner.db, message.id, &why, false).await?;
        Ok(Turn::Again { pause: None, why })
    }

    /// Counts a text message in its budgets and writes down who is asked, both or neither.
    async fn begin(&self, message: &Stored, to: &str, provider: &Provider, now: Timestamp) -> Result<Result<(), Turn>, DbError> {
        let tx = self.inner.db.begin().await?;
        if message.channel == Channel::Sms
            && !message.counted
            && let Err(refused) = self.inner.guard.spend(&tx, to, now).await?
        {
            tx.rollback().await?;
            return self.refuse(message, refused, now).await.map(Err);
        }
        if !store::begin_attempt(&tx, message, &provider.name, now).await? {
            tx.rollback().await?;
            let why = "somebody else is delivering it".to_owned();
            return Ok(Err(Turn::NotAsked { pause: Duration::from_secs(60), why }));
        }
        tx.commit().await?;
        Ok(Ok(()))
    }

    async fn refuse(&self, message: &Stored, refused: SmsRefused, now: Timestamp) -> Result<Turn, DbError> {
        self.inner.report.sms_refused(refused.as_str());
        self.finish(message, State::Refused, Some(&refused.to_string()), None, now).await
    }

    async fn finish_and_suppress(&self, message: &Stored, why: &str, reason: Suppress, now: Timestamp) -> Result<Turn, DbError> {
        let tx = self.inner.db.begin().await?;
        self.suppress(&Ctx::system(self.inner.clock.clone()), &tx, &self.suppression(message, why, reason, now)).await?;
        tx.commit().await?;
        self.finish(message, State::Failed, Some(why), None, now).await
    }

    pub(crate) fn suppression(&self, message: &Stored, detail: &str, reason: Suppress, now: Timestamp) -> Suppression {
        let (reason, span) = match reason {
            Suppress::Bounced => ("bounced", self.inner.suppress_bounced),
            Suppress::Complained => ("complained", self.inner.suppress_complained),
            Suppress::OptedOut => ("opted-out", self.inner.suppress_complained),
        };
        let address = normal(message.channel, &message.to);
        Suppression {
            id: SuppressionId::generate(),
            channel: message.channel,
            key: self.suppression_key(message.channel, &address),
            address: redacted(message.channel, &address),
            about: message.about,
            reason: reason.to_owned(),
            detail: Some(detail.to_owned()),
            created_at: now,
            expires_at: now.plus(span),
        }
    }

    async fn finish(
        &self,
        message: &Stored,
        state: State,
        error: Option<&str>,
        reference: Option<&str>,
        now: Timestamp,
    ) -> Result<Turn, DbError> {
        let tx = self.inner.db.begin().await?;
        // Who refused may be mended: until the message is useless, an operator may send it again.
        let again = matches!(state, State::Failed | State::Suppressed | State::Refused);
        let end = End { state, error, reference, keep: self.inner.dev_outbox || again };
        let ended = store::end(&tx, message.id, &end, now).await?;
        tx.commit().await?;
        if ended {
            self.inner.report.messages(message.channel, state);
            report(message, state, error);
        }
        Ok(match (state, error) {
            (State::Failed, Some(why)) => Turn::Failed(why.to_owned()),
            _ => Turn::Done,
        })
    }

    fn providers(&self, channel: Channel) -> &[Provider] {
        self.inner.providers.of(channel)
    }
}

/// What was learned while nobody has taken it.
#[derive(Default)]
struct Outcome {
    /// Somebody could not, and did not say until when: that is what the growing pauses are for.
    failed: bool,
    why: Vec<String>,
    /// Until somebody who is left alone, or who said so, may be asked again.
    rest: Option<Duration>,
}

impl Outcome {
    fn resting(&mut self, provider: &str, rest: Duration) {
        self.why.push(format!("{provider} is left alone for a while"));
        self.rest = Some(self.rest.map_or(rest, |held| held.min(rest)));
    }

    fn refused(&mut self, why: String, pause: Option<Duration>) {
        self.why.push(why);
        match pause {
            Some(pause) => self.rest = Some(self.rest.map_or(pause, |held| held.min(pause))),
            None => self.failed = true,
        }
    }
}

/// Never to whom: an address is in the table for whoever has to look, not in every log.
fn report(message: &Stored, state: State, error: Option<&str>) {
    let Stored { id, kind, attempts, .. } = message;
    let error = error.unwrap_or_default();
    match state {
        State::Sent => tracing::info!(target: "notify", %id, kind, attempts, "message sent"),
        State::Expired => tracing::warn!(target: "notify", %id, kind, attempts, "message not sent in time; dropped"),
        State::Suppressed | State::Refused => tracing::warn!(target: "notify", %id, kind, reason = error, "message held back"),
        _ => tracing::error!(target: "notify", %id, kind, attempts, error, "message cannot be sent"),
    }
}
