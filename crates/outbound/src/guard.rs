//! Which addresses we are willing to connect to.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

/// Everything in IPv4 that is not a public host (IANA special-purpose registry, multicast and reserved space).
const NOT_PUBLIC_V4: [Ipv4Net; 16] = [
    Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    // Carrier-grade NAT
    Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10),
    Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8),
    // Looks public, and is the host's own service inside every virtual machine of Azure
    Ipv4Net::new_assert(Ipv4Addr::new(168, 63, 129, 16), 32),
    // Link-local, which is where clouds keep their metadata service
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 0, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 88, 99, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 15),
    Ipv4Net::new_assert(Ipv4Addr::new(198, 51, 100, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(203, 0, 113, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4),
    Ipv4Net::new_assert(Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Public hosts of IPv6 are in here: loopback, IPv4-mapped, NAT64, unique-local, link-local and multicast are not …
const GLOBAL_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// … except these: protocol assignments with Teredo, documentation, 6to4 (which hides an IPv4 address).
const NOT_PUBLIC_V6: [Ipv6Net; 4] = [
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    Ipv6Net::new_assert(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    Ipv6Net::new_assert(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// How hosts without IPv4 reach it (RFC 6052): the last 32 bits are the address meant.
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Which addresses besides the public ones may be connected to.
#[derive(Debug, Clone, Default)]
pub enum Private {
    /// None: for addresses that customers write.
    #[default]
    Refused,
    /// These networks.
    Only(Vec<IpNet>),
    /// All: for addresses that only the operator writes.
    Allowed,
}

impl Private {
    pub(crate) fn permits(&self, ip: IpAddr) -> bool {
        let ip = translated(ip);
        match self {
            Self::Allowed => true,
            Self::Refused => is_public(ip),
            // A mapped address is the IPv4 address it maps.
            Self::Only(nets) => is_public(ip) || nets.iter().any(|net| net.contains(&ip.to_canonical())),
        }
    }
}

/// The address that a NAT64 gateway would connect to: whether one may go there is a question about that address.
fn translated(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) if NAT64.contains(&v6) => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        other => other,
    }
}

/// Which ports may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ports {
    /// 80, 443 and those from 1024 that no other protocol has for itself: for addresses that customers write. A request
    /// to a mail server's port is a mail, if its sender chooses the words.
    #[default]
    Web,
    Any,
}

/// From 1024, ports that browsers refuse as well (Fetch, "bad port").
const OF_OTHER_PROTOCOLS: [u16; 18] =
    [1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697];

impl Ports {
    pub(crate) fn permit(self, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Web => matches!(port, 80 | 443 | 1024..) && !OF_OTHER_PROTOCOLS.contains(&port),
        }
    }
}

pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !NOT_PUBLIC_V4.iter().any(|net| net.contains(&ip)),
        IpAddr::V6(ip) => GLOBAL_V6.contains(&ip) && !NOT_PUBLIC_V6.iter().any(|net| net.contains(&ip)),
    }
}

/// The name or address leads to a place that the policy does not permit. Does not tell which, lest somebody maps our
/// network by asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forbidden;

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a public address")
    }
}
impl std::error::Error for Forbidden {}

/// Hosts written as an address never reach the resolver.
pub(crate) fn check_literal(private: &Private, url: &reqwest::Url) -> Result<(), Forbidden> {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match host.parse() {
        Ok(ip) if !private.permits(ip) => Err(Forbidden),
        _ => Ok(()),
    }
}

type Answer = futures::future::BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

/// Where names become addresses.
#[derive(Clone)]
pub struct Names(Arc<dyn Fn(String) -> Answer + Send + Sync>);

/// Names being looked up at a time. Each holds a thread until the system gives up on a server that does not answer; those
/// threads are few and read files, too.
const LOOKUPS: usize = 4;

