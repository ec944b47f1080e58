//! The edge's numbers. Each core has its own parts; labels come from fixed or configured sets.

use std::{cell::RefCell, collections::HashMap, sync::Arc, time::Duration};

use baluarte_telemetry::{
    Metrics, Surface,
    metrics::{Counter, Gauge, Histogram},
};
use http::Method;

use crate::rules::Rule;

/// More routes than this share one label.
const MAX_ROUTES: usize = 200;
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];
const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

pub(crate) struct Stats {
    metrics: Metrics,
    /// By surface, method and class; made when first needed.
    requests: RefCell<Vec<Option<Counter>>>,
    durations: RefCell<HashMap<Arc<str>, Histogram, ahash::RandomState>>,
    no_route: [Histogram; 3],
    other_routes: Histogram,
    pub(crate) in_flight: Gauge,
    pub(crate) connections: Counter,
    pub(crate) bytes_sent: Counter,
}

impl Stats {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            requests: RefCell::new(vec![None; Surface::ALL.len() * METHODS.len() * CLASSES.len()]),
            durations: RefCell::default(),
            no_route: Surface::ALL.map(|surface| duration(metrics, surface, "")),
            other_routes: duration(metrics, Surface::Gateway, "other"),
            in_flight: metrics.core_gauge("baluarte_http_requests_in_flight", "Requests being answered.", &[]),
            connections: metrics.core_counter("baluarte_edge_connections_total", "Connections accepted.", &[]),
            bytes_sent: metrics.core_counter("baluarte_http_response_bytes_total", "Bytes of answers' bodies.", &[]),
            metrics: metrics.clone(),
        }
    }

    pub(crate) fn answered(&self, surface: Surface, method: &Method, status: u16, route: Option<&Arc<str>>, took: Duration, bytes: u64) {
        let class = usize::from(status / 100);
        let class = if (1..CLASSES.len()).contains(&class) { class } else { 0 };
        let method = method_index(method);
        let index = (surface as usize * METHODS.len() + method) * CLASSES.len() + class;
        self.requests.borrow_mut()[index]
            .get_or_insert_with(|| {
                self.metrics.core_counter(
                    "baluarte_http_requests_total",
                    "Requests answered.",
                    &[("surface", surface.as_str()), ("method", METHODS[method]), ("status_class", CLASSES[class])],
                )
            })
            .add(1);
        self.bytes_sent.add(bytes);
        match route {
            None => self.no_route[surface as usize].observe(took),
            Some(route) => self.route(surface, route, took),
        }
    }

    fn route(&self, surface: Surface, route: &Arc<str>, took: Duration) {
        let mut durations = self.durations.borrow_mut();
        if let Some(known) = durations.get(route) {
            known.observe(took);
        } else if durations.len() < MAX_ROUTES {
            let histogram = duration(&self.metrics, surface, route);
            histogram.observe(took);
            durations.insert(Arc::clone(route), histogram);
        } else {
            self.other_routes.observe(took);
        }
    }

    pub(crate) fn refused(&self, rule: &Rule) {
        self.refused_by(rule.name);
    }

    /// `rule` is one of a fixed set of names.
    pub(crate) fn refused_by(&self, rule: &'static str) {
        self.metrics
            .counter(
                "baluarte_edge_refused_total",
                "Requests and connections that the edge itself refused, by the rule they broke.",
                &[("rule", rule)],
            )
            .add(1);
    }
}

fn duration(metrics: &Metrics, surface: Surface, route: &str) -> Histogram {
    metrics.core_histogram(
        "baluarte_http_request_duration_seconds",
        "From a request's head until the last byte of its answer.",
        &[("surface", surface.as_str()), ("route", route)],
    )
}

fn method_index(method: &Method) -> usize {
    match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::PATCH => 4,
        Method::DELETE => 5,
        Method::OPTIONS => 6,
        _ => 7,
    }
}
