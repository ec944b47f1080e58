//! The bytes of the header. Reads nothing and knows nobody: a function from bytes to what they say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::client::canonical;

/// The longest header that is read: version 2's fixed part and 4 KiB of addresses and extensions.
pub(crate) const MAX_LENGTH: usize = V2_FIXED + V2_MAX;

const V1_START: &[u8] = b"PROXY ";
/// Of a whole line, with its end.
const V1_MAX: usize = 107;
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family, and the length of the rest.
const V2_FIXED: usize = 16;
const V2_MAX: usize = 4_096;
/// The extension that says how the client reached the load balancer, and its bit for TLS.
const V2_TYPE_SSL: u8 = 0x20;
const V2_CLIENT_SSL: u8 = 0x01;
/// A bit field and the outcome of the certificate's check come before its own extensions.
const V2_SSL_FIXED: usize = 5;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    /// `None`: the load balancer speaks for itself, or does not know for whom.
    pub(crate) client: Option<IpAddr>,
    /// The client speaks TLS to the load balancer.
    pub(crate) tls: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// So far it could be a header.
    Incomplete,
    /// These bytes are something else.
    Absent,
    Header {
        length: usize,
        told: Told,
    },
}

/// It began as a header and is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

const NOBODY: Told = Told { client: None, tls: false };

