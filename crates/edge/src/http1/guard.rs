//! Stands between the socket and hyper and lets only valid HTTP/1 through.
//!
//! On the common path hyper's buffer is read into directly and the same bytes are scanned once. An incomplete head waits in the guard's
//! own bounded buffer until it is whole. What is refused never reaches hyper: instead it is given a request with a method that nobody can
//! send, whose answer is the refusal. So refusals come in order, after the answers to the requests before them.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    framing::{Expects, Framing},
    head::{HeadLimits, is_registered},
};
use crate::{
    rules::{self, Rule},
    tls::{ClientIo, Presence},
    wire::{Order, Phase, Refused, Wire},
};

/// Only the guard can make a request with this method: it is not registered, so every other is refused.
pub(crate) const REFUSED_METHOD: &str = "REFUSED";
const REFUSED_REQUEST: &[u8] = b"REFUSED / HTTP/1.1\r\nconnection: close\r\n\r\n";
const READ_SIZE: usize = 8 * 1024;
/// The most that is kept for after an upgrade's decision.
const WAITING_LIMIT: usize = 64 * 1024;
/// After an answer that ends the connection, what the client still sends is read and dropped, so that the kernel does not throw the answer
/// away. So many bytes at most; the sweep bounds the time.
const LINGER_LIMIT: usize = 1 << 20;
/// The most of a refused request's path that is remembered for the log.
const DESCRIBED: usize = 200;

pub(crate) struct Guard<S: ClientIo> {
    socket: S,
    framing: Framing,
    wire: Arc<Wire>,
    /// Bytes read and not yet handed on: `ready` of them may be.
    held: BytesMut,
    ready: usize,
    lingered: usize,
    write_closed: bool,
    saw_eof: bool,
    /// The socket was asked for more since the last flush, and will tell when there is some.
    listens: bool,
    /// What hyper is told when a body is refused half-way.
    body_error: io::ErrorKind,
}

impl<S: ClientIo> Guard<S> {
    /// `first` are the bytes already read.
    pub(crate) fn new(socket: S, first: BytesMut, limits: HeadLimits, wire: Arc<Wire>) -> Self {
        let mut guard = Self {
            socket,
            framing: Framing::new(limits),
            wire,
            held: first,
            ready: 0,
            lingered: 0,
            write_closed: false,
            saw_eof: false,
            listens: false,
            body_error: io::ErrorKind::InvalidData,
        };
        if !guard.held.is_empty() {
            guard.scan_held();
        }
        guard
    }

    /// Looks at everything that is held and not yet ready.
    fn scan_held(&mut self) {
        let was_body = self.framing.expects() == Expects::Body;
        let scan = self.framing.scan(&self.held);
        self.tell_what_was_seen();
        self.ready = scan.pass;
        match scan.refuse {
            Some(rule) => self.refuse(rule),
            None => self.note(was_body, scan.pass),
        }
    }

