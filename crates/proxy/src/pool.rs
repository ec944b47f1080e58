//! One core's connections to one upstream, and the exchange of one request for one answer.
//!
//! Lives on the core's single thread: no locks, nothing in it is `Send`. Each connection is driven by a task of its own, which
//! notices a hang-up while the connection rests.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::{Pin, pin},
    rc::{Rc, Weak},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    task::AbortHandle,
    time::{Instant, Sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    ProxyError, RequestBody, ResponseBody, Upstream,
    answer::UpstreamBody,
    connect::{self, Budgeted, HeadBudget},
    headers::{self, Prepared},
    outgoing::{Outgoing, Progress},
    tunnel,
};

/// The head of an answer must fit in here, and so must it together with the interim answers (1xx) before it.
const MAX_HEAD: usize = 128 * 1_024;

/// One core's connections to an upstream. Cheap to clone. Make it inside the core's local runtime.
#[derive(Clone)]
pub struct Pool(Rc<Inner>);

struct Inner {
    upstream: Arc<Upstream>,
    servers: Vec<CoreServer>,
    /// Where the search for the least busy server begins, so that equals take turns.
    turn: Cell<usize>,
    stop: CancellationToken,
}

#[derive(Default)]
struct CoreServer {
    /// Last in, first out: the busiest connections stay warm, the others age.
    idle: RefCell<Vec<Line>>,
    in_flight: Cell<u32>,
}

/// A connection. Dropping it closes it.
pub(crate) struct Line {
    sender: SendRequest<Outgoing>,
    task: AbortHandle,
    budget: HeadBudget,
    /// Moved on with every use instead of being made anew: moving a timer to later costs no lock.
    pub(crate) timer: Pin<Box<Sleep>>,
    idle_since: Instant,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A request's place at its server; given back when dropped.
pub(crate) struct Slot {
    pool: Pool,
    server: usize,
}

impl Slot {
    /// The answer is complete: the connection may serve the next request.
    pub(crate) fn give_back(&self, mut line: Line) {
        let mut idle = self.pool.0.servers[self.server].idle.borrow_mut();
        if !line.sender.is_closed() && idle.len() < self.pool.0.upstream.spec.max_idle {
            line.idle_since = Instant::now();
            idle.push(line);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let in_flight = &self.pool.0.servers[self.server].in_flight;
        in_flight.set(in_flight.get() - 1);
        self.pool.0.upstream.gate.leave();
    }
}

/// What is needed to send the same request again.
struct Spare {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

/// How one attempt failed.
enum Failed {
    /// The request is still whole: nothing of it was sent.
    Unsent(Box<Request<Outgoing>>),
    Sent(ProxyError),
}

impl Pool {
    /// `stop` ends upgraded connections.
    pub fn new(upstream: Arc<Upstream>, stop: CancellationToken) -> Self {
        let servers = upstream.servers.iter().map(|_| CoreServer::default()).collect();
        let pool = Self(Rc::new(Inner { upstream, servers, turn: Cell::new(0), stop }));
        tokio::task::spawn_local(age(Rc::downgrade(&pool.0)));
        pool
    }

    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.0.upstream
    }

    /// Unused connections of this core.
    pub fn idle(&self) -> usize {
        self.0.servers.iter().map(|server| server.idle.borrow().len()).sum()
    }

