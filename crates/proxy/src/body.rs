//! The two body types of the data plane: what the edge reads from a client, and what a door answers with.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

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
    Upstream(#[source] hyper::Error),
    #[error(transparent)]
    Other(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// A request's body on its way in: counted, timed, streamed. `Send`, so that the app on the control runtime can read it.
#[derive(Debug)]
pub struct RequestBody {
    inner: Option<hyper::body::Incoming>,
}

impl RequestBody {
    pub fn empty() -> Self {
        Self { inner: None }
    }
    pub fn incoming(inner: hyper::body::Incoming) -> Self {
        Self { inner: Some(inner) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.get_mut().inner {
            Some(inner) => Pin::new(inner).poll_frame(cx).map_err(BodyError::Client),
            None => Poll::Ready(None),
        }
    }
    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }
    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// An answer's body on its way out. Not `Send`: it may hold a connection of this core's pool.
pub enum ResponseBody {
    Empty,
    Full(Bytes),
    /// From an upstream, over a connection of this core's pool.
    Upstream(UpstreamBody),
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
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
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
