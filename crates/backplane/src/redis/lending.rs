//! Units taken from Redis in advance, so that a large limit does not cost a round trip for every request.
//!
//! A bucket with room for a hundred units or more lends a process a fiftieth of it, ten at most, when it is asked for one
//! and is at least half full. What is lent counts as taken: all replicas together never take more from a
//! bucket than it gives. The price is that up to nine units in each process may be spent later than they were
//! taken, or never; in any span of time, at most `burst + rate × span + 9 × replicas` requests pass. Below half nothing is
//! lent, every request asks Redis, and what the limit allows at its edge is exact.
//!
//! A loan lasts as long as the bucket needs to bring its units back, then it is forgotten: somebody who makes one request now and
//! then loses no more by it than the rate returns.
//!
//! A request is served from loans only if all its buckets have one, and loans are taken only for such requests: all
//! or nothing stays as simple as it is.

use crate::{
    gcra::{Decision, MAX_WANTS, Want},
    table::{Key, Record, Table},
};

/// Buckets smaller than this lend nothing.
const LEAST_UNITS: i64 = 100;
/// One for the request itself and what is lent with it.
const MOST_UNITS: i64 = 10;
/// Loans kept at a time: 1 MiB. One that is displaced is lost, as one that is not used.
const MAX_LOANS: usize = 1 << 14;

pub(super) struct Lending(Table<Loan>);

#[derive(Clone, Copy)]
struct Loan {
    key: Key,
    /// When it is forgotten, in microseconds.
    until: i64,
    /// When the bucket in Redis will be full again, as far as we know, what is lent included.
    tat: i64,
    left: u32,
}

impl Record for Loan {
    const EMPTY: Self = Self { key: [0; 2], until: i64::MIN, tat: 0, left: 0 };

    fn key(&self) -> Key {
        self.key
    }

    fn worth(&self, now: i64) -> u64 {
        if self.until > now { u64::from(self.left) } else { 0 }
    }
}

impl Lending {
    pub(super) fn new() -> Self {
        Self(Table::new(MAX_LOANS))
    }

    /// Serves the request from what is lent, if every bucket has enough.
    pub(super) fn take(&self, now: i64, wants: &[Want<'_>]) -> Option<Decision> {
        let mut debts = [0; MAX_WANTS];
        for (index, want) in wants.iter().enumerate() {
            match self.spend(now, want) {
                Some(debt) => debts[index] = debt,
                None => {
                    wants[..index].iter().for_each(|want| self.give_back(want));
                    return None;
                }
            }
        }
        Some(Decision::of(true, wants, &debts))
    }

    /// The bucket's debt before this want, without what is lent; `None` when too little is lent.
    fn spend(&self, now: i64, want: &Want<'_>) -> Option<i64> {
        let place = self.0.place(want.limit, want.subject);
        let mut shard = self.0.lock(place.shard);
        let loan = shard.get(place)?;
        if loan.until <= now || loan.left < want.cost {
            return None;
        }
        let debt = (loan.tat - now).max(0) - i64::from(loan.left) * want.quota.interval();
        loan.left -= want.cost;
        Some(debt.clamp(0, want.quota.capacity()))
    }

    fn give_back(&self, want: &Want<'_>) {
        let place = self.0.place(want.limit, want.subject);
        if let Some(loan) = self.0.lock(place.shard).get(place) {
            loan.left += want.cost;
        }
    }

    /// Notes what Redis has lent along with a granted request.
    pub(super) fn note(&self, now: i64, wants: &[Want<'_>], debts: &[i64]) {
        for (want, debt) in wants.iter().zip(debts) {
            let Some(lent) = lent(want, *debt) else { continue };
            let interval = want.quota.interval();
            let place = self.0.place(want.limit, want.subject);
            let mut shard = self.0.lock(place.shard);
            // Two requests may have asked at once; never more than one loan's worth is kept.
            let had = shard.get(place).filter(|loan| loan.until > now).map_or(0, |loan| loan.left);
            let loan = Loan {
                key: place.key,
                until: now + (lent + 1) * interval,
                tat: now + debt + want.price() + lent * interval,
                left: (had + u32::try_from(lent).unwrap_or(0)).min(MOST_UNITS as u32 - 1),
            };
            self.0.put(&mut shard, place, loan, now);
        }
    }
}

/// Whether these buckets lend at all.
pub(super) fn lendable(wants: &[Want<'_>]) -> bool {
    wants.iter().all(|want| want.quota.units() >= LEAST_UNITS && want.cost > 0)
}

/// What the bucket is asked to lend, in microseconds.
pub(super) fn extra(want: &Want<'_>) -> i64 {
    ((want.quota.units() / 50).clamp(1, MOST_UNITS) - 1) * want.quota.interval()
}

/// What a bucket with this debt has lent along with a granted request, in units. The same rule as in `gcra.lua`.
fn lent(want: &Want<'_>, debt: i64) -> Option<i64> {
    let extra = extra(want);
    (extra > 0 && (debt + want.price() + extra) * 2 <= want.quota.capacity()).then(|| extra / want.quota.interval())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcra::Quota;

    fn want(limit: &'static str, burst: u32) -> Want<'static> {
        Want { limit, subject: 1, quota: Quota { interval_us: 1_000, burst }, cost: 1 }
    }

    #[test]
    fn small_buckets_lend_nothing_and_large_ones_a_fiftieth_ten_at_most() {
        assert!(!lendable(&[want("user", 99)]) && !lendable(&[want("user", 1_000), want("general", 20)]));
        assert!(lendable(&[want("user", 100)]));
        for (burst, units) in [(100, 1), (200, 3), (1_000, 9), (50_000, 9)] {
            assert_eq!(lent(&want("user", burst), 0), Some(units), "{burst}");
        }
        assert_eq!(lent(&want("user", 100), 49_000), None, "less than half is left");
    }

    #[test]
    fn a_loan_is_spent_once_and_forgotten_in_time() {
        let lending = Lending::new();
        let user = [want("user", 1_000)];
        assert!(lending.take(0, &user).is_none());
        lending.note(0, &user, &[0]);
        let rest: Vec<u32> = std::iter::from_fn(|| lending.take(0, &user)).map(|decision| decision.taken[0].remaining).collect();
        assert_eq!(rest, [998, 997, 996, 995, 994, 993, 992, 991, 990], "as if each had been taken from the bucket");
        lending.note(0, &user, &[0]);
        assert!(lending.take(9_999, &user).is_some());
        assert!(lending.take(10_000, &user).is_none());
    }

    #[test]
    fn two_loans_at_once_are_kept_as_one() {
        let lending = Lending::new();
        let user = [want("user", 1_000)];
        lending.note(0, &user, &[0]);
        lending.note(0, &user, &[10_000]);
        assert_eq!(std::iter::from_fn(|| lending.take(0, &user)).count(), 9);
    }

    #[test]
    fn a_request_that_lacks_one_loan_gives_the_others_back() {
        let lending = Lending::new();
        let (user, wide) = (want("user", 1_000), want("wide", 1_000));
        lending.note(0, &[user], &[0]);
        assert!(lending.take(0, &[user, wide]).is_none());
        assert_eq!(std::iter::from_fn(|| lending.take(0, &[user])).count(), 9);
    }
}
