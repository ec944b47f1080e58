//! The limits as components use them: names in, verdicts and header fields out.

mod away;
mod checks;
mod fields;
mod reload;

use std::net::IpAddr;

use baluarte_backplane::Backplane;
use baluarte_kernel::{Clock, Timestamp};
use baluarte_limits::{LimitId, Limits, LimitsConfig, Subject, Verdict};

const NOW: Timestamp = Timestamp::from_micros(1_763_769_600_000_000);
const KEY: [u8; 32] = [7; 32];

fn config(text: &str) -> LimitsConfig {
    toml::from_str(text).expect("well formed")
}

/// Limits in memory, and the clock they go by.
fn limits(text: &str) -> (Limits, Clock) {
    let clock = Clock::fixed(NOW);
    (Limits::new(&config(text), Backplane::local(clock.clone()), &KEY), clock)
}

fn ids(limits: &Limits, names: &[&str]) -> Vec<LimitId> {
    names.iter().map(|name| limits.resolve(name).expect("a limit of that name")).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn from(address: &str) -> Subject<'static> {
    Subject::anonymous(ip(address))
}

async fn allowed(limits: &Limits, names: &[&str], subject: &Subject<'_>) -> bool {
    matches!(limits.check(&ids(limits, names), subject).await, Verdict::Allowed(_))
}

/// How many requests pass before the first refusal.
async fn passes(limits: &Limits, names: &[&str], subject: &Subject<'_>) -> u32 {
    let mut count = 0;
    while allowed(limits, names, subject).await {
        count += 1;
        assert!(count < 100_000, "nothing is refused");
    }
    count
}
