//! Everything in this process's memory: for one replica alone, for tests, and for limits while Redis is away.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use baluarte_kernel::{Clock, Timestamp};
use tokio::sync::watch;

use crate::{
    Status,
    gcra::{self, Decision, MAX_WANTS, Want},
    table::{Key, Place, Record, Shard, Table},
    topics::Topics,
};

/// Buckets kept in memory: 32 MiB when a flood fills the table; a handful of KiB at rest.
const MAX_BUCKETS: usize = 1 << 20;

#[derive(Clone)]
pub struct Local(Arc<Inner>);

struct Inner {
    clock: Clock,
    buckets: Table<Bucket>,
    topics: Topics,
    leases: Mutex<Leases>,
    /// Never changes; kept so that whoever waits for a change waits.
    status: watch::Sender<Status>,
}

#[derive(Default)]
struct Leases {
    held: HashMap<String, Holder>,
    last_token: u64,
}

#[derive(Clone, Copy)]
struct Holder {
    token: u64,
    until: Timestamp,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Local")
    }
}

impl Local {
    pub(crate) fn new(clock: Clock) -> Self {
        Self(Arc::new(Inner {
            clock,
            buckets: Table::new(MAX_BUCKETS),
            topics: Topics::default(),
            leases: Mutex::default(),
            status: watch::Sender::new(Status::Local),
        }))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(crate) fn status_changes(&self) -> watch::Receiver<Status> {
        self.0.status.subscribe()
    }

    pub(crate) fn topics(&self) -> &Topics {
        &self.0.topics
    }

    pub(crate) fn take(&self, wants: &[Want<'_>]) -> Decision {
        self.take_at(self.now().micros(), wants)
    }

    /// The decision at a given time.
    pub(crate) fn take_at(&self, now: i64, wants: &[Want<'_>]) -> Decision {
        match wants {
            [want] => self.take_one(now, want),
            _ => self.take_many(now, wants),
        }
    }

    /// The common case: one lock, no bookkeeping.
    fn take_one(&self, now: i64, want: &Want<'_>) -> Decision {
        let buckets = &self.0.buckets;
        let place = buckets.place(want.limit, want.subject);
        let mut shard = buckets.lock(place.shard);
        let debt = Bucket::debt(&mut shard, place, now, want);
        let decision = Decision::judge(std::slice::from_ref(want), &[debt]);
        if decision.granted {
            Bucket::debit(buckets, &mut shard, place, now, want, debt);
        }
        decision
    }

    /// Holds all the shards concerned at once, taken in ascending order, so that two calls can never wait for each other.
    fn take_many(&self, now: i64, wants: &[Want<'_>]) -> Decision {
        let buckets = &self.0.buckets;
        let mut places = [None; MAX_WANTS];
        for (place, want) in places.iter_mut().zip(wants) {
            *place = Some(buckets.place(want.limit, want.subject));
        }
        let mut order = places.map(|place: Option<Place>| place.map_or(usize::MAX, |place| place.shard));
        order.sort_unstable();
        let mut shards: [Option<MutexGuard<'_, Shard<Bucket>>>; MAX_WANTS] = std::array::from_fn(|_| None);
        for i in 0..MAX_WANTS {
            if order[i] != usize::MAX && (i == 0 || order[i] != order[i - 1]) {
                shards[i] = Some(buckets.lock(order[i]));
            }
        }
        let held_at = |place: Place| order.iter().position(|shard| *shard == place.shard).unwrap_or(0);

        let mut debts = [0; MAX_WANTS];
        let placed = || wants.iter().zip(places.iter().flatten().copied());
        for (debt, (want, place)) in debts.iter_mut().zip(placed()) {
            if let Some(shard) = &mut shards[held_at(place)] {
                *debt = Bucket::debt(shard, place, now, want);
            }
        }
        let decision = Decision::judge(wants, &debts);
        if decision.granted {
            for (debt, (want, place)) in debts.iter().zip(placed()) {
                if let Some(shard) = &mut shards[held_at(place)] {
                    Bucket::debit(buckets, shard, place, now, want, *debt);
                }
            }
        }
        decision
    }

    /// The token of the new holder; `None` when somebody holds it.
    pub(crate) fn lease(&self, name: &str, ttl: Duration) -> Option<u64> {
        let now = self.now();
        let mut leases = self.leases();
        leases.held.retain(|_, holder| holder.until > now);
        if leases.held.contains_key(name) {
            return None;
        }
        leases.last_token += 1;
        let token = leases.last_token;
        leases.held.insert(name.to_owned(), Holder { token, until: now.plus(ttl) });
        Some(token)
    }

    pub(crate) fn renew(&self, name: &str, token: u64, ttl: Duration) -> bool {
        let now = self.now();
        match self.leases().held.get_mut(name) {
            Some(holder) if holder.token == token && holder.until > now => {
                holder.until = now.plus(ttl);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn holds(&self, name: &str, token: u64) -> bool {
        let now = self.now();
        self.leases().held.get(name).is_some_and(|holder| holder.token == token && holder.until > now)
    }

    pub(crate) fn release(&self, name: &str, token: u64) {
        let mut leases = self.leases();
        if leases.held.get(name).is_some_and(|holder| holder.token == token) {
            leases.held.remove(name);
        }
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.0.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bucket that is not full. A full one needs no record.
#[derive(Clone, Copy)]
struct Bucket {
    key: Key,
    /// When it will be full again, in microseconds.
    tat: i64,
    /// The debt it may have; to compare buckets of different limits.
    capacity: i64,
}

impl Record for Bucket {
    const EMPTY: Self = Self { key: [0; 2], tat: i64::MIN, capacity: 1 };

    fn key(&self) -> Key {
        self.key
    }

    /// How empty it is, in proportion: whoever has spent most stays longest, so that a flood of strangers who spent one
    /// unit each does not forgive those who are at their limit.
    fn worth(&self, now: i64) -> u64 {
        let debt = self.tat.saturating_sub(now).clamp(0, self.capacity);
        if debt == 0 { 0 } else { (debt * 1_000 / self.capacity).max(1).unsigned_abs() }
    }
}

impl Bucket {
    fn debt(shard: &mut Shard<Self>, place: Place, now: i64, want: &Want<'_>) -> i64 {
        shard.get(place).map_or(0, |bucket| gcra::debt(bucket.tat, now, want.quota))
    }

    fn debit(buckets: &Table<Self>, shard: &mut Shard<Self>, place: Place, now: i64, want: &Want<'_>, debt: i64) {
        let debt = debt + want.price();
        if debt > 0 {
            let bucket = Self { key: place.key, tat: now.saturating_add(debt), capacity: want.quota.capacity() };
            buckets.put(shard, place, bucket, now);
        }
    }
}
