//! Where the effect of a job is written down, outside everything that is killed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};

/// Of every hundred jobs this many fail the first time they are tried.
const FAILING: u32 = 2;

/// A run that arrived: which attempt it said it was, and whether it was answered with a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) attempt: u32,
    pub(super) refused: bool,
}

/// By the job's identifier, in the order of their arrival.
pub(super) type Arrivals = HashMap<String, Vec<Arrival>>;

pub(super) struct Recorder {
    address: std::net::SocketAddr,
    arrivals: Arc<Mutex<Arrivals>>,
    _accepting: JoinSet<()>,
}

impl Recorder {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound socket has an address");
        let arrivals: Arc<Mutex<Arrivals>> = Arc::default();
        let shared = Arc::clone(&arrivals);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        let arrivals = Arc::clone(&shared);
                        connections.spawn(async move {
                            let service = service_fn(move |request| answer(request, Arc::clone(&arrivals)));
                            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
                        });
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self { address, arrivals, _accepting: accepting }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn arrivals(&self) -> Arrivals {
        lock(&self.arrivals).clone()
    }
}

fn lock(arrivals: &Mutex<Arrivals>) -> MutexGuard<'_, Arrivals> {
    arrivals.lock().expect("never poisoned: nothing panics under this lock")
}

/// What arrived has had its effect, whether or not anybody hears the answer.
async fn answer(request: Request<Incoming>, arrivals: Arc<Mutex<Arrivals>>) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    body.collect().await?;
    let text = |name| header(&head.headers, name).to_owned();
    let (id, attempt) = (text("webhook-id"), text("x-baluarte-attempt").parse().unwrap_or(0));
    let refused = attempt == 1 && rand::random_range(0..100) < FAILING;
    lock(&arrivals).entry(id).or_default().push(Arrival { attempt, refused });
    tokio::time::sleep(Duration::from_millis(rand::random_range(2..30))).await;
    let mut response = Response::new(Empty::new());
    *response.status_mut() = if refused { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::NO_CONTENT };
    Ok(response)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
