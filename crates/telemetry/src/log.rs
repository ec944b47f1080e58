//! `tracing` events as lines: JSON for machines, text for people, secrets masked in both.

use std::{fmt, fmt::Write as _, io, sync::Arc};

use baluarte_kernel::Clock;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{LevelFilter, ParseError},
    layer::Context,
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
};

use crate::{
    Telemetry, TelemetryConfig,
    access::ClockText,
    config::LogFormat,
    file::{Both, RotatedFile},
    lines::{Lane, Lines, Style},
    metrics::Metrics,
    process,
};

/// A field whose name contains one of these shows `[redacted]` instead of its value.
const SENSITIVE: [&str; 9] = ["password", "token", "cookie", "secret", "authorization", "credential", "api_key", "recovery", "otp"];
/// These names are as sensitive, but harmless as part of a longer word (`status_code`).
const SENSITIVE_EXACT: [&str; 3] = ["code", "key", "pin"];
const REDACTED: &str = "[redacted]";
/// Libraries that speak of every connection at `info` or below.
const QUIET: &str = "hyper=warn,h2=warn,rustls=warn,sqlx=warn,sqlx_core::pool=error,sea_orm=warn,tower=warn,lettre=warn";

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("the log level cannot be read")]
    Level(#[from] ParseError),
    #[error("the log file {0:?} (telemetry.log_file) cannot be written")]
    File(String, #[source] io::Error),
    #[error("logging was set up before")]
    Twice,
    #[error("logging is gone")]
    Gone(#[from] reload::Error),
}

/// Sets up logging for the whole process, to standard output and perhaps a file. Call it once.
pub fn init(config: &TelemetryConfig, production: bool) -> Result<Telemetry, InitError> {
    let (filter, level) = reload::Layer::new(filter(&config.log_level)?);
    let style = match (config.log_format, production) {
        (LogFormat::Json, _) | (LogFormat::Auto, true) => Style::Json,
        (LogFormat::Text, _) | (LogFormat::Auto, false) => Style::Text,
    };
    let metrics = Metrics::default();
    process::register(&metrics);
    let out: Box<dyn io::Write + Send> = if config.log_file.is_empty() {
        Box::new(io::stdout())
    } else {
        let file = RotatedFile::open(&config.log_file).map_err(|err| InitError::File(config.log_file.clone(), err))?;
        Box::new(Both(io::stdout(), file))
    };
    let lines = Arc::new(Lines::start(out, &metrics));
    let subscriber = tracing_subscriber::registry().with(filter).with(LineLayer { lane: lines.lane(), style });
    tracing::subscriber::set_global_default(subscriber).map_err(|_| InitError::Twice)?;
    let access_log = config.access_log && tracing::enabled!(target: "access", tracing::Level::INFO);
    Ok(Telemetry { metrics, lines, style, access_log, level: Some(Level(level)) })
}

/// The filter in use, to be replaced.
#[derive(Clone)]
pub(crate) struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    pub(crate) fn set(&self, log_level: &str) -> Result<(), InitError> {
        Ok(self.0.reload(filter(log_level)?)?)
    }
}

/// The filter of a `log_level`; what the operator writes comes after, and so over, our own directives.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    // A word alone that is no level would be taken for a target, and silence everything else.
    for word in level.split(',').map(str::trim).filter(|word| !word.contains(['=', '['])) {
        word.parse::<LevelFilter>()?;
    }
    EnvFilter::builder().parse(format!("{QUIET},{level}"))
}

/// Turns spans and events into lines.
struct LineLayer {
    lane: Arc<Lane>,
    style: Style,
}

/// A span's fields, already in the line's style, kept with the span.
struct SpanFields(Vec<u8>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LineLayer {
    fn on_new_span(&self, attrs: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id) {
            let mut fields = Fields::new(self.style);
            attrs.record(&mut fields);
            span.extensions_mut().insert(SpanFields(fields.rest));
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id) {
            let mut fields = Fields::new(self.style);
            values.record(&mut fields);
            if let Some(SpanFields(known)) = span.extensions_mut().get_mut::<SpanFields>() {
                known.extend_from_slice(&fields.rest);
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut fields = Fields::new(self.style);
        event.record(&mut fields);
        let mut clock = ClockText::default();
        let ts = clock.text(Clock::System.now());
        let meta = event.metadata();
        self.lane.append(|line| {
            match self.style {
                Style::Json => {
                    line.extend_from_slice(b"{\"ts\":\"");
                    line.extend_from_slice(ts);
                    line.extend_from_slice(b"\",\"level\":\"");
                    line.extend_from_slice(level_name(*meta.level()).as_bytes());
                    line.extend_from_slice(b"\",\"target\":");
                    push_json_string(line, meta.target());
                    line.extend_from_slice(b",\"message\":");
                    push_json_string(line, &fields.message);
                }
                Style::Text => {
                    line.extend_from_slice(ts);
                    let _ = io::Write::write_fmt(line, format_args!(" {:>5} {}: ", meta.level(), meta.target()));
                    push_text_value(line, &fields.message);
                }
            }
            for span in ctx.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
                if let Some(SpanFields(known)) = span.extensions().get::<SpanFields>() {
                    line.extend_from_slice(known);
                }
            }
            line.extend_from_slice(&fields.rest);
            line.extend_from_slice(if self.style == Style::Json { b"}\n" } else { b"\n" });
        });
    }
}

/// Gathers the fields of an event or span: the message apart, the rest ready to be appended.
struct Fields {
    style: Style,
    message: String,
    rest: Vec<u8>,
}

impl Fields {
    fn new(style: Style) -> Self {
        Self { style, message: String::new(), rest: Vec::new() }
    }

    fn name(&mut self, field: &Field) {
        match self.style {
            Style::Json => {
                self.rest.push(b',');
                push_json_string(&mut self.rest, field.name());
                self.rest.push(b':');
            }
            Style::Text => {
                self.rest.push(b' ');
                self.rest.extend_from_slice(field.name().as_bytes());
                self.rest.push(b'=');
            }
        }
    }

    /// A value that is the same in both styles: a number, true, false.
    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        if sensitive(field.name()) {
            return self.text(field, REDACTED);
        }
        self.name(field);
        let _ = io::Write::write_fmt(&mut self.rest, format_args!("{value}"));
    }

    fn text(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
            return;
        }
        let value = if sensitive(field.name()) { REDACTED } else { value };
        self.name(field);
        match self.style {
            Style::Json => push_json_string(&mut self.rest, value),
            Style::Text => push_text_value(&mut self.rest, value),
        }
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN and no infinity.
        if value.is_finite() { self.plain(field, value) } else { self.text(field, &value.to_string()) }
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // A Debug that fails leaves what it has written so far.
        let _ = write!(text, "{value:?}");
        self.text(field, &text);
    }
}

