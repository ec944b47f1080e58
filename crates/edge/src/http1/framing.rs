//! Where in a connection's bytes requests begin and end.

use memchr::memchr;

use super::{
    chunked::{Chunked, Next},
    head::{self, Body, HeadLimits},
};
use crate::rules::{self, Rule};

/// The most bytes of empty lines before a request (RFC 9112, 2.2 asks to skip at least one).
const MAX_BLANK: u8 = 8;
/// The most bytes of a trailer section.
const MAX_TRAILER: usize = 8 * 1024;
/// Before this many bytes every request line has its first space.
const METHOD_WITHIN: usize = 32;

/// Follows one connection.
#[derive(Debug)]
pub(super) struct Framing {
    limits: HeadLimits,
    at: At,
    /// How much of the incomplete head or trailer section has been searched for its end.
    searched: usize,
    blank: u8,
    /// The current request wants to become a WebSocket: what follows it may not be HTTP.
    websocket: bool,
    /// Some request so far had an `Upgrade` header, a header with `_` in its name.
    pub(super) upgrade_seen: bool,
    pub(super) underscore_seen: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum At {
    Head,
    Sized(u64),
    Chunked(Chunked),
    Trailers,
    /// After a request for a WebSocket, until its answer is known.
    Waiting,
}

/// What to do with the bytes that were scanned: `pass` so many, keep the rest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) pass: usize,
    /// Refuse what comes after those that pass.
    pub(super) refuse: Option<&'static Rule>,
}

/// The kind of bytes that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expects {
    Head,
    Body,
    Decision,
}

impl Framing {
    pub(super) fn new(limits: HeadLimits) -> Self {
        Self { limits, at: At::Head, searched: 0, blank: 0, websocket: false, upgrade_seen: false, underscore_seen: false }
    }

    pub(super) fn expects(&self) -> Expects {
        match self.at {
            At::Head => Expects::Head,
            At::Sized(_) | At::Chunked(_) | At::Trailers => Expects::Body,
            At::Waiting => Expects::Decision,
        }
    }

    /// The request for a WebSocket was answered with something else: HTTP goes on.
    pub(super) fn declined(&mut self) {
        if self.at == At::Waiting {
            self.at = At::Head;
        }
    }

