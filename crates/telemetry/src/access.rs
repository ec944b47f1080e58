//! The access log: one line per answer, formatted where it happens into a buffer that another thread writes.

use std::{cell::RefCell, net::IpAddr, sync::Arc, time::Duration};

use baluarte_kernel::{CredentialKind, SessionId, Timestamp, UserId};
use http::HeaderValue;

use crate::{
    lines::{Lane, Style},
    log::{push_json_string, push_text_value},
};

/// Which part of the product answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Surface {
    /// The edge itself: refusals, time-outs.
    #[default]
    Edge,
    /// Baluarte's own pages and API.
    App,
    /// A route of the gateway.
    Gateway,
}

impl Surface {
    pub const ALL: [Self; 3] = [Self::Edge, Self::App, Self::Gateway];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::App => "app",
            Self::Gateway => "gateway",
        }
    }
}

/// What only the door knows about an answer. It puts this into the response's extensions; the edge logs and counts it.
#[derive(Debug, Clone, Default)]
pub struct AccessNote {
    pub surface: Surface,
    /// The route that matched, as configured: a bounded set, since it becomes a label of metrics.
    pub route: Option<Arc<str>>,
    pub user_id: Option<UserId>,
    /// From sending the request to the upstream until its answer's head.
    pub upstream: Option<Duration>,
    /// With what the caller signed in; for the witness, as what follows.
    pub session_id: Option<SessionId>,
    pub credential: Option<CredentialKind>,
    pub user_agent: Option<HeaderValue>,
    /// Who else is told how it ended.
    pub witness: Option<Arc<dyn Witness>>,
}

/// Hears how an answer ended; called on the data plane, so it waits for nothing.
pub trait Witness: std::fmt::Debug + Send + Sync {
    fn answered(&self, record: &AccessRecord<'_>);
}

/// One answer. Holds no query string and no header's value: tokens travel in those.
#[derive(Debug, Clone, Copy)]
pub struct AccessRecord<'a> {
    pub at: Timestamp,
    pub request_id: &'a str,
    pub client_ip: IpAddr,
    pub method: &'a str,
    pub host: &'a str,
    /// Without the query.
    pub path: &'a str,
    /// `HTTP/1.1`, `HTTP/2.0`.
    pub protocol: &'static str,
    pub status: u16,
    /// From the request's head until the last byte of the answer was handed to the socket.
    pub latency: Duration,
    /// Of the answer's body.
    pub bytes: u64,
    /// The body was cut short: the client left, or the upstream broke off.
    pub aborted: bool,
    pub note: &'a AccessNote,
    /// Code of the refusal, when the edge refused.
    pub refused: Option<&'static str>,
}

/// One core's access log.
pub struct AccessLog {
    lane: Option<Arc<Lane>>,
    style: Style,
    clock: RefCell<ClockText>,
}

impl AccessLog {
    pub(crate) fn new(lane: Option<Arc<Lane>>, style: Style) -> Self {
        Self { lane, style, clock: RefCell::default() }
    }

    /// Appends the record's line; a full buffer drops and counts it.
    pub fn record(&self, record: &AccessRecord<'_>) {
        let Some(lane) = &self.lane else { return };
        let mut clock = self.clock.borrow_mut();
        let ts = clock.text(record.at);
        lane.append(|line| match self.style {
            Style::Json => write_json(line, ts, record),
            Style::Text => write_text(line, ts, record),
        });
    }
}

fn write_json(line: &mut Vec<u8>, ts: &[u8], record: &AccessRecord<'_>) {
    line.extend_from_slice(b"{\"ts\":\"");
    line.extend_from_slice(ts);
    line.extend_from_slice(b"\",\"level\":\"info\",\"target\":\"access\",\"message\":\"request\",\"request_id\":");
    push_json_string(line, record.request_id);
    if let Some(user_id) = record.note.user_id {
        line.extend_from_slice(b",\"user_id\":\"");
        push_user_id(line, user_id);
        line.push(b'"');
    }
    line.extend_from_slice(b",\"client_ip\":\"");
    push_ip(line, record.client_ip);
    line.extend_from_slice(b"\",\"method\":");
    push_json_string(line, record.method);
    line.extend_from_slice(b",\"host\":");
    push_json_string(line, record.host);
    line.extend_from_slice(b",\"path\":");
    push_json_string(line, record.path);
    line.extend_from_slice(b",\"protocol\":\"");
    line.extend_from_slice(record.protocol.as_bytes());
    line.extend_from_slice(b"\",\"status\":");
    push_number(line, u64::from(record.status));
    line.extend_from_slice(b",\"latency_ms\":");
    push_millis(line, record.latency);
    line.extend_from_slice(b",\"bytes\":");
    push_number(line, record.bytes);
    line.extend_from_slice(b",\"surface\":\"");
    line.extend_from_slice(record.note.surface.as_str().as_bytes());
    line.push(b'"');
    if let Some(route) = &record.note.route {
        line.extend_from_slice(b",\"route\":");
        push_json_string(line, route);
    }
    if let Some(upstream) = record.note.upstream {
        line.extend_from_slice(b",\"upstream_ms\":");
        push_millis(line, upstream);
    }
    if let Some(refused) = record.refused {
        line.extend_from_slice(b",\"refused\":\"");
        line.extend_from_slice(refused.as_bytes());
        line.push(b'"');
    }
    if record.aborted {
        line.extend_from_slice(b",\"aborted\":true");
    }
    line.extend_from_slice(b"}\n");
}

