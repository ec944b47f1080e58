//! An answer's body as it comes from the upstream; gives its connection back when complete, closes it when not.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::{
    BodyError,
    outgoing::Progress,
    pool::{Line, Slot},
};

pub struct UpstreamBody {
    inner: Incoming,
    /// Until the body is complete.
    exchange: Option<Exchange>,
    longest_silence: Duration,
    /// The timer runs since the last time there was nothing to read.
    waiting: bool,
}

struct Exchange {
    line: Line,
    slot: Slot,
    /// Of the request's body, if it had one.
    progress: Option<Rc<Progress>>,
}

impl UpstreamBody {
    pub(crate) fn new(inner: Incoming, line: Line, slot: Slot, progress: Option<Rc<Progress>>, longest_silence: Duration) -> Self {
        let mut body = Self { inner, exchange: Some(Exchange { line, slot, progress }), longest_silence, waiting: false };
        if body.inner.is_end_stream() {
            body.complete();
        }
        body
    }

    fn complete(&mut self) {
        // An answer that came before the request was read to its end leaves the rest of it on the connection.
        if let Some(Exchange { line, slot, progress }) = self.exchange.take()
            && progress.is_none_or(|progress| progress.is_complete())
        {
            slot.give_back(line);
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let Some(Exchange { line, progress, .. }) = &mut self.exchange else { return Poll::Pending };
        if !self.waiting {
            self.waiting = true;
            line.timer.as_mut().reset(Instant::now() + self.longest_silence);
        }
        loop {
            ready!(line.timer.as_mut().poll(cx));
            // While the client is still sending, silence in this direction is not the upstream's fault.
            let deadline = progress
                .as_ref()
                .filter(|progress| !progress.is_complete())
                .map(|progress| progress.deadline(self.longest_silence, self.longest_silence));
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
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(None) => {
                this.complete();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting = false;
                if this.inner.is_end_stream() {
                    this.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(err))) => {
                this.exchange = None;
                Poll::Ready(Some(Err(BodyError::Upstream(err))))
            }
            Poll::Pending => {
                let err = ready!(this.poll_silence(cx));
                this.exchange = None;
                Poll::Ready(Some(Err(err)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