    /// Scans bytes that follow those which passed before. What did not pass has to come again, in front of what is new.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut pass = 0;
        loop {
            match self.advance(&bytes[pass..]) {
                Ok(Some(taken)) => {
                    self.searched = 0;
                    pass += taken;
                }
                Ok(None) => return Scan { pass, refuse: None },
                Err((fine, rule)) => return Scan { pass: pass + fine, refuse: Some(rule) },
            }
        }
    }

    /// How many bytes make up the next whole piece; `None` when it is not complete or nothing is left.
    fn advance(&mut self, rest: &[u8]) -> Result<Option<usize>, (usize, &'static Rule)> {
        if rest.is_empty() {
            return Ok(None);
        }
        match &mut self.at {
            At::Waiting => Ok(None),
            At::Head => self.head(rest).map_err(|rule| (0, rule)),
            At::Trailers => self.trailers(rest).map_err(|rule| (0, rule)),
            At::Sized(left) => {
                let taken = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                *left -= taken as u64;
                if *left == 0 {
                    self.next_request();
                }
                Ok(Some(taken))
            }
            At::Chunked(chunked) => {
                let (taken, next) = chunked.scan(rest)?;
                if next == Next::Trailers {
                    self.at = At::Trailers;
                }
                Ok(Some(taken))
            }
        }
    }

    fn head(&mut self, rest: &[u8]) -> Result<Option<usize>, &'static Rule> {
        match rest[0] {
            b'\r' | b'\n' => return self.blank_line(rest),
            b'A'..=b'Z' => {}
            byte if head::TOKEN[usize::from(byte)] != 0 => {}
            _ => return Err(&rules::NOT_HTTP),
        }
        // A head that was incomplete before is only parsed again when its end has come.
        let ended = self.searched == 0 || ends(rest, self.searched);
        let head = if ended { head::check(rest, &self.limits)? } else { None };
        let Some(head) = head else {
            self.searched = rest.len();
            return check_incomplete(rest, &self.limits).map(|()| None);
        };
        self.blank = 0;
        self.websocket = head.websocket;
        self.upgrade_seen |= head.upgrade;
        self.underscore_seen |= head.underscore;
        match head.body {
            Body::None => self.next_request(),
            Body::Sized(length) => self.at = At::Sized(length),
            Body::Chunked => self.at = At::Chunked(Chunked::new()),
        }
        Ok(Some(head.len))
    }

    fn blank_line(&mut self, rest: &[u8]) -> Result<Option<usize>, &'static Rule> {
        match rest {
            [b'\r'] => Ok(None),
            [b'\r', b'\n', ..] => {
                self.blank += 2;
                if self.blank > MAX_BLANK { Err(&rules::BLANK_LINES) } else { Ok(Some(2)) }
            }
            [b'\n', ..] => Err(&rules::BARE_LF),
            _ => Err(&rules::NOT_HTTP),
        }
    }

    fn trailers(&mut self, rest: &[u8]) -> Result<Option<usize>, &'static Rule> {
        let end = match rest {
            [b'\r', b'\n', ..] => Some(2),
            [b'\r'] => None,
            _ => end_of(rest, self.searched),
        };
        match end {
            Some(end) if end > MAX_TRAILER => Err(&rules::TRAILER),
            Some(end) => {
                head::check_trailers(&rest[..end])?;
                self.next_request();
                Ok(Some(end))
            }
            None if rest.len() > MAX_TRAILER => Err(&rules::TRAILER),
            None => {
                self.searched = rest.len();
                Ok(None)
            }
        }
    }

    fn next_request(&mut self) {
        self.at = if self.websocket { At::Waiting } else { At::Head };
        self.websocket = false;
    }
}

/// What can be told before the end is there, so that nobody waits for the end of nonsense.
pub(super) fn check_incomplete(rest: &[u8], limits: &HeadLimits) -> Result<(), &'static Rule> {
    let line_ended = memchr(b'\n', rest).is_some();
    if !line_ended && memchr(b' ', &rest[..rest.len().min(METHOD_WITHIN)]).is_none() && rest.len() >= METHOD_WITHIN {
        return Err(head::method_rule(&rest[..METHOD_WITHIN]).unwrap_or(&rules::METHOD));
    }
    if !line_ended && rest.len() > limits.target + METHOD_WITHIN {
        return Err(&rules::TARGET_LENGTH);
    }
    if rest.len() > limits.head {
        return Err(&rules::HEAD_SIZE);
    }
    Ok(())
}

fn ends(bytes: &[u8], searched: usize) -> bool {
    end_of(bytes, searched).is_some()
}

