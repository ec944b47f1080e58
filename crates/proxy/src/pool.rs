//! One core's connections to one upstream, and the exchange of one request for one answer.
//!
//! Lives on the core's single thread: no locks, nothing in it is `Send`. Whoever waits for the answer drives the connection; while
//! it rests nobody does, so whether it still stands is asked before it is used.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    pin::Pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    time::{Instant, Sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    ProxyError, RequestBody, ResponseBody, Upstream,
    answer::{Exchange, UpstreamBody},
    buffers::Buffers,
    connect::{self, Stream},
    headers::{self, Prepared, Upgrade},
    http1::{self, Answer, Framing, Head, Parsed, Sending, Stopped},
    recycle, tunnel,
};

/// The head of an answer must fit in here, and so must it together with the interim answers (1xx) before it.
const MAX_HEAD: usize = 128 * 1_024;
/// How often resting connections are looked at, at least.
const LOOK: Duration = Duration::from_secs(2);

/// One core's connections to an upstream. Cheap to clone. Make it inside the core's local runtime.
#[derive(Clone)]
pub struct Pool(Rc<Inner>);

struct Inner {
    upstream: Arc<Upstream>,
    servers: Vec<CoreServer>,
    buffers: Buffers,
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
    pub(crate) stream: Stream,
    /// Moved on with every use instead of being made anew: moving a timer to later costs no lock.
    pub(crate) timer: Pin<Box<Sleep>>,
    /// When it was last used: the beginning of the last exchange, or of the last wait for more of its answer.
    pub(crate) used: Instant,
}

impl Line {
    /// Nothing has come while it rested: neither a hang-up nor what nobody asked for. Asks the kernel only if there was an event.
    fn stands(&mut self) -> bool {
        let mut byte = [0];
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(&mut self.stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }
}

/// A request's place at its server; given back when dropped.
pub(crate) struct Slot {
    pool: Pool,
    server: usize,
}

impl Slot {
    /// The answer is complete: the connection may serve the next request.
    pub(crate) fn give_back(&self, line: Line) {
        let mut idle = self.pool.0.servers[self.server].idle.borrow_mut();
        if idle.len() < self.pool.0.upstream.spec.max_idle {
            idle.push(line);
        }
    }

