//! Files of a directory: validators, ranges, precompressed siblings; nothing outside it, nothing hidden, never a listing.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use baluarte_proxy::ResponseBody;
use baluarte_web::{Problem, prefers_html};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};

use super::file::{Asked, Opened, Reader, Wanted};
use crate::{path, problems};

#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) root: Arc<PathBuf>,
    /// Segments of the path that are not looked up.
    pub(crate) strip: usize,
    /// Seconds; `None`: browsers ask again each time.
    pub(crate) max_age: Option<u64>,
    /// Anybody may see it, so shared caches may keep it.
    pub(crate) public: bool,
    pub(crate) fallback: Option<Vec<String>>,
}

/// Which bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    Whole,
    /// First byte and length.
    Part(u64, u64),
    Unsatisfiable,
}

impl Directory {
    pub(crate) async fn answer<B>(&self, request: &Request<B>) -> Result<Response<ResponseBody>, Problem> {
        let method = request.method();
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Problem::of(&problems::METHOD_NOT_ALLOWED).header(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
        }
        let headers = request.headers();
        let Some((segments, slash)) = segments(path::behind(request.uri().path(), self.strip)) else {
            return Err(Problem::of(&problems::NO_FILE));
        };
        let is_page = takes_html(headers) && segments.last().is_none_or(|name| !name.contains('.')) || prefers_html(headers);
        let asked = Asked {
            root: Arc::clone(&self.root),
            segments,
            slash,
            fallback: self.fallback.clone().filter(|_| is_page),
            wanted: Wanted::of(headers),
        };
        // Opening and reading may wait for a disk: never on the core.
        let opened = match tokio::task::spawn_blocking(move || asked.open()).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(err)) => return Err(Problem::internal(&err)),
            Err(err) => return Err(Problem::internal(&err)),
        };
        match opened {
            Opened::Nothing => Err(Problem::of(&problems::NO_FILE)),
            Opened::DirectoryWithoutSlash => Ok(add_slash(request.uri())),
            Opened::File(reader) => Ok(self.serve(method, headers, *reader)),
        }
    }

    fn serve(&self, method: &Method, asked: &HeaderMap, reader: Reader) -> Response<ResponseBody> {
        let validators = Validators::of(&reader);
        let mut response = Response::new(ResponseBody::Empty);
        let headers = response.headers_mut();
        headers.insert(header::ETAG, validators.etag.clone());
        headers.insert(header::LAST_MODIFIED, validators.modified.clone());
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::CACHE_CONTROL, self.cache_control(reader.is_page));
        match validators.precondition(asked) {
            Precondition::Holds => {}
            Precondition::NotModified => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return response;
            }
            Precondition::Failed => {
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                *response.status_mut() = StatusCode::PRECONDITION_FAILED;
                return response;
            }
        }
        headers.insert(header::CONTENT_TYPE, content_type(&reader.name));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(encoding) = reader.encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        let size = reader.size;
        let span = if *method == Method::GET && validators.range_applies(asked) { range(asked, size) } else { Span::Whole };
        match span {
            Span::Whole => {
                headers.insert(header::CONTENT_LENGTH, size.into());
                if *method == Method::GET {
                    *response.body_mut() = reader.body(0, size);
                }
            }
            Span::Part(from, length) => {
                headers.insert(header::CONTENT_LENGTH, length.into());
                set(headers, header::CONTENT_RANGE, format!("bytes {from}-{}/{size}", from + length - 1));
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                *response.body_mut() = reader.body(from, length);
            }
            Span::Unsatisfiable => {
                headers.remove(header::CONTENT_ENCODING);
                headers.remove(header::CONTENT_TYPE);
                // What is told is about this request, not about the file.
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                set(headers, header::CONTENT_RANGE, format!("bytes */{size}"));
                *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            }
        }
        response
    }

    /// A page found by its directory or as a fallback changes under the same address: it is always asked for again.
    fn cache_control(&self, is_page: bool) -> HeaderValue {
        let Some(max_age) = self.max_age.filter(|_| !is_page) else { return HeaderValue::from_static("no-cache") };
        let who = if self.public { "public" } else { "private" };
        HeaderValue::from_str(&format!("{who}, max-age={max_age}, immutable")).unwrap_or(HeaderValue::from_static("no-cache"))
    }
}

