//! The rule by which a bucket gives: the generic cell rate algorithm (GCRA), in whole microseconds.
//!
//! A bucket is one number: its *theoretical arrival time* (TAT), the moment at which it will be full again. What is
//! missing until then is its *debt*. A unit costs `interval`; the debt may not exceed `interval × burst`. There is
//! nothing to refill and nothing to count, so the decision takes constant time and a full bucket needs no memory.
//!
//! When the clock is set back, a bucket that is not full keeps what it owes, up to one filling. One that was full before may
//! still be remembered (Redis keeps it ten seconds) or be forgotten already (memory); either is right: its time had passed.
//!
//! `gcra.lua` computes the same debts with the same integers: every value stays below 2^53, where the floating-point
//! numbers of Lua are exact (microseconds since 1970 reach 2^53 in the year 2255; spans are at most ten years).

use std::time::Duration;

/// The longest time in which a bucket may fill up: ten years, in microseconds.
const MAX_SPAN_US: u64 = 10 * 365 * 86_400 * 1_000_000;

/// The most wants in one call of `take`.
pub const MAX_WANTS: usize = 8;

/// How often something may happen: `burst` at once, then one every `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Time in which one unit comes back, in microseconds. Taken as at least one.
    pub interval_us: u64,
    /// Units that may be spent at once. Taken as at least one, and as no more than come back in ten years.
    pub burst: u32,
}

impl Quota {
    /// `count` in every `per`, `burst` of them at once. The interval is rounded up: never more than the rate.
    pub fn new(count: u32, per: Duration, burst: u32) -> Self {
        let per_us = u64::try_from(per.as_micros()).unwrap_or(u64::MAX);
        Self { interval_us: per_us.div_ceil(u64::from(count.max(1))), burst }
    }

    pub(crate) fn interval(self) -> i64 {
        self.interval_us.clamp(1, MAX_SPAN_US) as i64
    }

    /// Units a full bucket holds.
    pub(crate) fn units(self) -> i64 {
        i64::from(self.burst).clamp(1, MAX_SPAN_US as i64 / self.interval())
    }

    /// The debt a bucket may have: the time an empty one needs to fill up.
    pub(crate) fn capacity(self) -> i64 {
        self.interval() * self.units()
    }
}

/// One bucket that a request wants to take from. Each bucket appears at most once in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want<'a> {
    /// Which limit, in words fit for a Redis key: `login`.
    pub limit: &'a str,
    /// Whose bucket: a 128-bit digest of the subject.
    pub subject: u128,
    pub quota: Quota,
    /// Units to take; zero only looks. More than the burst is never granted.
    pub cost: u32,
}

impl Want<'_> {
    /// The debt this want adds. A cost beyond the burst counts as one more than the burst: refused, without overflow.
    pub(crate) fn price(&self) -> i64 {
        self.quota.interval() * i64::from(self.cost).min(self.quota.units() + 1)
    }

    /// Whether a bucket with this debt can pay.
    pub(crate) fn fits(&self, debt: i64) -> bool {
        debt + self.price() <= self.quota.capacity()
    }

    /// What the caller learns about a bucket that had this debt before the decision.
    pub(crate) fn outcome(&self, debt: i64, granted: bool) -> Taken {
        let after = if granted { debt + self.price() } else { debt };
        let left = (self.quota.capacity() - after).max(0) / self.quota.interval();
        let late = (debt + self.price() - self.quota.capacity()).max(0);
        Taken {
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset: Duration::from_micros(after.unsigned_abs()),
            retry_after: Duration::from_micros(late.unsigned_abs()),
        }
    }
}

/// What is missing in a bucket. A TAT further away than an empty bucket's comes from a clock that was set back, or
/// from a quota that has become smaller; it counts as empty, so that nobody waits longer than one filling.
pub(crate) fn debt(tat: i64, now: i64, quota: Quota) -> i64 {
    tat.saturating_sub(now).clamp(0, quota.capacity())
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

impl Decision {
    /// Judges wants whose buckets have these debts.
    pub(crate) fn judge(wants: &[Want<'_>], debts: &[i64]) -> Self {
        // More wants than there is room for are a mistake in the caller; refusing all shows it, ignoring some would not.
        let granted = wants.len() <= MAX_WANTS && wants.iter().zip(debts).all(|(want, debt)| want.fits(*debt));
        Self::of(granted, wants, debts)
    }

    pub(crate) fn of(granted: bool, wants: &[Want<'_>], debts: &[i64]) -> Self {
        let mut taken = TakenList::default();
        for (want, debt) in wants.iter().zip(debts) {
            taken.push(want.outcome(*debt, granted));
        }
        Self { granted, taken }
    }
}

/// As many as there were wants, without an allocation. Read it as a slice.
#[derive(Debug, Clone, Copy, Default)]
pub struct TakenList {
    len: u8,
    items: [Taken; MAX_WANTS],
}

impl TakenList {
    fn push(&mut self, taken: Taken) {
        if let Some(item) = self.items.get_mut(usize::from(self.len)) {
            *item = taken;
            self.len += 1;
        }
    }
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
