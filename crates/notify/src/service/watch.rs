//! Are messages getting through? Asked by every process that serves, because a worker that does not run cannot tell.

use std::time::Duration;

use baluarte_db::DbError;
use baluarte_kernel::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{Channel, Notify, store};

/// Between two looks, at most.
const PAUSE: Duration = Duration::from_secs(15);

/// Messages of one channel that are still to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub channel: Channel,
    pub messages: u64,
    /// How long the first of them has waited.
    pub oldest: Duration,
    /// Why that one could not be sent so far, without whom it is for.
    pub last_error: Option<String>,
}

impl Notify {
    /// For each channel. Nothing waits: no messages, zero.
    pub async fn waiting(&self, now: Timestamp) -> Result<[Waiting; 2], DbError> {
        let [email, sms] = Channel::ALL;
        Ok([store::waiting(&self.inner.db, email, now).await?, store::waiting(&self.inner.db, sms, now).await?])
    }

    /// It has waited for too long: somebody should look.
    pub fn is_alarming(&self, waiting: &Waiting) -> bool {
        waiting.messages > 0 && waiting.oldest >= self.inner.alarm_after
    }

    /// Measures until told to stop, and raises the alarm; one for each process that serves.
    pub async fn watch(self, stopping: CancellationToken) {
        let mut ticks = tokio::time::interval(PAUSE.min(self.inner.alarm_after / 2).max(Duration::from_millis(500)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut alarmed = [false; 2];
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // While the database is away nothing is known, and others tell of that.
            let Ok(measured) = self.waiting(self.inner.clock.now()).await else { continue };
            for (waiting, alarmed) in measured.iter().zip(&mut alarmed) {
                self.inner.report.waiting(waiting);
                let now = self.is_alarming(waiting);
                if now != std::mem::replace(alarmed, now) {
                    tell(waiting, now);
                }
            }
        }
    }
}

fn tell(Waiting { channel, messages, oldest, last_error }: &Waiting, alarming: bool) {
    let channel = channel.as_str();
    if alarming {
        let (oldest_seconds, error) = (oldest.as_secs(), last_error.as_deref().unwrap_or("nobody has tried yet: is a worker there?"));
        tracing::error!(target: "notify", channel, messages, oldest_seconds, error, "ALARM: messages are not getting through");
    } else {
        tracing::info!(target: "notify", channel, messages, "no message has been waiting for long any more");
    }
}
