//! One core of a gateway behind a plain HTTP server, an app that shows what it got, and people with tokens.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use baluarte_audit::{Calls, CallsConfig};
use baluarte_backplane::Backplane;
use baluarte_component::Tasks;
use baluarte_gateway::{Gateway, GatewayConfig, Parts};
use baluarte_kernel::{
    AuthError, Authenticator, BoxFuture, Clock, Credential, CredentialKind, Entitlements, FreeForAll, Id, Principal, RequestMeta, Scheme,
    Timestamp, UpstreamIdentity,
};
use baluarte_limits::{Limits, LimitsConfig};
use baluarte_proxy::{RequestBody, ResponseBody};
use baluarte_telemetry::AccessNote;
use baluarte_web::Problem;
use http::{Request, Response};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Identity, as far as the gateway sees it.
#[derive(Default)]
pub(crate) struct FakeIdentity {
    people: Mutex<HashMap<String, Arc<Principal>>>,
    revoked: Mutex<Vec<String>>,
    revocations: AtomicU64,
    pub(crate) asked: AtomicUsize,
    pub(crate) signed: AtomicUsize,
    pub(crate) away: AtomicBool,
}

impl FakeIdentity {
    /// Somebody whose token is `name` and whose session cookie is `name`, too.
    pub(crate) fn add(&self, name: &str, role: &str, scopes: Option<&[&str]>, expires_at: Timestamp) -> Arc<Principal> {
        let principal = Arc::new(Principal {
            user_id: Id::generate(),
            email: format!("{name}@example.com"),
            name: name.to_owned(),
            role: role.to_owned(),
            session_id: None,
            key_id: None,
            scopes: scopes.map(|scopes| scopes.iter().map(|scope| (*scope).to_owned()).collect()),
            credential: CredentialKind::AccessToken,
            issued_at: Timestamp::default(),
            // One of them has just signed in.
            proven_at: if name == "fresh" { Clock::System.now() } else { Timestamp::default() },
            epoch: 0,
            expires_at,
        });
        self.people.lock().unwrap().insert(name.to_owned(), Arc::clone(&principal));
        principal
    }

    pub(crate) fn revoke(&self, name: &str) {
        self.revoked.lock().unwrap().push(format!("{name}@example.com"));
        self.people.lock().unwrap().remove(name);
        self.revocations.fetch_add(1, Ordering::SeqCst);
    }
}

impl FakeIdentity {
    /// What was revoked under this name does not concern the next one of the same name.
    pub(crate) fn forgive(&self, name: &str) {
        let address = format!("{name}@example.com");
        self.revoked.lock().unwrap().retain(|revoked| *revoked != address);
    }
}

impl Authenticator for FakeIdentity {
    fn authenticate(&self, credential: Credential) -> BoxFuture<'_, Result<Arc<Principal>, AuthError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if self.away.load(Ordering::SeqCst) {
                return Err(AuthError::Unavailable);
            }
            let (Credential::Bearer(name) | Credential::SessionCookie(name)) = &credential;
            let known = self.people.lock().unwrap().get(name).cloned();
            known.filter(|known| Clock::System.now() < known.expires_at).ok_or(AuthError::Invalid)
        })
    }
    fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::SeqCst)
    }
    fn is_revoked(&self, principal: &Principal) -> bool {
        self.revoked.lock().unwrap().contains(&principal.email)
    }
    /// Whoever the token names, it is ours.
    fn is_own(&self, token: &str) -> bool {
        token.starts_with("blt_") || self.people.lock().unwrap().contains_key(token)
    }
    fn upstream_identity(&self, principal: &Principal, audience: &str, plan: &str) -> UpstreamIdentity {
        let n = self.signed.fetch_add(1, Ordering::SeqCst);
        let token = format!("signed-{n}-{}-{audience}-{plan}", principal.name).into();
        UpstreamIdentity { token, renew_at: Timestamp::from_unix_seconds(i64::from(u32::MAX)) }
    }
}

pub(crate) struct World {
    pub(crate) addr: SocketAddr,
    pub(crate) gateway: Gateway,
    pub(crate) identity: Arc<FakeIdentity>,
    pub(crate) clock: Clock,
    /// What the next requests come with.
    pub(crate) scheme: Rc<Cell<Scheme>>,
    pub(crate) notes: Rc<RefCell<Vec<AccessNote>>>,
    pub(crate) own_host: &'static str,
}

/// Runs a test as a core would; the control runtime has threads of its own.
pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce(tokio::runtime::Handle) -> F) {
    let control = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let core = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let test = test(control.handle().clone());
    tokio::task::LocalSet::new()
        .block_on(&core, async { tokio::time::timeout(Duration::from_secs(10), test).await.expect("the test hangs") });
    control.shutdown_background();
}

pub(crate) fn parse(config: &str) -> GatewayConfig {
    #[derive(serde::Deserialize)]
    struct File {
        gateway: GatewayConfig,
    }
    toml::from_str::<File>(config).unwrap().gateway
}

/// `APP` in the configuration stands for the address of an app that shows the request it got.
pub(crate) async fn world(control: tokio::runtime::Handle, config: &str) -> World {
    world_with(control, config, "").await
}

