//! An answer's body with the request it belongs to: counts bytes, and lets go of the request when the last one has been handed over.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use baluarte_proxy::{BodyError, ResponseBody};
use bytes::Bytes;
use http::{Method, Version};
use http_body::{Body, Frame, SizeHint};

use crate::core::Exchange;

pub(crate) struct AnswerBody {
    inner: ResponseBody,
    /// Boxed: the body is moved about, and this is large.
    exchange: Box<Exchange>,
}

impl AnswerBody {
    pub(crate) fn new(inner: ResponseBody, mut exchange: Box<Exchange>) -> Self {
        // hyper does not even ask for a body that HTTP does not allow.
        let bodiless = exchange.method == Method::HEAD || matches!(exchange.status, 100..=199 | 204 | 304);
        exchange.complete = bodiless || inner.is_end_stream();
        Self { inner, exchange }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.exchange.bytes += data.len() as u64;
                }
                this.exchange.complete = frame.is_trailers() || this.inner.is_end_stream();
            }
            Poll::Ready(None) => this.exchange.complete = true,
            Poll::Ready(Some(Err(err))) => {
                if this.exchange.version == Version::HTTP_10 {
                    // Where an answer may end with its connection, an end as usual would make it whole.
                    this.exchange.wire.break_off();
                }
                tracing::debug!(target: "edge", request_id = &*this.exchange.meta.request_id, error = %err, "an answer was cut short");
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
