//! Memory and Redis decide alike: known sequences, and random ones.

use std::{collections::HashMap, time::Duration};

use baluarte_backplane::{Backplane, Decision, MAX_WANTS, Quota, Want};
use baluarte_kernel::{Clock, Timestamp};
use baluarte_testkit::RedisServer;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use serde_json::Value;

use crate::replica;

/// Sequences begin here: large enough that lost precision would show.
const BEGINNING: i64 = 1_763_769_600_000_000;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(BEGINNING + micros)
}

/// Subjects of different sequences are different buckets.
fn subject(sequence: usize, name: &str) -> u128 {
    name.bytes().fold(sequence as u128 + 1, |hash, byte| hash.wrapping_mul(1_099_511_628_211).wrapping_add(u128::from(byte)))
}

async fn follows_the_vectors(backplane: &Backplane) {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/gcra.json")).expect("the vectors are JSON");
    let number = |value: &Value| value.as_u64().expect("a whole number");
    for (index, sequence) in vectors["sequences"].as_array().expect("a list").iter().enumerate() {
        for (step, expected) in sequence["steps"].as_array().expect("a list").iter().enumerate() {
            let wants: Vec<Want<'_>> = expected["wants"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|want| Want {
                    limit: want["limit"].as_str().expect("a name"),
                    subject: subject(index, want["subject"].as_str().expect("a name")),
                    quota: Quota { interval_us: number(&want["interval_us"]), burst: number(&want["burst"]) as u32 },
                    cost: number(&want["cost"]) as u32,
                })
                .collect();
            let now = at(expected["at"].as_i64().expect("a whole number"));
            let decision = backplane.take_at(now, &wants).await.expect("the store answers");
            let place = format!("{}, step {}", sequence["name"], step + 1);
            assert_eq!(Value::from(decision.granted), expected["granted"], "{place}: {decision:?}");
            let taken: Vec<Value> = decision
                .taken
                .iter()
                .map(|taken| {
                    serde_json::json!({
                        "remaining": taken.remaining,
                        "reset_us": taken.reset.as_micros() as u64,
                        "retry_after_us": taken.retry_after.as_micros() as u64,
                    })
                })
                .collect();
            assert_eq!(Value::from(taken), expected["taken"], "{place}");
        }
    }
}

#[tokio::test]
async fn memory_follows_the_vectors() {
    follows_the_vectors(&Backplane::local(Clock::System)).await;
}

#[tokio::test]
async fn redis_follows_the_vectors() {
    let server = RedisServer::start();
    follows_the_vectors(&replica(&server).await).await;
}

/// One request of a random sequence.
#[derive(Debug, Clone)]
struct Step {
    /// Microseconds since the step before.
    later: i64,
    /// Limit, subject, cost.
    wants: Vec<(usize, u128, u32)>,
}

const NAMES: [&str; 4] = ["general", "user", "login", "api"];

fn quotas() -> impl Strategy<Value = Vec<Quota>> {
    vec((1_u64..5_000_000, 1_u32..40).prop_map(|(interval_us, burst)| Quota { interval_us, burst }), NAMES.len())
}

fn steps(length: usize) -> impl Strategy<Value = Vec<Step>> {
    // Forward only: after a step back memory may have forgotten a bucket that was full before it, and Redis not yet. What both
    // must do with a bucket that is not full stands in the vectors.
    let later = prop_oneof![8 => 0_i64..2_000_000, 1 => 0_i64..200_000_000];
    let want = (0..NAMES.len(), 0_u128..3, prop_oneof![6 => Just(1_u32), 2 => 0_u32..50]);
    let step = (later, vec(want, 0..4)).prop_map(|(later, mut wants)| {
        // Each bucket once in a call, as the contract of `take` says.
        wants.sort_unstable();
        wants.dedup_by_key(|(limit, subject, _)| (*limit, *subject));
        Step { later, wants }
    });
    vec(step, 1..length)
}

fn wants_of<'a>(step: &Step, quotas: &[Quota], sequence: usize) -> Vec<Want<'a>> {
    let want = |&(limit, who, cost): &(usize, u128, u32)| Want {
        limit: NAMES[limit],
        subject: subject(sequence, "random") + who,
        quota: quotas[limit],
        cost,
    };
    step.wants.iter().map(want).collect()
}

