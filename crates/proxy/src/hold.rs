//! Ending from outside what goes on after an answer's head: an upgraded connection, a body that streams for hours.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use crate::{BodyError, ResponseBody};

/// Dropping it ends what it holds.
#[derive(Debug)]
pub struct Hold(oneshot::Sender<Infallible>);

/// Becomes ready when the [`Hold`] is dropped.
pub(crate) type LetGo = oneshot::Receiver<Infallible>;

impl Hold {
    pub(crate) fn new() -> (Self, LetGo) {
        let (hold, let_go) = oneshot::channel();
        (Self(hold), let_go)
    }

    /// What it held has ended by itself.
    pub fn is_over(&self) -> bool {
        self.0.is_closed()
    }
}

impl ResponseBody {
    /// The same body, which breaks off when the hold is dropped.
    pub fn hold(self) -> (Self, Hold) {
        let (hold, let_go) = Hold::new();
        (Self::Boxed(Box::pin(Held { inner: self, let_go })), hold)
    }
}

struct Held {
    inner: ResponseBody,
    let_go: LetGo,
}

impl Body for Held {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if !this.let_go.is_terminated() && Pin::new(&mut this.let_go).poll(cx).is_ready() {
            this.inner = ResponseBody::Empty;
            return Poll::Ready(Some(Err(BodyError::Other("whom the answer was for may not have it any longer".into()))));
        }
        Pin::new(&mut this.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
