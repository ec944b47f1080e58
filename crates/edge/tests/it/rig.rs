//! An edge with a door that tells what it was given.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use baluarte_edge::{Door, Doors, Edge, EdgeConfig, Options, ProxyProtocol};
use baluarte_kernel::{ByteSize, Period, RequestMeta};
use baluarte_proxy::{BodyError, RequestBody, ResponseBody};
use baluarte_telemetry::{AccessNote, Surface, Telemetry};
use baluarte_web::{Problem, Site, WebConfig};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
};

/// Every wait of a test ends here, so that a hang is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Rig {
    pub(crate) edge: Edge,
    pub(crate) telemetry: Telemetry,
    pub(crate) log: Log,
    /// Lets `/wait` answer.
    pub(crate) go: Arc<Notify>,
    /// Told when `/wait` has been called.
    pub(crate) called: Arc<Notify>,
    /// Told when the source of `/large` has been let go.
    pub(crate) freed: Arc<Notify>,
}

/// What the access log wrote.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn lines(&self, telemetry: &Telemetry) -> Vec<serde_json::Value> {
        telemetry.flush();
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8(bytes).expect("UTF-8").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn options() -> Options {
    Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        trusted_proxies: Vec::new(),
        proxy_protocol: ProxyProtocol::Off,
        body_limit: ByteSize::from_bytes(64 * 1024),
        request_timeout: Duration::from_secs(30),
        shutdown_grace: Duration::from_secs(10),
        site: Site::new(&WebConfig::default(), "http://shop.example"),
    }
}

pub(crate) fn config() -> EdgeConfig {
    EdgeConfig { cores: 1, ..EdgeConfig::default() }
}

/// Short enough for tests to wait for.
pub(crate) fn impatient() -> EdgeConfig {
    let short = Period::from_millis(300);
    EdgeConfig { header_timeout: short, idle_timeout: short, body_timeout: short, write_timeout: short, ..config() }
}

impl Rig {
    pub(crate) fn start() -> Self {
        Self::with(options(), config())
    }

    pub(crate) fn with(options: Options, config: EdgeConfig) -> Self {
        let log = Log::default();
        let telemetry = Telemetry::writing_to(Box::new(log.clone()));
        let (go, called) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let freed = Arc::new(Notify::new());
        let doors = Mirrors { go: Arc::clone(&go), called: Arc::clone(&called), freed: Arc::clone(&freed) };
        let edge = baluarte_edge::serve(options, &config, doors, &telemetry).expect("an edge");
        Self { edge, telemetry, log, go, called, freed }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.edge.address()).await.expect("a connection")
    }

    /// Sends `bytes` and reads until the edge closes the connection.
    pub(crate) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.expect("sent");
        read_to_end(&mut stream).await
    }

    /// The access log's records until now.
    pub(crate) fn log_lines(&self) -> Vec<serde_json::Value> {
        self.log.lines(&self.telemetry)
    }

    /// Looks until it is so; a test that waits in vain fails.
    pub(crate) async fn eventually(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let looking = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, looking).await.is_ok(), "waited in vain: {what}");
    }

    /// Nobody is served and nobody is connected.
    pub(crate) fn is_idle(&self) -> bool {
        self.metric("baluarte_http_requests_in_flight") == Some(0.0) && self.edge.connections() == 0
    }

    /// The value of a metric's line that begins with `series`.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let text = self.telemetry.metrics.render();
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }
}

pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    // A reset after the answer was read is not what these tests are about.
    drop(read.expect("the edge closes in time"));
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until `end` has come.
pub(crate) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(end.as_bytes()) {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut byte)).await.expect("an answer in time");
        match read {
            Ok(1..) => answer.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The statuses of all answers in `answers`.
pub(crate) fn statuses(answers: &str) -> Vec<u16> {
    answers.match_indices("HTTP/1.").filter_map(|(at, _)| answers.get(at + 9..at + 12)?.parse().ok()).collect()
}

struct Mirrors {
    go: Arc<Notify>,
    called: Arc<Notify>,
    freed: Arc<Notify>,
}

impl Doors for Mirrors {
    type Door = Mirror;
    fn open(&self, _core: usize) -> Mirror {
        Mirror { go: Arc::clone(&self.go), called: Arc::clone(&self.called), freed: Arc::clone(&self.freed) }
    }
}

pub(crate) struct Mirror {
    go: Arc<Notify>,
    called: Arc<Notify>,
    freed: Arc<Notify>,
}

struct TellWhenDropped(Arc<Notify>);

impl Drop for TellWhenDropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Door for Mirror {
    async fn call(&self, mut request: Box<Request<RequestBody>>, meta: &RequestMeta, note: &mut AccessNote) -> Response<ResponseBody> {
        match request.uri().path() {
            "/wait" => {
                self.called.notify_one();
                self.go.notified().await;
                Response::new(ResponseBody::Full("waited".into()))
            }
            "/never" => std::future::pending().await,
            "/ignore-body" => Response::new(ResponseBody::Full("ignored".into())),
            "/panic" => panic!("a door that panics"),
            "/unsized" | "/broken-off" => {
                let mut pieces = vec![Ok(http_body::Frame::data(Bytes::from_static(b"a piece")))];
                if request.uri().path() == "/broken-off" {
                    pieces.push(Err(BodyError::TooSlow));
                }
                Response::new(ResponseBody::Boxed(Box::pin(http_body_util::StreamBody::new(futures::stream::iter(pieces)))))
            }
            "/panic-later" => {
                let pieces = futures::stream::poll_fn(|_| panic!("a body that panics"));
                Response::new(ResponseBody::Boxed(Box::pin(http_body_util::StreamBody::new(pieces))))
            }
            "/large" => {
                let source = TellWhenDropped(Arc::clone(&self.freed));
                let piece = move || {
                    let _held = &source;
                    Ok(http_body::Frame::data(Bytes::from_static(&[b'x'; 64 * 1024])))
                };
                let pieces = futures::stream::iter(std::iter::repeat_with(piece).take(256));
                Response::new(ResponseBody::Boxed(Box::pin(http_body_util::StreamBody::new(pieces))))
            }
            "/endless" => {
                let held = TellWhenDropped(Arc::clone(&self.freed));
                let first = futures::stream::iter([Ok(http_body::Frame::data(Bytes::from_static(b"and so on")))]);
                let endless = futures::StreamExt::chain(
                    first,
                    futures::stream::poll_fn(move |_| {
                        let _held = &held;
                        std::task::Poll::Pending
                    }),
                );
                Response::new(ResponseBody::Boxed(Box::pin(http_body_util::StreamBody::new(endless))))
            }
            "/problem" => {
                let problem = Problem::of(&refusals::CONFLICT);
                let mut response = Response::new(ResponseBody::Empty);
                response.extensions_mut().insert(problem);
                response
            }
            "/noted" => {
                let response = Response::new(ResponseBody::Full("noted".into()));
                *note = AccessNote {
                    surface: Surface::Gateway,
                    route: Some("shop".into()),
                    user_id: None,
                    upstream: Some(Duration::from_millis(3)),
                    ..AccessNote::default()
                };
                response
            }
            "/ws" => {
                let upgrade = hyper::upgrade::on(&mut *request);
                tokio::task::spawn_local(async move {
                    let Ok(upgraded) = upgrade.await else { return };
                    let (mut read, mut write) = tokio::io::split(hyper_util::rt::TokioIo::new(upgraded));
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
                let mut response = Response::new(ResponseBody::Empty);
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                response
            }
            _ => mirror(request, meta).await,
        }
    }

    fn is_timed(&self, request: &Request<RequestBody>, _meta: &RequestMeta) -> bool {
        request.uri().path() == "/never"
    }
}

/// Everything the door saw, one fact a line.
async fn mirror(request: Box<Request<RequestBody>>, meta: &RequestMeta) -> Response<ResponseBody> {
    use std::fmt::Write as _;
    let (parts, body) = request.into_parts();
    let mut text = format!(
        "method={}\ntarget={}\nclient_ip={}\ntrusted_peer={:?}\nscheme={}\nhost={}\nrequest_id={}\n",
        parts.method,
        parts.uri,
        meta.client_ip,
        meta.trusted_peer,
        meta.scheme.as_str(),
        meta.host,
        meta.request_id
    );
    for (name, value) in &parts.headers {
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let status = match body.collect().await {
        Ok(body) => {
            let trailers = body.trailers().map(|trailers| format!("{trailers:?}"));
            let _ = writeln!(text, "body={}", String::from_utf8_lossy(&body.to_bytes()));
            if let Some(trailers) = trailers {
                let _ = writeln!(text, "trailers={trailers}");
            }
            StatusCode::OK
        }
        Err(BodyError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
        Err(BodyError::TooSlow) => StatusCode::REQUEST_TIMEOUT,
        Err(_) => StatusCode::BAD_REQUEST,
    };
    let mut response = Response::new(ResponseBody::Full(text.into()));
    *response.status_mut() = status;
    response
}

/// What the door behind the edge refuses.
mod refusals {
    baluarte_web::problems! {
        CONFLICT = CONFLICT "test.conflict" {
            title: "In conflict", "En conflicto", "Em conflito";
            explanation: "Something is in the way.", "Algo estorba.", "Algo atrapalha.";
            remedy: "Move it.", "Quítalo.", "Tire-o.";
        }
    }
}
