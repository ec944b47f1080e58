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
            return self.check_incomplete(rest).map(|()| None);
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

    /// What can be told before the end is there, so that nobody waits for the end of nonsense.
    fn check_incomplete(&self, rest: &[u8]) -> Result<(), &'static Rule> {
        let line_ended = memchr(b'\n', rest).is_some();
        if !line_ended && memchr(b' ', &rest[..rest.len().min(METHOD_WITHIN)]).is_none() && rest.len() >= METHOD_WITHIN {
            return Err(head::method_rule(&rest[..METHOD_WITHIN]).unwrap_or(&rules::METHOD));
        }
        if !line_ended && rest.len() > self.limits.target + METHOD_WITHIN {
            return Err(&rules::TARGET_LENGTH);
        }
        if rest.len() > self.limits.head {
            return Err(&rules::HEAD_SIZE);
        }
        Ok(())
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
