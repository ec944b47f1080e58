//! One task keeps the connection: makes it, tries it, notices its end, tells about both, begins again.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures::StreamExt as _;
use redis::{
    AsyncConnectionConfig, RedisError,
    aio::{MultiplexedConnection, PubSubSink, PubSubStream},
};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{Connection, Shared, wire};
use crate::Status;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two attempts; the pause doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often an idle connection is tried.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Commands written before the first answer is back; more wait.
const PIPELINE: usize = 1_024;

/// Why there is no session (any more), for the log.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("no answer in time")]
    Timeout,
    #[error("the connection was closed")]
    Closed,
    #[error("an operation failed")]
    Suspect,
    #[error(transparent)]
    Redis(#[from] RedisError),
}

struct Session {
    commands: MultiplexedConnection,
    sink: PubSubSink,
    hints: PubSubStream,
}

/// Runs until it is aborted.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut generation = 0;
    let mut pause = FIRST_PAUSE;
    let mut silent = false;
    loop {
        let lost = match within(CONNECT_TIMEOUT.max(shared.patience), open(&shared)).await {
            Ok(session) => {
                generation += 1;
                pause = FIRST_PAUSE;
                if std::mem::take(&mut silent) {
                    tracing::warn!(target: "backplane", server = %shared.server, "Redis is back: limits and changes are shared between replicas");
                } else {
                    tracing::info!(target: "backplane", server = %shared.server, "Redis is connected");
                }
                shared.begin(generation, session.commands.clone());
                let lost = attend(&shared, session).await;
                shared.end();
                lost
            }
            Err(lost) => lost,
        };
        // One alarm for each absence, however many attempts it takes.
        if !silent {
            silent = true;
            tracing::error!(
                target: "backplane",
                server = %shared.server,
                error = %lost,
                "Redis is away: limits follow their failure policies, other replicas are not told of changes"
            );
            // Also wakes whoever waits for the first connection.
            shared.status.send_replace(Status::Disconnected);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Both connections, tried: one that cannot write (read-only replica, out of memory, no permission) is no use.
async fn open(shared: &Shared) -> Result<Session, Lost> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(shared.patience))
        .set_pipeline_buffer_size(PIPELINE);
    let mut commands = shared.client.get_multiplexed_async_connection_with_config(&config).await?;
    probe(shared, &mut commands).await?;
    shared.take_script.prepare_invoke().load_async(&mut commands).await?;
    let (mut sink, hints) = shared.client.get_async_pubsub().await?.split();
    sink.subscribe(wire::channel(&shared.prefix)).await?;
    Ok(Session { commands, sink, hints })
}

/// Passes hints on and tries the connections until one of them fails.
async fn attend(shared: &Shared, mut session: Session) -> Lost {
    let mut ticks = interval(PROBE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            hint = session.hints.next() => match hint {
                Some(hint) => shared.hear(hint.get_payload_bytes()),
                None => return Lost::Closed,
            },
            () = shared.suspect.notified() => return Lost::Suspect,
            _ = ticks.tick() => {
                let tried = within(shared.patience, async {
                    probe(shared, &mut session.commands).await?;
                    session.sink.ping::<redis::Value>().await?;
                    Ok(())
                });
                if let Err(lost) = tried.await {
                    return lost;
                }
            }
        }
    }
}

async fn probe(shared: &Shared, commands: &mut MultiplexedConnection) -> Result<(), RedisError> {
    redis::cmd("SET").arg(wire::probe(&shared.prefix)).arg(&shared.instance).arg("PX").arg(60_000).query_async(commands).await
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Lost>>) -> Result<T, Lost> {
    timeout(limit, work).await.unwrap_or(Err(Lost::Timeout))
}

impl Shared {
    fn begin(self: &Arc<Self>, generation: u64, commands: MultiplexedConnection) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(Connection { generation, commands });
        self.counters.connects.fetch_add(1, Relaxed);
        // What others published in the meantime is gone; what we could not publish, they do not know.
        self.local.topics().gap();
        self.status.send_replace(Status::Connected);
        if self.owes_gap.swap(false, Relaxed) {
            let shared = Arc::clone(self);
            self.runtime.spawn(async move { shared.announce_gap().await });
        }
    }

    fn end(&self) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.counters.disconnects.fetch_add(1, Relaxed);
    }

    async fn announce_gap(self: Arc<Self>) {
        let mut command = redis::cmd("PUBLISH");
        command.arg(wire::channel(&self.prefix)).arg(wire::encode(&self.instance, "", b""));
        if self.ask::<i64>(command).await.is_err() {
            self.owes_gap.store(true, Relaxed);
        }
    }

    fn hear(&self, frame: &[u8]) {
        match wire::decode(frame) {
            // Our own subscribers heard it when it was published.
            Some(frame) if frame.instance == self.instance => {}
            Some(frame) => {
                self.counters.received.fetch_add(1, Relaxed);
                if frame.topic.is_empty() {
                    self.local.topics().gap();
                } else {
                    self.local.topics().deliver(frame.topic, frame.payload);
                }
            }
            None => tracing::debug!(target: "backplane", "ignored a publication that no release of ours makes"),
        }
    }
}
