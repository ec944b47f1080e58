//! An app behind the gateway, as good or as bad as a test needs it.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::websocket;

type Body = BoxBody<Bytes, Infallible>;

/// A request as the upstream saw it.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn dump(&self) -> Value {
        let pairs = |headers: &HeaderMap| -> Vec<Value> {
            headers.iter().map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())])).collect()
        };
        json!({
            "method": self.method,
            "target": self.target,
            "headers": pairs(&self.headers),
            "trailers": pairs(&self.trailers),
            "body": String::from_utf8_lossy(&self.body),
            "body_bytes": self.body.len(),
        })
    }
}

/// A server on a port of its own; everything ends when it is dropped.
///
/// [`start`](Self::start) answers every path with a JSON dump of the request, except:
///
/// | path | answer |
/// | --- | --- |
/// | `/status/NNN` | that status, empty |
/// | `/bytes/N` | N bytes (`i % 251`), with `Content-Length` |
/// | `/slow?ms=N` | the dump, after so long |
/// | `/stream?chunks=N&size=B&every=MS` | chunked; chunk `i` is filled with the letter `a + i % 26` |
/// | `/sse?events=N&every=MS` | `text/event-stream`, `data: 0` and so on |
/// | `/trailers` | `ok`, then the trailer `x-checksum: 42` |
/// | `/ws` | a WebSocket that sends every message back |
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    _tasks: JoinSet<()>,
}

impl Upstream {
    pub async fn start() -> Self {
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let seen = received.clone();
        let mut upstream = Self::listen(move |stream| {
            let seen = seen.clone();
            Box::pin(async move {
                let service = service_fn(move |request| {
                    let seen = seen.clone();
                    async move { Ok::<_, Infallible>(answer(request, &seen).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connection.with_upgrades().await.ok();
            })
        })
        .await;
        upstream.received = received;
        upstream
    }

    /// Each connection is handed to `serve` as it is: for upstreams that misbehave.
    pub async fn raw<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::listen(move |stream| Box::pin(serve(stream))).await
    }

    /// Writes these bytes on every connection as soon as something was received, then closes it.
    pub async fn canned(answer: &'static [u8]) -> Self {
        Self::raw(move |mut stream| async move {
            stream.readable().await.ok();
            stream.try_read(&mut [0; 65_536]).ok();
            stream.write_all(answer).await.ok();
            stream.shutdown().await.ok();
        })
        .await
    }

    /// Accepts and never answers.
    pub async fn silent() -> Self {
        Self::raw(|stream| async move {
            let _open = stream;
            std::future::pending::<()>().await;
        })
        .await
    }

    async fn listen(serve: impl Fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound socket has an address");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // Connections live in the accepting task's set, so that they end with it.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => { connections.spawn(serve(stream)); }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self { address, received: Arc::default(), _tasks: tasks }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, as an upstream's server is configured.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, in the order their bodies ended. Nothing for raw upstreams.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("never poisoned: nothing panics under this lock").clone()
    }

    #[track_caller]
    pub fn last(&self) -> Received {
        self.received().pop().expect("the upstream has received a request")
    }
}

async fn answer(mut request: Request<Incoming>, seen: &Mutex<Vec<Received>>) -> Response<Body> {
    if request.uri().path() == "/ws" {
        return match websocket::echo(&mut request) {
            Some(response) => response.map(BodyExt::boxed),
            None => with_status(StatusCode::BAD_REQUEST),
        };
    }
    let (head, body) = request.into_parts();
    let Ok(collected) = body.collect().await else { return with_status(StatusCode::BAD_REQUEST) };
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let received = Received {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        body: collected.to_bytes(),
        trailers,
    };
    let dump = received.dump();
    seen.lock().expect("never poisoned: nothing panics under this lock").push(received);

    let query = |name: &str, default: u64| -> u64 {
        let pairs = head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.parse().ok()).unwrap_or(default)
    };
    let every = Duration::from_millis(query("every", 0));
    match head.uri.path().split('/').skip(1).collect::<Vec<_>>()[..] {
        ["status", code] => with_status(code.parse().unwrap_or(StatusCode::BAD_REQUEST)),
        ["bytes", count] => {
            let count: usize = count.parse().unwrap_or(0);
            let bytes: Vec<u8> = (0..count).map(|i| (i % 251) as u8).collect();
            Response::new(Full::new(bytes.into()).boxed())
        }
        ["slow"] => {
            tokio::time::sleep(Duration::from_millis(query("ms", 1_000))).await;
            as_json(&dump)
        }
        ["stream"] => {
            let size = query("size", 1_024) as usize;
            streamed(query("chunks", 10), every, move |i| vec![b'a' + (i % 26) as u8; size].into())
        }
        ["sse"] => {
            let mut response = streamed(query("events", 3), every, |i| format!("data: {i}\n\n").into());
            response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
            response
        }
        ["trailers"] => {
            let trailers = HeaderMap::from_iter([(header::HeaderName::from_static("x-checksum"), header::HeaderValue::from_static("42"))]);
            let frames = [Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"ok"))), Ok(Frame::trailers(trailers))];
            let mut response = Response::new(BodyExt::boxed(StreamBody::new(stream::iter(frames))));
            response.headers_mut().insert(header::TRAILER, header::HeaderValue::from_static("x-checksum"));
            response
        }
        _ => as_json(&dump),
    }
}

fn streamed(chunks: u64, every: Duration, chunk: impl Fn(u64) -> Bytes + Send + Sync + 'static) -> Response<Body> {
    let frames = stream::iter(0..chunks).then(move |i| {
        let data = chunk(i);
        async move {
            if i > 0 && !every.is_zero() {
                tokio::time::sleep(every).await;
            }
            Ok::<_, Infallible>(Frame::data(data))
        }
    });
    Response::new(BodyExt::boxed(StreamBody::new(frames)))
}

fn as_json(value: &Value) -> Response<Body> {
    let mut response = Response::new(Full::new(value.to_string().into()).boxed());
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn with_status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::default().boxed());
    *response.status_mut() = status;
    response
}