fn sensitive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SENSITIVE_EXACT.contains(&name.as_str()) || SENSITIVE.iter().any(|word| name.contains(word))
}

fn level_name(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::ERROR => "error",
        tracing::Level::WARN => "warn",
        tracing::Level::INFO => "info",
        tracing::Level::DEBUG => "debug",
        tracing::Level::TRACE => "trace",
    }
}

/// Appends `value` with its quotes, escaped as RFC 8259 asks.
pub(crate) fn push_json_string(line: &mut Vec<u8>, value: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    line.push(b'"');
    let bytes = value.as_bytes();
    // Nearly every value needs no escaping. Looked at without an early end, so that the compiler takes many bytes at once.
    let escaped = bytes.iter().fold(false, |found, b| found | (*b < 0x20) | (*b == b'"') | (*b == b'\\') | (*b == 0x7f));
    if !escaped {
        line.extend_from_slice(bytes);
    } else {
        for byte in bytes {
            match byte {
                b'"' => line.extend_from_slice(b"\\\""),
                b'\\' => line.extend_from_slice(b"\\\\"),
                b'\n' => line.extend_from_slice(b"\\n"),
                0..=0x1f | 0x7f => {
                    line.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]])
                }
                other => line.push(*other),
            }
        }
    }
    line.push(b'"');
}

/// Appends `value` for people: control characters, which could forge lines or colours, are shown as escapes.
pub(crate) fn push_text_value(line: &mut Vec<u8>, value: &str) {
    if value.bytes().all(|b| b >= 0x20 && b != 0x7f) {
        line.extend_from_slice(value.as_bytes());
    } else {
        for c in value.chars() {
            if c.is_control() {
                line.extend(c.escape_default().map(|escaped| u8::try_from(escaped).unwrap_or(b'?')));
            } else {
                line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(style: Style, speak: impl FnOnce()) -> String {
        let captured = Captured::default();
        let lines = Lines::start(Box::new(captured.clone()), &Metrics::default());
        let subscriber = tracing_subscriber::registry().with(LineLayer { lane: lines.lane(), style });
        tracing::subscriber::with_default(subscriber, speak);
        lines.flush();
        let bytes = captured.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn an_event_carries_the_fields_of_the_spans_around_it() {
        let text = logged(Style::Json, || {
            let _span = tracing::info_span!("request", request_id = "r-1", user_id = tracing::field::Empty).entered();
            tracing::Span::current().record("user_id", "usr_1");
            tracing::warn!(target: "gateway", attempt = 2, ok = false, "upstream {} is away", "shop");
        });
        let parsed: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
        assert_eq!(parsed["level"], "warn");
        assert_eq!(parsed["target"], "gateway");
        assert_eq!(parsed["message"], "upstream shop is away");
        assert_eq!(parsed["request_id"], "r-1");
        assert_eq!(parsed["user_id"], "usr_1");
        assert_eq!(parsed["attempt"], 2);
        assert_eq!(parsed["ok"], false);
    }

    #[test]
    fn a_field_named_like_a_secret_never_shows_its_value() {
        for style in [Style::Json, Style::Text] {
            let text = logged(style, || {
                let _span = tracing::info_span!("request", session_cookie = "hunter2").entered();
                tracing::info!(password = "hunter2", access_token = ?"hunter2", code = 222_222, Authorization = %"hunter2", "signing in");
                tracing::info!(client_secret = "hunter2", status_code = 404, "calling");
            });
            assert!(!text.contains("hunter2") && !text.contains("222222"), "{text}");
            assert!(text.contains("[redacted]") && text.contains("404"), "{text}");
        }
    }

    #[test]
    fn a_value_cannot_forge_a_line() {
        for style in [Style::Json, Style::Text] {
            let text = logged(style, || tracing::info!(agent = "x\n{\"level\":\"error\"}\u{1b}[2J", "hello\r\nworld"));
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(!text.contains('\u{1b}'), "{text}");
        }
    }

    #[test]
    fn a_level_is_read_and_nonsense_is_refused() {
        for good in ["info", "debug,gateway=trace", "warn,sqlx=debug"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        assert!(filter("gateway=shouting").is_err());
    }
}
