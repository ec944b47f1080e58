//! HTTP/2: answers that the client asked for and does not read. Its connection goes on, answers pings and looks alive, while
//! each such answer would hold a connection to an upstream, or a file, for ever.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll},
};

use baluarte_proxy::{BodyError, ResponseBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::wire::{Patience, Wire};

/// So many times the patience for a client that reads nothing, for one that reads other answers on the same connection.
const BUSY: u32 = 12;

/// A streamed answer that is let go when it stays unread.
pub(crate) struct Readable(Rc<Offer>);

struct Offer {
    /// `None`: let go.
    body: RefCell<Option<ResponseBody>>,
    wire: Arc<Wire>,
    /// The tick since which it is the client that lets us wait, and the bytes its connection had taken by then.
    since: Cell<Option<(u32, u64)>>,
}

impl Offer {
    fn waits_for_client(&self) {
        self.since.set(Some((self.wire.tick(), self.wire.written())));
    }

    fn is_unread(&self, patience: &Patience) -> bool {
        self.since.get().is_some_and(|(tick, written)| {
            let waited = self.wire.tick().wrapping_sub(tick);
            let taken = self.wire.written().wrapping_sub(written);
            waited > patience.write && (!patience.enough(taken, waited) || waited / BUSY > patience.write)
        })
    }
}

impl Body for Readable {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut *self.0.body.borrow_mut() else { return Poll::Ready(Some(Err(BodyError::TooSlow))) };
        let polled = Pin::new(body).poll_frame(cx);
        // hyper asks for more only when the client has room for more.
        match &polled {
            Poll::Ready(_) => self.0.waits_for_client(),
            Poll::Pending => self.0.since.set(None),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.body.borrow().as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.body.borrow().as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

/// The streamed answers of one core's HTTP/2 connections.
#[derive(Default)]
pub(crate) struct Unread(RefCell<Vec<Weak<Offer>>>);

impl Unread {
    /// The same answer, watched if it is one that holds something.
    pub(crate) fn watch(&self, body: ResponseBody, wire: &Arc<Wire>) -> ResponseBody {
        if matches!(body, ResponseBody::Empty | ResponseBody::Full(_)) {
            return body;
        }
        let offer = Rc::new(Offer { body: RefCell::new(Some(body)), wire: Arc::clone(wire), since: Cell::new(None) });
        offer.waits_for_client();
        self.0.borrow_mut().push(Rc::downgrade(&offer));
        ResponseBody::Boxed(Box::pin(Readable(offer)))
    }

    /// Called once a tick.
    pub(crate) fn let_go(&self, patience: &Patience) {
        let mut given_up = Vec::new();
        self.0.borrow_mut().retain(|offer| {
            let Some(offer) = offer.upgrade() else { return false };
            let unread = offer.is_unread(patience);
            if unread {
                given_up.push(offer.body.take());
            }
            !unread
        });
    }
}
