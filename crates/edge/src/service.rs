//! One request, from its head to its answer's head.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    net::IpAddr,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
    time::Instant,
};

use baluarte_kernel::{RequestMeta, Scheme};
use baluarte_proxy::{RequestBody, ResponseBody};
use baluarte_telemetry::AccessNote;
use baluarte_web::{Problem, RenderContext, SecurityHeaders, problem};
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, uri::PathAndQuery};

use crate::{
    body::AnswerBody,
    client,
    core::{Core, Exchange, Peer},
    door::Door,
    headers::{self, About, Added},
    http1::{REFUSED_METHOD, host_is_valid, method_rule, number, says_upgrade, target_is_clean},
    proxy_protocol::Told,
    request_id::{RequestId, X_REQUEST_ID, keep_valid_trace},
    rules::{self, Rule},
    wire::{Refused, Wire},
};

static HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// One connection's requests.
pub(crate) struct Service<D> {
    pub(crate) core: Rc<Core>,
    pub(crate) door: Rc<D>,
    pub(crate) wire: Arc<Wire>,
    pub(crate) peer: Peer,
    /// A client speaks to one host, nearly always: the last one is kept.
    pub(crate) host: RefCell<Arc<str>>,
}

/// What is needed to render a problem after the request was given away.
struct Tastes([Option<HeaderValue>; 3]);

const TASTES: [HeaderName; 3] = [header::ACCEPT, header::ACCEPT_LANGUAGE, header::COOKIE];

