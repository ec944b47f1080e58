//! Counters, gauges and histograms, and their text for Prometheus.
//!
//! Names and labels come from the code or from the configuration, never from requests, and every family is bounded.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// The most series of one name; more are counted nowhere, which `baluarte_metrics_refused_series_total` tells.
const MAX_SERIES: usize = 1_000;
/// Where a duration's buckets end, in microseconds.
const DURATION_BOUNDS_US: [u64; 14] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000, 30_000_000];
const REFUSED_SERIES: &str = "baluarte_metrics_refused_series_total";

/// Labels of a series, in the order they are printed.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

/// All numbers of the process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Registry>);

#[derive(Default)]
struct Registry {
    families: Mutex<BTreeMap<&'static str, Family>>,
    on_scrape: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
    refused: AtomicU64,
}

struct Family {
    help: &'static str,
    kind: &'static str,
    /// By the labels as printed; the parts of a series are added up.
    series: BTreeMap<String, Vec<Part>>,
}

enum Part {
    Counter(Counter),
    /// Counts microseconds, is shown in seconds.
    Micros(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

/// Only goes up.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Relaxed);
    }
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Goes up and down.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    pub fn add(&self, by: i64) {
        self.0.fetch_add(by, Relaxed);
    }
    pub fn set(&self, to: i64) {
        self.0.store(to, Relaxed);
    }
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// How long things took, in buckets.
#[derive(Debug, Clone, Default)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    counts: [AtomicU64; DURATION_BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = DURATION_BOUNDS_US.iter().position(|bound| micros <= *bound).unwrap_or(DURATION_BOUNDS_US.len());
        self.0.counts[bucket].fetch_add(1, Relaxed);
        self.0.sum_us.fetch_add(micros, Relaxed);
    }
}

impl Metrics {
    /// The counter of that name and those labels; the same one each time.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Counter {
        self.part(
            name,
            help,
            "counter",
            labels,
            false,
            |part| if let Part::Counter(counter) = part { Some(counter.clone()) } else { None },
            {
                let counter = Counter::default();
                (Part::Counter(counter.clone()), counter)
            },
        )
    }

    /// One core's own part of a counter: added to the others when read, never touched by them.
    pub fn core_counter(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Counter {
        let counter = Counter::default();
        self.part(name, help, "counter", labels, true, |_| None, (Part::Counter(counter.clone()), counter))
    }

    /// A counter of microseconds that is shown in seconds, as Prometheus counts time.
    pub fn seconds_counter(&self, name: &'static str, help: &'static str) -> Counter {
        let counter = Counter::default();
        let find = |part: &Part| if let Part::Micros(counter) = part { Some(counter.clone()) } else { None };
        self.part(name, help, "counter", &[], false, find, (Part::Micros(counter.clone()), counter))
    }

    /// The gauge of that name and those labels; the same one each time.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Gauge {
        let gauge = Gauge::default();
        self.part(
            name,
            help,
            "gauge",
            labels,
            false,
            |part| if let Part::Gauge(gauge) = part { Some(gauge.clone()) } else { None },
            (Part::Gauge(gauge.clone()), gauge),
        )
    }

    /// One core's own part of a gauge.
    pub fn core_gauge(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Gauge {
        let gauge = Gauge::default();
        self.part(name, help, "gauge", labels, true, |_| None, (Part::Gauge(gauge.clone()), gauge))
    }

    /// The histogram (of seconds) of that name and those labels; the same one each time.
    pub fn histogram(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Histogram {
        let histogram = Histogram::default();
        self.part(
            name,
            help,
            "histogram",
            labels,
            false,
            |part| if let Part::Histogram(histogram) = part { Some(histogram.clone()) } else { None },
            (Part::Histogram(histogram.clone()), histogram),
        )
    }

    /// One core's own part of a histogram.
    pub fn core_histogram(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Histogram {
        let histogram = Histogram::default();
        self.part(name, help, "histogram", labels, true, |_| None, (Part::Histogram(histogram.clone()), histogram))
    }

    /// Calls `update` before each reading, to set gauges that nobody keeps up to date.
    pub fn on_scrape(&self, update: impl Fn() + Send + Sync + 'static) {
        lock(&self.0.on_scrape).push(Box::new(update));
    }

    /// Everything, in the text format of Prometheus (version 0.0.4).
    pub fn render(&self) -> String {
        for update in lock(&self.0.on_scrape).iter() {
            update();
        }
        let mut text = String::with_capacity(16 * 1024);
        for (name, family) in lock(&self.0.families).iter() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {}", family.help, family.kind);
            for (labels, parts) in &family.series {
                render_series(&mut text, name, labels, parts);
            }
        }
        let _ = writeln!(
            text,
            "# HELP {REFUSED_SERIES} Series that were not kept because their name had too many.\n# TYPE {REFUSED_SERIES} counter\n{REFUSED_SERIES} {}",
            self.0.refused.load(Relaxed)
        );
        text
    }

    #[expect(clippy::too_many_arguments, reason = "the one private function behind six that read well")]
    fn part<T>(
        &self,
        name: &'static str,
        help: &'static str,
        kind: &'static str,
        labels: Labels<'_>,
        own: bool,
        find: impl Fn(&Part) -> Option<T>,
        (part, handle): (Part, T),
    ) -> T {
        let mut families = lock(&self.0.families);
        let family = families.entry(name).or_insert_with(|| Family { help, kind, series: BTreeMap::new() });
        let labels = label_text(labels);
        if family.kind != kind || (family.series.len() >= MAX_SERIES && !family.series.contains_key(&labels)) {
            self.0.refused.fetch_add(1, Relaxed);
            return handle;
        }
        let parts = family.series.entry(labels).or_default();
        if !own && let Some(existing) = parts.first().and_then(find) {
            return existing;
        }
        parts.push(part);
        handle
    }
}

fn render_series(text: &mut String, name: &str, labels: &str, parts: &[Part]) {
    let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    let mut counter = 0_u64;
    let mut gauge = 0_i64;
    let mut counts = [0_u64; DURATION_BOUNDS_US.len() + 1];
    let mut sum_us = 0_u64;
    for part in parts {
        match part {
            Part::Counter(part) | Part::Micros(part) => counter += part.get(),
            Part::Gauge(part) => gauge += part.get(),
            Part::Histogram(part) => {
                for (total, count) in counts.iter_mut().zip(&part.0.counts) {
                    *total += count.load(Relaxed);
                }
                sum_us += part.0.sum_us.load(Relaxed);
            }
        }
    }
    let _ = match parts.first() {
        None => Ok(()),
        Some(Part::Counter(_)) => writeln!(text, "{name}{braces} {counter}"),
        Some(Part::Micros(_)) => writeln!(text, "{name}{braces} {}", micros_as_seconds(counter)),
        Some(Part::Gauge(_)) => writeln!(text, "{name}{braces} {gauge}"),
        Some(Part::Histogram(_)) => {
            let comma = if labels.is_empty() { "" } else { "," };
            let mut running = 0;
            for (bound, count) in DURATION_BOUNDS_US.iter().zip(counts) {
                running += count;
                let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{}\"}} {running}", micros_as_seconds(*bound));
            }
            running += counts[DURATION_BOUNDS_US.len()];
            let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {running}");
            let _ = writeln!(text, "{name}_sum{braces} {}", micros_as_seconds(sum_us));
            writeln!(text, "{name}_count{braces} {running}")
        }
    };
}