    /// Whatever becomes of the bytes behind: the requests that pass need it.
    fn tell_what_was_seen(&self) {
        if self.framing.upgrade_seen {
            self.wire.upgrade_seen.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        if self.framing.underscore_seen {
            self.wire.underscore_seen.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Tells the sweep where the connection is, after `passed` bytes went on to hyper.
    fn note(&self, was_body: bool, passed: usize) {
        self.wire.body_is_open(self.framing.expects() == Expects::Body);
        match self.framing.expects() {
            // A body's clock only runs while hyper waits for it: see `waiting`.
            Expects::Body => {
                if !was_body {
                    self.wire.body_begins();
                }
                self.wire.body_progress(passed);
            }
            Expects::Head if self.held.len() > self.ready => self.wire.enter(Phase::Head),
            Expects::Head | Expects::Decision => {
                self.wire.enter(Phase::Idle);
                self.wire.progress();
            }
        }
    }

    /// hyper wants bytes and there are none.
    fn waiting(&self) {
        if self.framing.expects() == Expects::Body {
            self.wire.enter(Phase::Body);
        }
    }

    /// Everything that is not ready is dropped; a refusal takes its place.
    fn refuse(&mut self, rule: &'static Rule) {
        let in_body = self.framing.expects() == Expects::Body;
        let (method, path) = if in_body { (String::new(), String::new()) } else { describe(&self.held[self.ready..]) };
        self.wire.refuse(Refused { rule, in_body, method, path });
        self.wire.enter(Phase::Refused);
        self.held.truncate(self.ready);
        if !in_body {
            self.held.extend_from_slice(REFUSED_REQUEST);
            self.ready = self.held.len();
        }
    }

    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let take = self.ready.min(buf.remaining());
        buf.put_slice(&self.held[..take]);
        self.held.advance(take);
        self.ready -= take;
        if self.held.is_empty() {
            // Rarely needed: not to be kept by every idle connection.
            self.held = BytesMut::new();
        }
    }

    /// Acts on what the sweep found. `Some` is the result of the read.
    fn obey(&mut self) -> Option<Poll<io::Result<()>>> {
        match self.wire.order() {
            Order::None => None,
            // Nothing at all was said on this connection: nobody waits for an answer.
            Order::HeadTimeout if self.held.is_empty() => {
                self.saw_eof = true;
                Some(Poll::Ready(Ok(())))
            }
            Order::HeadTimeout => {
                self.refuse(&rules::HEAD_TIMEOUT);
                None
            }
            Order::BodyTimeout if self.framing.expects() == Expects::Body => {
                self.body_error = io::ErrorKind::TimedOut;
                self.refuse(&rules::BODY_TIMEOUT);
                None
            }
            Order::BodyTimeout => None,
            // hyper was told to finish; between requests that means now.
            Order::Finish => None,
            Order::Cut => Some(Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))),
        }
    }

    fn poll_socket(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_read(cx, buf);
        self.listens = polled.is_pending();
        polled
    }

    /// hyper reads nothing while it holds what it cannot use yet. What is found out then is what the runtime was told anyway.
    fn client_has_left(&mut self) -> bool {
        // hyper flushes last, whatever else it has done: who did not ask the socket until now, does not wait for it.
        self.wire.listens(std::mem::take(&mut self.listens));
        if self.wire.phase() == Phase::Open || !self.wire.take_look() {
            return false;
        }
        match self.socket.presence() {
            Presence::Here => false,
            // As when end-of-file is read while an answer is awaited; in a body it may come behind bytes that are still wanted.
            Presence::SaidAll => self.framing.expects() != Expects::Body,
            Presence::Gone => true,
        }
    }

