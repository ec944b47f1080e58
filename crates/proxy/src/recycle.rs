//! What requests and answers are held in for a moment, used again on the same core, last in, first out: what was touched last is
//! still in the processor's cache, while an allocator goes round through its pages.
//!
//! Everything is emptied before it is kept, little is kept, and nothing that is large.

use std::cell::RefCell;

use http::{HeaderMap, Method, Request, Uri, Version};

use crate::RequestBody;

/// So many of each kind are kept.
const KEPT: usize = 8;
/// The headers that most requests and answers have, and those that are added to them on their way.
const USUAL_HEADERS: usize = 14;
/// The most that a kept map has room for.
const HEADERS: usize = 64;
/// What most requests say besides their own headers, identity included.
const USUAL_LINES: usize = 1_024;
/// The most that is kept of those.
const LINES: usize = 4 * 1_024;

thread_local! {
    #[expect(clippy::vec_box, reason = "what is handed out is the box")]
    static REQUESTS: RefCell<Vec<Box<Request<RequestBody>>>> = const { RefCell::new(Vec::new()) };
    static MAPS: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
    static LINES_KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// `GET /` without headers and body, to be made into another request.
pub fn blank_request() -> Box<Request<RequestBody>> {
    REQUESTS.with_borrow_mut(Vec::pop).unwrap_or_else(|| {
        let mut request = Request::new(RequestBody::empty());
        *request.headers_mut() = HeaderMap::with_capacity(USUAL_HEADERS);
        Box::new(request)
    })
}

pub(crate) fn keep_request(mut request: Box<Request<RequestBody>>) {
    if !is_kept(request.headers()) {
        return;
    }
    REQUESTS.with_borrow_mut(|kept| {
        if kept.len() < KEPT {
            request.headers_mut().clear();
            request.extensions_mut().clear();
            *request.method_mut() = Method::GET;
            *request.uri_mut() = Uri::default();
            *request.version_mut() = Version::HTTP_11;
            *request.body_mut() = RequestBody::empty();
            kept.push(request);
        }
    });
}

/// An empty map with room for the headers of an answer.
pub(crate) fn blank_map() -> HeaderMap {
    MAPS.with_borrow_mut(Vec::pop).unwrap_or_else(|| HeaderMap::with_capacity(USUAL_HEADERS))
}

/// The headers of an answer that has been written.
pub fn keep_map(mut map: HeaderMap) {
    if is_kept(&map) {
        MAPS.with_borrow_mut(|kept| {
            if kept.len() < KEPT {
                map.clear();
                kept.push(map);
            }
        });
    }
}

fn is_kept(map: &HeaderMap) -> bool {
    (USUAL_HEADERS..=HEADERS).contains(&map.capacity())
}

pub(crate) fn blank_lines() -> Vec<u8> {
    LINES_KEPT.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(USUAL_LINES))
}

pub(crate) fn keep_lines(mut lines: Vec<u8>) {
    if lines.capacity() <= LINES {
        LINES_KEPT.with_borrow_mut(|kept| {
            if kept.len() < KEPT {
                lines.clear();
                kept.push(lines);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    #[test]
    fn nothing_of_one_request_is_left_in_the_next() {
        let mut request = blank_request();
        request.headers_mut().append(header::COOKIE, HeaderValue::from_static("a=b"));
        request.headers_mut().append(header::COOKIE, HeaderValue::from_static("c=d"));
        request.extensions_mut().insert(7_u8);
        *request.method_mut() = Method::DELETE;
        *request.uri_mut() = Uri::from_static("/private?token=x");
        *request.version_mut() = Version::HTTP_2;
        request.body_mut().limit(1);
        let address: *const Request<RequestBody> = &*request;
        keep_request(request);
        let next = blank_request();
        assert!(std::ptr::eq(address, &*next), "it was used again");
        assert!(next.headers().is_empty() && next.headers().get_all(header::COOKIE).iter().next().is_none());
        assert!(next.extensions().is_empty() && next.method() == Method::GET && next.uri() == "/" && next.version() == Version::HTTP_11);
        assert_eq!(format!("{:?}", next.body()), format!("{:?}", RequestBody::empty()));
    }

    #[test]
    fn nothing_of_one_answer_is_left_in_the_next() {
        let mut map = blank_map();
        map.append(header::SET_COOKIE, HeaderValue::from_static("a=b"));
        map.append(header::SET_COOKIE, HeaderValue::from_static("c=d"));
        keep_map(map);
        let next = blank_map();
        assert!(next.is_empty() && next.get_all(header::SET_COOKIE).iter().next().is_none());
        let mut lines = blank_lines();
        lines.extend_from_slice(b"remote-user: ana");
        keep_lines(lines);
        assert!(blank_lines().is_empty());
    }

    #[test]
    fn little_is_kept_and_nothing_large() {
        for _ in 0..3 * KEPT {
            keep_map(HeaderMap::with_capacity(USUAL_HEADERS));
            keep_map(HeaderMap::with_capacity(10 * HEADERS));
            keep_map(HeaderMap::new());
            keep_lines(Vec::with_capacity(2 * LINES));
            keep_request(Box::new(Request::new(RequestBody::empty())));
        }
        assert_eq!(MAPS.with_borrow(Vec::len), KEPT);
        assert_eq!(LINES_KEPT.with_borrow(Vec::len), 0);
        assert_eq!(REQUESTS.with_borrow(Vec::len), 0);
    }
}