    /// Sends a [`prepared`](headers::prepare) request and gives back the head of the answer with a body that streams.
    /// `timeout` replaces the upstream's own for this request. Dropping the future or the body cancels the exchange.
    pub async fn forward(
        &self,
        mut request: Request<RequestBody>,
        prepared: Prepared,
        timeout: Option<Duration>,
    ) -> Result<Response<ResponseBody>, ProxyError> {
        let spec = &self.0.upstream.spec;
        let timeout = timeout.unwrap_or(spec.timeout);
        if !self.0.upstream.gate.enter(timeout).await {
            return Err(ProxyError::Busy);
        }
        let mut slot = Slot::new(self, self.choose(0));
        if let Some(host) = &spec.host {
            request.headers_mut().insert(header::HOST, host.clone());
        } else if !request.headers().contains_key(header::HOST) {
            // The client spoke HTTP/1.0; we speak HTTP/1.1, which is not valid without.
            request.headers_mut().insert(header::HOST, spec.servers[0].authority.clone());
        }
        let no_body = request.body().is_end_stream();
        let mut spare = (no_body && spec.retries > 0 && prepared.upgrade.is_none() && headers::is_idempotent(request.method()))
            .then(|| Spare { method: request.method().clone(), uri: request.uri().clone(), headers: request.headers().clone() });
        if spare.is_none() && !self.0.servers[slot.server].idle.borrow().is_empty() {
            // What cannot be sent twice does not begin on a connection whose end has come and was not noticed yet: this lets
            // the runtime look at its sockets, and the connections' tasks run.
            tokio::task::yield_now().await;
        }
        let progress = (!no_body).then(|| Rc::new(Progress::new()));
        let head_only = request.method() == Method::HEAD;
        let mut request = request.map(|body| Outgoing::new(body, progress.clone()));

        let mut tried = 0_u64;
        let mut repetitions = 0;
        let mut fresh = false;
        loop {
            let server = slot.server;
            let resting = if fresh { None } else { self.take_idle(server).await };
            let reused = resting.is_some();
            let line = match resting {
                Some(line) => line,
                // Apart on the heap: what is rare must not make every request's future larger.
                None => match Box::pin(self.connect(server)).await {
                    Ok(line) => line,
                    // Nothing was sent: any request may go elsewhere.
                    Err(err) => {
                        self.0.upstream.failed(server);
                        tried |= bit(server);
                        if repetitions >= spec.retries.max(1) || !self.another(tried) {
                            return Err(err);
                        }
                        repetitions += 1;
                        slot.move_to(self.choose(tried));
                        continue;
                    }
                },
            };
            match self.exchange(server, line, request, progress.as_deref(), timeout).await {
                Ok((answer, line)) => {
                    self.0.upstream.succeeded(server);
                    return self.hand_over(answer, line, slot, prepared, progress, head_only);
                }
                Err(Failed::Unsent(back)) if reused => request = *back,
                Err(Failed::Unsent(_)) => {
                    self.0.upstream.failed(server);
                    return Err(self.unreachable(server, io::ErrorKind::ConnectionReset.into()));
                }
                Err(Failed::Sent(err)) => {
                    let broken = matches!(err, ProxyError::Broken { .. });
                    // A resting connection that the server closed just now says nothing about the server.
                    let excused = (broken && reused) || matches!(err, ProxyError::Client(_));
                    if !excused {
                        self.0.upstream.failed(server);
                    }
                    let again = if broken && repetitions < spec.retries { spare.take() } else { None };
                    let Some(again) = again else { return Err(err) };
                    repetitions += 1;
                    fresh = true;
                    if !reused {
                        tried |= bit(server);
                        slot.move_to(self.choose(if self.another(tried) { tried } else { 0 }));
                    }
                    request = again.into_request(if repetitions < spec.retries { Some(&mut spare) } else { None });
                }
            }
        }
    }

    /// The least busy of the servers in good health that are not in `tried`; without one, the least bad.
    fn choose(&self, tried: u64) -> usize {
        let Inner { upstream, servers, turn, .. } = &*self.0;
        let count = servers.len();
        if count == 1 {
            return 0;
        }
        let first = turn.get();
        turn.set((first + 1) % count);
        (0..count)
            .map(|step| (first + step) % count)
            .min_by_key(|server| (tried & bit(*server) != 0, upstream.out_for(*server).unwrap_or(0), servers[*server].in_flight.get()))
            .unwrap_or(0)
    }

    fn another(&self, tried: u64) -> bool {
        (0..self.0.servers.len()).any(|server| tried & bit(server) == 0)
    }

    async fn take_idle(&self, server: usize) -> Option<Line> {
        loop {
            let mut line = self.0.servers[server].idle.borrow_mut().pop()?;
            // Its task may still have to notice the end of the last answer, or a hang-up: either is at hand.
            if line.sender.is_ready() || line.sender.ready().await.is_ok() {
                return Some(line);
            }
        }
    }

