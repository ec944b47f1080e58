#![doc = include_str!("../README.md")]

use std::time::Duration;

use baluarte_kernel::{Clock, Findings, Secret, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// `[cluster]`
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterConfig {
    /// `redis://…` or `rediss://…` (TLS): for several replicas on PostgreSQL. Empty: this process is alone.
    pub redis_url: Secret,
    /// In front of every key, so that several installations may share one Redis.
    pub redis_prefix: String,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self { redis_url: Secret::default(), redis_prefix: "baluarte:".to_owned() }
    }
}

impl ClusterConfig {
    /// The form of the address and of the prefix; nothing is contacted.
    pub fn validate(&self, _findings: &mut Findings) {}
}

#[derive(Debug, thiserror::Error)]
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

/// The longest payload of a publication, in bytes.
pub const MAX_PAYLOAD: usize = 64 * 1024;
/// The most wants in one call of `take`.
pub const MAX_WANTS: usize = 8;

/// How often something may happen: `burst` at once, then one every `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Time in which one unit comes back, in microseconds.
    pub interval_us: u64,
    /// Units that may be spent at once; at least one.
    pub burst: u32,
}

/// One bucket that a request wants to take from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want<'a> {
    /// Which limit, in words fit for a Redis key: `login`.
    pub limit: &'a str,
    /// Whose bucket: a 128-bit digest of the subject.
    pub subject: u128,
    pub quota: Quota,
    pub cost: u32,
}

/// What became of one want.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Units left after this decision.
    pub remaining: u32,
    /// Until the bucket is full again.
    pub reset: Duration,
    /// Zero when this want alone would have been granted; otherwise when to try again.
    pub retry_after: Duration,
}

/// All wants granted, or nothing debited at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    pub granted: bool,
    /// One for each want, in order.
    pub taken: TakenList,
}

/// As many as there were wants, without an allocation. Read it as a slice.
#[derive(Debug, Clone, Copy, Default)]
pub struct TakenList {
    len: u8,
    items: [Taken; MAX_WANTS],
}

impl std::ops::Deref for TakenList {
    type Target = [Taken];
    fn deref(&self) -> &[Taken] {
        &self.items[..usize::from(self.len)]
    }
}

impl PartialEq for TakenList {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
impl Eq for TakenList {}

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    Message(Vec<u8>),
    /// Something may have been missed (lag, or a lost connection came back): read the database again.
    Gap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// One process, nothing to reach.
    Local,
    Connected,
    Disconnected,
}

/// Hints between replicas. The database stays the truth: losing every message costs latency, never data.
/// May be used from any runtime: its own work runs on the runtime it was made on.
#[derive(Debug, Clone)]
pub enum Backplane {
    Local(Local),
    Redis(Redis),
}

#[derive(Debug, Clone)]
pub struct Local {}
#[derive(Debug, Clone)]
pub struct Redis {}

#[derive(Debug)]
pub struct Subscription {}

impl Subscription {
    /// The next hint; pending for ever when nobody can publish any more.
    pub async fn next(&mut self) -> Hint {
        unimplemented!("backplane")
    }
}

/// Held by one replica at a time; lost when not renewed in time.
#[derive(Debug)]
pub struct Lease {}

impl Lease {
    /// Still ours, as far as this process can tell without asking.
    pub fn is_held(&self) -> bool {
        unimplemented!("backplane")
    }

    /// Another full term; false when it was lost in the meantime.
    pub async fn renew(&mut self) -> Result<bool, BackplaneError> {
        unimplemented!("backplane")
    }

    /// Gives it back at once. Dropping does the same in the background.
    pub async fn release(self) -> Result<(), BackplaneError> {
        unimplemented!("backplane")
    }
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

impl Backplane {
    /// Alone or with Redis, as configured. Does not fail when Redis is away: it keeps trying.
    pub async fn connect(_config: &ClusterConfig, _clock: Clock) -> Result<Self, BackplaneError> {
        unimplemented!("backplane")
    }

    /// In memory, for one process and for tests.
    pub fn local(_clock: Clock) -> Self {
        unimplemented!("backplane")
    }

    /// Tells every subscriber of every replica, this one included.
    pub async fn publish(&self, _topic: &'static str, _payload: &[u8]) -> Result<(), BackplaneError> {
        unimplemented!("backplane")
    }

    pub fn subscribe(&self, _topic: &'static str) -> Subscription {
        unimplemented!("backplane")
    }

    /// Takes from all buckets or from none (GCRA). In memory it answers without yielding.
    pub async fn take(&self, _wants: &[Want<'_>]) -> Result<Decision, BackplaneError> {
        unimplemented!("backplane")
    }

    /// The same decision from this process's own memory, whatever the backplane: for the failure policy `local`.
    pub fn take_local(&self, _wants: &[Want<'_>]) -> Decision {
        unimplemented!("backplane")
    }

    /// One holder at a time for `name`; `None` when another replica holds it.
    pub async fn lease(&self, _name: &str, _ttl: Duration) -> Result<Option<Lease>, BackplaneError> {
        unimplemented!("backplane")
    }

    pub fn status(&self) -> Status {
        unimplemented!("backplane")
    }

    /// Tells of every change of `status()`; usable from any runtime.
    pub fn status_changes(&self) -> watch::Receiver<Status> {
        unimplemented!("backplane")
    }

    /// Counters for `/metrics`.
    pub fn stats(&self) -> Stats {
        unimplemented!("backplane")
    }

    pub fn now(&self) -> Timestamp {
        unimplemented!("backplane")
    }
}