/// A program that wants nothing but data is not served a page in its place.
fn takes_html(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    accepted.peek().is_none() || accepted.any(|value| ["text/html", "text/*", "*/*"].iter().any(|kind| value.contains(kind)))
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: String) {
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(name, value);
    }
}

/// `/css/a.css` → `["css", "a.css"]`, and whether a slash ends it. `None`: no file of ours can be meant.
fn segments(raw: &str) -> Option<(Vec<String>, bool)> {
    // The route's own path without a slash behind it means the directory itself, like any other directory's name.
    let Some(raw) = raw.strip_prefix('/') else { return raw.is_empty().then(|| (Vec::new(), false)) };
    if raw.is_empty() {
        return Some((Vec::new(), true));
    }
    let (raw, slash) = match raw.strip_suffix('/') {
        Some(raw) => (raw, true),
        None => (raw, false),
    };
    let segment = |part: &str| {
        let name = percent_encoding::percent_decode_str(part).decode_utf8().ok()?.into_owned();
        let hidden = name.is_empty() || name.starts_with('.');
        (!hidden && !name.contains(['/', '\\', '\0'])).then_some(name)
    };
    Some((raw.split('/').map(segment).collect::<Option<_>>()?, slash))
}

/// A page in a directory links relative to it, so its address must end with a slash. No empty segment got here, so the
/// address cannot be read as another host.
fn add_slash(uri: &Uri) -> Response<ResponseBody> {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(ResponseBody::Empty);
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    set(response.headers_mut(), header::LOCATION, format!("{}/{query}", uri.path()));
    response
}

fn content_type(name: &str) -> HeaderValue {
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    let text = kind.type_() == "text"
        || matches!(kind.subtype().as_str(), "javascript" | "json" | "manifest+json")
        || kind.suffix() == Some(mime_guess::mime::XML);
    let value = if text { HeaderValue::from_str(&format!("{kind}; charset=utf-8")) } else { HeaderValue::from_str(kind.as_ref()) };
    value.unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

struct Validators {
    etag: HeaderValue,
    modified: HeaderValue,
    modified_at: SystemTime,
}

enum Precondition {
    Holds,
    NotModified,
    Failed,
}

impl Validators {
    fn of(reader: &Reader) -> Self {
        let nanos = reader.modified.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let variant = reader.encoding.unwrap_or_default();
        let etag = HeaderValue::from_str(&format!("\"{nanos:x}-{:x}{variant}\"", reader.size)).unwrap_or(HeaderValue::from_static("\"\""));
        let modified = HeaderValue::from_str(&httpdate::fmt_http_date(reader.modified)).unwrap_or(HeaderValue::from_static(""));
        // Dates in HTTP have whole seconds.
        let modified_at = reader
            .modified
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(SystemTime::UNIX_EPOCH, |since| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs()));
        Self { etag, modified, modified_at }
    }

    /// RFC 9110, 13.2.2.
    fn precondition(&self, asked: &HeaderMap) -> Precondition {
        if asked.contains_key(header::IF_MATCH) {
            if !self.is_listed(asked, &header::IF_MATCH, false) {
                return Precondition::Failed;
            }
        } else if date(asked, &header::IF_UNMODIFIED_SINCE).is_some_and(|since| self.modified_at > since) {
            return Precondition::Failed;
        }
        let unchanged = if asked.contains_key(header::IF_NONE_MATCH) {
            self.is_listed(asked, &header::IF_NONE_MATCH, true)
        } else {
            date(asked, &header::IF_MODIFIED_SINCE).is_some_and(|since| self.modified_at <= since)
        };
        if unchanged { Precondition::NotModified } else { Precondition::Holds }
    }

    fn is_listed(&self, asked: &HeaderMap, name: &HeaderName, weak: bool) -> bool {
        let ours = self.etag.to_str().unwrap_or_default();
        asked
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || tag == ours || (weak && tag.strip_prefix("W/") == Some(ours)))
    }

    fn range_applies(&self, asked: &HeaderMap) -> bool {
        match asked.get(header::IF_RANGE) {
            None => true,
            Some(tag) if tag.as_bytes().first() == Some(&b'"') => *tag == self.etag,
            Some(_) => date(asked, &header::IF_RANGE) == Some(self.modified_at),
        }
    }
}

