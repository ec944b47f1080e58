//! One recorded call and its bytes. The layout stands in docs/audit-calls.md, so exactly that a stranger can read and hash it.

use std::{net::IpAddr, time::Duration};

use baluarte_kernel::{CredentialKind, SessionId, Timestamp, UserId};

/// First byte of each record.
const VERSION: u8 = 1;
const ABORTED: u8 = 1;
const CUT: u8 = 2;
const USER: u8 = 4;
const SESSION: u8 = 8;

/// Longest texts, in bytes; what is longer is cut, and a flag says so.
const REQUEST_ID: usize = 128;
const METHOD: usize = 32;
const NAME: usize = 128;
const HOST: usize = 255;
const PATH: usize = 1_024;
const USER_AGENT: usize = 256;

/// One answered call, borrowed from wherever its parts lie.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// When its answer had gone out, or its client had left.
    pub at: Timestamp,
    /// From the request's head until then.
    pub latency: Duration,
    pub request_id: &'a str,
    pub user_id: Option<UserId>,
    pub session_id: Option<SessionId>,
    pub credential: Option<CredentialKind>,
    pub method: &'a str,
    pub host: &'a str,
    /// Without the query: tokens travel there.
    pub path: &'a str,
    pub route: &'a str,
    /// Empty for routes without one.
    pub upstream: &'a str,
    pub status: u16,
    /// Of the answer's body.
    pub bytes: u64,
    /// The answer was cut short.
    pub aborted: bool,
    pub ip: IpAddr,
    pub user_agent: &'a [u8],
}

impl Call<'_> {
    /// Appends the record: who did what. Allocates nothing once `out` has grown.
    pub(crate) fn write_record(&self, out: &mut Vec<u8>) {
        let texts = [
            (self.request_id, REQUEST_ID),
            (self.method, METHOD),
            (self.host, HOST),
            (self.path, PATH),
            (self.route, NAME),
            (self.upstream, NAME),
        ];
        let mut flags = 0;
        for (flag, is_set) in [
            (ABORTED, self.aborted),
            (CUT, texts.iter().any(|(text, most)| text.len() > *most)),
            (USER, self.user_id.is_some()),
            (SESSION, self.session_id.is_some()),
        ] {
            flags |= if is_set { flag } else { 0 };
        }
        let credential = match self.credential {
            None => 0,
            Some(CredentialKind::AccessToken) => 1,
            Some(CredentialKind::SessionCookie) => 2,
            Some(CredentialKind::ApiKey) => 3,
        };
        out.extend_from_slice(&[VERSION, flags, credential]);
        out.extend_from_slice(&self.status.to_be_bytes());
        out.extend_from_slice(&self.at.micros().to_be_bytes());
        out.extend_from_slice(&u64::try_from(self.latency.as_micros()).unwrap_or(u64::MAX).to_be_bytes());
        out.extend_from_slice(&self.bytes.to_be_bytes());
        if let Some(id) = self.user_id {
            out.extend_from_slice(&id.as_u128().to_be_bytes());
        }
        if let Some(id) = self.session_id {
            out.extend_from_slice(&id.as_u128().to_be_bytes());
        }
        for (text, most) in texts {
            write_text(out, cut(text, most).as_bytes());
        }
    }

    /// Appends what belongs to a person and is kept apart, so that it can be erased.
    pub(crate) fn write_private(&self, out: &mut Vec<u8>) {
        match self.ip {
            IpAddr::V4(ip) => {
                out.push(4);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(16);
                out.extend_from_slice(&ip.octets());
            }
        }
        write_text(out, &self.user_agent[..self.user_agent.len().min(USER_AGENT)]);
    }
}

fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    // Every text is cut to less.
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(text);
}

/// Between characters.
fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

/// A record, read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) status: u16,
    pub(crate) at: Timestamp,
    pub(crate) latency: Duration,
    pub(crate) bytes: u64,
    pub(crate) aborted: bool,
    pub(crate) cut: bool,
    pub(crate) credential: Option<&'static str>,
    pub(crate) user: Option<u128>,
    pub(crate) session: Option<u128>,
    pub(crate) request_id: &'a str,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) route: &'a str,
    pub(crate) upstream: &'a str,
}