/// Exact: no floating point on the way.
fn micros_as_seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn label_text(labels: Labels<'_>) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_series_are_added_up_when_read() {
        let metrics = Metrics::default();
        metrics.core_counter("baluarte_x_total", "X.", &[("a", "1")]).add(2);
        metrics.core_counter("baluarte_x_total", "X.", &[("a", "1")]).add(3);
        metrics.counter("baluarte_x_total", "X.", &[("a", "2")]).add(1);
        metrics.counter("baluarte_x_total", "X.", &[("a", "2")]).add(1);
        let text = metrics.render();
        assert!(text.contains("# TYPE baluarte_x_total counter\n"), "{text}");
        assert!(text.contains("baluarte_x_total{a=\"1\"} 5\n") && text.contains("baluarte_x_total{a=\"2\"} 2\n"), "{text}");
    }

    #[test]
    fn a_histogram_is_cumulative_and_counts_what_is_beyond_the_last_bound() {
        let metrics = Metrics::default();
        let took = metrics.histogram("baluarte_t_seconds", "T.", &[]);
        took.observe(Duration::from_micros(700));
        took.observe(Duration::from_secs(60));
        let text = metrics.render();
        assert!(text.contains("baluarte_t_seconds_bucket{le=\"0.0005\"} 0\n"), "{text}");
        assert!(text.contains("baluarte_t_seconds_bucket{le=\"0.001\"} 1\n"), "{text}");
        assert!(text.contains("baluarte_t_seconds_bucket{le=\"30\"} 1\n"), "{text}");
        assert!(text.contains("baluarte_t_seconds_bucket{le=\"+Inf\"} 2\n"), "{text}");
        assert!(text.contains("baluarte_t_seconds_sum 60.0007\nbaluarte_t_seconds_count 2\n"), "{text}");
    }

    #[test]
    fn label_values_cannot_break_out_of_their_quotes() {
        let metrics = Metrics::default();
        metrics.counter("baluarte_y_total", "Y.", &[("a", "\"}\n\\")]).add(1);
        assert!(metrics.render().contains("baluarte_y_total{a=\"\\\"}\\n\\\\\"} 1\n"));
    }

    #[test]
    fn a_name_has_a_bounded_number_of_series() {
        let metrics = Metrics::default();
        for i in 0..MAX_SERIES + 7 {
            metrics.counter("baluarte_z_total", "Z.", &[("i", &i.to_string())]).add(1);
        }
        let text = metrics.render();
        assert_eq!(text.lines().filter(|line| line.starts_with("baluarte_z_total{")).count(), MAX_SERIES);
        assert!(text.contains(&format!("{REFUSED_SERIES} 7\n")));
    }
}