/// Looks at the first bytes of a connection.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Malformed> {
    if bytes.starts_with(V1_START) {
        version_1(bytes)
    } else if bytes.starts_with(V2_START) {
        version_2(bytes)
    } else if V1_START.starts_with(bytes) || V2_START.starts_with(bytes) {
        Ok(Parsed::Incomplete)
    } else {
        Ok(Parsed::Absent)
    }
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`, one space between the words.
fn version_1(bytes: &[u8]) -> Result<Parsed, Malformed> {
    let window = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if bytes.len() >= V1_MAX { Err(Malformed) } else { Ok(Parsed::Incomplete) };
    };
    let line = window[V1_START.len()..end].strip_suffix(b"\r").ok_or(Malformed)?;
    let line = str::from_utf8(line).map_err(|_| Malformed)?;
    let client = match line.split_once(' ') {
        None if line == "UNKNOWN" => None,
        // What follows is to be ignored, says the protocol.
        Some(("UNKNOWN", _)) => None,
        Some(("TCP4", rest)) => Some(IpAddr::V4(words::<Ipv4Addr>(rest)?)),
        Some(("TCP6", rest)) => Some(IpAddr::V6(words::<Ipv6Addr>(rest)?)),
        Some(_) | None => return Err(Malformed),
    };
    Ok(Parsed::Header { length: end + 1, told: Told { client: client.map(canonical), tls: false } })
}

/// Source, destination and their ports; gives the source.
fn words<A: std::str::FromStr>(text: &str) -> Result<A, Malformed> {
    let mut words = text.split(' ');
    let mut next = || words.next().ok_or(Malformed);
    let source = next()?.parse().map_err(|_| Malformed)?;
    next()?.parse::<A>().map_err(|_| Malformed)?;
    let ports = [next()?, next()?];
    let is_port = |word: &str| {
        word.bytes().all(|byte| byte.is_ascii_digit()) && word.parse::<u16>().is_ok() && (word == "0" || !word.starts_with('0'))
    };
    if words.next().is_some() || !ports.into_iter().all(is_port) {
        return Err(Malformed);
    }
    Ok(source)
}

fn version_2(bytes: &[u8]) -> Result<Parsed, Malformed> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_FIXED>() else {
        // Not before its time: whether a header is malformed must not hang on how it was cut into pieces.
        return Ok(Parsed::Incomplete);
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > V2_MAX || !matches!(command, 0x20 | 0x21) {
        return Err(Malformed);
    }
    let Some(rest) = rest.get(..length) else { return Ok(Parsed::Incomplete) };
    let told = match (command, family) {
        // LOCAL: the load balancer's own connection; addresses are to be ignored. And a client without an address (UNSPEC).
        (0x20, _) | (_, 0x00) => NOBODY,
        // Source and destination, then their ports.
        (_, 0x11) => {
            let (addresses, extensions) = rest.split_first_chunk::<12>().ok_or(Malformed)?;
            let [a, b, c, d, ..] = *addresses;
            Told { client: Some(Ipv4Addr::new(a, b, c, d).into()), tls: tls(extensions)? }
        }
        (_, 0x21) => {
            let (addresses, extensions) = rest.split_first_chunk::<36>().ok_or(Malformed)?;
            let source = addresses.first_chunk::<16>().ok_or(Malformed)?;
            Told { client: Some(canonical(Ipv6Addr::from(*source).into())), tls: tls(extensions)? }
        }
        // Datagrams and UNIX sockets are not where HTTP comes from.
        (_, _) => return Err(Malformed),
    };
    Ok(Parsed::Header { length: V2_FIXED + length, told })
}

/// Walks over all extensions (type, length, value); only the one about TLS says something to us.
fn tls(mut extensions: &[u8]) -> Result<bool, Malformed> {
    let mut tls = false;
    while let [kind, high, low, rest @ ..] = extensions {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, next) = rest.split_at_checked(length).ok_or(Malformed)?;
        if *kind == V2_TYPE_SSL {
            let flags = value.first().filter(|_| value.len() >= V2_SSL_FIXED).ok_or(Malformed)?;
            tls = flags & V2_CLIENT_SSL != 0;
        }
        extensions = next;
    }
    if extensions.is_empty() { Ok(tls) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(ip: &str) -> Option<IpAddr> {
        Some(ip.parse().expect("an address"))
    }

    /// What a whole header says.
    fn told(bytes: &[u8]) -> Result<Told, Malformed> {
        match parse(bytes)? {
            Parsed::Header { length, told } if length == bytes.len() => Ok(told),
            other => panic!("{other:?} for {}", String::from_utf8_lossy(bytes)),
        }
    }

    fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("a length").to_be_bytes();
        [V2_START, &[command, family], &length, payload].concat()
    }

    const IPV4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];

    #[test]
    fn version_1_tells_the_source() {
        for (line, source) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", client("192.0.2.1")),
            ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", client("255.255.255.255")),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 0 1\r\n", client("2001:db8::1")),
            ("PROXY TCP6 ::ffff:192.0.2.9 ::1 56324 443\r\n", client("192.0.2.9")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
        ] {
            assert_eq!(told(line.as_bytes()), Ok(Told { client: source, tls: false }), "{line:?}");
        }
    }

    #[test]
    fn version_1_is_read_strictly() {
        let long = format!("PROXY UNKNOWN {}", "x".repeat(93));
        for line in [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY tcp4 192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 +2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1  2\r\n",
            "PROXY TCP4 192.0.2.01 198.51.100.1 1 2\r\n",
            "PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n",
            "PROXY TCP4 192.0.2.1\n198.51.100.1 1 2\r\n",
            long.as_str(),
        ] {
            assert_eq!(parse(line.as_bytes()), Err(Malformed), "{line:?}");
        }
        assert_eq!(parse(b"PROXY TCP4 \xff 198.51.100.1 1 2\r\n"), Err(Malformed));
    }

    #[test]
    fn version_2_tells_the_source_and_whether_it_spoke_tls() {
        let ipv6 = [&[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 20]].concat();
        // What an AWS load balancer appends: its endpoint's name (0xea) and padding (0x04).
        let aws = [&IPV4[..], &[0xea, 0, 3, 1, b'v', b'p', 0x04, 0, 2, 0, 0]].concat();
        let tls = [&IPV4[..], &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat();
        let plain = [&IPV4[..], &[0x20, 0, 5, 0, 0, 0, 0, 1]].concat();
        for (header, expected) in [
            (v2(0x21, 0x11, &IPV4), Told { client: client("192.0.2.1"), tls: false }),
            (v2(0x21, 0x21, &ipv6), Told { client: client("2001:db8::1"), tls: false }),
            (v2(0x21, 0x11, &aws), Told { client: client("192.0.2.1"), tls: false }),
            (v2(0x21, 0x11, &tls), Told { client: client("192.0.2.1"), tls: true }),
            (v2(0x21, 0x11, &plain), Told { client: client("192.0.2.1"), tls: false }),
            (v2(0x20, 0x11, &IPV4), NOBODY),
            (v2(0x20, 0x00, &[]), NOBODY),
            (v2(0x21, 0x00, b"whatever"), NOBODY),
        ] {
            assert_eq!(told(&header), Ok(expected), "{header:?}");
        }
    }

    #[test]
    fn version_2_is_read_strictly() {
        let with = |extension: &[u8]| v2(0x21, 0x11, &[&IPV4[..], extension].concat());
        for header in [
            v2(0x11, 0x11, &IPV4),
            v2(0x22, 0x11, &IPV4),
            v2(0x21, 0x12, &IPV4),
            v2(0x21, 0x31, &[0; 216]),
            v2(0x21, 0x41, &IPV4),
            v2(0x21, 0x11, &IPV4[..11]),
            v2(0x21, 0x21, &IPV4),
            v2(0x21, 0x11, &[0; V2_MAX + 1]),
            with(&[0x04]),
            with(&[0x04, 0]),
            with(&[0x04, 0, 2, 0]),
            with(&[0x20, 0, 4, 1, 0, 0, 0]),
        ] {
            assert_eq!(parse(&header), Err(Malformed), "{header:?}");
        }
        // Refused by its length alone, before so much has been sent.
        assert_eq!(parse(&v2(0x21, 0x11, &[0; V2_MAX + 1])[..V2_FIXED]), Err(Malformed));
    }

    #[test]
    fn every_beginning_of_a_header_is_incomplete_and_http_is_none() {
        for header in [b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n".to_vec(), v2(0x21, 0x11, &IPV4)] {
            for end in 0..header.len() {
                assert_eq!(parse(&header[..end]), Ok(Parsed::Incomplete), "{end}");
            }
        }
        for other in
            ["GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n", "PROPFIND / HTTP/1.1\r\n", "\r\nGET / HTTP/1.1\r\n", "proxy TCP4", "PROXY\t"]
        {
            assert_eq!(parse(other.as_bytes()), Ok(Parsed::Absent), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_take_more_than_there_is(
            start in prop_oneof![Just(&b""[..]), Just(V1_START), Just(&b"PROXY TCP4 "[..]), Just(V2_START), Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"[..])],
            tail in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = [start, &tail].concat();
            if let Ok(Parsed::Header { length, .. }) = parse(&bytes) {
                prop_assert!(length <= bytes.len() && length <= MAX_LENGTH);
            }
        }

        #[test]
        fn what_is_decided_stays_decided_when_more_comes(
            start in prop_oneof![Just(V1_START), Just(&b"PROXY UNKNOWN"[..]), Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..])],
            tail in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], 0..200),
        ) {
            let bytes = [start, &tail].concat();
            let mut decided = None;
            for end in 0..=bytes.len() {
                let now = parse(&bytes[..end]);
                if let Some(decided) = &decided {
                    prop_assert_eq!(&now, decided, "at {}", end);
                } else if now != Ok(Parsed::Incomplete) {
                    decided = Some(now);
                }
            }
        }
    }
}
