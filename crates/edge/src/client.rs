//! Who the client is: the connected peer, or whom a trusted proxy says it speaks for.

use std::net::{IpAddr, SocketAddr};

use baluarte_kernel::Scheme;
use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use crate::http1::host_is_valid;

pub(crate) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// A chain of proxies is short; what is longer is somebody's invention.
const MAX_HOPS: usize = 32;

/// What the headers of a trusted proxy say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Forwarded {
    pub(crate) client_ip: IpAddr,
    pub(crate) scheme: Option<Scheme>,
    pub(crate) host: Option<String>,
}

/// IPv4 addresses that came over an IPv6 socket count as IPv4.
pub(crate) fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

pub(crate) fn is_trusted(ip: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&ip))
}

/// Reads the headers of a trusted `peer`. With both kinds present `Forwarded` is ignored, as most proxies pass it through unchecked.
pub(crate) fn resolve(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> Forwarded {
    if headers.contains_key(&X_FORWARDED_FOR) || headers.contains_key(&X_FORWARDED_PROTO) || headers.contains_key(&X_FORWARDED_HOST) {
        let hops = values(headers, &X_FORWARDED_FOR);
        Forwarded {
            client_ip: rightmost_untrusted(hops.iter().rev().map(|hop| parse_address(hop)), peer, trusted),
            scheme: values(headers, &X_FORWARDED_PROTO).last().and_then(|scheme| parse_scheme(scheme)),
            host: values(headers, &X_FORWARDED_HOST).last().and_then(|host| parse_host(host)),
        }
    } else {
        forwarded(headers, peer, trusted)
    }
}

/// RFC 7239. The last element is the one that our own peer wrote.
fn forwarded(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> Forwarded {
    let elements = values(headers, &header::FORWARDED);
    let parameter = |element: &str, wanted: &str| {
        element.split(';').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    let addresses = elements.iter().rev().map(|element| parameter(element, "for").and_then(|node| parse_address(&node)));
    let last = elements.last().copied().unwrap_or_default();
    Forwarded {
        client_ip: rightmost_untrusted(addresses, peer, trusted),
        scheme: parameter(last, "proto").and_then(|scheme| parse_scheme(&scheme)),
        host: parameter(last, "host").and_then(|host| parse_host(&host)),
    }
}

/// From right to left: the first that is no proxy of ours. What cannot be read ends the walk at the last good one.
fn rightmost_untrusted(hops: impl Iterator<Item = Option<IpAddr>>, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer;
    for hop in hops.take(MAX_HOPS) {
        let Some(hop) = hop else { return client };
        client = hop;
        if !is_trusted(hop, trusted) {
            return client;
        }
    }
    client
}

/// All elements of a list header, over all its lines.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("?"));
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|element| !element.is_empty()).collect()
}

/// `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:443`.
fn parse_address(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let ip = bracketed.unwrap_or(text).parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(canonical(ip))
}

fn parse_scheme(text: &str) -> Option<Scheme> {
    if text.eq_ignore_ascii_case("https") || text.eq_ignore_ascii_case("wss") {
        Some(Scheme::Https)
    } else if text.eq_ignore_ascii_case("http") || text.eq_ignore_ascii_case("ws") {
        Some(Scheme::Http)
    } else {
        None
    }
}

fn parse_host(text: &str) -> Option<String> {
    host_is_valid(text.as_bytes()).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PEER: &str = "10.0.0.1";

    fn resolved(lines: &[(&'static str, &str)]) -> Forwarded {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).expect("a header's value"));
        }
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].iter().map(|net| net.parse().expect("a network")).collect();
        resolve(&headers, PEER.parse().expect("an address"), &trusted)
    }

    fn client(lines: &[(&'static str, &str)]) -> String {
        resolved(lines).client_ip.to_string()
    }

    #[test]
    fn the_client_is_the_rightmost_address_that_is_no_proxy_of_ours() {
        assert_eq!(client(&[("x-forwarded-for", "192.0.2.1")]), "192.0.2.1");
        assert_eq!(client(&[("x-forwarded-for", "192.0.2.1, 10.1.2.3")]), "192.0.2.1");
        assert_eq!(client(&[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "198.51.100.7, fd00::5")]), "198.51.100.7");
        assert_eq!(client(&[]), PEER);
        assert_eq!(client(&[("x-forwarded-for", "10.9.9.9, 10.8.8.8")]), "10.9.9.9");
    }

    #[test]
    fn what_a_client_wrote_to_the_left_of_the_proxys_entry_changes_nothing() {
        for spoofed in ["1.1.1.1", "10.0.0.9", "unknown", "127.0.0.1, ::1"] {
            assert_eq!(client(&[("x-forwarded-for", &format!("{spoofed}, 192.0.2.1"))]), "192.0.2.1", "{spoofed}");
        }
    }

    #[test]
    fn an_unreadable_hop_ends_the_walk_at_the_last_good_one() {
        assert_eq!(client(&[("x-forwarded-for", "192.0.2.1, unknown")]), PEER);
        assert_eq!(client(&[("x-forwarded-for", "192.0.2.1, secret, 10.4.4.4")]), "10.4.4.4");
    }

    #[test]
    fn addresses_may_have_ports_and_brackets() {
        assert_eq!(client(&[("x-forwarded-for", "192.0.2.1:5555")]), "192.0.2.1");
        assert_eq!(client(&[("x-forwarded-for", "[2001:db8::1]:443")]), "2001:db8::1");
        assert_eq!(client(&[("x-forwarded-for", "::ffff:192.0.2.9")]), "192.0.2.9");
    }

    #[test]
    fn the_standard_header_says_the_same() {
        let seen = resolved(&[("forwarded", "for=1.1.1.1, for=\"[2001:db8::17]:4711\";proto=https;host=Shop.example:8443")]);
        assert_eq!(seen.client_ip.to_string(), "2001:db8::17");
        assert_eq!(seen.scheme, Some(Scheme::Https));
        assert_eq!(seen.host.as_deref(), Some("shop.example:8443"));
        assert_eq!(client(&[("forwarded", "for=_hidden")]), PEER);
    }

    #[test]
    fn scheme_and_host_are_those_of_the_nearest_proxy_and_nonsense_is_ignored() {
        let seen = resolved(&[("x-forwarded-proto", "http, https"), ("x-forwarded-host", "evil.example, shop.example")]);
        assert_eq!((seen.scheme, seen.host.as_deref()), (Some(Scheme::Https), Some("shop.example")));
        let seen = resolved(&[("x-forwarded-proto", "gopher"), ("x-forwarded-host", "a/b")]);
        assert_eq!((seen.scheme, seen.host), (None, None));
    }
}
