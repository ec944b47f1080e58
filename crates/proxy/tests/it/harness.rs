//! A front that forwards everything, upstreams that do exactly what a test says, and a client that sees every byte.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use baluarte_kernel::Scheme;
use baluarte_proxy::{ClientFault, Origin, Pool, ProxyError, RequestBody, ResponseBody, ServerAddress, Upstream, UpstreamSpec, prepare};
use http::{Request, Response};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes; reached only when a test fails.
const LONG: Duration = Duration::from_secs(10);

/// Runs a test as a core would: on one thread, with local tasks.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LONG, test).await.expect("the test hangs") });
}

/// A listener whose connections are handled one task each: `handle(stream, n)`.
pub(crate) async fn upstream<F, Fut>(handle: F) -> SocketAddr
where
    F: Fn(TcpStream, usize) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        let mut n = 0;
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(handle(stream, n));
            n += 1;
        }
    });
    addr
}

/// An upstream that answers every request with the same bytes and remembers the heads it got.
pub(crate) async fn answering(answer: &'static [u8]) -> (SocketAddr, Heads) {
    let heads = Heads::default();
    let seen = heads.clone();
    let addr = upstream(move |mut stream, n| {
        let seen = seen.clone();
        async move {
            while let Some(head) = read_head(&mut stream).await {
                seen.0.borrow_mut().push((n, head));
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (addr, heads)
}

/// Connection number and head of each request.
#[derive(Clone, Default)]
pub(crate) struct Heads(pub(crate) Rc<RefCell<Vec<(usize, String)>>>);

impl Heads {
    pub(crate) fn last(&self) -> String {
        self.0.borrow().last().expect("no request came").1.clone()
    }
    pub(crate) fn connections(&self) -> Vec<usize> {
        self.0.borrow().iter().map(|(n, _)| *n).collect()
    }
}

/// Up to and including the empty line; `None` at the end of the connection.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

pub(crate) fn spec(servers: &[SocketAddr]) -> UpstreamSpec {
    let servers = servers.iter().map(|addr| format!("http://{addr}").parse::<ServerAddress>().unwrap()).collect();
    UpstreamSpec::new("app", servers)
}

/// Nobody listens there: the port was ours a moment ago.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

pub(crate) struct Front {
    pub(crate) addr: SocketAddr,
    pub(crate) pool: Pool,
    pub(crate) stop: CancellationToken,
    /// Trusted peer and client address that the next requests come with.
    pub(crate) via: Rc<Cell<Option<[&'static str; 2]>>>,
}

pub(crate) async fn front(spec: UpstreamSpec) -> Front {
    let stop = CancellationToken::new();
    let pool = Pool::new(Upstream::new(spec), stop.clone());
    let via = Rc::new(Cell::new(None::<[&'static str; 2]>));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (serving, trusted) = (pool.clone(), Rc::clone(&via));
    tokio::task::spawn_local(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let (pool, trusted) = (serving.clone(), Rc::clone(&trusted));
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let (pool, via) = (pool.clone(), trusted.get());
                async move {
                    let mut request = request.map(RequestBody::incoming);
                    // As the edge says it: an old client has none.
                    let host = if request.headers().contains_key("host") { "app.example" } else { "" };
                    let origin = Origin {
                        client_ip: via.map_or(peer.ip(), |[_, client]| client.parse().unwrap()),
                        trusted_peer: via.map(|[peer, _]| peer.parse().unwrap()),
                        scheme: Scheme::Http,
                        host,
                    };
                    let prepared = prepare(&mut request, &origin, |name| name == "remote-user");
                    Ok::<_, Infallible>(pool.forward(Box::new(request), prepared, None).await.unwrap_or_else(|err| failure(&err)))
                }
            });
            let server = hyper::server::conn::http1::Builder::new();
            tokio::task::spawn_local(server.serve_connection(TokioIo::new(stream), service).with_upgrades());
        }
    });
    Front { addr, pool, stop, via }
}

/// 599 and the kind of failure: what the gateway makes of it is not the engine's business.
fn failure(err: &ProxyError) -> Response<ResponseBody> {
    let kind = match err {
        ProxyError::Unreachable { .. } => "unreachable",
        ProxyError::Timeout { .. } => "timeout",
        ProxyError::Broken { .. } => "broken",
        ProxyError::InvalidAnswer { .. } => "invalid",
        ProxyError::Busy => "busy",
        ProxyError::Client(ClientFault::Gone) => "client gone",
        ProxyError::Client(ClientFault::TooLarge | ClientFault::TooSlow) => "client",
    };
    let mut response = Response::new(ResponseBody::Full(kind.into()));
    *response.status_mut() = http::StatusCode::from_u16(599).unwrap();
    response
}

pub(crate) async fn connect(addr: SocketAddr) -> TcpStream {
    TcpStream::connect(addr).await.unwrap()
}

/// Sends `request` and reads until the connection ends, however it ends.
pub(crate) async fn talk(addr: SocketAddr, request: &str) -> String {
    let mut stream = connect(addr).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&all).into_owned(),
            Ok(n) => all.extend_from_slice(&piece[..n]),
        }
    }
}

/// A request on a connection of its own.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> String {
    talk(addr, &format!("GET {path} HTTP/1.1\r\nhost: app.example\r\nconnection: close\r\n\r\n")).await
}

pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

pub(crate) async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}
