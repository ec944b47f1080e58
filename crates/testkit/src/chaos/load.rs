//! People who enqueue jobs through servers that come and go, and do not give up before somebody has said yes.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use baluarte_kernel::Clock;
use http::Method;
use serde_json::{Value, json};

use crate::Client;

const WRITERS: usize = 16;
/// Before another server is asked.
const PAUSE: Duration = Duration::from_millis(30);
/// Jobs that are enqueued twice at the same time lie this far ahead, so that the first cannot be over before the second comes.
const AHEAD: Duration = Duration::from_secs(3);
/// Two that were both answered so soon must be one job.
const SOON: Duration = Duration::from_secs(2);

/// What became of the wish for one job, which is its unique key.
#[derive(Debug, Default)]
pub(super) struct Wish {
    /// Identifiers that were acknowledged; more than one only when an earlier job under the key was over.
    pub(super) ids: BTreeSet<String>,
    /// Requests of which nobody knows whether they were heard.
    pub(super) unanswered: u32,
    /// It was enqueued twice at the same time, and both were answered while the job still waited.
    pub(super) twice: bool,
    /// The same, but one of them got through only when the job of the other may have been over.
    pub(super) late: bool,
}

pub(super) struct Load {
    clients: Vec<Client>,
    jobs: usize,
    length: Duration,
    next: AtomicUsize,
}

impl Load {
    pub(super) fn new(admin: Client, addresses: Vec<String>, jobs: usize, length: Duration) -> Self {
        let clients = addresses.iter().map(|address| admin.at(address)).collect();
        // All of them are to be there well before the killing ends.
        Self { clients, jobs, length: length.mul_f64(0.85), next: AtomicUsize::new(0) }
    }

    /// By their number.
    pub(super) async fn enqueue_all(&self) -> Vec<Wish> {
        let began = tokio::time::Instant::now();
        let writers = (0..WRITERS).map(|_| self.enqueue_some(began));
        let mut wishes: Vec<(usize, Wish)> = futures::future::join_all(writers).await.into_iter().flatten().collect();
        wishes.sort_unstable_by_key(|(n, _)| *n);
        wishes.into_iter().map(|(_, wish)| wish).collect()
    }

    async fn enqueue_some(&self, began: tokio::time::Instant) -> Vec<(usize, Wish)> {
        let mut wishes = Vec::new();
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            if n >= self.jobs {
                return wishes;
            }
            tokio::time::sleep_until(began + self.length.mul_f64(n as f64 / self.jobs as f64)).await;
            let mut body = json!({ "endpoint": "app", "path": "/work", "body": { "n": n }, "unique_key": format!("order-{n}") });
            let wish = if n.is_multiple_of(20) {
                body["run_at"] = Clock::System.now().plus(AHEAD).to_string().into();
                let asked = tokio::time::Instant::now();
                let (mut one, two) = tokio::join!(self.ask(&body), self.ask(&body));
                one.twice = asked.elapsed() < SOON;
                one.late = !one.twice;
                one.unanswered += two.unanswered;
                one.ids.extend(two.ids);
                one
            } else {
                self.ask(&body).await
            };
            wishes.push((n, wish));
        }
    }

    /// Until somebody says yes.
    async fn ask(&self, body: &Value) -> Wish {
        let mut wish = Wish::default();
        loop {
            let client = &self.clients[rand::random_range(0..self.clients.len())];
            match client.try_send(Method::POST, "/api/v1/jobs", |request| request.json(body).timeout(Duration::from_secs(20))).await {
                Ok(answer) if answer.status == 202 => {
                    wish.ids.extend(answer.json()["id"].as_str().map(str::to_owned));
                    return wish;
                }
                Ok(answer) if answer.status < 500 && answer.status != 429 => panic!("{} {}", answer.status, answer.text()),
                // Nobody was there: nothing can have happened.
                Err(err) if err.is_connect() => {}
                Ok(_) | Err(_) => wish.unanswered += 1,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
