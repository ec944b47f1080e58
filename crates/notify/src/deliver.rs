//! The loop that delivers what was written. The job queue will take its place.

use std::time::Duration;

use baluarte_db::DbError;
use baluarte_kernel::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::{
    Channel, Notify,
    message::{Claimed, Content, Outcome},
    smtp::Refused,
};

/// The wake-up of a commit does not cross processes and dies with them; looking now and then makes up for it.
const POLL: Duration = Duration::from_secs(3);
/// At once; also how many conversations with a provider there are at the same time.
const AT_ONCE: i64 = 8;
/// Longer than any attempt takes. After a crash, somebody else tries again when it has run out.
const LEASE: Duration = Duration::from_secs(120);
/// With the pauses below, about six hours.
const MAX_ATTEMPTS: u32 = 30;
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
const KEPT: Duration = Duration::from_secs(30 * 86_400);
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

impl Notify {
    /// Delivers until told to stop; then finishes what it has begun. One for each worker process; several share the work.
    pub async fn run(self, clock: Clock, stopping: CancellationToken) {
        let mut prune_at = clock.now();
        let mut was_away = false;
        while !stopping.is_cancelled() {
            let result = self.round(&clock, &mut prune_at, &stopping).await;
            match &result {
                // Once for each outage.
                Err(err) if !was_away => {
                    let cause = std::error::Error::source(err).map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(target: "notify", error = %err, cause, "messages cannot be delivered for now");
                }
                Ok(()) if was_away => tracing::info!(target: "notify", "messages are delivered again"),
                _ => {}
            }
            was_away = result.is_err();
            tokio::select! {
                () = stopping.cancelled() => {}
                () = self.inner.wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    async fn round(&self, clock: &Clock, prune_at: &mut Timestamp, stopping: &CancellationToken) -> Result<(), DbError> {
        while !stopping.is_cancelled() && self.deliver_due(clock).await? > 0 {}
        let now = clock.now();
        if now >= *prune_at {
            self.prune(now).await?;
            *prune_at = now.plus(PRUNE_EVERY);
        }
        Ok(())
    }

    /// One turn: takes a few messages that are due and tries to deliver each. Returns how many it took.
    pub async fn deliver_due(&self, clock: &Clock) -> Result<usize, DbError> {
        let claimed = crate::store::claim(&self.inner.db, clock.now(), LEASE, AT_ONCE).await?;
        let count = claimed.len();
        let outcomes = futures::future::join_all(claimed.into_iter().map(|message| async move {
            let outcome = self.attempt(&message, clock).await;
            report(&message, &outcome);
            crate::store::finish(&self.inner.db, &message, &outcome, self.inner.dev_outbox).await
        }));
        outcomes.await.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(count)
    }

    /// Deletes messages of more than thirty days ago, whatever became of them.
    pub async fn prune(&self, now: Timestamp) -> Result<u64, DbError> {
        crate::store::prune(&self.inner.db, now.minus(KEPT), 1_000).await
    }

    async fn attempt(&self, message: &Claimed, clock: &Clock) -> Outcome {
        if message.useful_until <= clock.now() {
            return Outcome::Expired;
        }
        let Some(content) = self.open(&message.sealed) else {
            return Outcome::Failed("sealed with another SECRET_KEY".to_owned());
        };
        let refused = match (message.channel, &self.inner.smtp) {
            (Channel::Email, Some(smtp)) => match smtp.send(message.id, &message.to, content).await {
                Ok(()) => return Outcome::Sent,
                Err(refused) => refused,
            },
            (Channel::Email | Channel::Sms, _) => Refused::ForNow("no provider is configured".to_owned()),
        };
        let now = clock.now();
        match refused {
            Refused::ForGood(error) => Outcome::Failed(error),
            Refused::ForNow(error) if message.attempts >= MAX_ATTEMPTS => Outcome::Failed(error),
            Refused::ForNow(error) => {
                let at = now.plus(pause(message.attempts, rand::random_range(0.75..1.25)));
                Outcome::Retry { at, error }
            }
        }
    }

    pub(crate) fn open(&self, sealed: &str) -> Option<Content> {
        let plain = self.inner.secrets.open(crate::SEALED_FOR, sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }
}

/// Doubles with each attempt; `jitter` keeps messages that failed together from coming back together.
fn pause(attempts: u32, jitter: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE).mul_f64(jitter)
}

/// Never to whom: an address is in the table for whoever has to look, not in every log.
fn report(message: &Claimed, outcome: &Outcome) {
    let (id, kind, attempts) = (message.id, &message.kind, message.attempts);
    match outcome {
        Outcome::Sent => tracing::info!(target: "notify", %id, kind, attempts, "message sent"),
        Outcome::Expired => tracing::warn!(target: "notify", %id, kind, attempts, "message not sent in time; dropped"),
        Outcome::Failed(error) => tracing::error!(target: "notify", %id, kind, attempts, error, "message cannot be sent; dropped"),
        Outcome::Retry { error, at } => {
            tracing::warn!(target: "notify", %id, kind, attempts, error, next = %at, "message not sent; trying again")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_quarter_of_an_hour() {
        let pauses: Vec<_> = [1, 2, 3, 9, 30, u32::MAX].into_iter().map(|attempts| pause(attempts, 1.0).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 900, 900, 900]);
    }
}