pub(crate) async fn world_with(control: tokio::runtime::Handle, config: &str, own_host: &'static str) -> World {
    let app = app().await;
    let config = parse(&config.replace("APP", &app.to_string()));
    let identity = Arc::new(FakeIdentity::default());
    let clock = Clock::System;
    let forever = clock.now().plus(Duration::from_secs(3_600));
    identity.add("ana", "user", Some(&["read", "app"]), forever);
    identity.add("root", "admin", None, forever);
    // A program whose key was made for one scope.
    identity.add("key", "admin", Some(&["write"]), forever);
    let limits: LimitsConfig =
        toml::from_str("[tight]\nrate = \"2/h\"\n[mine]\nkey = \"user\"\nrate = \"3/h\"\n[everybody-of]\nkey = \"plan\"\nrate = \"3/h\"")
            .unwrap();
    let parts = Parts {
        limits: Limits::new(&limits, Backplane::local(clock.clone()), &[7; 32]),
        calls: Calls::new(&CallsConfig::default()),
        clock: clock.clone(),
        tasks: Tasks::new(control),
        public_url: Arc::from("https://id.example"),
        own_host: own_host.to_owned(),
        session_cookie: "baluarte",
        authenticator: identity.clone(),
        entitlements: Arc::new(FreeForAll::new(vec![("pro".into(), 10)])) as Arc<dyn Entitlements>,
    };
    let gateway = Gateway::new(&config, parts).unwrap();
    let core = gateway.open_core(0);
    let (scheme, notes) = (Rc::new(Cell::new(Scheme::Http)), Rc::new(RefCell::new(Vec::new())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (as_scheme, into) = (Rc::clone(&scheme), Rc::clone(&notes));
    tokio::task::spawn_local(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let (core, scheme, notes) = (core.clone(), Rc::clone(&as_scheme), Rc::clone(&into));
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let (core, notes) = (core.clone(), Rc::clone(&notes));
                let host = request.headers().get("host").map_or("", |host| host.to_str().unwrap()).to_ascii_lowercase();
                let meta = RequestMeta {
                    request_id: "req-1".into(),
                    client_ip: peer.ip(),
                    trusted_peer: None,
                    scheme: scheme.get(),
                    host: host.into(),
                };
                async move {
                    let mut note = AccessNote::default();
                    let response = core.call(Box::new(request.map(RequestBody::incoming)), &meta, &mut note).await;
                    notes.borrow_mut().push(note);
                    Ok::<_, Infallible>(shown(response))
                }
            });
            tokio::task::spawn_local(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades(),
            );
        }
    });
    World { addr, gateway, identity, clock, scheme, notes, own_host }
}

/// A refusal as the edge would render it, in short: its code.
fn shown(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response.headers_mut().extend(problem.headers);
        let upstream = if problem.upstream { " upstream" } else { "" };
        *response.body_mut() = ResponseBody::Full(format!("{}{upstream}", problem.code).into());
    }
    response
}

/// Shows every request's head in its answer. `/ws` switches protocols and echoes; `/events` sends one event and goes on,
/// `/lines` one line of JSON; a request with a body gets it back.
async fn app() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::task::spawn_local(async move {
                while let Some(head) = read_head(&mut stream).await {
                    if head.starts_with("GET /ws") {
                        stream
                            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
                            .await
                            .unwrap();
                        let (mut read, mut write) = stream.split();
                        let _ = tokio::io::copy(&mut read, &mut write).await;
                        return;
                    }
                    if head.starts_with("GET /events") {
                        let answer =
                            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 0\n\n\r\n";
                        stream.write_all(answer.as_bytes()).await.unwrap();
                        let _ = stream.read_u8().await;
                        return;
                    }
                    if head.starts_with("GET /lines") {
                        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{\"n\": 0}\n\r\n";
                        stream.write_all(answer.as_bytes()).await.unwrap();
                        let _ = stream.read_u8().await;
                        return;
                    }
                    let length =
                        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap());
                    let mut body = vec![0; length];
                    if stream.read_exact(&mut body).await.is_err() {
                        return;
                    }
                    let shown = [head.as_bytes(), &body].concat();
                    let answer = format!("HTTP/1.1 200 OK\r\nx-app: yes\r\ncontent-length: {}\r\n\r\n", shown.len());
                    if stream.write_all(&[answer.as_bytes(), &shown].concat()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    addr
}

pub(crate) async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// An answer's status, head and body.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| line.split_once(": ").filter(|(known, _)| *known == name).map(|(_, value)| value))
    }
}

impl World {
    /// `GET /path`, with header lines.
    pub(crate) async fn get(&self, path: &str, headers: &[&str]) -> Seen {
        self.send("GET", path, headers, "").await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Seen {
        let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|line| line.starts_with("host:")) {
            request.push_str("host: shop.example\r\n");
        }
        for line in headers {
            request.push_str(line);
            request.push_str("\r\n");
        }
        if !body.is_empty() {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).await.unwrap();
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
        let end = all.windows(4).position(|end| end == b"\r\n\r\n").expect("an answer has a head") + 4;
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        Seen { status: head[9..12].parse().unwrap(), head, body: all[end..].to_vec() }
    }
}

/// A directory of its own, removed in the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("baluarte-gateway-{:016x}", rand::random::<u64>()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
