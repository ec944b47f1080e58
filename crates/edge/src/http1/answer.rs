//! An answer on its way out to a client that speaks HTTP/1.1, to a request that `plain` read.

use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, UNIX_EPOCH},
};

use baluarte_kernel::Timestamp;
use baluarte_proxy::keep_map;
use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, response};
use http_body::Body as _;

use super::head::number;
use crate::{
    body::AnswerBody,
    core::Core,
    headers::Added,
    tls::ClientIo,
    wire::{Order, Wire},
};

/// Pieces of a body up to this size are copied behind what goes before them; larger ones are written as they are.
const COPIED: usize = 8 * 1_024;
/// Until this much is gathered, more is looked for before writing.
const GATHERED: usize = 16 * 1_024;

/// How an answer's end is told (RFC 9112, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// So many bytes are still to come.
    Sized(u64),
    Chunked,
}

pub(super) struct Answering {
    /// The head, and small pieces of the body, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// A large piece, to be written behind `out`, and what ends it.
    piece: Bytes,
    piece_end: &'static [u8],
    /// Until it has been read to its end.
    body: Option<AnswerBody>,
    coding: Coding,
    /// The body is not what the head said: the connection ends where it is, so that the client notices.
    broken: bool,
    /// Another request may follow.
    pub(super) keep_alive: bool,
}

/// The answer breaks off: its client is gone, or the body is not what its head said.
pub(super) struct BrokenOff;

impl Answering {
    /// To a request of that `method`, from a client that would keep the connection or not.
    pub(super) fn new(core: &Core, wire: &Wire, response: Response<AnswerBody>, added: Added, method: &Method, keep_alive: bool) -> Self {
        let (head, body) = response.into_parts();
        let mut out = core.buffers.take_out();
        let closes = head.headers.get_all(header::CONNECTION).iter().any(says_close);
        let keep_alive = keep_alive && !closes && wire.order() == Order::None;
        let coding = write_head(&mut out, core, &head, added, method, body.size_hint().exact(), keep_alive);
        keep_map(head.headers);
        Self {
            out,
            written: 0,
            piece: Bytes::new(),
            piece_end: b"",
            body: coding.map(|_| body),
            coding: coding.unwrap_or(Coding::Sized(0)),
            broken: false,
            keep_alive,
        }
    }

    /// Ready when everything has been handed to the socket.
    pub(super) fn poll<S: ClientIo>(&mut self, cx: &mut Context<'_>, stream: &mut S, wire: &Wire) -> Poll<Result<(), BrokenOff>> {
        loop {
            let waits = self.gather(cx);
            ready!(self.write(cx, stream, wire))?;
            if self.broken {
                return Poll::Ready(Err(BrokenOff));
            }
            if self.body.is_none() {
                wire.flushed();
                return Pin::new(&mut *stream).poll_flush(cx).map_err(|_| BrokenOff);
            }
            if waits {
                wire.flushed();
                return match Pin::new(&mut *stream).poll_flush(cx) {
                    Poll::Ready(Err(_)) => Poll::Ready(Err(BrokenOff)),
                    Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
                };
            }
        }
    }

    /// What to do with the buffer when the answer is out.
    pub(super) fn into_out(self) -> Vec<u8> {
        self.out
    }

    /// Takes what the body has, so that it leaves together with the head. True: it has no more for the moment.
    fn gather(&mut self, cx: &mut Context<'_>) -> bool {
        while self.piece.is_empty() && self.out.len() - self.written < GATHERED {
            let Some(body) = &mut self.body else { return false };
            if body.is_end_stream() {
                self.end();
                continue;
            }
            match Pin::new(body).poll_frame(cx) {
                Poll::Pending => return true,
                Poll::Ready(None) => self.end(),
                // Trailers go to those who asked for them: their requests take the other way.
                Poll::Ready(Some(Ok(frame))) => self.add(frame.into_data().unwrap_or_default()),
                Poll::Ready(Some(Err(_))) => self.break_off(),
            }
        }
        false
    }

    fn add(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        match &mut self.coding {
            Coding::Sized(left) => match left.checked_sub(data.len() as u64) {
                Some(less) => *left = less,
                // What is more than was announced would be taken for the next answer.
                None => return self.break_off(),
            },
            Coding::Chunked => {
                push_hex(&mut self.out, data.len());
                self.out.extend_from_slice(b"\r\n");
                self.piece_end = b"\r\n";
            }
        }
        if data.len() <= COPIED {
            self.out.extend_from_slice(&data);
            self.out.extend_from_slice(std::mem::take(&mut self.piece_end));
        } else {
            self.piece = data;
        }
    }

    /// The body has been read: what it holds is let go, and the access log hears of it.
    fn end(&mut self) {
        self.body = None;
        match self.coding {
            Coding::Sized(0) => {}
            Coding::Sized(_) => self.break_off(),
            Coding::Chunked => self.out.extend_from_slice(b"0\r\n\r\n"),
        }
    }

    fn break_off(&mut self) {
        self.body = None;
        self.broken = true;
    }