    fn read_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut chunk = [std::mem::MaybeUninit::uninit(); READ_SIZE];
        let mut buf = ReadBuf::uninit(&mut chunk);
        ready!(self.poll_socket(cx, &mut buf))?;
        self.held.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn read_open(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            self.ready = self.held.len();
            self.hand_on(buf);
            return Poll::Ready(Ok(()));
        }
        if self.wire.order() == Order::Cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.wire.decision.register(cx.waker());
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }

    /// Reads and keeps what comes before an upgrade is decided; notices a client that leaves.
    fn read_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.decision.register(cx.waker());
        while self.held.len() < WAITING_LIMIT {
            if ready!(self.read_held(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }
}

impl<S: ClientIo> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.ready > 0 {
                this.hand_on(buf);
                return Poll::Ready(Ok(()));
            }
            match this.wire.phase() {
                Phase::Open => return this.read_open(cx, buf),
                Phase::Refused if this.framing.expects() == Expects::Body => return Poll::Ready(Err(this.body_error.into())),
                // hyper closes the connection once the refusal is written; end-of-file here would make it forget the refusal.
                Phase::Refused => return Poll::Pending,
                Phase::Idle | Phase::Head | Phase::Body => {}
            }
            if let Some(result) = this.obey() {
                return result;
            }
            if this.wire.phase() == Phase::Refused {
                continue;
            }
            let expects = this.framing.expects();
            if expects == Expects::Decision {
                if this.wire.take_declined() {
                    this.framing.declined();
                    if !this.held.is_empty() {
                        this.scan_held();
                    }
                    continue;
                }
                return this.read_waiting(cx);
            }
            if !this.held.is_empty() {
                if ready!(this.read_held(cx))? == 0 {
                    this.saw_eof = true;
                    return Poll::Ready(Ok(()));
                }
                this.scan_held();
                continue;
            }
            let before = buf.filled().len();
            match this.poll_socket(cx, buf) {
                Poll::Pending => {
                    this.waiting();
                    return Poll::Pending;
                }
                Poll::Ready(result) => result?,
            }
            let new = &buf.filled()[before..];
            if new.is_empty() {
                this.saw_eof = true;
                return Poll::Ready(Ok(()));
            }
            let was_body = expects == Expects::Body;
            let scan = this.framing.scan(new);
            this.tell_what_was_seen();
            let (passed, all) = (scan.pass, new.len());
            if passed < all {
                this.held.extend_from_slice(&new[passed..]);
                buf.set_filled(before + passed);
            }
            match scan.refuse {
                Some(rule) => this.refuse(rule),
                None => this.note(was_body, passed),
            }
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: ClientIo> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.wire.wrote(written(&result));
        result
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.socket).poll_write_vectored(cx, slices);
        this.wire.wrote(written(&result));
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.wire.flushed();
        if this.client_has_left() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.write_closed {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
            this.write_closed = true;
            if this.wire.phase() != Phase::Open {
                // From here on the sweep gives the client a moment to read.
                this.wire.enter(Phase::Refused);
            }
        }
        if this.saw_eof || this.wire.phase() == Phase::Open {
            return Poll::Ready(Ok(()));
        }
        let mut chunk = [std::mem::MaybeUninit::uninit(); READ_SIZE];
        while this.lingered < LINGER_LIMIT {
            let mut buf = ReadBuf::uninit(&mut chunk);
            ready!(Pin::new(&mut this.socket).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                break;
            }
            this.lingered += buf.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: ClientIo> Drop for Guard<S> {
    fn drop(&mut self) {
        if self.wire.order() == Order::Cut || self.wire.is_broken_off() {
            self.socket.reset_on_close();
        }
        self.wire.close();
    }
}

/// What a write did, for the wire: the bytes taken, or nothing yet. An error ends the connection by itself.
fn written(result: &Poll<io::Result<usize>>) -> Option<usize> {
    match result {
        Poll::Pending => None,
        Poll::Ready(result) => Some(*result.as_ref().unwrap_or(&0)),
    }
}

/// In the place of what cannot be shown.
const UNSHOWN: &str = "-";

/// Method and path of a refused head, as far as they can be shown: whatever does not look like a request's line may be a header, or a
/// body, with a secret in it. Without the query: tokens travel in it.
fn describe(head: &[u8]) -> (String, String) {
    let line = head.split(|b| matches!(b, b'\r' | b'\n')).find(|line| !line.is_empty()).unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let method = words.next().filter(|method| is_registered(method)).map(|method| String::from_utf8_lossy(method).into_owned());
    let Some(method) = method else { return (UNSHOWN.to_owned(), UNSHOWN.to_owned()) };
    let path = path_of(words.next().unwrap_or_default()).split(|b| matches!(b, b'?' | b'#')).next().unwrap_or_default();
    let shown = path[..path.len().min(DESCRIBED)].iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '.' });
    (method, if path.is_empty() { UNSHOWN.to_owned() } else { shown.collect() })
}

/// What begins with `/`, behind `http://host` if that stands there; nothing of any other target.
fn path_of(target: &[u8]) -> &[u8] {
    let rest = [&b"http://"[..], b"https://"].iter().find_map(|scheme| {
        let (front, rest) = target.split_at_checked(scheme.len())?;
        front.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    match rest {
        Some(rest) => &rest[rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len())..],
        None if target.first() == Some(&b'/') => target,
        None => b"",
    }
}
