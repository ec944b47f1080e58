//! HTTP/1.1 as it is spoken to upstreams: one request, one answer, driven by whoever waits for the answer.
//!
//! `request` writes a head, `head` reads one, `chunked` takes a chunked body apart, `sending` carries a request's body. Nothing in
//! here waits or allocates while a connection rests, and buffers belong to the core, not to the connection: with hundreds of
//! connections, buffers of their own would push each other out of the processor's cache.

mod chunked;
mod head;
mod request;
mod sending;

pub(crate) use chunked::Chunked;
pub(crate) use head::{Answer, Framing, Parsed, parse};
pub(crate) use request::{Head, write_head};
pub(crate) use sending::{Sending, Stopped};
