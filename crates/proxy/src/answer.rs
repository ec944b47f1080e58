//! An answer's body as it comes from the upstream; gives its connection back when complete, closes it when not.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::{
    BodyError,
    http1::{Chunked, Framing, Sending, Stopped},
    pool::{Line, Slot},
};

/// A body of which not everything had come with the head.
pub struct UpstreamBody {
    left: Left,
    /// Bytes that came and have not been looked at.
    rest: Bytes,
    /// Until the body is complete.
    exchange: Option<Exchange>,
    longest_silence: Duration,
    /// The timer runs since the last time there was nothing to read.
    waiting: bool,
}

/// What has not been handed on.
enum Left {
    Sized(u64),
    Chunked(Chunked),
    UntilClose,
}

pub(crate) struct Exchange {
    pub(crate) line: Line,
    pub(crate) slot: Slot,
    /// The request's body, if it had one.
    pub(crate) sending: Option<Box<Sending>>,
    pub(crate) keep_alive: bool,
}

impl Exchange {
    /// The answer has come, with these bytes behind it: the connection is used again, if it may be.
    pub(crate) fn complete(self, behind: &[u8]) {
        // An answer that came before the request was sent to its end leaves the rest of it on the connection; bytes that nobody
        // asked for would be taken for the next answer.
        if self.keep_alive && behind.is_empty() && self.sending.is_none_or(|sending| sending.is_complete()) {
            self.slot.give_back(self.line);
        }
    }
}

impl UpstreamBody {
    pub(crate) fn new(framing: Framing, rest: Bytes, exchange: Exchange, longest_silence: Duration) -> Self {
        let left = match framing {
            Framing::Sized(length) => Left::Sized(length),
            Framing::Chunked => Left::Chunked(Chunked::new()),
            Framing::UntilClose => Left::UntilClose,
        };
        Self { left, rest, exchange: Some(exchange), longest_silence, waiting: false }
    }

    /// The next frame of what has come; `None`: more has to come, or nothing is left.
    fn next(&mut self) -> Result<Option<Frame<Bytes>>, &'static str> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let frame = match &mut self.left {
            Left::Sized(left) => {
                let take = usize::try_from(*left).map_or(self.rest.len(), |left| left.min(self.rest.len()));
                *left -= take as u64;
                Some(Frame::data(self.rest.split_to(take)))
            }
            Left::Chunked(chunked) => chunked.next(&mut self.rest)?,
            Left::UntilClose => Some(Frame::data(std::mem::take(&mut self.rest))),
        };
        if self.is_whole()
            && let Some(exchange) = self.exchange.take()
        {
            exchange.complete(&self.rest);
        }
        Ok(frame)
    }

    fn is_whole(&self) -> bool {
        match &self.left {
            Left::Sized(left) => *left == 0,
            Left::Chunked(chunked) => chunked.is_done(),
            Left::UntilClose => false,
        }
    }

    /// More bytes, in `rest`. Ready without any: the connection has ended where it may.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let Some(Exchange { line, slot, sending, .. }) = &mut self.exchange else { return Poll::Ready(Ok(())) };
        if let Some(sending) = sending
            && let Poll::Ready(Err(Stopped::Client(_))) = sending.poll(cx, &mut line.stream)
        {
            return Poll::Ready(Err(BodyError::Other("the client's request broke off".into())));
        }
        let expected = match self.left {
            Left::Sized(left) => left,
            Left::Chunked(_) => 0,
            Left::UntilClose => u64::MAX,
        };
        match slot.buffers().poll_read(&mut line.stream, cx, expected) {
            Poll::Ready(Ok(bytes)) if !bytes.is_empty() => {
                self.waiting = false;
                self.rest = bytes;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(_)) if matches!(self.left, Left::UntilClose) => {
                self.exchange = None;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(_)) => Poll::Ready(Err(BodyError::Upstream(io::ErrorKind::UnexpectedEof.into()))),
            Poll::Ready(Err(err)) => Poll::Ready(Err(BodyError::Upstream(err))),
            Poll::Pending => self.poll_silence(cx).map(Err),
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let Some(Exchange { line, sending, .. }) = &mut self.exchange else { return Poll::Pending };
        if !self.waiting {
            self.waiting = true;
            line.used = Instant::now();
            line.timer.as_mut().reset(line.used + self.longest_silence);
        }
        loop {
            ready!(line.timer.as_mut().poll(cx));
            // While the client is still sending, silence in this direction is not the upstream's fault.
            let deadline = sending
                .as_ref()
                .filter(|sending| !sending.is_complete())
                .map(|sending| sending.deadline(self.longest_silence, self.longest_silence));
            match deadline {
                Some(deadline) if deadline > Instant::now() => line.timer.as_mut().reset(deadline),
                _ => return Poll::Ready(BodyError::Other("the upstream stopped in the middle of its answer".into())),
            }
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            match this.next() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if this.exchange.is_none() => return Poll::Ready(None),
                Ok(None) => {}
                Err(why) => {
                    this.exchange = None;
                    return Poll::Ready(Some(Err(BodyError::Upstream(io::Error::new(io::ErrorKind::InvalidData, why)))));
                }
            }
            if let Err(err) = ready!(this.poll_read(cx)) {
                this.exchange = None;
                return Poll::Ready(Some(Err(err)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.exchange.is_none() && self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Left::Sized(left) => SizeHint::with_exact(left),
            Left::Chunked(_) | Left::UntilClose => SizeHint::default(),
        }
    }
}
