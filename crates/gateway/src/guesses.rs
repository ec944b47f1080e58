//! Who keeps sending credentials that are not valid: every new one costs a signature check or a query on the control runtime.

use std::{cell::RefCell, net::IpAddr, time::Duration};

use ahash::AHashMap;
use baluarte_kernel::Timestamp;

/// Invalid credentials of one client in one window; then its unknown credentials are not looked at until the window ends.
const ALLOWED: u32 = 50;
const WINDOW: Duration = Duration::from_secs(10);
/// Clients remembered at a time.
const CLIENTS: usize = 8_192;

/// Not `Send`: belongs to one core.
#[derive(Default)]
pub(crate) struct Guesses(RefCell<AHashMap<IpAddr, Window>>);

struct Window {
    ends: Timestamp,
    failures: u32,
}

impl Guesses {
    /// May this client's unknown credential be checked? Otherwise: when it may ask again.
    pub(crate) fn check(&self, client: IpAddr, now: Timestamp) -> Result<(), Duration> {
        match self.0.borrow().get(&network(client)) {
            Some(window) if now < window.ends && window.failures >= ALLOWED => Err(window.ends.since(now)),
            _ => Ok(()),
        }
    }

    pub(crate) fn failed(&self, client: IpAddr, now: Timestamp) {
        let mut clients = self.0.borrow_mut();
        if clients.len() >= CLIENTS {
            clients.retain(|_, window| now < window.ends);
            // That many clients guess at once: those who guess on are soon counted again.
            if clients.len() >= CLIENTS {
                clients.clear();
            }
        }
        let window = clients.entry(network(client)).or_insert(Window { ends: now.plus(WINDOW), failures: 0 });
        if now >= window.ends {
            *window = Window { ends: now.plus(WINDOW), failures: 0 };
        }
        window.failures += 1;
    }
}

/// An IPv6 client has its whole /64 to choose from.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_keeps_guessing_is_not_listened_to_for_a_while() {
        let (guesses, now) = (Guesses::default(), Timestamp::from_unix_seconds(1_000));
        let [guesser, neighbour, other]: [IpAddr; 3] = ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|ip| ip.parse().unwrap());
        for _ in 0..ALLOWED {
            assert_eq!(guesses.check(guesser, now), Ok(()));
            guesses.failed(guesser, now);
        }
        assert_eq!(guesses.check(guesser, now), Err(WINDOW));
        assert!(guesses.check(neighbour, now).is_err(), "an IPv6 client changes its address freely");
        assert_eq!(guesses.check(other, now), Ok(()));
        assert_eq!(guesses.check(guesser, now.plus(WINDOW)), Ok(()));
    }

    #[test]
    fn the_memory_is_bounded() {
        let (guesses, now) = (Guesses::default(), Timestamp::from_unix_seconds(1_000));
        for n in 0..3 * CLIENTS {
            guesses.failed(IpAddr::V4(u32::try_from(n).unwrap().into()), now);
        }
        assert!(guesses.0.borrow().len() <= CLIENTS);
    }
}