    fn write<S: ClientIo>(&mut self, cx: &mut Context<'_>, stream: &mut S, wire: &Wire) -> Poll<Result<(), BrokenOff>> {
        loop {
            let from_out = self.written < self.out.len();
            let bytes = if from_out { &self.out[self.written..] } else { &self.piece[..] };
            if bytes.is_empty() {
                self.out.clear();
                self.written = 0;
                self.out.extend_from_slice(std::mem::take(&mut self.piece_end));
                if self.out.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let count = match Pin::new(&mut *stream).poll_write(cx, bytes) {
                Poll::Ready(Ok(count @ 1..)) => count,
                Poll::Ready(_) => return Poll::Ready(Err(BrokenOff)),
                Poll::Pending => {
                    wire.wrote(None);
                    return Poll::Pending;
                }
            };
            wire.wrote(Some(count));
            if from_out {
                self.written += count;
            } else {
                self.piece.advance(count);
            }
        }
    }
}

/// `None`: nothing comes behind the head.
fn write_head(
    out: &mut Vec<u8>,
    core: &Core,
    head: &response::Parts,
    added: Added,
    method: &Method,
    exact: Option<u64>,
    keep_alive: bool,
) -> Option<Coding> {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(head.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.status.canonical_reason().unwrap_or("<none>").as_bytes());
    out.extend_from_slice(b"\r\n");
    let (length, dated) = write_headers(out, &head.headers);
    added.write(out);
    if !dated {
        out.extend_from_slice(b"date: ");
        core.buffers.date.write(out, core.clock.now());
        out.extend_from_slice(b"\r\n");
    }
    if !keep_alive {
        out.extend_from_slice(b"connection: close\r\n");
    }
    let without_body = head.status.is_informational() || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let coding = match (length, exact) {
        _ if without_body => None,
        (Some(length), _) => Some(Coding::Sized(length)),
        (None, Some(length)) => {
            // To HEAD, a length that nobody stated is only told when there is one.
            if length > 0 || *method != Method::HEAD {
                out.extend_from_slice(b"content-length: ");
                push_number(out, length);
                out.extend_from_slice(b"\r\n");
            }
            Some(Coding::Sized(length))
        }
        (None, None) if *method == Method::HEAD => None,
        (None, None) => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Some(Coding::Chunked)
        }
    };
    out.extend_from_slice(b"\r\n");
    coding.filter(|_| *method != Method::HEAD)
}

/// All headers but those that are about this connection and this message, which are ours to write. Gives the stated length, and
/// whether there is a date.
fn write_headers(out: &mut Vec<u8>, headers: &HeaderMap) -> (Option<u64>, bool) {
    let (mut length, mut dated) = (None, false);
    for (name, value) in headers {
        if name == header::CONTENT_LENGTH {
            let stated = number(value.as_bytes());
            if length.is_some() || stated.is_none() {
                continue;
            }
            length = stated;
        } else if name == header::CONNECTION || name == header::TRANSFER_ENCODING {
            continue;
        } else if name == header::DATE {
            dated = true;
        }
        let name = name.as_str().as_bytes();
        // One check of the room instead of four.
        out.reserve(name.len() + value.len() + 4);
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    (length, dated)
}

/// Does a `Connection` header say that nothing will follow?
pub(super) fn says_close(value: &HeaderValue) -> bool {
    value.as_bytes().split(|b| *b == b',').any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let (mut left, mut at) = (number, digits.len());
    loop {
        at -= 1;
        // Below ten, so it fits.
        digits[at] = b'0' + u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
        if left == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

fn push_hex(out: &mut Vec<u8>, number: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|digit| DIGITS[number >> (4 * digit) & 15]));
}

/// The value of `Date`; the same for a second.
pub(crate) struct DateText(RefCell<(i64, String)>);

impl Default for DateText {
    fn default() -> Self {
        Self(RefCell::new((i64::MIN, String::new())))
    }
}

impl DateText {
    fn write(&self, out: &mut Vec<u8>, now: Timestamp) {
        let (second, text) = &mut *self.0.borrow_mut();
        if *second != now.unix_seconds() {
            *second = now.unix_seconds();
            *text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(u64::try_from(*second).unwrap_or(0)));
        }
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_http_wants_them() {
        let mut out = Vec::new();
        for number in [0, 7, 10, 4_711, 18_446_744_073_709_551_615] {
            push_number(&mut out, number);
            out.push(b' ');
        }
        for number in [0, 15, 16, 0xabc_def0] {
            push_hex(&mut out, number);
            out.push(b' ');
        }
        assert_eq!(String::from_utf8_lossy(&out), "0 7 10 4711 18446744073709551615 0 f 10 abcdef0 ");
    }

    #[test]
    fn a_connection_is_said_to_close_in_any_spelling() {
        for (value, closes) in [("close", true), ("Keep-Alive, Close", true), ("keep-alive", false), ("closed", false)] {
            assert_eq!(says_close(&HeaderValue::from_static(value)), closes, "{value}");
        }
    }
}
