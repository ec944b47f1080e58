//! Whose requests are counted together, as a number that tells nothing to whoever reads Redis.

use std::{fmt, hash::Hasher as _, net::IpAddr};

use baluarte_kernel::{Rate, UserId};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::config::KeyBy;

/// Everything a limit could count by, for one request.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub ip: IpAddr,
    pub user: Option<UserId>,
    pub api_key: Option<&'a str>,
    /// Empty: none.
    pub route: &'a str,
    /// Empty: none.
    pub upstream: &'a str,
    /// Of whoever is signed in. Empty: nobody is.
    pub plan: &'a str,
    /// The plan's rate: replaces the rates of the built-in limit `user`.
    pub user_rate: Option<Rate>,
}

impl Subject<'_> {
    /// Somebody known only by address; set the other fields as they become known.
    pub fn anonymous(ip: IpAddr) -> Self {
        Self { ip, user: None, api_key: None, route: "", upstream: "", plan: "", user_rate: None }
    }

    /// What a limit by `key` really counts this request by: what is absent falls back to the address.
    pub(crate) fn resolve(&self, key: KeyBy) -> KeyBy {
        let present = match key {
            KeyBy::Ip => true,
            KeyBy::User => self.user.is_some(),
            KeyBy::ApiKey => self.api_key.is_some(),
            KeyBy::Route => !self.route.is_empty(),
            KeyBy::Upstream => !self.upstream.is_empty(),
            KeyBy::Plan => !self.plan.is_empty(),
        };
        if present { key } else { KeyBy::Ip }
    }
}

/// Turns subjects into 128-bit digests under a key: SipHash-2-4, because it is made for short inputs and takes some
/// tens of nanoseconds. Without the key nobody can try out addresses or users against what lies in Redis.
#[derive(Clone)]
pub(crate) struct Digester(SipHasher24);

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digester")
    }
}

impl Digester {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&key[..16]);
        Self(SipHasher24::new_with_key(&half))
    }

    /// The digest of what `key` names in this subject; of the address when it is absent.
    pub(crate) fn digest(&self, key: KeyBy, subject: &Subject<'_>) -> u128 {
        match (key, subject.user, subject.api_key) {
            (KeyBy::User, Some(user), _) => self.of(b'u', &user.as_u128().to_be_bytes()),
            (KeyBy::ApiKey, _, Some(key)) => self.of(b'k', key.as_bytes()),
            (KeyBy::Route, ..) if !subject.route.is_empty() => self.of(b'r', subject.route.as_bytes()),
            (KeyBy::Upstream, ..) if !subject.upstream.is_empty() => self.of(b's', subject.upstream.as_bytes()),
            (KeyBy::Plan, ..) if !subject.plan.is_empty() => self.of(b'p', subject.plan.as_bytes()),
            _ => match subject.ip.to_canonical() {
                IpAddr::V4(ip) => self.of(b'4', &ip.octets()),
                // A customer is given a /64 and changes the rest at will.
                IpAddr::V6(ip) => self.of(b'6', &ip.octets()[..8]),
            },
        }
    }

    /// The tag keeps a user from colliding with an address of the same bytes.
    fn of(&self, tag: u8, bytes: &[u8]) -> u128 {
        let mut hasher = self.0;
        hasher.write(&[tag]);
        hasher.write(bytes);
        hasher.finish128().as_u128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_ip(text: &str) -> u128 {
        let ip = text.parse().expect("an address");
        Digester::new(&[7; 32]).digest(KeyBy::Ip, &Subject::anonymous(ip))
    }

    #[test]
    fn addresses_are_told_apart_as_customers_are() {
        assert_ne!(by_ip("192.0.2.1"), by_ip("192.0.2.2"));
        assert_eq!(by_ip("192.0.2.1"), by_ip("::ffff:192.0.2.1"), "an IPv4 address is the same in IPv6 clothes");
        assert_eq!(by_ip("2001:db8:1:2::1"), by_ip("2001:db8:1:2:ffff:ffff:ffff:ffff"), "one /64 is one customer");
        assert_ne!(by_ip("2001:db8:1:2::1"), by_ip("2001:db8:1:3::1"));
    }

    #[test]
    fn replicas_with_the_same_key_agree_and_others_learn_nothing() {
        let subject = Subject::anonymous("192.0.2.1".parse().expect("an address"));
        let digest = |key: [u8; 32]| Digester::new(&key).digest(KeyBy::Ip, &subject);
        assert_eq!(digest([7; 32]), digest([7; 32]));
        assert_ne!(digest([7; 32]), digest([8; 32]));
    }

    #[test]
    fn what_is_absent_falls_back_to_the_address() {
        let mut subject = Subject::anonymous("192.0.2.1".parse().expect("an address"));
        let digester = Digester::new(&[7; 32]);
        for key in [KeyBy::User, KeyBy::ApiKey, KeyBy::Route, KeyBy::Upstream, KeyBy::Plan] {
            assert_eq!(subject.resolve(key), KeyBy::Ip);
            assert_eq!(digester.digest(key, &subject), digester.digest(KeyBy::Ip, &subject));
        }
        subject.user = Some(UserId::generate());
        subject.api_key = Some("key_1");
        (subject.route, subject.upstream, subject.plan) = ("shop", "shop", "shop");
        let digests =
            [KeyBy::Ip, KeyBy::User, KeyBy::ApiKey, KeyBy::Route, KeyBy::Upstream, KeyBy::Plan].map(|key| digester.digest(key, &subject));
        for (i, digest) in digests.iter().enumerate() {
            assert!(!digests[..i].contains(digest), "every kind of subject has digests of its own");
        }
    }
}