impl<D: Door> Service<D> {
    /// The whole answer.
    pub(crate) async fn answer(self: Rc<Self>, request: Box<Request<RequestBody>>) -> Response<AnswerBody> {
        let version = request.version();
        let with_body = (!http_body::Body::is_end_stream(request.body())).then(|| Arc::clone(&self.wire));
        let (mut response, added) = self.answer_without_added(request).await;
        added.insert(response.headers_mut());
        let ends = match version {
            // Only the connection's end says where such an answer ends.
            Version::HTTP_10 => http_body::Body::size_hint(response.body()).exact().is_none(),
            // hyper does not wait for the rest of a body that nobody reads.
            Version::HTTP_11 => with_body.is_some_and(|wire| wire.awaits_body()),
            _ => false,
        };
        if ends && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            if version == Version::HTTP_10 {
                // Or hyper adds the keep-alive that the client asked for.
                *response.version_mut() = version;
            }
        }
        response
    }

    /// The answer, and what is still to be added to its headers.
    pub(crate) async fn answer_without_added(self: Rc<Self>, mut request: Box<Request<RequestBody>>) -> (Response<AnswerBody>, Added) {
        let began = Instant::now();
        let now = self.core.clock.now();
        self.wire.request_begins();
        self.core.stats.in_flight.add(1);

        let refused = if request.method().as_str() == REFUSED_METHOD { self.wire.take_refused() } else { None };
        let checked = match &refused {
            Some(refused) => Err(refused.rule),
            None => self.check(&mut request),
        };
        let websocket = self.wire.upgrade_seen.load(Relaxed) && is_websocket(&request);
        let id = self.core.ids.of(request.headers(), now);
        let meta = self.meta(&request, Arc::clone(&id.text));
        let tastes = Tastes::of(request.headers());
        let mut exchange = Box::new(Exchange {
            core: Rc::clone(&self.core),
            wire: Arc::clone(&self.wire),
            meta,
            method: request.method().clone(),
            target: request.uri().path_and_query().cloned(),
            version: request.version(),
            began,
            at: now,
            note: AccessNote::default(),
            status: 0,
            bytes: 0,
            complete: false,
            refused: None,
            described: refused.map(|Refused { method, path, .. }| (method, path)),
        });
        let mut response = match checked {
            Ok(()) => {
                let exchange = &mut *exchange;
                self.hand_over(request, &exchange.meta, &mut exchange.note, &id.value).await
            }
            Err(rule) => refusal(rule),
        };
        // The body broke a rule while the door was reading it: whatever the door made of that, the rule is the reason.
        if let Some(Refused { rule, .. }) = self.wire.take_body_refused() {
            response = refusal(rule);
        }
        if websocket {
            // Whatever became of it: the guard waits to hear of each of those.
            self.wire.decide(response.status() == StatusCode::SWITCHING_PROTOCOLS);
        }
        let added = self.finish(&mut response, &mut exchange, &tastes, id);
        if exchange.version == Version::HTTP_2 {
            response = response.map(|body| self.core.wires.unread.watch(body, &self.wire));
        }
        (response.map(|body| AnswerBody::new(body, exchange)), added)
    }

    /// Everything the guard could not: it does not see HTTP/2, and does not change what it sees.
    fn check(&self, request: &mut Request<RequestBody>) -> Result<(), &'static Rule> {
        let http2 = request.version() == Version::HTTP_2;
        if http2 {
            if request.headers().len() > self.core.limits.headers {
                return Err(&rules::FIELD_COUNT);
            }
            check_http2(request)?;
        }
        if request.uri().authority().is_some() {
            to_origin_form(request)?;
        }
        if (http2 || self.wire.underscore_seen.load(Relaxed)) && !self.core.keep_underscores {
            remove_underscores(request.headers_mut());
        }
        if self.wire.upgrade_seen.load(Relaxed) && !is_websocket(request) {
            // Nothing but WebSocket is upgraded to: a proxy behind us must not be talked into h2c.
            request.headers_mut().remove(header::UPGRADE);
            request.headers_mut().remove(&HTTP2_SETTINGS);
        }
        keep_valid_trace(request.headers_mut());
        Ok(())
    }

    fn meta(&self, request: &Request<RequestBody>, request_id: Arc<str>) -> RequestMeta {
        let host = request.headers().get(header::HOST).map_or(&b""[..], HeaderValue::as_bytes);
        let mut meta = RequestMeta {
            request_id,
            client_ip: self.peer.ip,
            trusted_peer: self.peer.trusted.then_some(self.peer.ip),
            scheme: self.peer.scheme,
            host: self.host(host),
        };
        if self.peer.trusted {
            let told = client::resolve(request.headers(), self.peer.ip, &self.core.options.trusted_proxies);
            meta.client_ip = told.client_ip;
            meta.scheme = told.scheme.unwrap_or(self.peer.scheme);
            if let Some(host) = told.host {
                meta.host = host.into();
            }
        }
        meta
    }

    fn host(&self, host: &[u8]) -> Arc<str> {
        let mut last = self.host.borrow_mut();
        if last.as_bytes() != host {
            // Checked before: printable ASCII. What is not comes from a request that is refused.
            *last = String::from_utf8_lossy(host).to_ascii_lowercase().into();
        }
        Arc::clone(&last)
    }

    async fn hand_over(
        &self,
        mut request: Box<Request<RequestBody>>,
        meta: &RequestMeta,
        note: &mut AccessNote,
        id: &HeaderValue,
    ) -> Response<ResponseBody> {
        let http2 = request.version() == Version::HTTP_2;
        let announced = http_body::Body::size_hint(request.body()).lower();
        let limit = self.core.options.body_limit.get();
        if announced > limit && self.door.body_limit(&request, meta).is_none_or(|allowed| announced > allowed) {
            return refusal(&rules::BODY_SIZE);
        }
        // Only `OPTIONS *` gets here without a path: it asks this server, and nobody behind it (RFC 9110, 9.3.7).
        if request.uri().path() == "*" {
            return whole_server();
        }
        request.body_mut().limit(limit);
        // HTTP/1 bodies are timed by their bytes; HTTP/2 has many bodies on one connection.
        if http2 {
            request.body_mut().bound_pauses(self.core.body_pause);
        }
        request.headers_mut().insert(X_REQUEST_ID.clone(), id.clone());
        let timed = self.door.is_timed(&request, meta);
        // Pinned once: each of these would hold a copy of its own.
        let mut call = pin!(AssertUnwindSafe(self.door.call(request, meta, note)).catch_unwind());
        let called = if !timed {
            Some(call.await)
        } else if http2 {
            tokio::time::timeout(self.core.options.request_timeout, call.as_mut()).await.ok()
        } else {
            self.unless_overdue(call.as_mut()).await
        };
        match called {
            Some(Ok(response)) => response,
            Some(Err(_)) => {
                tracing::error!(target: "edge", request_id = &*meta.request_id, "answering a request panicked");
                problem_response(Problem::of(&problem::INTERNAL))
            }
            None => refusal(&rules::ANSWER_TIMEOUT),
        }
    }

    /// `None` when the sweep finds that it took too long. Sets no timer.
    async fn unless_overdue<F: Future>(&self, mut call: Pin<&mut F>) -> Option<F::Output> {
        self.wire.answer_within(self.core.patience.answer);
        let outcome = poll_fn(|cx| match call.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if self.wire.answer_overdue() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await;
        self.wire.answered();
        outcome
    }

    fn finish(&self, response: &mut Response<ResponseBody>, exchange: &mut Exchange, tastes: &Tastes, id: RequestId) -> Added {
        let extensions = response.extensions_mut();
        let mut set = None;
        if !extensions.is_empty() {
            set = extensions.remove::<Arc<SecurityHeaders>>();
            if let Some(note) = extensions.remove::<AccessNote>() {
                exchange.note = note;
            }
            exchange.refused = extensions.remove::<Broken>().map(|Broken(rule)| {
                self.core.stats.refused(rule);
                rule.name
            });
            if let Some(problem) = extensions.remove::<Problem>() {
                self.render(response, &problem, exchange, tastes);
            }
        }
        exchange.status = response.status().as_u16();
        if exchange.version == Version::HTTP_2 {
            response.headers_mut().remove(header::CONNECTION);
        }
        let transport_security = self.core.transport_security.clone();
        headers::harden(response.headers_mut(), About { scheme: exchange.meta.scheme, request_id: id, set, transport_security })
    }

    fn render(&self, response: &mut Response<ResponseBody>, problem: &Problem, exchange: &Exchange, tastes: &Tastes) {
        let asked = tastes.headers();
        // A refused request is none that could be asked again.
        let again = exchange.described.is_none() && exchange.method == Method::GET;
        let path = exchange.target.as_ref().filter(|_| again).map(PathAndQuery::as_str);
        let context = RenderContext::of(&asked, &exchange.meta.request_id, &self.core.options.site).at(path);
        let (status, headers, bytes) = problem::render(problem, &context);
        *response.status_mut() = status;
        response.headers_mut().remove(header::CONTENT_LENGTH);
        for (name, value) in &headers {
            response.headers_mut().insert(name, value.clone());
        }
        // hyper itself leaves out the body of an answer to HEAD; only a refused HEAD is no HEAD any more to hyper.
        let refused_head = exchange.described.as_ref().is_some_and(|(method, _)| method == "HEAD");
        *response.body_mut() = if refused_head { ResponseBody::Empty } else { ResponseBody::Full(bytes) };
    }
}