#[test]
fn memory_and_redis_agree_on_random_sequences() {
    let runtime = tokio::runtime::Runtime::new().expect("threads are available");
    let server = RedisServer::start();
    let redis = runtime.block_on(replica(&server));
    let memory = Backplane::local(Clock::System);
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 256, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() });
    let sequences = std::cell::Cell::new(0);
    let agree = |(quotas, steps): (Vec<Quota>, Vec<Step>)| {
        sequences.set(sequences.get() + 1);
        let mut now = 0;
        for step in &steps {
            now += step.later;
            let wants = wants_of(step, &quotas, sequences.get());
            let (ours, theirs) = runtime.block_on(async { (memory.take_at(at(now), &wants).await, redis.take_at(at(now), &wants).await) });
            prop_assert_eq!(&ours, &theirs);
        }
        Ok(())
    };
    runner.run(&(quotas(), steps(40)), agree).expect("they agree");
}

proptest! {
    /// Over any window, from any grant to any later one: at most the burst plus what comes back in between.
    #[test]
    fn never_more_than_the_burst_and_the_rate(
        interval_us in 1_u64..100_000,
        burst in 1_u32..20,
        pauses in vec((0_i64..200_000, 1_u32..4), 1..200),
    ) {
        let memory = Backplane::local(Clock::System);
        let quota = Quota { interval_us, burst };
        let mut now = 0;
        let mut grants: Vec<(i64, u64)> = Vec::new();
        for (pause, cost) in pauses {
            now += pause;
            let decision = block_on(memory.take_at(at(now), &[Want { limit: "general", subject: 1, quota, cost }]));
            if decision.granted {
                grants.push((now, u64::from(cost)));
            }
        }
        for (first, (begin, _)) in grants.iter().enumerate() {
            let mut sum = 0;
            for (end, cost) in &grants[first..] {
                sum += cost;
                prop_assert!(sum <= u64::from(burst) + (end - begin) as u64 / interval_us, "{} in {} µs", sum, end - begin);
            }
        }
    }

    /// All or nothing: after a refusal every bucket holds what it held before.
    #[test]
    fn a_refusal_debits_nothing(quotas in quotas(), steps in steps(60)) {
        let memory = Backplane::local(Clock::System);
        let mut now = 0;
        for step in &steps {
            now += step.later;
            let wants = wants_of(step, &quotas, 0);
            let look: Vec<Want<'_>> = wants.iter().map(|want| Want { cost: 0, ..*want }).collect();
            let before = block_on(memory.take_at(at(now), &look));
            let decision = block_on(memory.take_at(at(now), &wants));
            if !decision.granted {
                prop_assert_eq!(block_on(memory.take_at(at(now), &look)), before);
                prop_assert!(decision.taken.iter().any(|taken| taken.retry_after > Duration::ZERO));
            }
        }
    }
}

#[test]
fn more_wants_than_fit_are_refused_not_ignored() {
    let memory = Backplane::local(Clock::System);
    let quota = Quota { interval_us: 1, burst: 1_000 };
    let wants: Vec<Want<'_>> = (0..=MAX_WANTS as u128).map(|subject| Want { limit: "general", subject, quota, cost: 1 }).collect();
    assert!(!memory.take_local(&wants).granted);
    assert!(memory.take_local(&wants[1..]).granted);
}

#[test]
fn no_wants_are_granted() {
    assert!(Backplane::local(Clock::System).take_local(&[]).granted);
}

/// In memory the answer is there at the first poll.
fn block_on(decision: impl Future<Output = Result<Decision, baluarte_backplane::BackplaneError>>) -> Decision {
    let mut decision = std::pin::pin!(decision);
    match decision.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(Ok(decision)) => decision,
        other => panic!("memory answers without yielding, not {other:?}"),
    }
}

#[test]
fn concurrent_takes_grant_exactly_the_burst() {
    let memory = Backplane::local(Clock::fixed(Timestamp::from_micros(BEGINNING)));
    let quota = Quota { interval_us: 1_000_000, burst: 1_000 };
    let granted: HashMap<usize, u32> = std::thread::scope(|scope| {
        let work = |worker: usize| {
            let memory = &memory;
            scope.spawn(move || {
                // Half of the threads name the buckets in the other order: nobody may wait for anybody for ever.
                let mut wants = [crate::want("general", 1, quota), crate::want("user", 2, quota), crate::want("api", 3, quota)];
                if worker % 2 == 1 {
                    wants.reverse();
                }
                (0..1_000).filter(|_| memory.take_local(&wants).granted).count() as u32
            })
        };
        let threads: Vec<_> = (0..4).map(|worker| (worker, work(worker))).collect();
        threads.into_iter().map(|(worker, thread)| (worker, thread.join().expect("no panic"))).collect()
    });
    assert_eq!(granted.values().sum::<u32>(), 1_000);
}
