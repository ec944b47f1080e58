#![doc = include_str!("../README.md")]

mod config;
mod gcra;
mod lease;
mod local;
mod redis;
mod table;
mod topics;

use std::time::Duration;

use baluarte_kernel::{Clock, Timestamp};
use tokio::sync::watch;

pub use self::{
    config::ClusterConfig,
    gcra::{Decision, MAX_WANTS, Quota, Taken, TakenList, Want},
    lease::Lease,
    local::Local,
    redis::Redis,
    topics::{Hint, Subscription},
};

/// The longest payload of a publication, in bytes.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// An answer of Redis that takes longer counts as none: whoever waits is a request.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackplaneError {
    #[error("Redis is not reachable")]
    Unavailable,
    #[error("Redis answered something unexpected: {0}")]
    Protocol(String),
    /// Says which form is expected; never repeats the address, which may hold a password.
    #[error("not a Redis address: {0}")]
    BadUrl(String),
    /// A hint says where to look, it does not carry the data.
    #[error("a message between replicas is at most {MAX_PAYLOAD} bytes")]
    TooLarge,
}

/// Whether other replicas can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// One process, nothing to reach.
    Local,
    Connected,
    Disconnected,
}

/// Since the process began; all zero when alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// How often Redis was reached, the first time included.
    pub connects: u64,
    /// How often Redis went away after it had been reached.
    pub disconnects: u64,
    /// Operations that failed, because Redis was away or refused.
    pub failures: u64,
    /// Hints sent to and received from other replicas.
    pub published: u64,
    pub received: u64,
}

/// Hints between replicas. The database stays the truth: losing every message costs latency, never data.
/// May be used from any runtime: its own work runs on the runtime it was made on.
#[derive(Debug, Clone)]
pub enum Backplane {
    Local(Local),
    Redis(Redis),
}

impl Backplane {
    /// Alone or with Redis, as configured. Does not fail when Redis is away: it keeps trying, and start-up goes on after
    /// a quarter of a second. The current runtime does all the work from now on, so it must outlive the backplane.
    pub async fn connect(config: &ClusterConfig, clock: Clock) -> Result<Self, BackplaneError> {
        Self::connect_patiently(config, clock, RESPONSE_TIMEOUT).await
    }

    /// As `connect`, with another time after which an answer of Redis counts as none: tests on a busy machine take more.
    pub async fn connect_patiently(config: &ClusterConfig, clock: Clock, patience: Duration) -> Result<Self, BackplaneError> {
        if config.redis_url.is_empty() { Ok(Self::local(clock)) } else { Redis::connect(config, clock, patience).await.map(Self::Redis) }
    }

    /// In memory, for one process and for tests.
    pub fn local(clock: Clock) -> Self {
        Self::Local(Local::new(clock))
    }

    /// Tells every subscriber of every replica, this one included. An error means that other replicas were not told;
    /// they will hear a gap when Redis is back.
    pub async fn publish(&self, topic: &'static str, payload: &[u8]) -> Result<(), BackplaneError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(BackplaneError::TooLarge);
        }
        match self {
            Self::Local(local) => {
                local.topics().deliver(topic, payload);
                Ok(())
            }
            Self::Redis(redis) => redis.publish(topic, payload).await,
        }
    }

    /// Hears what is published from now on.
    pub fn subscribe(&self, topic: &'static str) -> Subscription {
        match self {
            Self::Local(local) => local.topics().subscribe(topic),
            Self::Redis(redis) => redis.subscribe(topic),
        }
    }

    /// Takes from all buckets or from none (GCRA). In memory it answers without yielding. At most `MAX_WANTS` wants,
    /// each bucket once; more are refused. Through Redis, large buckets lend units in advance: see `src/redis/lending.rs`
    /// for the bound.
    pub async fn take(&self, wants: &[Want<'_>]) -> Result<Decision, BackplaneError> {
        match self {
            Self::Local(local) => Ok(local.take(wants)),
            // Boxed, so that the request's future does not carry this one's size when there is no Redis.
            Self::Redis(redis) => Box::pin(redis.take(wants)).await,
        }
    }

    /// As `take`, judged as if it were `now`: so that tests can show that memory and Redis decide alike.
    pub async fn take_at(&self, now: Timestamp, wants: &[Want<'_>]) -> Result<Decision, BackplaneError> {
        match self {
            Self::Local(local) => Ok(local.take_at(now.micros(), wants)),
            Self::Redis(redis) => redis.take_at(now, wants).await,
        }
    }

    /// The same decision from this process's own memory, whatever the backplane: for the failure policy `local`.
    pub fn take_local(&self, wants: &[Want<'_>]) -> Decision {
        self.memory().take(wants)
    }

    /// One holder at a time for `name`; `None` when somebody, this process included, holds it.
    pub async fn lease(&self, name: &str, ttl: Duration) -> Result<Option<Lease>, BackplaneError> {
        match self {
            Self::Local(local) => Ok(Lease::local(local, name, ttl)),
            Self::Redis(redis) => Lease::redis(redis, name, ttl).await,
        }
    }

    pub fn status(&self) -> Status {
        match self {
            Self::Local(_) => Status::Local,
            Self::Redis(redis) => redis.status(),
        }
    }

    /// Tells of every change of `status()`; usable from any runtime.
    pub fn status_changes(&self) -> watch::Receiver<Status> {
        match self {
            Self::Local(local) => local.status_changes(),
            Self::Redis(redis) => redis.status_changes(),
        }
    }

    /// Counters for `/metrics`.
    pub fn stats(&self) -> Stats {
        match self {
            Self::Local(_) => Stats::default(),
            Self::Redis(redis) => redis.stats(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.memory().now()
    }

    fn memory(&self) -> &Local {
        match self {
            Self::Local(local) => local,
            Self::Redis(redis) => redis.local(),
        }
    }
}