impl Tastes {
    fn of(headers: &HeaderMap) -> Self {
        Self(TASTES.each_ref().map(|name| headers.get(name).cloned()))
    }

    fn headers(&self) -> HeaderMap {
        TASTES.iter().zip(&self.0).filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
    }
}

/// In a response's extensions: the edge itself refused.
#[derive(Clone)]
struct Broken(&'static Rule);

fn refusal(rule: &'static Rule) -> Response<ResponseBody> {
    let mut response = problem_response(rule.problem());
    response.extensions_mut().insert(Broken(rule));
    response
}

/// What can be asked of this server in general; each path may take less.
fn whole_server() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    response
}

fn problem_response(problem: Problem) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Empty);
    *response.status_mut() = problem.status;
    response.extensions_mut().insert(problem);
    response
}

/// RFC 9113, section 8.3.1; and the cookies, which HTTP/2 may send in pieces (8.2.3), are joined again.
fn check_http2(request: &mut Request<RequestBody>) -> Result<(), &'static Rule> {
    if let Some(rule) = method_rule(request.method().as_str().as_bytes()) {
        return Err(rule);
    }
    let path = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    let asterisk = path == "*" && request.method() == Method::OPTIONS;
    let origin_form = path.starts_with('/') && target_is_clean(path.as_bytes());
    if !(asterisk || origin_form) {
        return Err(&rules::PSEUDO_PATH);
    }
    let hosts = request.headers().get_all(header::HOST).iter().count();
    match (request.uri().authority(), request.headers().get(header::HOST)) {
        _ if hosts > 1 => return Err(&rules::HOST_DUPLICATE),
        (None, None) => return Err(&rules::HOST_MISSING),
        (Some(authority), Some(host)) if !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) => {
            return Err(&rules::HOST_MISMATCH);
        }
        (Some(authority), _) if !host_is_valid(authority.as_str().as_bytes()) => return Err(&rules::HOST_INVALID),
        (None, Some(host)) if !host_is_valid(host.as_bytes()) => return Err(&rules::HOST_INVALID),
        // Without an authority there is no scheme either, as far as one can still see.
        (Some(_), _) if !matches!(request.uri().scheme_str(), Some("http" | "https")) => return Err(&rules::PSEUDO_SCHEME),
        (Some(_) | None, _) => {}
    }
    // Two lengths that differ would be where one request ends and a smuggled one begins, for an upstream that speaks HTTP/1.
    let mut lengths = request.headers().get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (_, Some(_)) => return Err(&rules::LENGTH_DUPLICATE),
        (Some(length), None) if number(length.as_bytes()).is_none() => return Err(&rules::LENGTH_INVALID),
        (Some(_) | None, None) => {}
    }
    join_cookies(request.headers_mut());
    Ok(())
}