fn write_text(line: &mut Vec<u8>, ts: &[u8], record: &AccessRecord<'_>) {
    line.extend_from_slice(ts);
    line.extend_from_slice(b"  INFO access: ");
    push_text_value(line, record.method);
    line.push(b' ');
    push_text_value(line, record.path);
    line.extend_from_slice(b" -> ");
    push_number(line, u64::from(record.status));
    line.extend_from_slice(b" in ");
    push_millis(line, record.latency);
    line.extend_from_slice(b" ms client_ip=");
    push_ip(line, record.client_ip);
    line.extend_from_slice(b" surface=");
    line.extend_from_slice(record.note.surface.as_str().as_bytes());
    if let Some(route) = &record.note.route {
        line.extend_from_slice(b" route=");
        push_text_value(line, route);
    }
    if let Some(user_id) = record.note.user_id {
        line.extend_from_slice(b" user_id=");
        push_user_id(line, user_id);
    }
    if let Some(refused) = record.refused {
        line.extend_from_slice(b" refused=");
        line.extend_from_slice(refused.as_bytes());
    }
    if record.aborted {
        line.extend_from_slice(b" aborted");
    }
    line.extend_from_slice(b" request_id=");
    push_text_value(line, record.request_id);
    line.push(b'\n');
}

/// `Display` of an id costs as much as the rest of the line; this is the same text.
fn push_user_id(line: &mut Vec<u8>, user_id: UserId) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    line.extend_from_slice(b"usr_");
    let bytes = user_id.as_u128().to_be_bytes();
    let digits: [u8; 32] = std::array::from_fn(|i| HEX[usize::from(if i % 2 == 0 { bytes[i / 2] >> 4 } else { bytes[i / 2] & 15 })]);
    line.extend_from_slice(&digits);
}

fn push_ip(line: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => {
            for (i, octet) in v4.octets().into_iter().enumerate() {
                if i > 0 {
                    line.push(b'.');
                }
                push_number(line, u64::from(octet));
            }
        }
        IpAddr::V6(v6) => line.extend_from_slice(v6.to_string().as_bytes()),
    }
}

fn push_number(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Milliseconds with three decimals.
fn push_millis(line: &mut Vec<u8>, span: Duration) {
    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    push_number(line, micros / 1_000);
    let rest = micros % 1_000;
    line.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
}

/// The last decimal digit of a number.
fn digit(number: u64) -> u8 {
    // Below ten, so it fits.
    b'0' + u8::try_from(number % 10).unwrap_or(0)
}

/// RFC 3339 with milliseconds; the part up to the second is kept, since most lines share it.
pub(crate) struct ClockText {
    second: i64,
    text: [u8; 24],
}

impl Default for ClockText {
    fn default() -> Self {
        Self { second: i64::MIN, text: *b"0000-00-00T00:00:00.000Z" }
    }
}

impl ClockText {
    pub(crate) fn text(&mut self, at: Timestamp) -> &[u8] {
        let second = at.unix_seconds();
        if second != self.second {
            self.second = second;
            let text = Timestamp::from_unix_seconds(second).to_string();
            if let Some(upto_second) = text.as_bytes().get(..19) {
                self.text[..19].copy_from_slice(upto_second);
            }
        }
        let millis = u64::try_from(at.micros().rem_euclid(1_000_000) / 1_000).unwrap_or(0);
        self.text[20..23].copy_from_slice(&[digit(millis / 100), digit(millis / 10), digit(millis)]);
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(path: &'a str, note: &'a AccessNote) -> AccessRecord<'a> {
        AccessRecord {
            at: Timestamp::from_micros(1_763_769_600_123_456),
            request_id: "01",
            client_ip: IpAddr::from([10, 0, 0, 255]),
            method: "GET",
            host: "shop.example",
            path,
            protocol: "HTTP/1.1",
            status: 200,
            latency: Duration::from_micros(12_345),
            bytes: 7,
            aborted: false,
            note,
            refused: None,
        }
    }

    #[test]
    fn an_access_line_is_one_json_object_with_the_contracts_fields() {
        let user_id = UserId::generate();
        let note = AccessNote {
            surface: Surface::Gateway,
            route: Some("shop".into()),
            user_id: Some(user_id),
            upstream: Some(Duration::from_micros(1_007)),
            ..AccessNote::default()
        };
        let mut line = Vec::new();
        write_json(&mut line, ClockText::default().text(record("/", &note).at), &record("/a\"b\\c\n", &note));
        assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
        let parsed: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!(parsed["ts"], "2025-11-22T00:00:00.123Z");
        assert_eq!(parsed["path"], "/a\"b\\c\n");
        assert_eq!(parsed["user_id"], user_id.to_string());
        assert_eq!(parsed["client_ip"], "10.0.0.255");
        assert_eq!(parsed["latency_ms"], 12.345);
        assert_eq!(parsed["upstream_ms"], 1.007);
        assert_eq!(parsed["status"], 200);
        for field in ["level", "target", "message", "request_id", "method", "surface", "route"] {
            assert!(parsed.get(field).is_some(), "{field}");
        }
    }

    #[test]
    fn a_line_for_people_stays_one_line_whatever_the_path() {
        let note = AccessNote::default();
        let mut line = Vec::new();
        write_text(&mut line, b"T", &record("/a\r\nforged\u{1b}[31m", &note));
        assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
        assert!(!line.contains(&0x1b) && !line.contains(&b'\r'));
    }
}
