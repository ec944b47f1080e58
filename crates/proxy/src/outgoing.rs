//! A request's body on its way to the upstream, watched so that the answer's time begins when the body has left.

use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::rc::Rc;
use tokio::time::Instant;

use crate::{BodyError, RequestBody, error::ClientFault};

pub(crate) struct Outgoing {
    inner: RequestBody,
    progress: Option<Rc<Progress>>,
}

impl Outgoing {
    pub(crate) fn new(inner: RequestBody, progress: Option<Rc<Progress>>) -> Self {
        Self { inner, progress }
    }
}

/// How far a request's body has come.
pub(crate) struct Progress {
    moved: Cell<Instant>,
    complete: Cell<bool>,
    fault: Cell<Option<ClientFault>>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { moved: Cell::new(Instant::now()), complete: Cell::new(false), fault: Cell::new(None) }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete.get()
    }

    pub(crate) fn fault(&self) -> Option<ClientFault> {
        self.fault.get()
    }

    /// When to give up waiting for an answer.
    pub(crate) fn deadline(&self, timeout: Duration, idle_timeout: Duration) -> Instant {
        self.moved.get() + if self.complete.get() { timeout } else { idle_timeout.max(timeout) }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if let Some(progress) = &this.progress {
            progress.moved.set(Instant::now());
            match &frame {
                None => progress.complete.set(true),
                Some(Ok(_)) => progress.complete.set(this.inner.is_end_stream()),
                Some(Err(err)) => progress.fault.set(Some(err.into())),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
