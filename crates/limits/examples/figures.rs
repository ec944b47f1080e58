//! What a check costs in memory, on one core and on four: `cargo run --release -p baluarte-limits --example figures`.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    task::{Context, Poll, Waker},
};

use baluarte_backplane::{Backplane, Quota, Want};
use baluarte_kernel::{Clock, UserId};
use baluarte_limits::{LimitId, Limits, LimitsConfig, Subject};

const ROUNDS: u32 = 2_000_000;

fn main() -> std::io::Result<()> {
    let backplane = Backplane::local(Clock::System);
    let limits = Limits::new(&LimitsConfig::default(), backplane.clone(), &[7; 32]);
    let named = |names: &[&str]| -> Vec<LimitId> { names.iter().filter_map(|name| limits.resolve(name)).collect() };
    let (one, two) = (named(&["general"]), named(&["general", "user"]));
    let mut out = std::io::stdout().lock();
    writeln!(out, "nanoseconds each, 10,000 subjects a thread: 1 thread, 4 threads")?;

    let take = |core: u32, round: u32| {
        let quota = Quota { interval_us: 600_000, burst: 20 };
        let subject = u128::from(core * 10_000 + round % 10_000).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        std::hint::black_box(backplane.take_local(&[Want { limit: "general", subject, quota, cost: 1 }]));
    };
    let users: Vec<UserId> = (0..10_000).map(|_| UserId::generate()).collect();
    let check = |limits_of: &[LimitId], core: u32, round: u32| {
        let mut subject = Subject::anonymous(IpAddr::V4(Ipv4Addr::from_bits(core * 10_000 + round % 10_000)));
        subject.user = Some(users[round as usize % users.len()]);
        std::hint::black_box(ready(limits.check(limits_of, &subject)));
    };
    writeln!(out, "take from one bucket:        {:6.0} {:6.0}", measure(1, take), measure(4, take))?;
    let checks = |core, round| check(&one, core, round);
    writeln!(out, "check one limit, fields too: {:6.0} {:6.0}", measure(1, checks), measure(4, checks))?;
    let checks = |core, round| check(&two, core, round);
    writeln!(out, "check two limits:            {:6.0} {:6.0}", measure(1, checks), measure(4, checks))
}

/// Nanoseconds on the processor for each round: what else runs on the machine does not count.
fn measure(cores: u32, work: impl Fn(u32, u32) + Sync) -> f64 {
    let work = &work;
    let one = |core| {
        let before = on_processor();
        (0..ROUNDS).for_each(|round| work(core, round));
        (on_processor() - before) as f64 / f64::from(ROUNDS)
    };
    let sum: f64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|core| scope.spawn(move || one(core))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(f64::NAN)).sum()
    });
    sum / f64::from(cores)
}

/// Nanoseconds this thread has run, as Linux tells; zero elsewhere.
fn on_processor() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// In memory the answer is there at the first poll.
fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
