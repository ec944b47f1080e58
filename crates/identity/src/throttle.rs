//! How failures slow attackers down without locking owners out. Counted in the database, so that restarts and replicas
//! make no difference; addresses without an account are counted just the same, so that nobody learns which they are.

use std::{net::IpAddr, time::Duration};

use baluarte_kernel::Timestamp;
use baluarte_secrets::Secrets;

/// Counters that nobody adds to are forgotten after a day.
pub(crate) const FORGET_AFTER: Duration = Duration::from_secs(86_400);
/// An address from which its owner signed in lately is not held responsible for failures from elsewhere.
pub(crate) const REMEMBER_PLACE: Duration = Duration::from_secs(90 * 86_400);
/// Counts kept at once; beyond, those that hold nobody back go first. Each new one takes an attempt, of which the machine takes only
/// so many in a second, so that between two looks the table does not grow much further.
pub(crate) const MAX_COUNTS: i64 = 200_000;
/// Mails that one address is sent in an hour, however often strangers ask for them.
pub(crate) const MAILS_PER_HOUR: u32 = 5;
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// Failed attempts that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    /// On one account from one network.
    FromNetwork,
    /// On one account from anywhere. Does not hold those back who signed in from their network before.
    Anywhere,
    /// On one account in a browser that its owner used before: it has these attempts to itself, whatever others do.
    Device,
    /// On any account from one address (IPv6: one /64): passwords that are tried on many accounts.
    Address,
    /// On any account from one subnet (/24, or /48 for IPv6), whose addresses one and the same may have.
    Subnet,
}

impl Counter {
    /// How long to wait after so many failures in a row.
    pub(crate) fn delay(self, failures: u32) -> Duration {
        let (free, first, most) = match self {
            Self::FromNetwork => (5, Duration::from_secs(10), Duration::from_secs(15 * 60)),
            Self::Device => (5, Duration::from_secs(10), Duration::from_secs(15 * 60)),
            // Within an hour; whoever is known there is not held back, so that an office does not pay for one of its guests.
            Self::Address => (30, Duration::from_secs(10), Duration::from_secs(15 * 60)),
            Self::Subnet => (100, Duration::from_secs(5), Duration::from_secs(5 * 60)),
            // Short, since an attacker can cause it for others.
            Self::Anywhere => (20, Duration::from_secs(5), Duration::from_secs(5 * 60)),
        };
        match failures.checked_sub(free) {
            None => Duration::ZERO,
            Some(beyond) => first.saturating_mul(1 << beyond.min(16)).min(most),
        }
    }
}

/// The network that an address is a neighbour in: whoever changes only the last byte is not somebody else.
pub(crate) fn network(ip: Option<IpAddr>) -> String {
    match ip.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        None => "local".to_owned(),
    }
}

/// Where failures are counted whatever the account: at the address, and around it.
pub(crate) fn around(secrets: &Secrets, ip: Option<IpAddr>) -> [(Counter, String); 2] {
    let (address, subnet) = match ip.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => (ip.to_string(), network(Some(ip.into()))),
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, ..] = ip.segments();
            (network(Some(ip.into())), format!("{a:x}:{b:x}:{c:x}::/48"))
        }
        None => ("local".to_owned(), "local".to_owned()),
    };
    [(Counter::Address, key(secrets, &["address", &address])), (Counter::Subnet, key(secrets, &["subnet", &subnet]))]
}

/// Where failures on an account in a browser that is known for it are counted.
pub(crate) fn device_key(secrets: &Secrets, account: &str, device: &str) -> String {
    key(secrets, &["device", account, device])
}

/// Where the failures of one attempt are counted.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) from_network: String,
    pub(crate) anywhere: String,
}

impl Keys {
    /// `account`: the address as typed and normalised, whether or not it has an account.
    pub(crate) fn new(secrets: &Secrets, account: &str, network: &str) -> Self {
        Self { from_network: key(secrets, &["sign_in", account, network]), anywhere: key(secrets, &["sign_in", account]) }
    }

    /// For answers to the second question: counted by person, and only after the right password.
    pub(crate) fn second_factor(secrets: &Secrets, user: &str, network: &str) -> Self {
        Self { from_network: key(secrets, &["second_factor", user, network]), anywhere: key(secrets, &["second_factor", user]) }
    }

    pub(crate) fn each(&self) -> [(Counter, &str); 2] {
        [(Counter::FromNetwork, &self.from_network), (Counter::Anywhere, &self.anywhere)]
    }
}

/// Where mails to one address are counted.
pub(crate) fn mail_key(secrets: &Secrets, kind: &str, address: &str) -> String {
    key(secrets, &["mail", kind, address])
}

fn key(secrets: &Secrets, parts: &[&str]) -> String {
    hex::encode(secrets.keyed_hash("identity.throttle", parts.join("\0").as_bytes()))
}

/// Time until a moment; `None` when it has come.
pub(crate) fn wait(until: Timestamp, now: Timestamp) -> Option<Duration> {
    (until > now).then(|| until.since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_have_an_end() {
        let seconds = |counter: Counter, failures| counter.delay(failures).as_secs();
        assert_eq!([4, 5, 6, 7, 11, 12, 1_000].map(|n| seconds(Counter::FromNetwork, n)), [0, 10, 20, 40, 640, 900, 900]);
        assert_eq!([19, 20, 21, 26, u32::MAX].map(|n| seconds(Counter::Anywhere, n)), [0, 5, 10, 300, 300]);
    }

    #[test]
    fn whoever_has_many_addresses_is_counted_around_them() {
        let secrets = Secrets::new(
            &baluarte_kernel::Secret::new("a secret key for tests, longer than 32 bytes"),
            &baluarte_kernel::Secret::default(),
        );
        let of = |ip: &str| around(&secrets, ip.parse().ok()).map(|(_, key)| key);
        let [one, near] = of("203.0.113.7");
        assert!(of("203.0.113.8")[0] != one && of("203.0.113.8")[1] == near && of("203.0.114.7")[1] != near);
        let [one, near] = of("2001:db8:1:2::1");
        assert!(of("2001:db8:1:2:ffff::9")[0] == one && of("2001:db8:1:3::1")[0] != one);
        assert!(of("2001:db8:1:3::1")[1] == near && of("2001:db8:2::1")[1] != near);
    }

    #[test]
    fn neighbours_share_a_network() {
        let of = |ip: &str| network(ip.parse().ok());
        assert_eq!(of("203.0.113.7"), "203.0.113.0/24");
        assert_eq!(of("::ffff:203.0.113.9"), of("203.0.113.7"));
        assert_eq!(of("2001:db8:1:2:aaaa::1"), of("2001:db8:1:2:bbbb::2"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
