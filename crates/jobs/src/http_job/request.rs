//! What a customer asks to be called: read once, strictly, before it is stored.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

/// The longest address.
pub(super) const MAX_URL: usize = 2_048;
/// Headers of one request, and the bytes of their names and values together.
pub(super) const MAX_HEADERS: usize = 32;
pub(super) const MAX_HEADER_BYTES: usize = 8 << 10;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    /// An address in full.
    Url { url: String },
    /// A path at an endpoint of the configuration (`[jobs.endpoints.NAME]`).
    Endpoint { endpoint: String, path: String },
}

/// A request to be made, as it is stored (sealed: address, headers and body may hold secrets).
#[derive(Clone, Serialize, Deserialize)]
pub struct HttpRequest {
    #[serde(flatten)]
    pub target: Target,
    #[serde(default = "post")]
    pub method: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Text goes as it is, everything else as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// What is sent of it.
pub struct Prepared {
    pub method: Method,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// One thing that is wrong with a request: a JSON pointer and a sentence.
pub(super) type Wrong = (String, String);

fn post() -> String {
    "POST".to_owned()
}

const METHODS: [Method; 5] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::GET];

/// Describe the connection or the sender, not the request: they are ours to set.
const RESERVED: [&str; 26] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "expect",
    "http2-settings",
    "accept-encoding",
    "user-agent",
    "forwarded",
    "via",
    "x-real-ip",
    "x-request-id",
    "traceparent",
    "tracestate",
    "remote-user",
    "remote-email",
    "remote-groups",
    "remote-name",
    "date",
];
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "x-baluarte-", "x-forwarded-"];

impl HttpRequest {
    /// Everything that is wrong with it, at once; `max_body` is in bytes.
    ///
    /// # Errors
    /// Pointers into the JSON that a customer sent, and what is allowed there.
    pub fn prepare(&self, max_body: usize) -> Result<Prepared, Vec<Wrong>> {
        let mut wrong = Vec::new();
        self.check_target(&mut wrong);
        let method = METHODS.into_iter().find(|method| method.as_str() == self.method);
        if method.is_none() {
            wrong.push(("/method".to_owned(), "is one of POST, PUT, PATCH, DELETE, GET".to_owned()));
        }
        let mut headers = self.read_headers(&mut wrong);
        let body = match &self.body {
            None | Some(Value::Null) => Bytes::new(),
            Some(Value::String(text)) => {
                headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain; charset=utf-8"));
                Bytes::from(text.clone())
            }
            Some(json) => {
                headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                Bytes::from(json.to_string())
            }
        };
        if body.len() > max_body {
            wrong.push(("/body".to_owned(), format!("is {} bytes long, at most {max_body} are sent", body.len())));
        }
        if self.method == "GET" && !body.is_empty() {
            wrong.push(("/body".to_owned(), "is not sent with GET".to_owned()));
        }
        match method {
            Some(method) if wrong.is_empty() => Ok(Prepared { method, headers, body }),
            _ => Err(wrong),
        }
    }

    fn check_target(&self, wrong: &mut Vec<Wrong>) {
        match &self.target {
            Target::Url { url } if url.len() > MAX_URL => wrong.push(("/url".to_owned(), format!("is longer than {MAX_URL} bytes"))),
            Target::Url { url } => {
                if !Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
                    wrong.push(("/url".to_owned(), "is not an http or https address".to_owned()));
                }
            }
            Target::Endpoint { path, .. } => {
                if !path.starts_with('/') || path.starts_with("//") || path.contains(['\\', '#']) || path.contains(char::is_control) {
                    wrong.push(("/path".to_owned(), "begins with one /, as in /hooks/order-paid".to_owned()));
                }
                if path.len() > MAX_URL {
                    wrong.push(("/path".to_owned(), format!("is longer than {MAX_URL} bytes")));
                }
            }
        }
    }

    fn read_headers(&self, wrong: &mut Vec<Wrong>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let bytes: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if self.headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
            wrong.push(("/headers".to_owned(), format!("at most {MAX_HEADERS} headers and {MAX_HEADER_BYTES} bytes are sent")));
            return headers;
        }
        for (name, value) in &self.headers {
            let pointer = || format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"));
            match (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) {
                (Ok(name), _) if is_reserved(name.as_str()) => {
                    wrong.push((pointer(), "is set by Baluarte itself; leave it out".to_owned()))
                }
                (Ok(name), Ok(mut value)) => {
                    // Kept out of the logs of the libraries below, too.
                    value.set_sensitive(true);
                    if headers.insert(name, value).is_some() {
                        wrong.push((pointer(), "is there twice".to_owned()));
                    }
                }
                (Err(_), _) => wrong.push((pointer(), "is not the name of a header".to_owned())),
                (_, Err(_)) => wrong.push((pointer(), "holds a character that no header may: line breaks, control characters".to_owned())),
            }
        }
        headers
    }
}

