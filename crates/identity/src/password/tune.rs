//! How much work a password hash may be on this machine: measured, then recommended. Never less than what is safe.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use baluarte_kernel::{ByteSize, Secret};

use super::hash::{Cost, Stored};
use crate::IdentityConfig;

/// What the operator wants of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// Passwords a second.
    pub sign_ins: u32,
    /// For all hashes that are computed at once.
    pub memory: ByteSize,
    pub cores: usize,
}

/// One setting: `identity.password_memory`, `…_passes` and `…_threads`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    pub memory: ByteSize,
    pub passes: u32,
    pub threads: usize,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Advice {
    pub setting: Trial,
    /// Passwords a second that it was measured to do.
    pub rate: f64,
    /// Enough for the goal; otherwise the setting is the least that is safe, and the machine too small.
    pub suffices: bool,
}

/// There is not even memory for one hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("one hash needs {}, which is the least that is safe", IdentityConfig::MIN_PASSWORD_MEMORY)]
pub struct TooLittleMemory;

/// A quarter more than was asked for: the machine has something else to do, too.
const SPARE: f64 = 1.25;
/// Nobody should wait longer for one hash.
const LONGEST: f64 = 0.5;
/// MiB and passes, each more work than the one before. OWASP's least comes first.
const LADDER: [(u64, u32); 9] = [(19, 2), (32, 2), (46, 2), (64, 2), (64, 3), (96, 3), (128, 3), (128, 4), (256, 4)];

impl Trial {
    fn of((mib, passes): (u64, u32), threads: usize) -> Self {
        Self { memory: ByteSize::from_bytes(mib << 20), passes, threads }
    }

    /// While all threads are at work.
    pub fn memory_at_work(&self) -> ByteSize {
        ByteSize::from_bytes(self.memory.get() * self.threads as u64)
    }
}

/// The most work that still reaches the goal. Half of the cores, as without configuration, and more only if those are too few.
/// `measure` says how many passwords a second a setting does.
pub fn advise(goal: &Goal, mut measure: impl FnMut(Trial) -> f64) -> Result<Advice, TooLittleMemory> {
    let room = usize::try_from(goal.memory.get() / IdentityConfig::MIN_PASSWORD_MEMORY.get()).unwrap_or(usize::MAX);
    let most = goal.cores.min(room);
    let wanted = f64::from(goal.sign_ins) * SPARE;
    let mut best: Option<Advice> = None;
    for threads in (goal.cores / 2).clamp(1, most.max(1))..=most {
        let setting = Trial::of(LADDER[0], threads);
        let rate = measure(setting);
        if best.is_none_or(|best| rate > best.rate) {
            best = Some(Advice { setting, rate, suffices: rate >= wanted });
        }
        if rate >= wanted {
            break;
        }
    }
    let mut best = best.ok_or(TooLittleMemory)?;
    if best.suffices {
        for step in &LADDER[1..] {
            let setting = Trial::of(*step, best.setting.threads);
            if setting.memory_at_work() > goal.memory {
                continue;
            }
            let rate = measure(setting);
            #[expect(clippy::cast_precision_loss, reason = "a number of threads")]
            let seconds_each = setting.threads as f64 / rate;
            if rate < wanted || seconds_each > LONGEST {
                break;
            }
            best = Advice { setting, rate, suffices: true };
        }
    }
    Ok(best)
}

/// Hashes on so many threads for a moment.
pub fn measure(trial: Trial) -> f64 {
    const SPAN: Duration = Duration::from_millis(500);
    let cost = Cost { memory_kib: u32::try_from(trial.memory.get() >> 10).unwrap_or(u32::MAX), passes: trial.passes };
    let begin = Barrier::new(trial.threads);
    let rates = thread::scope(|scope| {
        let work = || {
            let (password, pepper, mut memory) = (Secret::new("correct horse battery staple"), Secret::default(), Vec::new());
            let mut hash = || Stored::new(cost, false).seal(&password, &pepper, &mut memory).is_ok();
            // The first one has the memory to get.
            let fine = hash();
            begin.wait();
            let (began, mut done) = (Instant::now(), 0_u32);
            while fine && (done < 2 || began.elapsed() < SPAN) {
                hash();
                done += 1;
            }
            f64::from(done) / began.elapsed().as_secs_f64()
        };
        let threads: Vec<_> = (0..trial.threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect::<Vec<_>>()
    });
    rates.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mib(mib: u64) -> ByteSize {
        ByteSize::from_bytes(mib << 20)
    }

    /// A machine that does `speed` MiB-passes a second on each of its cores.
    fn machine(speed: f64, cores: usize) -> impl FnMut(Trial) -> f64 {
        move |trial| {
            let work = (trial.memory.get() >> 20) as f64 * f64::from(trial.passes);
            trial.threads.min(cores) as f64 * speed / work
        }
    }

    fn advice(sign_ins: u32, memory: ByteSize, speed: f64) -> Advice {
        advise(&Goal { sign_ins, memory, cores: 4 }, machine(speed, 4)).expect("memory for one")
    }

    #[test]
    fn the_most_work_that_reaches_the_goal_is_recommended() {
        // Two threads, 38 MiB-passes a hash at least: 2 × 2,000 / 37.5 are left for each.
        let found = advice(30, mib(256), 2_000.0);
        assert_eq!((found.setting, found.suffices), (Trial { memory: mib(46), passes: 2, threads: 2 }, true));
        assert!(advice(10, mib(1_024), 20_000.0).setting.passes > 2, "a fast machine does more");
    }

    #[test]
    fn never_less_than_what_is_safe_however_slow_the_machine() {
        let found = advice(1_000, mib(1_024), 100.0);
        assert_eq!((found.setting.memory, found.setting.passes), (mib(19), 2));
        assert!(!found.suffices && found.setting.threads == 4, "all cores, and still too slow: {found:?}");
        for step in LADDER {
            let setting = Trial::of(step, 1);
            assert!(setting.memory >= IdentityConfig::MIN_PASSWORD_MEMORY && setting.passes >= IdentityConfig::MIN_PASSWORD_PASSES);
        }
    }

    #[test]
    fn all_hashes_at_once_stay_within_the_memory() {
        for memory in [19, 38, 40, 100, 512] {
            let found = advice(1, mib(memory), 50_000.0);
            assert!(found.setting.memory_at_work() <= mib(memory), "{memory}: {found:?}");
        }
        assert_eq!(advice(1, mib(20), 50_000.0).setting.threads, 1);
        assert_eq!(advise(&Goal { sign_ins: 1, memory: mib(18), cores: 4 }, machine(1.0, 4)), Err(TooLittleMemory));
    }

    #[test]
    fn nobody_waits_long_for_one_hash() {
        // Fast enough for one an hour at any cost, but slow.
        let found = advice(0, mib(4_096), 200.0);
        assert!(found.setting.threads as f64 / found.rate <= LONGEST, "{found:?}");
    }

    #[test]
    fn a_measurement_finds_some_hashes() {
        let rate = measure(Trial { memory: mib(19), passes: 2, threads: 2 });
        assert!(rate.is_finite() && rate > 0.0, "{rate}");
    }
}
