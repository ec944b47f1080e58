//! Stands between the socket and hyper's HTTP/2 and counts frames: what costs the client nothing may not cost us much.
//!
//! Each kind of frame that floods are made of has a bucket that fills with time, and with what we send where frames answer that. A client that
//! empties one is given a frame that HTTP/2 forbids in its place, so that the connection ends with GOAWAY.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    tls::ClientIo,
    wire::{Order, Phase, Wire},
};

pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER: usize = 9;
/// A frame of a kind nobody may send: CONTINUATION without a header block, on stream 1. hyper answers it with GOAWAY.
const FORBIDDEN_FRAME: [u8; FRAME_HEADER] = [0, 0, 0, 9, 4, 0, 0, 0, 1];

/// So many at once, and so many more each second.
#[derive(Debug, Clone, Copy)]
struct Budget {
    burst: u32,
    per_second: u32,
}

const PING: Budget = Budget { burst: 60, per_second: 5 };
const SETTINGS: Budget = Budget { burst: 30, per_second: 1 };
const PRIORITY: Budget = Budget { burst: 200, per_second: 50 };
/// Cancelled requests. Browsers cancel dozens when a page is left.
const RESET: Budget = Budget { burst: 200, per_second: 50 };
/// DATA frames without data that do not end a body.
const EMPTY_DATA: Budget = Budget { burst: 100, per_second: 10 };
/// Apart from those that what we sent accounts for.
const WINDOW_UPDATE: Budget = Budget { burst: 1_000, per_second: 200 };
/// Kinds of frames that nobody knows, and PUSH_PROMISE and GOAWAY, which clients have no reason to repeat.
const OTHER: Budget = Budget { burst: 100, per_second: 10 };
/// CONTINUATION frames of one header block.
const MAX_CONTINUATIONS: u32 = 8;
/// One WINDOW_UPDATE is fair for so many bytes we sent.
const BYTES_PER_UPDATE: u64 = 512;

/// Which budgets there are, and how they are called in metrics.
const BUDGETS: [(Budget, &str); 7] = [
    (PING, "h2_ping"),
    (SETTINGS, "h2_settings"),
    (PRIORITY, "h2_priority"),
    (RESET, "h2_reset"),
    (EMPTY_DATA, "h2_empty_data"),
    (WINDOW_UPDATE, "h2_window_update"),
    (OTHER, "h2_other"),
];
const CONTINUATION_RULE: &str = "h2_continuation";
const PREFACE_RULE: &str = "h2_preface";

/// Counts the frames of one connection.
#[derive(Debug)]
struct Frames {
    header: [u8; FRAME_HEADER],
    have: usize,
    /// Payload bytes of the current frame that are still to come.
    payload: usize,
    spent: [u32; BUDGETS.len()],
    refilled: Instant,
    continuations: u32,
    /// A header block has begun and not ended.
    open_block: bool,
    /// The preface is complete: its SETTINGS came (RFC 9113, 3.4).
    greeted: bool,
    sent: u64,
}

/// A budget is spent.
#[derive(Debug, PartialEq, Eq)]
struct Flood {
    /// Bytes before the frame that was one too many.
    fine: usize,
    rule: &'static str,
}

impl Frames {
    fn new(now: Instant) -> Self {
        Self {
            header: [0; FRAME_HEADER],
            have: 0,
            payload: 0,
            spent: [0; BUDGETS.len()],
            refilled: now,
            continuations: 0,
            open_block: false,
            greeted: false,
            sent: 0,
        }
    }

