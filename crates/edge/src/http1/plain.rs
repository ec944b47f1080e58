//! Requests that are one head and nothing else: most of them. Their head is judged and taken apart in one pass, the door is called,
//! its answer written, without hyper in between. Whatever is not that plain (a body, an upgrade, an expectation, HTTP/1.0, trailers
//! wanted, anything that breaks a rule) makes the connection go on, from that request, with hyper behind the guard.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll, ready},
};

use baluarte_proxy::{RequestBody, blank_request};
use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use memchr::memchr;
use tokio::io::ReadBuf;

use super::{
    answer::{Answering, says_close},
    framing::check_incomplete,
    head::{self, Body},
};
use crate::{
    core::Core,
    door::Door,
    service::Service,
    tls::{ClientIo, Presence},
    wire::{Order, Phase, Wire},
};

/// So many times more is read for one head; then the guard goes on, which searches only what is new.
const PIECES: u8 = 8;
/// So many bytes of further requests are taken while one is answered; a client that sends more waits.
const AHEAD: usize = 16 * 1_024;

/// Why the plain way ends.
pub(crate) enum Left<S> {
    /// What comes next has to be looked at by the guard: these bytes, and what follows.
    Other(S, BytesMut),
    /// Everything is answered and nothing is to follow.
    Finished(S),
    /// The client has gone, or is to be cut off.
    Gone(S),
}

/// A request, or why there is none.
enum Next {
    Request(Plain),
    Other,
    Finished,
    Gone,
}

struct Plain {
    request: Box<Request<RequestBody>>,
    keep_alive: bool,
}

/// Serves a connection as long as its requests are plain. `held`: what has been read from it.
pub(crate) async fn serve<S: ClientIo, D: Door>(mut stream: S, mut held: BytesMut, service: &Rc<Service<D>>) -> Left<S> {
    let (core, wire) = (&*service.core, &*service.wire);
    loop {
        let mut pieces = 0;
        let next = poll_fn(|cx| poll_next(cx, &mut stream, &mut held, core, wire, &mut pieces)).await;
        let Plain { request, keep_alive } = match next {
            Next::Request(plain) => plain,
            Next::Other => return Left::Other(stream, held),
            Next::Finished => return Left::Finished(stream),
            Next::Gone => return Left::Gone(stream),
        };
        let method = request.method().clone();
        // On the heap while it lasts: a connection that rests does not carry the size of a request about.
        let mut call = Box::pin(Rc::clone(service).answer_without_added(request));
        let called = poll_fn(|cx| {
            if wire.order() == Order::Cut {
                return Poll::Ready(None);
            }
            match call.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => poll_leaves(cx, &mut stream, &mut held, core, wire).map(|()| None),
            }
        })
        .await;
        let Some((response, added)) = called else { return Left::Gone(stream) };
        drop(call);
        let mut answering = Answering::new(core, wire, response, added, &method, keep_alive);
        let written = poll_fn(|cx| {
            if wire.order() == Order::Cut {
                return Poll::Ready(false);
            }
            match answering.poll(cx, &mut stream, wire) {
                Poll::Ready(result) => Poll::Ready(result.is_ok()),
                // An answer may say nothing for hours: whoever has left does not keep its upstream busy.
                Poll::Pending => poll_leaves(cx, &mut stream, &mut held, core, wire).map(|()| false),
            }
        })
        .await;
        let keep_alive = answering.keep_alive;
        core.buffers.give_back(answering.into_out());
        if !written {
            return Left::Gone(stream);
        }
        if !keep_alive {
            return Left::Finished(stream);
        }
    }
}