    async fn connect(&self, server: usize) -> Result<Line, ProxyError> {
        let spec = &self.0.upstream.spec;
        let opening = tokio::time::timeout(spec.connect_timeout, connect::connect(spec, &spec.servers[server]));
        let stream = match opening.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(source)) => return Err(self.unreachable(server, source)),
            Err(_) => return Err(ProxyError::Timeout { server: self.name(server), limit: spec.connect_timeout }),
        };
        let budget = HeadBudget::new();
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(Budgeted { stream, budget: budget.clone() }))
            .await
            .map_err(|err| self.unreachable(server, io::Error::other(err)))?;
        let task = tokio::task::spawn_local(connection.with_upgrades()).abort_handle();
        let now = Instant::now();
        Ok(Line { sender, task, budget, timer: Box::pin(tokio::time::sleep_until(now)), idle_since: now })
    }

    async fn exchange(
        &self,
        server: usize,
        mut line: Line,
        request: Request<Outgoing>,
        progress: Option<&Progress>,
        timeout: Duration,
    ) -> Result<(Response<Incoming>, Line), Failed> {
        let started = Instant::now();
        line.timer.as_mut().reset(started + timeout);
        line.budget.set(MAX_HEAD);
        let idle_timeout = self.0.upstream.spec.idle_timeout;
        let mut answer = pin!(line.sender.try_send_request(request));
        let timer = &mut line.timer;
        let outcome = std::future::poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(Some(answer));
            }
            while timer.as_mut().poll(cx).is_ready() {
                // While the request's body is still on its way, the answer's time has not begun.
                let deadline = progress.map_or(started + timeout, |progress| progress.deadline(timeout, idle_timeout));
                if deadline <= Instant::now() {
                    return Poll::Ready(None);
                }
                timer.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await;
        match outcome {
            Some(Ok(answer)) => {
                line.budget.lift();
                Ok((answer, line))
            }
            Some(Err(mut err)) => Err(match err.take_message() {
                Some(request) => Failed::Unsent(Box::new(request)),
                None if line.budget.is_spent() => {
                    let why = format!("more than {MAX_HEAD} bytes came before the answer's head was complete");
                    Failed::Sent(ProxyError::InvalidAnswer { server: self.name(server), why })
                }
                None => Failed::Sent(self.classify(server, err.into_error(), progress)),
            }),
            None => Err(Failed::Sent(ProxyError::Timeout { server: self.name(server), limit: timeout })),
        }
    }

    fn classify(&self, server: usize, source: hyper::Error, progress: Option<&Progress>) -> ProxyError {
        if let Some(fault) = progress.and_then(Progress::fault) {
            return ProxyError::Client(fault);
        }
        let server = self.name(server);
        if source.is_parse() {
            return ProxyError::InvalidAnswer { server, why: source.to_string() };
        }
        ProxyError::Broken { server, source }
    }

    fn hand_over(
        &self,
        mut answer: Response<Incoming>,
        line: Line,
        slot: Slot,
        prepared: Prepared,
        progress: Option<Rc<Progress>>,
        head_only: bool,
    ) -> Result<Response<ResponseBody>, ProxyError> {
        if let Some(why) = headers::contradiction(&answer, prepared.upgrade.is_some()) {
            return Err(ProxyError::InvalidAnswer { server: self.name(slot.server), why: why.to_owned() });
        }
        let spec = &self.0.upstream.spec;
        if let (StatusCode::SWITCHING_PROTOCOLS, Some(upgrade)) = (answer.status(), prepared.upgrade) {
            let protocol = answer.headers().get(header::UPGRADE).cloned();
            let upstream = hyper::upgrade::on(&mut answer);
            headers::clean_answer(&mut answer);
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            if let Some(protocol) = protocol {
                answer.headers_mut().insert(header::UPGRADE, protocol);
            }
            let tunnel = self.0.upstream.open_tunnel().ok_or(ProxyError::Busy)?;
            let work = tunnel::run(upgrade, upstream, spec.tunnel_idle_timeout, self.0.stop.clone());
            tokio::task::spawn_local(async move {
                work.await;
                drop((tunnel, line));
            });
            return Ok(answer.map(|_| ResponseBody::Empty));
        }
        let silence = if headers::is_event_stream(answer.headers()) { spec.tunnel_idle_timeout } else { spec.idle_timeout };
        headers::clean_answer(&mut answer);
        let nothing = head_only || matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(answer.map(|body| {
            let body = UpstreamBody::new(body, line, slot, progress, silence);
            if nothing { ResponseBody::Empty } else { ResponseBody::Upstream(body) }
        }))
    }

    fn name(&self, server: usize) -> String {
        self.0.upstream.servers[server].name.clone()
    }

    fn unreachable(&self, server: usize, source: io::Error) -> ProxyError {
        ProxyError::Unreachable { server: self.name(server), source }
    }
}

/// Servers beyond the 64th share a bit, which only costs them a repetition.
fn bit(server: usize) -> u64 {
    1 << (server % 64)
}

impl Slot {
    /// For a place at the gate, which it gives back.
    fn new(pool: &Pool, server: usize) -> Self {
        let in_flight = &pool.0.servers[server].in_flight;
        in_flight.set(in_flight.get() + 1);
        Self { pool: pool.clone(), server }
    }

    fn move_to(&mut self, server: usize) {
        let servers = &self.pool.0.servers;
        servers[self.server].in_flight.set(servers[self.server].in_flight.get() - 1);
        servers[server].in_flight.set(servers[server].in_flight.get() + 1);
        self.server = server;
    }
}

impl Spare {
    fn into_request(self, keep: Option<&mut Option<Self>>) -> Request<Outgoing> {
        let mut request = Request::new(Outgoing::new(RequestBody::empty(), None));
        if let Some(spare) = keep {
            *spare = Some(Self { method: self.method.clone(), uri: self.uri.clone(), headers: self.headers.clone() });
        }
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}

/// Closes connections that nobody has used for a while: the oldest lie at the bottom.
async fn age(pool: Weak<Inner>) {
    loop {
        let Some(keep_alive) = pool.upgrade().map(|pool| pool.upstream.spec.keep_alive) else { return };
        tokio::time::sleep((keep_alive / 4).clamp(Duration::from_millis(250), Duration::from_secs(10))).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        for server in &pool.servers {
            let mut idle = server.idle.borrow_mut();
            let old = idle.iter().take_while(|line| line.sender.is_closed() || now.duration_since(line.idle_since) >= keep_alive).count();
            drop(idle.drain(..old));
        }
    }
}