    /// `held` bytes of a frame's header may have been seen before `bytes`.
    fn scan(&mut self, bytes: &[u8], now: impl Fn() -> Instant) -> Result<(), Flood> {
        let mut at = 0;
        while at < bytes.len() {
            if self.payload > 0 {
                let skip = self.payload.min(bytes.len() - at);
                self.payload -= skip;
                at += skip;
                continue;
            }
            let take = (FRAME_HEADER - self.have).min(bytes.len() - at);
            self.header[self.have..self.have + take].copy_from_slice(&bytes[at..at + take]);
            let began = at.saturating_sub(self.have);
            self.have += take;
            at += take;
            if self.have == FRAME_HEADER {
                self.have = 0;
                let [a, b, c, kind, flags, ..] = self.header;
                self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.frame(kind, flags, &now).map_err(|rule| Flood { fine: began, rule })?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, kind: u8, flags: u8, now: &impl Fn() -> Instant) -> Result<(), &'static str> {
        const END_STREAM: u8 = 1;
        const END_HEADERS: u8 = 4;
        const ACK: u8 = 1;
        if !self.greeted {
            self.greeted = kind == 4 && flags & ACK == 0;
            return if self.greeted { Ok(()) } else { Err(PREFACE_RULE) };
        }
        let budget = match kind {
            0 if self.payload > 0 || flags & END_STREAM != 0 => return Ok(()),
            0 => 4,
            1 => {
                self.continuations = 0;
                self.open_block = flags & END_HEADERS == 0;
                return Ok(());
            }
            9 => {
                self.continuations += 1;
                self.open_block = flags & END_HEADERS == 0;
                return if self.continuations > MAX_CONTINUATIONS { Err(CONTINUATION_RULE) } else { Ok(()) };
            }
            6 => 0,
            4 => 1,
            2 => 2,
            3 => 3,
            8 => {
                if self.sent >= BYTES_PER_UPDATE {
                    self.sent -= BYTES_PER_UPDATE;
                    return Ok(());
                }
                5
            }
            _ => 6,
        };
        let (Budget { burst, .. }, rule) = BUDGETS[budget];
        self.spent[budget] += 1;
        if self.spent[budget] <= burst {
            return Ok(());
        }
        self.refill(now());
        if self.spent[budget] <= burst { Ok(()) } else { Err(rule) }
    }

    /// Only looked at when a budget seems spent: the clock is not read for each frame.
    fn refill(&mut self, now: Instant) {
        let seconds = u32::try_from(now.saturating_duration_since(self.refilled).as_secs()).unwrap_or(u32::MAX);
        if seconds > 0 {
            self.refilled = now;
            for (spent, (budget, _)) in self.spent.iter_mut().zip(BUDGETS) {
                *spent = spent.saturating_sub(budget.per_second.saturating_mul(seconds));
            }
        }
    }
}

/// The socket of an HTTP/2 connection, counted.
pub(crate) struct FrameGuard<S: ClientIo> {
    socket: S,
    frames: Frames,
    wire: Arc<Wire>,
    /// Read before it was known that this is HTTP/2; begins with the preface.
    first: Vec<u8>,
    /// Told once about a flood.
    on_flood: Box<dyn Fn(&'static str)>,
    flooded: bool,
}

impl<S: ClientIo> FrameGuard<S> {
    /// `first` holds the whole preface, and perhaps more.
    pub(crate) fn new(socket: S, first: &[u8], wire: Arc<Wire>, on_flood: impl Fn(&'static str) + 'static) -> Self {
        let mut guard =
            Self { socket, frames: Frames::new(Instant::now()), wire, first: first.to_vec(), on_flood: Box::new(on_flood), flooded: false };
        guard.wire.enter(Phase::Idle);
        let frames = guard.first.get(PREFACE.len()..).unwrap_or_default().to_vec();
        if let Err(flood) = guard.frames.scan(&frames, Instant::now) {
            guard.first.truncate(PREFACE.len() + flood.fine);
            guard.flood(flood.rule);
        }
        guard
    }

    fn flood(&mut self, rule: &'static str) {
        self.flooded = true;
        (self.on_flood)(rule);
        self.wire.enter(Phase::Refused);
    }
}

impl<S: ClientIo> AsyncRead for FrameGuard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            let take = this.first.len().min(buf.remaining());
            buf.put_slice(&this.first[..take]);
            this.first.drain(..take);
            return Poll::Ready(Ok(()));
        }
        if this.flooded || this.wire.order() == Order::Cut {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(cx, buf)?;
        // A header block that is begun has to end in time, as a head of HTTP/1 has.
        ready!(polled);
        let new = &buf.filled()[before..];
        match this.frames.scan(new, Instant::now) {
            Ok(()) => {
                if this.wire.phase() != Phase::Refused {
                    this.wire.enter(if this.frames.open_block { Phase::Head } else { Phase::Idle });
                }
            }
            Err(flood) => {
                buf.set_filled(before + flood.fine);
                let room = buf.remaining().min(FRAME_HEADER);
                buf.put_slice(&FORBIDDEN_FRAME[..room]);
                this.flood(flood.rule);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: ClientIo> AsyncWrite for FrameGuard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.wrote(&result);
        result
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.socket).poll_write_vectored(cx, slices);
        this.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.wire.flushed();
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

impl<S: ClientIo> FrameGuard<S> {
    fn wrote(&mut self, result: &Poll<io::Result<usize>>) {
        let bytes = match result {
            Poll::Pending => None,
            Poll::Ready(result) => Some(*result.as_ref().unwrap_or(&0)),
        };
        self.wire.wrote(bytes);
        self.frames.sent = self.frames.sent.saturating_add(bytes.unwrap_or(0) as u64);
    }
}

impl<S: ClientIo> Drop for FrameGuard<S> {
    fn drop(&mut self) {
        if self.wire.order() == Order::Cut {
            self.socket.reset_on_close();
        }
        self.wire.close();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("small").to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn greeted(begun: Instant) -> Frames {
        let mut frames = Frames::new(begun);
        assert_eq!(frames.scan(&frame(4, 0, &[]), || begun), Ok(()));
        frames
    }

    #[test]
    fn frames_are_counted_whatever_pieces_they_come_in() {
        let ping = frame(6, 0, b"12345678");
        let begun = Instant::now();
        for piece in 1..=ping.len() {
            let mut frames = greeted(begun);
            let flood: Vec<u8> = ping.repeat(PING.burst as usize + 1);
            let outcome: Result<(), Flood> = flood.chunks(piece).try_for_each(|bytes| frames.scan(bytes, || begun));
            assert_eq!(outcome.expect_err("one too many").rule, "h2_ping", "{piece}");
            let mut frames = greeted(begun);
            let fair: Vec<u8> = ping.repeat(PING.burst as usize);
            assert_eq!(fair.chunks(piece).try_for_each(|bytes| frames.scan(bytes, || begun)), Ok(()), "{piece}");
        }
    }

    #[test]
    fn a_budget_fills_again_with_time() {
        let begun = Instant::now();
        let mut frames = greeted(begun);
        let ping = frame(6, 0, b"12345678");
        assert_eq!(frames.scan(&ping.repeat(PING.burst as usize), || begun), Ok(()));
        let later = begun + Duration::from_secs(2);
        assert_eq!(frames.scan(&ping.repeat(2 * PING.per_second as usize), || later), Ok(()));
        assert!(frames.scan(&ping, || later).is_err());
    }

    #[test]
    fn reading_a_long_answer_is_no_flood_of_window_updates() {
        let begun = Instant::now();
        let mut frames = greeted(begun);
        frames.sent = 100 << 20;
        let update = frame(8, 0, &[0, 0, 64, 0]);
        assert_eq!(frames.scan(&update.repeat(100_000), || begun), Ok(()));
    }
}
