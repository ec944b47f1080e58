//! One connection: which HTTP it speaks, and its life until it closes.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use baluarte_proxy::RequestBody;
use bytes::BytesMut;
use http::Request;
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite as _, ReadBuf};

use crate::{
    core::{Core, Peer},
    door::Door,
    http1::{self, Guard, Left},
    http2::{FrameGuard, PREFACE},
    service::Service,
    tls::ClientStream,
    wire::{Order, Wire},
};

/// What is read before it is known which HTTP a client speaks.
const FIRST_READ: usize = 4 * 1024;
/// HTTP/2: how often a silent client is asked whether it is still there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// HTTP/2: streams that we had to reset because of the client's mistakes.
const MAX_CLIENT_MISTAKES: usize = 64;
/// HTTP/2: bytes of answers kept per stream while the client does not read.
const SEND_BUFFER: usize = 64 * 1024;
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Serves one connection to its end. `first` are the bytes that were already read from it.
pub(crate) async fn serve<D: Door>(
    core: Rc<Core>,
    door: Rc<D>,
    mut stream: ClientStream,
    mut first: BytesMut,
    wire: Arc<Wire>,
    peer: Peer,
) {
    if !read_first(&mut stream, &wire, &mut first).await {
        wire.close();
        return;
    }
    let service = Rc::new(Service { core: Rc::clone(&core), door, wire: Arc::clone(&wire), peer, host: RefCell::new(Arc::from("")) });
    if first.starts_with(PREFACE) {
        // Boxed, as are the others: a task is as large as the largest of its steps, and most connections never come here.
        Box::pin(serve_http2(stream, &first, service)).await;
    } else {
        match http1::serve_plain(stream, first, &service).await {
            Left::Other(stream, held) => Box::pin(serve_http1(Guard::new(stream, held, core.limits, Arc::clone(&wire)), service)).await,
            Left::Finished(stream) => {
                let mut guard = Guard::new(stream, BytesMut::new(), core.limits, Arc::clone(&wire));
                poll_fn(|cx| match wire.order() {
                    Order::Cut => Poll::Ready(()),
                    _ => Pin::new(&mut guard).poll_shutdown(cx).map(drop),
                })
                .await;
            }
            // Dropping the guard closes the socket, the way it was told to.
            Left::Gone(stream) => drop(Guard::new(stream, BytesMut::new(), core.limits, Arc::clone(&wire))),
        }
    }
    if let Some(refused) = wire.take_refused() {
        // Refused in the middle of an answer, or nobody was left to tell.
        core.stats.refused(refused.rule);
    }
}

/// hyper's way of calling a service.
macro_rules! answering {
    ($service:expr) => {
        service_fn(move |request: Request<Incoming>| {
            let service = Rc::clone(&$service);
            // Boxed: hyper moves the future before it runs, and the whole of what is behind the door is in it.
            Box::pin(async move { Ok::<_, Infallible>(service.answer(Box::new(request.map(RequestBody::incoming))).await) })
        })
    };
}

async fn serve_http2<D: Door>(stream: ClientStream, first: &[u8], service: Rc<Service<D>>) {
    let (core, wire) = (Rc::clone(&service.core), Arc::clone(&service.wire));
    let counted = Rc::clone(&core);
    let guard = FrameGuard::new(stream, first, Arc::clone(&wire), move |rule| counted.stats.refused_by(rule));
    let mut builder = conn::http2::Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(core.max_streams)
        .max_header_list_size(u32::try_from(core.limits.head).unwrap_or(u32::MAX))
        .max_local_error_reset_streams(MAX_CLIENT_MISTAKES)
        .max_send_buf_size(SEND_BUFFER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(core.header_timeout);
    let connection = pin!(builder.serve_connection(TokioIo::new(guard), answering!(service)));
    drive(connection, &wire).await;
}

async fn serve_http1<D: Door>(guard: Guard<ClientStream>, service: Rc<Service<D>>) {
    let (core, wire) = (Rc::clone(&service.core), Arc::clone(&service.wire));
    let mut builder = conn::http1::Builder::new();
    // The guard and the sweep do this without a timer per request.
    builder.header_read_timeout(None);
    if core.limits.headers > 100 {
        builder.max_headers(core.limits.headers);
    }
    let connection = pin!(builder.serve_connection(TokioIo::new(guard), answering!(service)).with_upgrades());
    drive(connection, &wire).await;
}

/// Reads until it is clear whether this is HTTP/2; false when the client leaves or is told to.
async fn read_first(stream: &mut ClientStream, wire: &Wire, first: &mut BytesMut) -> bool {
    loop {
        let read = poll_fn(|cx: &mut Context<'_>| {
            wire.is_driven_by(cx.waker());
            if wire.order() != Order::None {
                return Poll::Ready(false);
            }
            if is_decided(first) {
                return Poll::Ready(true);
            }
            // Inside, so that it lies on the stack and not in every connection's task.
            let mut chunk = [std::mem::MaybeUninit::uninit(); FIRST_READ];
            let mut buf = ReadBuf::uninit(&mut chunk);
            Pin::new(&mut *stream).poll_read(cx, &mut buf).map(|result| {
                first.extend_from_slice(buf.filled());
                result.is_ok() && !buf.filled().is_empty()
            })
        })
        .await;
        if !read || is_decided(first) {
            return read;
        }
    }
}

/// No longer could it become HTTP/2's preface, or it has.
fn is_decided(first: &[u8]) -> bool {
    first.len() >= PREFACE.len() || !PREFACE.starts_with(first)
}

/// Runs a connection and tells it what the sweep or a stop wants.
async fn drive<C: Connection>(mut connection: Pin<&mut C>, wire: &Wire) {
    let mut finishing = false;
    poll_fn(|cx| {
        match wire.order() {
            Order::Cut => return Poll::Ready(()),
            Order::Finish | Order::HeadTimeout if !finishing && C::TELLS_TO_FINISH => {
                finishing = true;
                connection.as_mut().finish();
            }
            Order::Finish if !finishing => {
                finishing = true;
                connection.as_mut().finish();
            }
            Order::None | Order::HeadTimeout | Order::BodyTimeout | Order::Finish => {}
        }
        connection.as_mut().poll(cx).map(|outcome| {
            if let Err(err) = outcome {
                tracing::trace!(target: "edge", error = %err, "a connection ended early");
            }
        })
    })
    .await;
}

/// What both of hyper's connections can do.
trait Connection: Future<Output = hyper::Result<()>> {
    /// HTTP/2 has no place for an answer to a half head: the connection ends with GOAWAY.
    const TELLS_TO_FINISH: bool;
    fn finish(self: Pin<&mut Self>);
}

impl<I, B, S> Connection for conn::http1::UpgradeableConnection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    const TELLS_TO_FINISH: bool = false;
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, B, S> Connection for conn::http2::Connection<I, S, Local>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Local: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    const TELLS_TO_FINISH: bool = true;
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs HTTP/2's streams on this core.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
