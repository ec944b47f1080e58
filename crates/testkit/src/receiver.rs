//! Somebody else's program that webhooks and jobs are sent to, as good or as bad as a test needs it.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};

use crate::Received;

/// How long something may take to arrive: generous, because machines under test are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is answered to one request.
#[derive(Debug, Clone)]
pub enum Reply {
    Status(u16),
    With {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// The connection ends without an answer.
    HangUp,
    /// Nothing is ever answered.
    Silence,
    /// That status, after so long.
    Slow(Duration, u16),
}

impl Reply {
    pub fn header(status: u16, name: &'static str, value: impl Into<String>) -> Self {
        Self::With { status, headers: vec![(name, value.into())], body: String::new() }
    }
}

/// A server on a port of its own. Answers what was planned, in order, and 204 when nothing is.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct State {
    plan: VecDeque<Reply>,
    otherwise: Option<Reply>,
    received: Vec<Received>,
    /// Being answered right now, and the most there ever were.
    under_way: usize,
    most: usize,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // Connections live in the accepting task's set, so that they end with it.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        let state = Arc::clone(&shared);
                        connections.spawn(async move {
                            let service = service_fn(move |request| answer(request, Arc::clone(&state)));
                            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
                        });
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self { address, state, _tasks: tasks }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The next answers, after those that are planned already.
    pub fn plan(&self, replies: impl IntoIterator<Item = Reply>) {
        self.lock().plan.extend(replies);
    }

    /// The answer when nothing is planned.
    pub fn otherwise(&self, reply: Reply) {
        self.lock().otherwise = Some(reply);
    }

    /// Every request so far, in the order their bodies ended.
    pub fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }

    /// How many requests were under way at the same time, at most.
    pub fn most_at_once(&self) -> usize {
        self.lock().most
    }

    /// Waits until there are so many requests.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            assert!(Instant::now() < deadline, "only {} of {count} requests arrived", received.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("never poisoned: nothing panics under this lock")
}

/// Gives the place back also when the connection ends in the middle.
struct UnderWay(Arc<Mutex<State>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.0).under_way -= 1;
    }
}

async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>) -> std::io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let received = Received {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        body,
        trailers: http::HeaderMap::new(),
    };
    let (reply, _under_way) = {
        let mut held = lock(&state);
        held.received.push(received);
        held.under_way += 1;
        held.most = held.most.max(held.under_way);
        let reply = held.plan.pop_front().or_else(|| held.otherwise.clone()).unwrap_or(Reply::Status(204));
        (reply, UnderWay(Arc::clone(&state)))
    };
    let (status, headers, body) = match reply {
        Reply::Status(status) => (status, Vec::new(), String::new()),
        Reply::With { status, headers, body } => (status, headers, body),
        Reply::HangUp => return Err(std::io::ErrorKind::ConnectionReset.into()),
        Reply::Silence => std::future::pending().await,
        Reply::Slow(wait, status) => {
            tokio::time::sleep(wait).await;
            (status, Vec::new(), String::new())
        }
    };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Full::from(body)).map_err(std::io::Error::other)
}
