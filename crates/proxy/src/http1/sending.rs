//! A request with a body on its way to the upstream, watched so that the answer's time begins when the body has left.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Body;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::request::{Coding, Head, write_head_before_body};
use crate::{BodyError, RequestBody, error::ClientFault, headers::tokens};

/// Pieces of a body up to this size are copied behind what goes before them, to be written with it; larger ones are written as they are.
const COPIED: usize = 8 * 1_024;
/// Until this much is gathered, more is looked for before writing.
const GATHERED: usize = 16 * 1_024;
/// What may come after a body on its way to an app (RFC 9110, 6.5.1): nothing that frames, routes, authenticates or describes it.
const FORBIDDEN_TRAILERS: [HeaderName; 14] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::EXPECT,
    header::HOST,
    header::RANGE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];

pub(crate) struct Sending<B = RequestBody> {
    /// The head, and small pieces of the body, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// A large piece, to be written behind `out`.
    piece: Bytes,
    /// What ends that piece: the line end of a chunk.
    piece_end: &'static [u8],
    /// Until it has been read to its end.
    body: Option<B>,
    coding: Coding,
    announced: Option<HeaderValue>,
    touched: bool,
    moved: Instant,
    /// Everything that the client has sent has been written.
    waits_for_client: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    UnderWay,
    Complete,
    /// The upstream takes no more.
    Stopped,
}