impl<'a> Record<'a> {
    /// `None`: these bytes are no record of this version.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Bytes(bytes);
        let [version, flags, credential] = rest.array()?;
        if version != VERSION {
            return None;
        }
        let status = u16::from_be_bytes(rest.array()?);
        let at = Timestamp::from_micros(i64::from_be_bytes(rest.array()?));
        let latency = Duration::from_micros(u64::from_be_bytes(rest.array()?));
        let bytes = u64::from_be_bytes(rest.array()?);
        let mut id = |flag: u8| -> Option<Option<u128>> {
            if flags & flag == 0 { Some(None) } else { Some(Some(u128::from_be_bytes(rest.array()?))) }
        };
        let (user, session) = (id(USER)?, id(SESSION)?);
        let mut text = || std::str::from_utf8(rest.text()?).ok();
        let record = Self {
            status,
            at,
            latency,
            bytes,
            aborted: flags & ABORTED != 0,
            cut: flags & CUT != 0,
            credential: match credential {
                0 => None,
                1 => Some("access_token"),
                2 => Some("session"),
                3 => Some("api_key"),
                _ => return None,
            },
            user,
            session,
            request_id: text()?,
            method: text()?,
            host: text()?,
            path: text()?,
            route: text()?,
            upstream: text()?,
        };
        rest.0.is_empty().then_some(record)
    }
}

/// A call's private part, read back: address and user agent.
pub(crate) fn read_private(bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    let mut rest = Bytes(bytes);
    let ip = match rest.array()? {
        [4] => IpAddr::from(rest.array::<4>()?),
        [16] => IpAddr::from(rest.array::<16>()?),
        _ => return None,
    };
    let user_agent = rest.text()?;
    rest.0.is_empty().then_some((ip, user_agent))
}

/// What is still to be read.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    /// A length in two bytes, and as many bytes.
    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An ordinary one.
    pub(crate) fn call(at: i64, path: &str) -> Call<'_> {
        Call {
            at: Timestamp::from_micros(at),
            latency: Duration::from_micros(1_234),
            request_id: "0198c0de",
            user_id: None,
            session_id: None,
            credential: None,
            method: "POST",
            host: "shop.example",
            path,
            route: "shop",
            upstream: "app",
            status: 201,
            bytes: 17,
            aborted: false,
            ip: IpAddr::from([203, 0, 113, 7]),
            user_agent: b"curl/8",
        }
    }

    fn record(call: &Call<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        call.write_record(&mut out);
        out
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let (user, session) = (UserId::generate(), SessionId::generate());
        let call = Call {
            user_id: Some(user),
            session_id: Some(session),
            credential: Some(CredentialKind::SessionCookie),
            aborted: true,
            ..call(1_800_000_000_123_456, "/basket/ñ")
        };
        let bytes = record(&call);
        let read = Record::read(&bytes).unwrap();
        assert_eq!((read.at, read.latency, read.bytes, read.status), (call.at, call.latency, 17, 201));
        assert_eq!((read.user, read.session, read.credential), (Some(user.as_u128()), Some(session.as_u128()), Some("session")));
        assert_eq!((read.request_id, read.method, read.host, read.path), ("0198c0de", "POST", "shop.example", "/basket/ñ"));
        assert_eq!((read.route, read.upstream, read.aborted, read.cut), ("shop", "app", true, false));
        for end in 0..bytes.len() {
            assert_eq!(Record::read(&bytes[..end]), None, "cut at {end}");
        }
        assert_eq!(Record::read(&[&bytes[..], &[0]].concat()), None, "too long");
    }

    #[test]
    fn texts_are_cut_between_characters_and_that_is_said() {
        let long = "ñ".repeat(2_000);
        let bytes = record(&call(1, &long));
        let read = Record::read(&bytes).unwrap();
        assert!(read.cut && read.path.len() <= PATH && read.path.chars().all(|c| c == 'ñ'));
        let agent = [0xff; 999];
        let mut private = Vec::new();
        Call { user_agent: &agent, ip: IpAddr::from([1; 16]), ..call(1, "/") }.write_private(&mut private);
        assert_eq!(read_private(&private), Some((IpAddr::from([1; 16]), &agent[..USER_AGENT])));
    }
}
