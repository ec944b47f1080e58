//! A request's head on its way out.

use http::{HeaderMap, HeaderValue, Method, Uri, header, uri::PathAndQuery};

use crate::headers::push_line;

/// What is sent before a body.
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// More headers, whole lines.
    pub(crate) lines: &'a [u8],
}

/// How a body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// As long as its `Content-Length` says: so many bytes are still to come.
    Sized(u64),
    Chunked,
}

/// Appends the head of a request without a body, or of one whose headers say how long its body is.
///
/// What a `HeaderMap`, a `Method` and a `Uri` can hold has neither line ends nor other control characters in it (the types see
/// to that), so nothing can be smuggled into the next line.
pub(crate) fn write_head(out: &mut Vec<u8>, head: &Head<'_>) {
    write_lines(out, head);
    out.extend_from_slice(b"\r\n");
}

/// As [`write_head`], for a request with a body of which `exact` tells the length, if anything does.
pub(super) fn write_head_before_body(out: &mut Vec<u8>, head: &Head<'_>, exact: Option<u64>) -> Coding {
    write_lines(out, head);
    let coding = match (head.headers.get(header::CONTENT_LENGTH).and_then(length), exact) {
        (Some(length), _) => Coding::Sized(length),
        (None, Some(length)) => {
            push_line(out, &header::CONTENT_LENGTH, itoa::Buffer::new().format(length).as_bytes());
            Coding::Sized(length)
        }
        (None, None) => {
            push_line(out, &header::TRANSFER_ENCODING, b"chunked");
            Coding::Chunked
        }
    };
    out.extend_from_slice(b"\r\n");
    coding
}

fn write_lines(out: &mut Vec<u8>, head: &Head<'_>) {
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.uri.path_and_query().map_or("/", PathAndQuery::as_str).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in head.headers {
        push_line(out, name, value.as_bytes());
    }
    out.extend_from_slice(head.lines);
}

/// Digits only, at most what a signed 64-bit number holds.
pub(super) fn length(value: &HeaderValue) -> Option<u64> {
    let digits = value.as_bytes();
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}