fn join_cookies(headers: &mut HeaderMap) {
    let mut pieces = headers.get_all(header::COOKIE).iter();
    if pieces.next().is_none() || pieces.next().is_none() {
        return;
    }
    let pieces: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&pieces.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// `GET http://shop.example/a` and HTTP/2's authority become `Host: shop.example` and `/a` (RFC 9112, 3.2.2: the target's authority wins).
fn to_origin_form(request: &mut Request<RequestBody>) -> Result<(), &'static Rule> {
    let authority = request.uri().authority().map_or("", http::uri::Authority::as_str);
    let host = HeaderValue::from_str(authority).map_err(|_| &rules::HOST_INVALID)?;
    // HTTP/2's `OPTIONS *`. Without a path, the target has become `/` before we see it, whatever the method.
    let whole_server = request.method() == Method::OPTIONS && request.uri().path_and_query().is_some_and(|target| target.as_str() == "*");
    let target = match request.uri().path_and_query() {
        _ if whole_server => PathAndQuery::from_static("*"),
        Some(target) if target.as_str().starts_with('?') => {
            format!("/{}", target.as_str()).parse().map_err(|_| &rules::TARGET_CHARACTER)?
        }
        Some(target) => target.clone(),
        None => PathAndQuery::from_static("/"),
    };
    request.headers_mut().insert(header::HOST, host);
    *request.uri_mut() = Uri::from(target);
    Ok(())
}

fn remove_underscores(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().contains('_')).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// As the guard sees it, which waits for the answer to each of those.
fn is_websocket(request: &Request<RequestBody>) -> bool {
    let headers = request.headers();
    if request.version() != Version::HTTP_11 || !headers.get_all(header::CONNECTION).iter().any(|value| says_upgrade(value.as_bytes())) {
        return false;
    }
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    protocols.next().is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket")) && protocols.next().is_none()
}

/// The peer as seen by the socket, ready for `RequestMeta`.
/// Whom a trusted `peer` speaks for. The client is judged like one that connects itself: its headers count only if it is a trusted proxy too.
pub(crate) fn told(told: Told, peer_itself: Peer, trusted: &[ipnet::IpNet]) -> Peer {
    let scheme = if told.tls { Scheme::Https } else { Scheme::Http };
    match told.client {
        Some(ip) => Peer { scheme, ..peer(ip, trusted) },
        // Perhaps somebody whose address the load balancer does not know: not to be trusted with headers in its name.
        None => Peer { trusted: false, scheme, ..peer_itself },
    }
}

pub(crate) fn peer(ip: IpAddr, trusted: &[ipnet::IpNet]) -> Peer {
    let ip = client::canonical(ip);
    Peer { ip, trusted: client::is_trusted(ip, trusted), scheme: Scheme::Http }
}