fn date(asked: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(asked.get(name)?.to_str().ok()?).ok()
}

/// One range is served; several, or what is not a range of bytes, get the whole file (RFC 9110, 14.2 allows both).
fn range(asked: &HeaderMap, size: u64) -> Span {
    let mut values = asked.get_all(header::RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Span::Whole };
    let Some((first, last)) = value.to_str().ok().and_then(|text| text.strip_prefix("bytes=")).and_then(|text| text.split_once('-')) else {
        return Span::Whole;
    };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().unwrap_or(u64::MAX));
    match (first.trim(), last.trim()) {
        ("", "") => Span::Whole,
        ("", last) => match number(last) {
            None => Span::Whole,
            Some(0) => Span::Unsatisfiable,
            Some(_) if size == 0 => Span::Unsatisfiable,
            Some(length) => Span::Part(size - length.min(size), length.min(size)),
        },
        (first, last) => match (number(first), if last.is_empty() { Some(u64::MAX) } else { number(last) }) {
            (Some(first), Some(last)) if first <= last && first < size => Span::Part(first, last.min(size - 1) - first + 1),
            (Some(first), Some(last)) if first <= last => Span::Unsatisfiable,
            _ => Span::Whole,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(value: &'static str, size: u64) -> Span {
        range(&HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(value))]), size)
    }

    #[test]
    fn a_single_range_is_served_and_anything_else_gets_the_whole() {
        assert_eq!(span("bytes=0-4", 10), Span::Part(0, 5));
        assert_eq!(span("bytes=5-", 10), Span::Part(5, 5));
        assert_eq!(span("bytes=-3", 10), Span::Part(7, 3));
        assert_eq!(span("bytes=-30", 10), Span::Part(0, 10));
        assert_eq!(span("bytes=8-99999999999999999999999", 10), Span::Part(8, 2));
        for whole in ["bytes=0-1,3-4", "bytes=4-2", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=1"] {
            assert_eq!(span(whole, 10), Span::Whole, "{whole}");
        }
        for none in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(span(none, 10), Span::Unsatisfiable, "{none}");
        }
        assert_eq!(span("bytes=0-", 0), Span::Unsatisfiable);
    }

    #[test]
    fn only_names_of_visible_files_are_looked_up() {
        assert_eq!(segments("/css/a%20b.css"), Some((vec!["css".into(), "a b.css".into()], false)));
        assert_eq!(segments("/"), Some((vec![], true)));
        assert_eq!(segments(""), Some((vec![], false)), "the route's own path, without a slash");
        assert_eq!(segments("/docs/"), Some((vec!["docs".into()], true)));
        for refused in ["/.env", "/a/.git/config", "/..", "/a//b", "//", "/a%2fb", "/a%5cb", "/a%00b", "/%2e%2e/x", "/%ff"] {
            assert_eq!(segments(refused), None, "{refused}");
        }
    }

    #[test]
    fn text_names_its_character_set() {
        assert_eq!(content_type("a.html"), "text/html; charset=utf-8");
        assert_eq!(content_type("a.js"), "text/javascript; charset=utf-8");
        assert_eq!(content_type("a.svg"), "image/svg+xml; charset=utf-8");
        assert_eq!(content_type("a.png"), "image/png");
        assert_eq!(content_type("unknown"), "application/octet-stream");
    }
}
