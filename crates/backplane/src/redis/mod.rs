//! Several replicas, one Redis: hints by publish/subscribe, buckets by one script, leases by `SET NX PX`.
//!
//! All input and output happens on the runtime the backplane was made on. A caller on any other runtime only waits for
//! a task's answer, and a caller that goes away does not interrupt an operation halfway.

mod lease;
mod lending;
mod session;
mod wire;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use baluarte_kernel::{Clock, Timestamp};
use redis::{Cmd, FromRedisValue, RedisError, aio::MultiplexedConnection};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::AbortHandle,
    time::timeout,
};

use crate::{
    BackplaneError, ClusterConfig, Stats, Status, Subscription,
    config::client_info,
    gcra::{Decision, MAX_WANTS, Want},
    local::Local,
};

use self::lending::Lending;

/// How long start-up waits for the first connection before it goes on without.
const START_TIMEOUT: Duration = Duration::from_millis(250);

const TAKE: &str = include_str!("../gcra.lua");

#[derive(Clone)]
pub struct Redis(Arc<Owner>);

/// Ends the session's task with the last handle.
struct Owner {
    shared: Arc<Shared>,
    session: AbortHandle,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.session.abort();
    }
}

struct Shared {
    runtime: Handle,
    /// An answer that takes longer counts as none.
    patience: Duration,
    client: redis::Client,
    /// `host:port`, for the log.
    server: String,
    prefix: String,
    /// Tells our own publications from others', and our leases.
    instance: String,
    take_script: redis::Script,
    local: Local,
    lending: Lending,
    /// Absent while Redis is away: then every operation fails at once instead of waiting in line.
    connection: Mutex<Option<Connection>>,
    /// Set when an operation has failed: the session tries the connection and makes a new one.
    suspect: Notify,
    status: watch::Sender<Status>,
    /// A publication failed since the others last heard from us.
    owes_gap: AtomicBool,
    last_lease: AtomicU64,
    counters: Counters,
}

#[derive(Clone)]
struct Connection {
    generation: u64,
    commands: MultiplexedConnection,
}

#[derive(Default)]
struct Counters {
    connects: AtomicU64,
    disconnects: AtomicU64,
    failures: AtomicU64,
    published: AtomicU64,
    received: AtomicU64,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("server", &self.0.shared.server).finish_non_exhaustive()
    }
}

impl Redis {
    /// Begins to connect on the current runtime and waits a moment for the outcome; goes on without if it must.
    pub(crate) async fn connect(config: &ClusterConfig, clock: Clock, patience: Duration) -> Result<Self, BackplaneError> {
        use redis::IntoConnectionInfo as _;
        let info = client_info(&config.redis_url).map_err(BackplaneError::BadUrl)?;
        let server = info.addr().to_string();
        let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
        let client = info
            .set_tcp_settings(tcp)
            .into_connection_info()
            .and_then(redis::Client::open)
            .map_err(|err| BackplaneError::BadUrl(err.category().to_owned()))?;
        let shared = Arc::new(Shared {
            runtime: Handle::current(),
            patience,
            client,
            server,
            prefix: config.redis_prefix.clone(),
            instance: format!("{:032x}", rand::random::<u128>()),
            take_script: redis::Script::new(TAKE),
            local: Local::new(clock),
            lending: Lending::new(),
            connection: Mutex::new(None),
            suspect: Notify::new(),
            status: watch::Sender::new(Status::Disconnected),
            owes_gap: AtomicBool::new(false),
            last_lease: AtomicU64::new(0),
            counters: Counters::default(),
        });
        let session = tokio::spawn(session::run(Arc::clone(&shared))).abort_handle();
        let redis = Self(Arc::new(Owner { shared, session }));
        let mut status = redis.status_changes();
        // Until connected, or until the first attempt has failed and been reported.
        let _ = timeout(START_TIMEOUT, status.changed()).await;
        Ok(redis)
    }

    pub(crate) fn local(&self) -> &Local {
        &self.0.shared.local
    }

    pub(crate) fn status(&self) -> Status {
        *self.0.shared.status.borrow()
    }

    pub(crate) fn status_changes(&self) -> watch::Receiver<Status> {
        self.0.shared.status.subscribe()
    }

    pub(crate) fn stats(&self) -> Stats {
        let counters = &self.0.shared.counters;
        Stats {
            connects: counters.connects.load(Relaxed),
            disconnects: counters.disconnects.load(Relaxed),
            failures: counters.failures.load(Relaxed),
            published: counters.published.load(Relaxed),
            received: counters.received.load(Relaxed),
        }
    }

    pub(crate) fn subscribe(&self, topic: &'static str) -> Subscription {
        self.local().topics().subscribe(topic)
    }