/// Where the first empty line ends. Also finds one whose line ends are bare, for the check to refuse.
fn end_of(bytes: &[u8], searched: usize) -> Option<usize> {
    let mut at = searched.saturating_sub(2);
    while let Some(newline) = memchr(b'\n', &bytes[at..]) {
        at += newline + 1;
        match bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: HeadLimits = HeadLimits { target: 1_024, head: 8_192, headers: 100 };

    /// Feeds `bytes` in pieces of the given sizes, as the guard does; gives what passed and the refusal.
    fn feed(bytes: &[u8], sizes: &[usize]) -> (Vec<u8>, Option<&'static Rule>, Framing) {
        let mut framing = Framing::new(LIMITS);
        let (mut passed, mut held) = (Vec::new(), Vec::new());
        let mut rest = bytes;
        let mut sizes = sizes.iter().copied().cycle();
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
            rest = later;
            held.extend_from_slice(piece);
            let scan = framing.scan(&held);
            assert!(scan.pass <= held.len());
            passed.extend(held.drain(..scan.pass));
            if scan.refuse.is_some() {
                return (passed, scan.refuse, framing);
            }
        }
        (passed, None, framing)
    }

    /// What is between requests, as the parser hyper uses sees it.
    fn heads_by_httparse(mut bytes: &[u8]) -> usize {
        let mut heads = 0;
        while !bytes.is_empty() {
            let mut headers = [httparse::EMPTY_HEADER; 100];
            let mut request = httparse::Request::new(&mut headers);
            let Ok(httparse::Status::Complete(length)) = request.parse(bytes) else { return heads };
            heads += 1;
            bytes = &bytes[length..];
            let value =
                |wanted: &str| request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(wanted)).map(|header| header.value);
            if let Some(digits) = value("content-length") {
                let length: usize = std::str::from_utf8(digits).expect("digits").parse().expect("a number");
                bytes = &bytes[length..];
            } else if value("transfer-encoding").is_some() {
                let end = memchr::memmem::find(bytes, b"\r\n0\r\n\r\n").expect("a last chunk");
                bytes = &bytes[end + 7..];
            }
        }
        heads
    }

    fn request() -> impl Strategy<Value = Vec<u8>> {
        let header = ("[a-z][a-z-]{0,12}", "[ -~]{0,20}").prop_map(|(name, value)| format!("x-{name}: {value}\r\n"));
        let body = prop_oneof![
            Just(String::from("\r\n")),
            "[A-Z \r\n:/]{1,60}".prop_map(|body| format!("Content-Length: {}\r\n\r\n{body}", body.len())),
            prop::collection::vec("[A-Z \n:/]{1,40}", 1..4).prop_map(|chunks| {
                let chunks: String = chunks.iter().map(|chunk| format!("{:x};n=\"v\"\r\n{chunk}\r\n", chunk.len())).collect();
                format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
            }),
        ];
        ("[a-z0-9/]{0,20}", prop::collection::vec(header, 0..6), body)
            .prop_map(|(path, headers, body)| format!("POST /{path} HTTP/1.1\r\nHost: a\r\n{}{body}", headers.concat()).into_bytes())
    }

    proptest! {
        #[test]
        fn valid_requests_pass_whole_and_end_where_hypers_parser_says(
            requests in prop::collection::vec(request(), 1..5),
            sizes in prop::collection::vec(1_usize..200, 1..8),
        ) {
            let bytes = requests.concat();
            let (passed, refused, framing) = feed(&bytes, &sizes);
            prop_assert_eq!(refused, None);
            prop_assert_eq!(&passed, &bytes);
            prop_assert_eq!(framing.expects(), Expects::Head);
            prop_assert_eq!(heads_by_httparse(&bytes), requests.len());
        }

        #[test]
        fn the_pieces_bytes_come_in_change_nothing(
            requests in prop::collection::vec(request(), 1..3),
            flip in any::<prop::sample::Index>(),
            with in any::<u8>(),
            sizes in prop::collection::vec(1_usize..50, 1..8),
        ) {
            let mut bytes = requests.concat();
            let at = flip.index(bytes.len());
            bytes[at] = with;
            let (whole, refused_whole, _) = feed(&bytes, &[bytes.len()]);
            let (pieces, refused_pieces, _) = feed(&bytes, &sizes);
            // In pieces a rule may be seen to be broken before the line is whole, never later.
            if refused_whole.is_some() {
                prop_assert!(pieces.len() <= whole.len() || refused_pieces.is_some());
            } else {
                prop_assert_eq!(refused_pieces, None);
                prop_assert_eq!(pieces, whole);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), sizes in prop::collection::vec(1_usize..50, 1..5)) {
            feed(&bytes, &sizes);
            feed(&[b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", bytes.as_slice()].concat(), &sizes);
        }
    }
}
