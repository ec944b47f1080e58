//! Entries that strangers can cause without end (a wrong password, say): a bounded number of them is kept, the rest is counted and
//! the count becomes an entry, so that nobody can fill the disk and nothing is silent.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use baluarte_kernel::Timestamp;

use crate::Action;

/// Entries of one action that one replica keeps in each window.
const KEPT: u32 = 120;
const WINDOW: Duration = Duration::from_secs(60);

/// One per process, not per installation: each replica keeps its own share.
#[derive(Debug, Default)]
pub(crate) struct Budgets(Mutex<BTreeMap<&'static str, Budget>>);

#[derive(Debug)]
struct Budget {
    action: &'static Action,
    window_began: Timestamp,
    kept: u32,
    left_out: Option<LeftOut>,
}

/// What was counted instead of kept, since the last time somebody asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) action: &'static Action,
    pub(crate) count: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

impl Budgets {
    /// May one more be kept? If not it is counted.
    pub(crate) fn take(&self, action: &'static Action, now: Timestamp) -> bool {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = budgets.entry(action.name).or_insert(Budget { action, window_began: now, kept: 0, left_out: None });
        // A clock that was put back begins a new window, too.
        if now.since(budget.window_began) >= WINDOW || now < budget.window_began {
            (budget.window_began, budget.kept) = (now, 0);
        }
        if budget.kept < KEPT {
            budget.kept += 1;
            return true;
        }
        let left_out = budget.left_out.get_or_insert(LeftOut { action: budget.action, count: 0, first: now, last: now });
        left_out.count += 1;
        left_out.last = now;
        false
    }

    /// What was left out since the last call, to be told in entries of its own.
    pub(crate) fn drain(&self) -> Vec<LeftOut> {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.values_mut().filter_map(|budget| budget.left_out.take()).collect()
    }

    /// Could not be written after all: counted on.
    pub(crate) fn put_back(&self, left_out: &[LeftOut]) {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for back in left_out {
            let Some(budget) = budgets.get_mut(back.action.name) else { continue };
            let since = budget.left_out.unwrap_or(LeftOut { count: 0, last: back.last, ..*back });
            budget.left_out = Some(LeftOut { count: since.count + back.count, first: back.first, ..since });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Severity;

    static FAILED: Action = Action { name: "test.thing.failed", severity: Severity::Warning, meaning: "A thing failed." };
    static OTHER: Action = Action { name: "test.thing.tried", severity: Severity::Info, meaning: "A thing was tried." };

    #[test]
    fn what_is_not_kept_is_counted_and_told_once() {
        let budgets = Budgets::default();
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let kept = (0..500).filter(|_| budgets.take(&FAILED, now)).count();
        assert_eq!(kept, KEPT as usize);
        assert!(budgets.take(&OTHER, now), "each action has a budget of its own");
        let told = budgets.drain();
        assert_eq!(told, [LeftOut { action: &FAILED, count: 380, first: now, last: now }]);
        assert_eq!(budgets.drain(), []);
        budgets.put_back(&told);
        assert!(!budgets.take(&FAILED, now.plus(Duration::from_secs(1))));
        assert_eq!(budgets.drain()[0].count, 381);
        assert!(budgets.take(&FAILED, now.plus(WINDOW)), "the next minute has a budget again");
        assert!(budgets.take(&FAILED, now.minus(WINDOW)), "and so has a clock that was put back");
    }
}