impl Names {
    /// Asks the system, as everybody else does.
    pub fn of_the_system() -> Self {
        let turns = Arc::new(Semaphore::new(LOOKUPS));
        Self(Arc::new(move |name| {
            let turns = Arc::clone(&turns);
            Box::pin(async move {
                let turn = turns.acquire_owned().await.map_err(io::Error::other)?;
                // The turn ends with the lookup, which goes on when nobody waits for it any more.
                let lookup = move || {
                    let found = (name.as_str(), 0).to_socket_addrs().map(Iterator::collect);
                    drop(turn);
                    found
                };
                tokio::task::spawn_blocking(lookup).await.map_err(io::Error::other)?
            })
        }))
    }

    /// For tests: whatever `answer` says at the time.
    pub fn from_fn(answer: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |name| {
            let found = answer(&name).into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Box::pin(std::future::ready(Ok(found)))
        }))
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

/// Gives the connector only addresses that the policy permits. The connector uses them as they are, so a name cannot
/// answer one thing to the check and another to the connection.
pub(crate) struct GuardedResolver {
    pub(crate) private: Private,
    pub(crate) names: Names,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (private, found) = (self.private.clone(), (self.names.0)(name.as_str().to_owned()));
        Box::pin(async move {
            let found = found.await?;
            if found.is_empty() {
                return Err("the name has no address".into());
            }
            let permitted: Vec<_> = found.into_iter().filter(|address| private.permits(address.ip())).collect();
            if permitted.is_empty() {
                return Err(Forbidden.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "239.1.1.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "fe80::1",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "100::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn what_is_allowed_may_be_reached_and_nothing_beside_it() {
        let only = Private::Only(vec!["10.0.5.0/24".parse().unwrap()]);
        assert!(only.permits("10.0.5.9".parse().unwrap()));
        assert!(only.permits("::ffff:10.0.5.9".parse().unwrap()));
        assert!(only.permits("1.1.1.1".parse().unwrap()));
        assert!(!only.permits("10.0.6.9".parse().unwrap()));
        assert!(!only.permits("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn an_address_behind_a_translator_is_judged_by_what_it_stands_for() {
        for (ip, permitted) in [
            ("64:ff9b::7f00:1", false),
            ("64:ff9b::a9fe:a9fe", false),
            ("64:ff9b::a00:1", false),
            ("64:ff9b::8.8.8.8", true),
            ("64:ff9b:1::8.8.8.8", false),
        ] {
            assert_eq!(Private::Refused.permits(ip.parse().unwrap()), permitted, "{ip}");
        }
        // Nor does allowing the translator's own network open what is behind it.
        let only = Private::Only(vec!["64:ff9b::/96".parse().unwrap()]);
        assert!(!only.permits("64:ff9b::7f00:1".parse().unwrap()));
        assert!(Private::Only(vec!["10.0.0.0/8".parse().unwrap()]).permits("64:ff9b::a00:1".parse().unwrap()));
    }

    #[test]
    fn ports_of_other_protocols_are_refused_where_strangers_choose() {
        for port in [0, 1, 21, 22, 23, 25, 53, 110, 143, 389, 465, 587, 1023, 2049, 5060, 6667] {
            assert!(!Ports::Web.permit(port), "{port}");
            assert!(Ports::Any.permit(port));
        }
        for port in [80, 443, 1024, 3000, 8080, 8443, 9000, 65535] {
            assert!(Ports::Web.permit(port), "{port}");
        }
    }

    #[test]
    fn an_address_in_disguise_is_seen_through() {
        for url in [
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://127.0.0.1./",
            "http://%31%32%37.0.0.1/",
            "http://１２７．０．０．１/",
            "http://127。0。0。1/",
            "http://①②⑦.⓪.⓪.①/",
            "http:/\\127.0.0.1/",
            "http://0/",
            "http://0.0.0.0/",
            "http://169.254.43518/",
            "http://[::ffff:7f00:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[0:0:0:0:0:ffff:7f00:0001]/",
            "http://[::7f00:1]/",
            "http://[64:ff9b::169.254.169.254]/",
            "http://[fd00:ec2::254]/",
            "http://[fe80::1]/",
            "http://[::]/",
        ] {
            let url = reqwest::Url::parse(url).unwrap();
            assert!(check_literal(&Private::Refused, &url).is_err(), "{url}");
        }
    }
}
