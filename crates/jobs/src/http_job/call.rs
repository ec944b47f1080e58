//! One signed call: made, judged, and what is kept of it.

use std::{sync::Arc, time::Duration};

use baluarte_kernel::{Clock, Timestamp};
use baluarte_outbound::{Names, Outbound, OutboundError, Overlong, Policy, Ports, Private, sign};
use baluarte_telemetry::Metrics;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::{
    answer::{self, excerpt, retry_after},
    endpoints::Destination,
    targets::{Targets, Wait},
};

/// All calls share this place: together they take no more than a part of the workers.
const EVERYBODY: &str = "";
/// Of an answer's body, as read; nobody needs it.
const READ: usize = 16 << 10;

/// Makes signed calls. Cheap to clone; the copies share what they know about who is dead.
#[derive(Clone)]
pub struct Courier(Arc<Inner>);

struct Inner {
    /// To addresses that others wrote.
    guarded: Outbound,
    /// To those the operator wrote.
    trusted: Outbound,
    targets: Targets,
    at_once: usize,
    clock: Clock,
    metrics: Metrics,
}

/// A request ready to be sent.
#[derive(Debug)]
pub struct Call<'a> {
    pub destination: &'a Destination,
    /// `webhook-id`: the same for every attempt.
    pub id: &'a str,
    /// Counts from one.
    pub attempt: u32,
    pub method: Method,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What became of a call.
#[derive(Debug)]
pub enum Outcome {
    /// It was not made: too much is under way, or the place rests. Come back then.
    NotYet(Duration, &'static str),
    Made(Report),
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub began: Timestamp,
    pub took: Duration,
    /// Absent when there was no answer.
    pub status: Option<u16>,
    /// The first words of the answer, redacted.
    pub answer: String,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx.
    Done,
    /// 410: nobody wants this here any more.
    Gone,
    /// Anything else, redirects included; why, and how long the receiver wants to be left alone.
    Failed { why: String, retry_after: Option<Duration> },
}

impl Courier {
    /// `at_once`: calls under way in this process. `private`: whether addresses that others wrote may be private.
    pub fn new(private: bool, at_once: usize, clock: Clock, metrics: Metrics) -> Result<Self, OutboundError> {
        Self::with_names(Names::of_the_system(), private, at_once, clock, metrics)
    }

    /// The same, asking somebody else for addresses.
    pub fn with_names(names: Names, private: bool, at_once: usize, clock: Clock, metrics: Metrics) -> Result<Self, OutboundError> {
        let policy = Policy {
            // A redirect would take the signed request to somebody it was not signed for.
            redirects: 0,
            max_response_bytes: READ,
            overlong: Overlong::Cut,
            private: if private { Private::Allowed } else { Private::Refused },
            ports: if private { Ports::Any } else { Ports::Web },
            ..Policy::default()
        };
        let trusted = Policy { private: Private::Allowed, ports: Ports::Any, ..policy };
        let (guarded, trusted) = (Outbound::with_names(policy, names.clone())?, Outbound::with_names(trusted, names)?);
        let targets = Targets::default();
        let (shown, gauge) = (
            targets.clone(),
            metrics.gauge("baluarte_http_calls_resting_targets", "Receivers left alone for now because they failed again and again.", &[]),
        );
        metrics.on_scrape(move || gauge.set(i64::try_from(shown.resting()).unwrap_or(i64::MAX)));
        Ok(Self(Arc::new(Inner { guarded, trusted, targets, at_once, clock, metrics })))
    }

    /// Whether that destination would be called at all, as far as its address alone tells.
    pub fn permits(&self, destination: &Destination) -> Result<(), OutboundError> {
        self.client(destination).permits(&destination.url)
    }