    pub(crate) fn buffers(&self) -> &Buffers {
        &self.pool.0.buffers
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let in_flight = &self.pool.0.servers[self.server].in_flight;
        in_flight.set(in_flight.get() - 1);
        self.pool.0.upstream.gate.leave();
    }
}

/// A request on its way, and what has to be known of it when its answer comes.
struct Asked {
    /// As it is sent, when no body follows; kept for another attempt.
    head: Box<[u8]>,
    /// A body, with the head before it; or the rest of a head that was not taken at once.
    sending: Option<Box<Sending>>,
    /// May be sent a second time when nobody knows what became of the first.
    repeatable: bool,
    method: Method,
    upgrade: Option<Upgrade>,
}

/// An answer's head, and the connection over which the rest will come.
struct Answered {
    answer: Box<Answer>,
    line: Line,
}

/// How one attempt failed.
enum Failed {
    /// Nothing of the request was taken: its body, if it has one, is still whole.
    Unsent,
    Sent(ProxyError),
}

impl Pool {
    /// `stop` ends upgraded connections.
    pub fn new(upstream: Arc<Upstream>, stop: CancellationToken) -> Self {
        let servers = upstream.servers.iter().map(|_| CoreServer::default()).collect();
        let pool = Self(Rc::new(Inner { upstream, servers, buffers: Buffers::new(), turn: Cell::new(0), stop }));
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
    ///
    /// The request's head becomes bytes at once and its headers are let go: what waits for an answer is small, and the next
    /// request finds the room that this one has just used.
    pub fn forward(
        &self,
        request: Box<Request<RequestBody>>,
        prepared: Prepared,
        timeout: Option<Duration>,
    ) -> impl Future<Output = Result<Response<ResponseBody>, ProxyError>> {
        let timeout = timeout.unwrap_or(self.0.upstream.spec.timeout);
        let mut asked = self.ask(request, prepared);
        async move {
            let spec = &self.0.upstream.spec;
            if !self.0.upstream.gate.enter(timeout).await {
                return Err(ProxyError::Busy);
            }
            let mut slot = Slot::new(self, self.choose(0));
            if !asked.repeatable && !self.0.servers[slot.server].idle.borrow().is_empty() {
                // What cannot be sent twice does not begin on a connection whose end has come and was not noticed yet: this lets
                // the runtime look at its sockets.
                tokio::task::yield_now().await;
            }

            let mut tried = 0_u64;
            let mut repetitions = 0;
            let mut fresh = false;
            loop {
                let server = slot.server;
                let resting = if fresh { None } else { self.take_idle(server) };
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
                match self.exchange(server, line, &mut asked, timeout).await {
                    Ok(answered) => {
                        self.0.upstream.succeeded(server);
                        return self.hand_over(answered, slot, asked);
                    }
                    Err(Failed::Unsent) if reused => {}
                    // Accepted, and thrown out: as good as not connected.
                    Err(Failed::Unsent) => {
                        self.0.upstream.failed(server);
                        tried |= bit(server);
                        if repetitions >= spec.retries.max(1) || !self.another(tried) {
                            return Err(self.unreachable(server, io::ErrorKind::ConnectionReset.into()));
                        }
                        repetitions += 1;
                        slot.move_to(self.choose(tried));
                    }
                    Err(Failed::Sent(err)) => {
                        let broken = matches!(err, ProxyError::Broken { .. });
                        // A resting connection that the server closed just now says nothing about the server.
                        let excused = (broken && reused) || matches!(err, ProxyError::Client(_));
                        if !excused {
                            self.0.upstream.failed(server);
                        }
                        if !(broken && asked.repeatable && repetitions < spec.retries) {
                            return Err(err);
                        }
                        repetitions += 1;
                        fresh = true;
                        asked.sending = None;
                        if !reused {
                            tried |= bit(server);
                            slot.move_to(self.choose(if self.another(tried) { tried } else { 0 }));
                        }
                    }
                }
            }
        }
    }

    fn ask(&self, mut request: Box<Request<RequestBody>>, prepared: Prepared) -> Asked {
        let spec = &self.0.upstream.spec;
        if let Some(host) = &spec.host {
            request.headers_mut().insert(header::HOST, host.clone());
        } else if !request.headers().contains_key(header::HOST) {
            // The client spoke HTTP/1.0; we speak HTTP/1.1, which is not valid without.
            request.headers_mut().insert(header::HOST, spec.servers[0].authority.clone());
        }
        let body = std::mem::replace(request.body_mut(), RequestBody::empty());
        let Prepared { upgrade, lines } = prepared;
        let method = request.method().clone();
        let head = Head { method: &method, uri: request.uri(), headers: request.headers(), lines: &lines };
        let (head, sending) = if body.is_end_stream() {
            let mut out = self.0.buffers.out();
            http1::write_head(&mut out, &head);
            (out.as_slice().into(), None)
        } else {
            (Box::default(), Some(Box::new(Sending::new(&head, body))))
        };
        recycle::keep_request(request);
        recycle::keep_lines(lines);
        let repeatable = sending.is_none() && upgrade.is_none() && headers::is_idempotent(&method);
        Asked { head, sending, repeatable, method, upgrade }
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

    fn take_idle(&self, server: usize) -> Option<Line> {
        loop {
            let mut line = self.0.servers[server].idle.borrow_mut().pop()?;
            if line.stands() {
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
        let now = Instant::now();
        Ok(Line { stream, timer: Box::pin(tokio::time::sleep_until(now)), used: now })
    }

    async fn exchange(&self, server: usize, mut line: Line, asked: &mut Asked, timeout: Duration) -> Result<Answered, Failed> {
        let started = Instant::now();
        line.used = started;
        line.timer.as_mut().reset(started + timeout);
        let idle_timeout = self.0.upstream.spec.idle_timeout;
        // A request with a body takes its head along.
        let mut said = asked.sending.as_mut().map(|sending| sending.begins()).is_some();
        let mut reading = Reading::default();
        let outcome = poll_fn(|cx| {
            if !said {
                match say(cx, &mut line.stream, &asked.head) {
                    Poll::Ready(Ok(rest)) => (said, asked.sending) = (true, rest),
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Failed::Unsent)),
                    Poll::Pending => {}
                }
            }
            if let Some(under_way) = &mut asked.sending {
                match under_way.poll(cx, &mut line.stream) {
                    Poll::Ready(Err(Stopped::Client(fault))) => return Poll::Ready(Err(Failed::Sent(ProxyError::Client(fault)))),
                    Poll::Ready(Err(Stopped::Upstream)) if under_way.is_untouched() => return Poll::Ready(Err(Failed::Unsent)),
                    // Perhaps it has answered before it stopped listening.
                    Poll::Ready(Err(Stopped::Upstream) | Ok(())) | Poll::Pending => {}
                }
            }
            if said && let Poll::Ready(answer) = self.poll_answer(cx, server, &mut line.stream, asked, &mut reading) {
                return Poll::Ready(answer.map_err(Failed::Sent));
            }
            while line.timer.as_mut().poll(cx).is_ready() {
                // While the request's body is still on its way, the answer's time has not begun.
                let deadline = asked.sending.as_ref().map_or(started + timeout, |sending| sending.deadline(timeout, idle_timeout));
                if deadline <= Instant::now() {
                    return Poll::Ready(Err(Failed::Sent(ProxyError::Timeout { server: self.name(server), limit: timeout })));
                }
                line.timer.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await;
        outcome.map(|answer| Answered { answer, line })
    }

    fn poll_answer(
        &self,
        cx: &mut Context<'_>,
        server: usize,
        stream: &mut Stream,
        asked: &Asked,
        reading: &mut Reading,
    ) -> Poll<Result<Box<Answer>, ProxyError>> {
        let invalid = |why: String| Poll::Ready(Err(ProxyError::InvalidAnswer { server: self.name(server), why }));
        loop {
            let read = match ready!(self.0.buffers.poll_read(stream, cx, 0)) {
                Ok(read) if !read.is_empty() => read,
                // Whoever has said something, if only that it is at work, has perhaps acted.
                Ok(_) | Err(_) if reading.taken > 0 => return invalid("it broke off within its head".to_owned()),
                Ok(_) => return Poll::Ready(Err(self.broken(server, io::ErrorKind::UnexpectedEof.into()))),
                Err(err) => return Poll::Ready(Err(self.broken(server, err))),
            };
            reading.taken += read.len();
            let mut bytes = reading.join(read);
            while !bytes.is_empty() {
                match http1::parse(&bytes, &asked.method, asked.upgrade.is_some()) {
                    Ok(Parsed::Answer(answer)) if reading.taken - answer.rest.len() > MAX_HEAD => break,
                    Ok(Parsed::Answer(answer)) => return Poll::Ready(Ok(answer)),
                    Ok(Parsed::Interim(length)) => bytes.advance(length),
                    Ok(Parsed::Partial) => break,
                    Err(why) => return invalid(why.to_owned()),
                }
            }
            if reading.taken > MAX_HEAD {
                return invalid(format!("more than {MAX_HEAD} bytes came before the answer's head was complete"));
            }
            reading.partial = bytes;
        }
    }

    fn hand_over(&self, answered: Answered, slot: Slot, asked: Asked) -> Result<Response<ResponseBody>, ProxyError> {
        let (Answered { answer, line }, Asked { sending, upgrade, .. }) = (answered, asked);
        let Answer { mut head, framing, mut rest, keep_alive, protocol } = *answer;
        let spec = &self.0.upstream.spec;
        if let (StatusCode::SWITCHING_PROTOCOLS, Some(upgrade)) = (head.status(), upgrade) {
            head.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            if let Some(protocol) = protocol {
                head.headers_mut().insert(header::UPGRADE, protocol);
            }
            let tunnel = self.0.upstream.open_tunnel().ok_or(ProxyError::Busy)?;
            let work = tunnel::run(upgrade, line.stream, rest, spec.tunnel_idle_timeout, self.0.stop.clone());
            tokio::task::spawn_local(async move {
                work.await;
                drop(tunnel);
            });
            return Ok(head.map(|()| ResponseBody::Empty));
        }
        let exchange = Exchange { line, slot, sending, keep_alive };
        if let Framing::Sized(length) = framing
            && let Ok(length) = usize::try_from(length)
            && rest.len() >= length
        {
            let body = rest.split_to(length);
            exchange.complete(&rest);
            return Ok(head.map(|()| if body.is_empty() { ResponseBody::Empty } else { ResponseBody::Full(body) }));
        }
        let silence = if headers::is_event_stream(head.headers()) { spec.tunnel_idle_timeout } else { spec.idle_timeout };
        Ok(head.map(|()| ResponseBody::Upstream(Box::new(UpstreamBody::new(framing, rest, exchange, silence)))))
    }

    fn broken(&self, server: usize, source: io::Error) -> ProxyError {
        ProxyError::Broken { server: self.name(server), source }
    }

    fn name(&self, server: usize) -> String {
        self.0.upstream.servers[server].name.clone()
    }

    fn unreachable(&self, server: usize, source: io::Error) -> ProxyError {
        ProxyError::Unreachable { server: self.name(server), source }
    }
}

/// Sends the head of a request without a body; gives back what the connection did not take at once.
fn say(cx: &mut Context<'_>, stream: &mut Stream, head: &[u8]) -> Poll<io::Result<Option<Box<Sending>>>> {
    let taken = ready!(Pin::new(&mut *stream).poll_write(cx, head))?;
    if taken == 0 {
        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
    }
    let whole = taken == head.len() && matches!(Pin::new(stream).poll_flush(cx), Poll::Ready(Ok(())));
    Poll::Ready(Ok(if whole { None } else { Some(Box::new(Sending::rest_of_head(&head[taken..]))) }))
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

/// What came of an answer's head so far.
#[derive(Default)]
struct Reading {
    partial: Bytes,
    /// Bytes of interim answers and of the head together: a server could send interim answers for ever.
    taken: usize,
}

impl Reading {
    fn join(&mut self, read: Bytes) -> Bytes {
        if self.partial.is_empty() { read } else { [&*std::mem::take(&mut self.partial), &*read].concat().into() }
    }
}

/// Closes connections that nobody has used for a while, and those that the server has closed.
async fn age(pool: Weak<Inner>) {
    loop {
        let Some(keep_alive) = pool.upgrade().map(|pool| pool.upstream.spec.keep_alive) else { return };
        tokio::time::sleep((keep_alive / 4).clamp(Duration::from_millis(250), LOOK)).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        for server in &pool.servers {
            server.idle.borrow_mut().retain_mut(|line| now.duration_since(line.used) < keep_alive && line.stands());
        }
    }
}