/// Why a body cannot be sent on.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The upstream takes no more of it. It may have answered, though.
    Upstream,
    Client(ClientFault),
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Sending<B> {
    pub(crate) fn new(head: &Head<'_>, body: B) -> Self {
        let mut out = Vec::with_capacity(1_024);
        let coding = write_head_before_body(&mut out, head, body.size_hint().exact());
        Self {
            out,
            written: 0,
            piece: Bytes::new(),
            piece_end: b"",
            body: Some(body),
            coding,
            announced: head.headers.get(header::TRAILER).cloned(),
            touched: false,
            moved: Instant::now(),
            waits_for_client: false,
            state: State::UnderWay,
        }
    }

    /// What is left of a head without a body behind it that was not taken as a whole.
    pub(crate) fn rest_of_head(rest: &[u8]) -> Self {
        Self {
            out: rest.to_vec(),
            written: 0,
            piece: Bytes::new(),
            piece_end: b"",
            body: None,
            coding: Coding::Sized(0),
            announced: None,
            touched: true,
            moved: Instant::now(),
            waits_for_client: false,
            state: State::UnderWay,
        }
    }

    /// An attempt to send it begins; it may have waited for a place until now.
    pub(crate) fn begins(&mut self) {
        self.moved = Instant::now();
    }

    /// Nothing of it has reached the upstream: it may be sent over another connection.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.touched
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// When to give up waiting for an answer.
    pub(crate) fn deadline(&self, timeout: Duration, idle_timeout: Duration) -> Instant {
        // What the client owes is not the upstream's fault: the edge bounds how long that may take.
        let since = if self.waits_for_client { Instant::now() } else { self.moved };
        since + if self.is_complete() { timeout } else { idle_timeout.max(timeout) }
    }

    /// Ready when everything has been written.
    pub(crate) fn poll<S: AsyncRead + AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, stream: &mut S) -> Poll<Result<(), Stopped>> {
        match self.state {
            State::Complete => return Poll::Ready(Ok(())),
            State::Stopped => return Poll::Pending,
            State::UnderWay => {}
        }
        let polled = self.poll_on(cx, stream);
        match &polled {
            Poll::Ready(Ok(())) => {
                self.state = State::Complete;
                self.moved = Instant::now();
            }
            Poll::Ready(Err(Stopped::Upstream)) if self.is_untouched() => {}
            Poll::Ready(Err(_)) => self.state = State::Stopped,
            Poll::Pending => {}
        }
        polled
    }

    fn poll_on<S: AsyncRead + AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, stream: &mut S) -> Poll<Result<(), Stopped>> {
        loop {
            self.waits_for_client = false;
            let waits_for_client = self.gather(cx).map_err(Stopped::Client)?;
            ready!(self.write(cx, stream)).map_err(|_| Stopped::Upstream)?;
            if self.body.is_none() {
                return Pin::new(&mut *stream).poll_flush(cx).map_err(|_| Stopped::Upstream);
            }
            if waits_for_client {
                self.waits_for_client = true;
                // A TLS record may still be under way: it needs no waiting for.
                return match Pin::new(&mut *stream).poll_flush(cx) {
                    Poll::Ready(Err(_)) => Poll::Ready(Err(Stopped::Upstream)),
                    Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
                };
            }
        }
    }

    /// Reads what the client has sent, so that the head and the beginning of a body leave together. True: it has sent no more.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<bool, ClientFault> {
        while self.piece.is_empty() && self.out.len() - self.written < GATHERED {
            let Some(body) = &mut self.body else { return Ok(false) };
            let frame = match Pin::new(body).poll_frame(cx) {
                Poll::Pending => return Ok(true),
                Poll::Ready(None) => {
                    self.end(None)?;
                    continue;
                }
                Poll::Ready(Some(frame)) => frame.map_err(|err| ClientFault::from(&err))?,
            };
            self.moved = Instant::now();
            match frame.into_data() {
                Ok(data) => self.add(data)?,
                Err(frame) => self.end(frame.into_trailers().ok())?,
            }
            if self.coding == Coding::Sized(0) {
                self.end(None)?;
            }
        }
        Ok(false)
    }

    fn add(&mut self, data: Bytes) -> Result<(), ClientFault> {
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.coding {
            // Longer than announced: what is too much would be read as another request.
            Coding::Sized(left) => *left = left.checked_sub(data.len() as u64).ok_or(ClientFault::Gone)?,
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
        Ok(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), ClientFault> {
        self.body = None;
        match self.coding {
            // Shorter than announced: the upstream would take the next request for the rest.
            Coding::Sized(1..) => return Err(ClientFault::Gone),
            Coding::Sized(0) => {}
            Coding::Chunked => {
                self.out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.iter().flatten() {
                    let announced = || self.announced.iter().flat_map(tokens).any(|token| token.eq_ignore_ascii_case(name.as_str()));
                    if !FORBIDDEN_TRAILERS.contains(name) && announced() {
                        self.out.extend_from_slice(name.as_str().as_bytes());
                        self.out.extend_from_slice(b": ");
                        self.out.extend_from_slice(value.as_bytes());
                        self.out.extend_from_slice(b"\r\n");
                    }
                }
                self.out.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }

    fn write<S: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, stream: &mut S) -> Poll<io::Result<()>> {
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
            let count = ready!(Pin::new(&mut *stream).poll_write(cx, bytes))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.touched = true;
            self.moved = Instant::now();
            if from_out {
                self.written += count;
            } else {
                self.piece.advance(count);
            }
        }
    }
}

fn push_hex(out: &mut Vec<u8>, number: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|digit| DIGITS[number >> (4 * digit) & 15]));
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, task::Waker};

    use http::{Method, Uri};
    use http_body::{Frame, SizeHint};
    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};

    use super::*;

    /// A client's body, frame by frame.
    struct Frames(VecDeque<Frame<Bytes>>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = BodyError;
        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }
        fn size_hint(&self) -> SizeHint {
            SizeHint::default()
        }
    }

    fn data(text: &str) -> Frame<Bytes> {
        Frame::data(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// `POST /`, with these headers, to an upstream that takes `room` bytes: how sending ended, and the upstream's end.
    fn send(
        headers: &[(HeaderName, &str)],
        frames: Vec<Frame<Bytes>>,
        room: usize,
    ) -> (Sending<Frames>, Poll<Result<(), Stopped>>, DuplexStream) {
        let (mut near, far) = duplex(room);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let head = Head { method: &Method::POST, uri: &Uri::from_static("/"), headers: &map, lines: b"" };
        let mut sending = Sending::new(&head, Frames(frames.into()));
        let polled = sending.poll(&mut Context::from_waker(Waker::noop()), &mut near);
        (sending, polled, far)
    }

    async fn received(mut far: DuplexStream) -> String {
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        text
    }

    const ROOM: usize = 64 * 1_024;

    #[tokio::test]
    async fn a_body_of_the_announced_length_leaves_with_its_head() {
        let (sending, polled, far) = send(&[(header::CONTENT_LENGTH, "5")], vec![data("he"), data("llo")], ROOM);
        assert!(matches!(polled, Poll::Ready(Ok(()))) && sending.is_complete());
        assert_eq!(received(far).await, "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello");
    }

    #[tokio::test]
    async fn a_body_that_is_not_as_long_as_announced_is_no_request() {
        for (announced, frames) in
            [("3", vec![data("hel"), data("lo")]), ("3", vec![data("hello")]), ("9", vec![data("hello")]), ("9", vec![])]
        {
            let (mut sending, polled, far) = send(&[(header::CONTENT_LENGTH, announced)], frames, ROOM);
            // Sent to its end, the excess, or what follows, would be read as another request.
            let taken = received(far).await;
            assert!(taken.split_once("\r\n\r\n").is_none_or(|(_, body)| body.len() <= 3), "{announced}: {taken}");
            match (announced, polled) {
                // All of it had come: what is behind is not even read.
                ("3", Poll::Ready(Ok(()))) => assert!(sending.is_complete() && taken.ends_with("\r\n\r\nhel")),
                (_, Poll::Ready(Err(Stopped::Client(ClientFault::Gone)))) => assert!(!sending.is_complete()),
                (announced, polled) => panic!("{announced}: {polled:?}"),
            }
            let again = sending.poll(&mut Context::from_waker(Waker::noop()), &mut duplex(ROOM).0);
            assert_eq!(again.is_ready(), sending.is_complete(), "nothing more is sent");
        }
    }

    #[tokio::test]
    async fn only_announced_and_harmless_trailers_follow_a_chunked_body() {
        let mut trailers = HeaderMap::new();
        for (name, value) in [("x-sum", "1"), ("x-other", "2"), ("content-length", "9"), ("authorization", "x")] {
            trailers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let (sending, polled, far) = send(
            &[(header::TRAILER, "X-Sum, content-length, authorization")],
            vec![data("hello"), data(""), Frame::trailers(trailers)],
            ROOM,
        );
        assert!(matches!(polled, Poll::Ready(Ok(()))) && sending.is_complete());
        let text = received(far).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with("transfer-encoding: chunked") && !head.contains("\r\ncontent-length"), "{head}");
        assert_eq!(body, "5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n");
    }

    #[tokio::test]
    async fn a_large_piece_is_framed_like_a_small_one() {
        let large = "x".repeat(COPIED + 1);
        let (_, polled, far) = send(&[], vec![data(&large), data("y")], ROOM);
        assert!(matches!(polled, Poll::Ready(Ok(()))));
        assert!(received(far).await.ends_with(&format!("\r\n\r\n2001\r\n{large}\r\n1\r\ny\r\n0\r\n\r\n")));
        let length = large.len().to_string();
        let (_, polled, far) = send(&[(header::CONTENT_LENGTH, &length)], vec![data(&large)], ROOM);
        assert!(matches!(polled, Poll::Ready(Ok(()))));
        assert!(received(far).await.ends_with(&format!("\r\n\r\n{large}")));
    }

    #[tokio::test]
    async fn an_upstream_that_stops_reading_within_a_body_is_sent_nothing_twice() {
        let (mut sending, polled, far) = send(&[(header::CONTENT_LENGTH, "99999")], vec![data(&"x".repeat(99_999))], 1_024);
        assert!(polled.is_pending() && !sending.is_untouched());
        drop(far);
        let mut cx = Context::from_waker(Waker::noop());
        let mut near = duplex(1).0;
        assert!(matches!(sending.poll(&mut cx, &mut near), Poll::Ready(Err(Stopped::Upstream))));
        assert!(sending.poll(&mut cx, &mut near).is_pending() && !sending.is_complete(), "it may still have answered");
    }

    #[tokio::test]
    async fn a_body_of_which_nothing_was_taken_may_go_elsewhere() {
        let (mut near, far) = duplex(ROOM);
        drop(far);
        let map = HeaderMap::new();
        let head = Head { method: &Method::POST, uri: &Uri::from_static("/"), headers: &map, lines: b"" };
        let mut sending = Sending::new(&head, Frames([data("hello")].into()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(sending.poll(&mut cx, &mut near), Poll::Ready(Err(Stopped::Upstream))) && sending.is_untouched());
        let (mut near, far) = duplex(ROOM);
        assert!(matches!(sending.poll(&mut cx, &mut near), Poll::Ready(Ok(()))));
        drop(near);
        assert!(received(far).await.ends_with("5\r\nhello\r\n0\r\n\r\n"));
    }
}