/// As a header's name stands in a `HeaderName`: lower case.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Scheme, host and port of an address: what a connection is made to.
pub fn origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let origin = url.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// An address as lists and logs may show it: without query, fragment, user and password.
pub fn shown(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return String::new() };
    let asked = url.query().is_some();
    url.set_query(None);
    url.set_fragment(None);
    // Fails for addresses that have no host, which have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if asked { format!("{url}?…") } else { url.to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: Value) -> Result<Prepared, Vec<String>> {
        let request: HttpRequest = serde_json::from_value(json).unwrap();
        request.prepare(100).map_err(|wrong| wrong.into_iter().map(|(pointer, _)| pointer).collect())
    }

    fn refused(json: Value) -> Vec<String> {
        read(json).err().unwrap_or_default()
    }

    #[test]
    fn a_request_is_sent_as_it_was_asked_for() {
        let sent = read(json!({"url": "https://x.example/a", "headers": {"Authorization": "Bearer t"}, "body": {"a": 1}})).ok().unwrap();
        assert_eq!((sent.method, &sent.body[..]), (Method::POST, &br#"{"a":1}"#[..]));
        assert_eq!(sent.headers["content-type"], "application/json");
        assert!(sent.headers["authorization"].is_sensitive());
        let sent =
            read(json!({"url": "https://x.example/a", "headers": {"content-type": "application/xml"}, "body": "<a/>"})).ok().unwrap();
        assert_eq!((sent.headers["content-type"].to_str().unwrap(), &sent.body[..]), ("application/xml", &b"<a/>"[..]));
        let sent = read(json!({"endpoint": "shop", "path": "/hooks/x", "method": "GET"})).ok().unwrap();
        assert!(sent.body.is_empty() && sent.headers.is_empty());
    }

    #[test]
    fn headers_that_are_ours_or_split_the_request_are_refused() {
        for name in [
            "Host",
            "connection",
            "Content-Length",
            "Transfer-Encoding",
            "TE",
            "Upgrade",
            "Webhook-Signature",
            "webhook-id",
            "Remote-User",
            "X-Forwarded-For",
            "X-Baluarte-Identity",
            "X-Request-ID",
            "User-Agent",
            "Proxy-Authorization",
            "Expect",
        ] {
            assert_eq!(refused(json!({"url": "https://x.example/", "headers": {name: "v"}})), [format!("/headers/{name}")]);
        }
        for (name, value) in [("X", "a\r\nY: b"), ("X", "a\nb"), ("X", "a\u{0}"), ("X Y", "v"), ("X\r\nY", "v"), (":path", "/")] {
            assert_eq!(
                refused(json!({"url": "https://x.example/", "headers": {name: value}})),
                [format!("/headers/{name}")],
                "{name:?} {value:?}"
            );
        }
        assert_eq!(refused(json!({"url": "https://x.example/", "headers": {"A": "1", "a": "2"}})), ["/headers/a"]);
    }

    #[test]
    fn what_would_never_arrive_is_refused_at_once() {
        for url in ["", "/hooks", "ftp://x.example/", "https://", "mailto:a@x.example", "javascript:1"] {
            assert_eq!(refused(json!({"url": url})), ["/url"], "{url}");
        }
        for path in ["", "hooks", "//evil.example/", "/a\\b", "/a#b", "/a\nb"] {
            assert_eq!(refused(json!({"endpoint": "shop", "path": path})), ["/path"], "{path:?}");
        }
        assert_eq!(refused(json!({"url": "https://x.example/", "method": "CONNECT"})), ["/method"]);
        assert_eq!(refused(json!({"url": "https://x.example/", "body": "x".repeat(101)})), ["/body"]);
        assert_eq!(refused(json!({"url": "https://x.example/", "method": "GET", "body": {}})), ["/body"]);
        let many: BTreeMap<_, _> = (0..33).map(|n| (format!("x-{n}"), "v")).collect();
        assert_eq!(refused(json!({"url": "https://x.example/", "headers": many})), ["/headers"]);
    }

    #[test]
    fn an_address_is_shown_without_what_may_be_secret() {
        assert_eq!(shown("https://u:p@x.example/a?token=1#f"), "https://x.example/a?…");
        assert_eq!(shown("https://x.example/a"), "https://x.example/a");
        assert_eq!(origin("https://X.example:443/a?b").as_deref(), Some("https://x.example"));
        assert_eq!(origin("http://127.1:9000/").as_deref(), Some("http://127.0.0.1:9000"));
    }
}
