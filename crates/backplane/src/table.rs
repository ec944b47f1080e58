//! A bounded table of small records that become worthless with time: buckets that fill up, tokens that expire.
//!
//! Sharded, each shard a table of sets of eight slots behind its own lock, held for some tens of nanoseconds. A
//! record lives in the set its hash names. A new record takes a slot whose record has become worthless; where there is
//! none the shard doubles, until it has reached its bound; then the record that is worth least in that set goes. So
//! cleaning up happens where the space is needed, costs at most eight comparisons, and no sweep ever stops anybody.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A record of a table.
pub(crate) trait Record: Copy {
    /// A slot without a record; always worthless.
    const EMPTY: Self;
    fn key(&self) -> Key;
    /// What would be lost with the record at this time; zero: nothing, the slot is free.
    fn worth(&self, now: i64) -> u64;
}

/// 128 bits in two halves: `u128` would align records to 16 bytes.
pub(crate) type Key = [u64; 2];

const WAYS: usize = 8;
const SHARDS: usize = 64;

pub(crate) struct Table<R> {
    shards: Box<[Lane<R>]>,
    hasher: ahash::RandomState,
    /// Sets a shard may grow to.
    max_sets: usize,
}

/// Apart from its neighbours by a cache line, so that two cores at two shards do not disturb each other.
#[repr(align(128))]
struct Lane<R>(Mutex<Shard<R>>);

/// Where a key lives.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) shard: usize,
    hash: u64,
    pub(crate) key: Key,
}

impl<R: Record> Table<R> {
    /// At most about this many records (rounded up to a power of two).
    pub(crate) fn new(max_records: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Lane(Mutex::new(Shard { sets: vec![[R::EMPTY; WAYS]] }))).collect(),
            hasher: ahash::RandomState::new(),
            max_sets: max_records.div_ceil(SHARDS * WAYS).next_power_of_two(),
        }
    }

    /// The key and place of a subject's record under a limit. The hash is seeded at random: nobody can aim at a set.
    pub(crate) fn place(&self, limit: &str, subject: u128) -> Place {
        let limit = self.hasher.hash_one(limit);
        let key = [subject as u64 ^ limit, (subject >> 64) as u64];
        let hash = self.hasher.hash_one(key);
        Place { shard: (hash >> 58) as usize, hash, key }
    }

    pub(crate) fn lock(&self, shard: usize) -> MutexGuard<'_, Shard<R>> {
        // A panic while the lock is held cannot leave a shard half changed: records are replaced whole.
        self.shards[shard].0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the key's record or adds it; `shard` is the locked shard of `place`.
    pub(crate) fn put(&self, shard: &mut Shard<R>, place: Place, record: R, now: i64) {
        if let Some(present) = shard.get(place) {
            *present = record;
            return;
        }
        loop {
            let index = shard.index(place.hash);
            let full_grown = shard.sets.len() >= self.max_sets;
            let Some(slot) = shard.sets[index].iter_mut().min_by_key(|slot| slot.worth(now)) else { return };
            if full_grown || slot.worth(now) == 0 {
                *slot = record;
                return;
            }
            self.grow(shard, now);
        }
    }

    /// Doubles a shard: each set's records spread over two. Moves at most `max_sets × 4` records, a few times in a life.
    fn grow(&self, shard: &mut Shard<R>, now: i64) {
        let mut grown = Shard { sets: vec![[R::EMPTY; WAYS]; shard.sets.len() * 2] };
        for record in shard.sets.iter().flatten().filter(|record| record.worth(now) > 0) {
            let index = grown.index(self.hasher.hash_one(record.key()));
            if let Some(slot) = grown.sets[index].iter_mut().find(|slot| slot.worth(now) == 0) {
                *slot = *record;
            }
        }
        *shard = grown;
    }

    #[cfg(test)]
    fn slots(&self) -> usize {
        (0..SHARDS).map(|shard| self.lock(shard).sets.len() * WAYS).sum()
    }
}

pub(crate) struct Shard<R> {
    /// A power of two of them.
    sets: Vec<[R; WAYS]>,
}

impl<R: Record> Shard<R> {
    pub(crate) fn get(&mut self, place: Place) -> Option<&mut R> {
        let index = self.index(place.hash);
        self.sets[index].iter_mut().find(|record| record.key() == place.key)
    }

    fn index(&self, hash: u64) -> usize {
        hash as usize & (self.sets.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    struct Note {
        key: Key,
        worth: u64,
        until: i64,
    }
    impl Record for Note {
        const EMPTY: Self = Self { key: [0; 2], worth: 0, until: i64::MIN };
        fn key(&self) -> Key {
            self.key
        }
        fn worth(&self, now: i64) -> u64 {
            if self.until > now { self.worth } else { 0 }
        }
    }

    fn put(table: &Table<Note>, subject: u128, worth: u64, until: i64, now: i64) {
        let place = table.place("test", subject);
        table.put(&mut table.lock(place.shard), place, Note { key: place.key, worth, until }, now);
    }

    fn has(table: &Table<Note>, subject: u128) -> bool {
        let place = table.place("test", subject);
        table.lock(place.shard).get(place).is_some()
    }

    #[test]
    fn a_table_grows_to_hold_what_is_alive() {
        // Far below the bound, as in the product: near it a set may be full, and where is up to the random seed.
        let table = Table::new(1 << 20);
        for subject in 0..10_000 {
            put(&table, subject, 1, 1, 0);
        }
        assert!((0..10_000).all(|subject| has(&table, subject)));
    }

    #[test]
    fn worthless_records_make_room_without_growth() {
        let table = Table::new(1 << 16);
        for now in 0..100_000 {
            put(&table, now as u128, 1, now + 100, now);
        }
        assert!(table.slots() <= 4_096, "{} slots for a hundred live records", table.slots());
    }

    #[test]
    fn a_flood_neither_grows_without_bound_nor_displaces_what_is_worth_more() {
        let table = Table::new(1 << 12);
        for busy in 0..100 {
            put(&table, busy, 1_000, i64::MAX, 0);
        }
        for subject in 1_000..200_000 {
            put(&table, subject, 1, i64::MAX, 0);
        }
        assert_eq!(table.slots(), 1 << 12);
        assert!((0..100).all(|busy| has(&table, busy)));
    }
}
