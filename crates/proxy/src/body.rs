//! The two body types of the data plane: what the edge reads from a client, and what a door answers with.

use std::{
    error::Error as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::UpstreamBody;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More than the route allows: 413 when nothing has been answered yet.
    #[error("the body is larger than allowed")]
    TooLarge,
    /// Slower than allowed: 408 when nothing has been answered yet.
    #[error("the body came too slowly")]
    TooSlow,
    #[error("the client went away or broke the protocol")]
    Client(#[source] hyper::Error),
    #[error("the upstream went away or broke the protocol")]
    Upstream(#[source] io::Error),
    #[error(transparent)]
    Other(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// A request's body on its way in: counted, timed, streamed. `Send`, so that the app on the control runtime can read it.
#[derive(Debug)]
pub struct RequestBody {
    inner: Option<hyper::body::Incoming>,
    /// Bytes that may still come.
    left: u64,
    max_pause: Option<Duration>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub fn empty() -> Self {
        Self { inner: None, left: u64::MAX, max_pause: None, pause: None }
    }

    /// Of any size, at any speed.
    pub fn incoming(inner: hyper::body::Incoming) -> Self {
        Self { inner: Some(inner), ..Self::empty() }
    }

    /// At most `bytes` from here on; then [`BodyError::TooLarge`], at once when the client says beforehand that it will send more.
    pub fn limit(&mut self, bytes: u64) {
        self.left = bytes;
    }

    /// At most `pause` between two pieces while somebody waits for them; then [`BodyError::TooSlow`].
    pub fn bound_pauses(&mut self, pause: Duration) {
        self.max_pause = Some(pause);
    }

    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), BodyError> {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.end(BodyError::TooLarge)),
        }
    }

    /// Nothing comes after an error.
    fn end(&mut self, err: BodyError) -> BodyError {
        self.inner = None;
        err
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(max_pause) = self.max_pause else { return Poll::Pending };
        self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(max_pause))).as_mut().poll(cx)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        // Before the first read, which is what lets a client that waits for `100 Continue` begin to send.
        if inner.size_hint().lower() > this.left {
            return Poll::Ready(Some(Err(this.end(BodyError::TooLarge))));
        }
        match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.pause = None;
                Poll::Ready(frame.map(|frame| match frame {
                    Ok(frame) => this.count(&frame).map(|()| frame),
                    Err(err) if timed_out(&err) => Err(this.end(BodyError::TooSlow)),
                    Err(err) => Err(this.end(BodyError::Client(err))),
                }))
            }
            Poll::Pending => match this.poll_pause(cx) {
                Poll::Ready(()) => Poll::Ready(Some(Err(this.end(BodyError::TooSlow)))),
                Poll::Pending => Poll::Pending,
            },
        }
    }
    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }
    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The edge ended a connection whose body came too slowly.
fn timed_out(err: &hyper::Error) -> bool {
    err.source().and_then(|source| source.downcast_ref::<io::Error>()).is_some_and(|err| err.kind() == io::ErrorKind::TimedOut)
}

/// An answer's body on its way out. Not `Send`: it may hold a connection of this core's pool.
pub enum ResponseBody {
    Empty,
    Full(Bytes),
    /// From an upstream, over a connection of this core's pool.
    Upstream(Box<UpstreamBody>),
    /// From the app on the control runtime, or a file being read.
    Boxed(Pin<Box<dyn Body<Data = Bytes, Error = BodyError>>>),
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(if bytes.is_empty() { None } else { Some(Ok(Frame::data(bytes))) })
            }
            Self::Upstream(body) => Pin::new(&mut **body).poll_frame(cx),
            Self::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Boxed(body) => body.is_end_stream(),
        }
    }
    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Upstream(body) => body.size_hint(),
            Self::Boxed(body) => body.size_hint(),
        }
    }
}