fn poll_next<S: ClientIo>(
    cx: &mut Context<'_>,
    stream: &mut S,
    held: &mut BytesMut,
    core: &Core,
    wire: &Wire,
    pieces: &mut u8,
) -> Poll<Next> {
    loop {
        if !held.is_empty() {
            match take(held.split().freeze(), core) {
                Taken::Plain { plain, underscore, rest } => {
                    *held = if rest.is_empty() { BytesMut::new() } else { BytesMut::from(rest) };
                    if underscore {
                        wire.underscore_seen.store(true, Relaxed);
                    }
                    wire.enter(Phase::Idle);
                    wire.progress();
                    return Poll::Ready(Next::Request(plain));
                }
                Taken::Partial(bytes) if *pieces < PIECES => {
                    *held = BytesMut::from(bytes);
                    *pieces += 1;
                    wire.enter(Phase::Head);
                }
                Taken::Other(bytes) | Taken::Partial(bytes) => {
                    *held = BytesMut::from(bytes);
                    return Poll::Ready(Next::Other);
                }
            }
        }
        match wire.order() {
            Order::None => {}
            Order::Cut => return Poll::Ready(Next::Gone),
            // The guard answers who has begun to say something.
            _ if !held.is_empty() => return Poll::Ready(Next::Other),
            Order::Finish => return Poll::Ready(Next::Finished),
            // Nothing at all was said: nobody waits for an answer.
            Order::HeadTimeout | Order::BodyTimeout => return Poll::Ready(Next::Gone),
        }
        wire.listens(true);
        let mut read = core.buffers.read.borrow_mut();
        let mut buf = ReadBuf::new(&mut read);
        match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
            Ok(()) if !buf.filled().is_empty() => held.extend_from_slice(buf.filled()),
            Ok(()) | Err(_) => return Poll::Ready(Next::Gone),
        }
    }
}

/// Ready when the client leaves while its request is answered. What it sends meanwhile are its next requests.
fn poll_leaves<S: ClientIo>(cx: &mut Context<'_>, stream: &mut S, held: &mut BytesMut, core: &Core, wire: &Wire) -> Poll<()> {
    while held.len() < AHEAD {
        let mut read = core.buffers.read.borrow_mut();
        let mut buf = ReadBuf::new(&mut read);
        match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
            Ok(()) if !buf.filled().is_empty() => held.extend_from_slice(buf.filled()),
            Ok(()) | Err(_) => return Poll::Ready(()),
        }
    }
    // Enough is held. Whether the client leaves is looked at whenever the sweep comes by.
    wire.listens(false);
    if stream.presence() == Presence::Here { Poll::Pending } else { Poll::Ready(()) }
}

/// What is at the front of the bytes that were read.
enum Taken {
    Plain {
        plain: Plain,
        /// Some header has `_` in its name.
        underscore: bool,
        rest: Bytes,
    },
    /// The end of the head is not there yet.
    Partial(Bytes),
    Other(Bytes),
}

fn take(bytes: Bytes, core: &Core) -> Taken {
    let limits = &core.limits;
    // Empty lines before a request, and what is no request at all.
    if !bytes.first().is_some_and(u8::is_ascii_uppercase) {
        return Taken::Other(bytes);
    }
    let mut request = blank_request();
    let headers = request.headers_mut();
    let mut keep_alive = true;
    let mut special = false;
    let head = head::read(&bytes, limits, |name, value| {
        let line = (HeaderName::from_bytes(name), HeaderValue::from_maybe_shared(bytes.slice_ref(value)));
        let (Ok(name), Ok(value)) = line else { return special = true };
        match name {
            header::CONNECTION => keep_alive &= !says_close(&value),
            header::EXPECT | header::TE => special = true,
            _ => {}
        }
        special |= headers.try_append(name, value).is_err();
    });
    let head = match head {
        Ok(Some(head)) => head,
        Ok(None) if check_incomplete(&bytes, limits).is_ok() => return Taken::Partial(bytes),
        Ok(None) | Err(_) => return Taken::Other(bytes),
    };
    if special || head.http_1_0 || head.upgrade || head.body != Body::None {
        return Taken::Other(bytes);
    }
    let Some((method, target)) = request_line(&bytes) else { return Taken::Other(bytes) };
    *request.method_mut() = method;
    *request.uri_mut() = target;
    Taken::Plain { plain: Plain { request, keep_alive }, underscore: head.underscore, rest: bytes.slice(head.len..) }
}

/// Method and target of a head that passed, if the target is a path.
fn request_line(bytes: &Bytes) -> Option<(Method, Uri)> {
    let method = memchr(b' ', bytes)?;
    let target = bytes.get(method + 1..)?;
    let target = target.get(..memchr(b' ', target)?).filter(|target| target.first() == Some(&b'/'))?;
    let uri = Uri::from_maybe_shared(bytes.slice_ref(target)).ok()?;
    // Whatever the type makes of it, what was judged is what goes on.
    let whole = uri.path_and_query().is_some_and(|parsed| parsed.as_str().as_bytes() == target);
    if whole { Some((Method::from_bytes(&bytes[..method]).ok()?, uri)) } else { None }
}