    /// Makes the call, if it is its turn.
    pub async fn call(&self, call: Call<'_>) -> Outcome {
        let Inner { targets, at_once, clock, metrics, .. } = &*self.0;
        let (destination, began) = (call.destination, clock.now());
        let everybody = match targets.enter(EVERYBODY, *at_once, began) {
            Ok(turn) => turn,
            Err(Wait::Full(wait) | Wait::Resting(wait)) => return self.not_yet(wait, "too many calls are under way"),
        };
        let turn = match targets.enter(&destination.origin, destination.concurrency, began) {
            Ok(turn) => turn,
            Err(Wait::Full(wait)) => return self.not_yet(wait, "too many calls to this receiver are under way"),
            Err(Wait::Resting(wait)) => {
                return self.not_yet(wait, "this receiver has failed again and again and is left alone for a while");
            }
        };
        let answered = self.send(&call, began).await;
        let now = clock.now();
        let took = now.since(began);
        everybody.worked(now);
        let report = match answered {
            Ok((status, headers, words)) => {
                let in_trouble = matches!(status.as_u16(), 429 | 502 | 503 | 504);
                if in_trouble {
                    self.failed(turn, destination, now)
                } else {
                    turn.worked(now)
                }
                let verdict = judge(status, &headers, now);
                Report { began, took, status: Some(status.as_u16()), answer: words, verdict }
            }
            Err(err) => {
                // That we refused to connect says nothing about the receiver.
                if !matches!(err, OutboundError::Forbidden) {
                    self.failed(turn, destination, now);
                }
                let verdict = Verdict::Failed { why: err.to_string(), retry_after: None };
                Report { began, took, status: None, answer: String::new(), verdict }
            }
        };
        let outcome = match (&report.verdict, report.status) {
            (Verdict::Done, _) => "done",
            (_, Some(_)) => "refused",
            (_, None) => "no_answer",
        };
        self.count(outcome);
        metrics.histogram("baluarte_http_call_seconds", "How long calls to receivers took.", &[]).observe(took);
        Outcome::Made(report)
    }

    async fn send(&self, call: &Call<'_>, at: Timestamp) -> Result<(StatusCode, HeaderMap, String), OutboundError> {
        let destination = call.destination;
        let signed = sign(&destination.keys, call.id, at, &call.body).map_err(|_| OutboundError::Failed("cannot be signed".to_owned()))?;
        let mut request = self.client(destination).request(call.method.clone(), &destination.url).timeout(destination.timeout);
        for (name, value) in &call.headers {
            request = request.header(name.clone(), value.clone());
        }
        for (name, value) in signed {
            request = request.header(name, value);
        }
        request = request.header(HeaderName::from_static("x-baluarte-attempt"), HeaderValue::from(call.attempt));
        let answer = request.body(call.body.clone()).send().await?;
        let words = excerpt(&answer.body, &call.headers);
        Ok((answer.status, answer.headers, words))
    }

    fn client(&self, destination: &Destination) -> &Outbound {
        if destination.trusted { &self.0.trusted } else { &self.0.guarded }
    }

    fn failed(&self, turn: super::targets::Turn, destination: &Destination, now: Timestamp) {
        if turn.failed(now) {
            tracing::warn!(target: "jobs", receiver = destination.origin, "a receiver failed again and again; it is left alone for a while");
        }
    }

    fn not_yet(&self, wait: Duration, why: &'static str) -> Outcome {
        self.count("not_yet");
        Outcome::NotYet(wait, why)
    }

    fn count(&self, outcome: &str) {
        self.0.metrics.counter("baluarte_http_calls_total", "Calls to receivers, by what became of them.", &[("outcome", outcome)]).add(1);
    }
}

fn judge(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Verdict {
    if status.is_success() {
        return Verdict::Done;
    }
    if status == StatusCode::GONE {
        return Verdict::Gone;
    }
    let why = if status.is_redirection() {
        format!("answered {}: redirects are not followed, so give the final address", status.as_u16())
    } else {
        format!("answered {}", status.as_u16())
    };
    Verdict::Failed { why, retry_after: retry_after(headers, now).map(|wait| wait.min(answer::LONGEST_RETRY_AFTER)) }
}