    /// Subscribers of this process hear it at once, whether or not Redis is there to tell the others.
    pub(crate) async fn publish(&self, topic: &'static str, payload: &[u8]) -> Result<(), BackplaneError> {
        let shared = &self.0.shared;
        self.local().topics().deliver(topic, payload);
        let mut command = redis::cmd("PUBLISH");
        command.arg(wire::channel(&shared.prefix)).arg(wire::encode(&shared.instance, topic, payload));
        let sent = shared.ask::<i64>(command).await;
        match &sent {
            Ok(_) => shared.counters.published.fetch_add(1, Relaxed),
            // The others learn that they missed something as soon as there is a way to tell them.
            Err(_) => u64::from(shared.owes_gap.swap(true, Relaxed)),
        };
        sent.map(drop)
    }

    /// From what is lent to this process, or with one round trip.
    pub(crate) async fn take(&self, wants: &[Want<'_>]) -> Result<Decision, BackplaneError> {
        let (shared, now) = (&self.0.shared, self.local().now().micros());
        if wants.is_empty() || wants.len() > MAX_WANTS || !lending::lendable(wants) {
            return self.decide("", wants, |_| 0).await.map(|(decision, _)| decision);
        }
        if let Some(decision) = shared.lending.take(now, wants) {
            return Ok(decision);
        }
        let (decision, debts) = self.decide("", wants, lending::extra).await?;
        if decision.granted {
            shared.lending.note(now, wants, &debts);
        }
        Ok(decision)
    }

    /// As if it were `now`, and without lending.
    pub(crate) async fn take_at(&self, now: Timestamp, wants: &[Want<'_>]) -> Result<Decision, BackplaneError> {
        self.decide(&now.micros().to_string(), wants, |_| 0).await.map(|(decision, _)| decision)
    }

    /// The decision and the debts before it. `now`: microseconds since 1970, or empty for Redis' own time.
    async fn decide(&self, now: &str, wants: &[Want<'_>], extra: fn(&Want<'_>) -> i64) -> Result<(Decision, Vec<i64>), BackplaneError> {
        if wants.is_empty() || wants.len() > MAX_WANTS {
            return Ok((Decision::judge(wants, &[0; MAX_WANTS]), Vec::new()));
        }
        let mut reply: Vec<i64> = self.0.shared.eval_take(now, wants, extra).await?;
        if reply.len() != wants.len() + 1 {
            return Err(BackplaneError::Protocol(format!("{} numbers for {} wants", reply.len(), wants.len())));
        }
        let granted = reply.remove(0) == 1;
        Ok((Decision::of(granted, wants, &reply), reply))
    }
}

impl Shared {
    async fn eval_take(self: &Arc<Self>, now: &str, wants: &[Want<'_>], extra: fn(&Want<'_>) -> i64) -> Result<Vec<i64>, BackplaneError> {
        let command = |verb: &str, script: &str| {
            let mut command = redis::cmd(verb);
            command.arg(script).arg(wants.len());
            for want in wants {
                command.arg(wire::bucket(&self.prefix, want));
            }
            for want in wants {
                command.arg(want.quota.capacity()).arg(want.price()).arg(extra(want));
            }
            command.arg(now);
            command
        };
        match self.ask(command("EVALSHA", self.take_script.get_hash())).await {
            // Redis was restarted or its scripts were flushed. EVAL brings the script along and keeps it.
            Err(BackplaneError::Protocol(problem)) if problem == wire::NO_SCRIPT => self.ask(command("EVAL", TAKE)).await,
            answer => answer,
        }
    }

    /// Sends one command from a task of our own runtime. While Redis is away this fails at once.
    async fn ask<T: FromRedisValue + Send + 'static>(self: &Arc<Self>, command: Cmd) -> Result<T, BackplaneError> {
        let Some(Connection { generation, mut commands }) = self.connection() else {
            self.counters.failures.fetch_add(1, Relaxed);
            return Err(BackplaneError::Unavailable);
        };
        let shared = Arc::clone(self);
        let task = self.runtime.spawn(async move {
            let answer = timeout(shared.patience, command.query_async::<T>(&mut commands)).await;
            shared.judge(generation, answer.map_err(|_| ()))
        });
        // The task cannot panic; it is cancelled when its runtime ends, and then there is no backplane any more.
        task.await.unwrap_or(Err(BackplaneError::Unavailable))
    }

    /// Turns an answer into what the caller needs to know; `Err(())`: there was none in time.
    fn judge<T>(&self, generation: u64, answer: Result<Result<T, RedisError>, ()>) -> Result<T, BackplaneError> {
        let problem = match answer {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(err)) if wire::is_no_script(&err) => return Err(BackplaneError::Protocol(wire::NO_SCRIPT.to_owned())),
            Ok(Err(err)) => Some(err),
            Err(()) => None,
        };
        self.counters.failures.fetch_add(1, Relaxed);
        self.give_up(generation);
        match problem {
            Some(err) if !err.is_io_error() => Err(BackplaneError::Protocol(err.category().to_owned())),
            _ => Err(BackplaneError::Unavailable),
        }
    }

    fn connection(&self) -> Option<Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on every operation fails at once, until the session has made a connection that answers.
    fn give_up(&self, generation: u64) {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.as_ref().is_some_and(|connection| connection.generation == generation) {
            *connection = None;
            self.suspect.notify_one();
        }
    }
}
