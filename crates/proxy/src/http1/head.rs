//! An answer's head: parsed, checked for contradictions, and rid of what concerns the upstream's connection only.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use super::request::length;
use crate::{
    headers::{is_hop_by_hop, tokens},
    recycle::blank_map,
};

const MAX_HEADERS: usize = 100;

/// The head of an answer, and what comes behind it.
pub(crate) struct Answer {
    pub(crate) head: Response<()>,
    pub(crate) framing: Framing,
    /// Bytes that came behind the head.
    pub(crate) rest: Bytes,
    /// The connection may serve another request after this answer.
    pub(crate) keep_alive: bool,
    /// Only of a 101: the protocol that is switched to.
    pub(crate) protocol: Option<HeaderValue>,
}

/// Where an answer's body ends (RFC 9112, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Sized(u64),
    Chunked,
    /// With the connection.
    UntilClose,
}

pub(crate) enum Parsed {
    Answer(Box<Answer>),
    /// An interim answer (1xx) of so many bytes: the answer follows.
    Interim(usize),
    /// The end of the head is not there yet.
    Partial,
}

/// Reads the head at the front of `bytes`, or says why it cannot be believed. The headers share `bytes`' memory.
pub(crate) fn parse(bytes: &Bytes, method: &Method, upgrade_asked: bool) -> Result<Parsed, &'static str> {
    let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut head, bytes, &mut slots);
    let end = match parsed {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(httparse::Error::TooManyHeaders) => return Err("too many headers"),
        Err(_) => return Err("not HTTP"),
    };
    let (Some(code), Some(version)) = (head.code, head.version) else { return Err("not HTTP") };
    let status = StatusCode::from_u16(code).map_err(|_| "an impossible status")?;
    let switches = status == StatusCode::SWITCHING_PROTOCOLS;
    if status.is_informational() && !switches {
        return Ok(Parsed::Interim(end));
    }
    if switches && !upgrade_asked {
        return Err("101 although no upgrade was asked for");
    }
    let mut lines = Lines { headers: blank_map(), ..Lines::default() };
    for line in head.headers.iter() {
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).map_err(|_| "an invalid header")?;
        lines.add(line.name.as_bytes(), value)?;
    }
    let Lines { mut headers, length, chunked, connection, protocol } = lines;
    let mut keep_alive = version == 1;
    for token in connection.iter().flat_map(tokens) {
        if token.eq_ignore_ascii_case("close") {
            keep_alive = false;
        } else if token.eq_ignore_ascii_case("keep-alive") {
            // HTTP/1.0 says so, HTTP/1.1 means it anyway.
            keep_alive |= version == 0 && connection.len() == 1;
        } else {
            headers.remove(token);
        }
    }
    let bodiless = *method == Method::HEAD || switches || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if *method == Method::HEAD || bodiless && (chunked || length.is_some_and(|length| length > 0)) {
        // A body that comes behind it all the same, however late, would be taken for the next answer.
        keep_alive = false;
    }
    let framing = match (chunked, length) {
        (true, Some(_)) => return Err("both Content-Length and Transfer-Encoding"),
        (true, None) if version == 0 => return Err("a Transfer-Encoding in HTTP/1.0"),
        _ if bodiless => Framing::Sized(0),
        (true, None) => Framing::Chunked,
        (false, Some(length)) => Framing::Sized(length),
        (false, None) => Framing::UntilClose,
    };
    if status == StatusCode::NO_CONTENT {
        // RFC 9110, 8.6: there must be none, and some apps send one.
        headers.remove(header::CONTENT_LENGTH);
    }
    let rest = bytes.slice(end..);
    let mut answer = Response::new(());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(Parsed::Answer(Box::new(Answer { head: answer, framing, rest, keep_alive, protocol })))
}

/// What the header lines said so far.
#[derive(Default)]
struct Lines {
    headers: HeaderMap,
    length: Option<u64>,
    chunked: bool,
    connection: Vec<HeaderValue>,
    protocol: Option<HeaderValue>,
}

impl Lines {
    fn add(&mut self, name: &[u8], value: HeaderValue) -> Result<(), &'static str> {
        let name = HeaderName::from_bytes(name).map_err(|_| "an invalid header")?;
        if name == header::CONTENT_LENGTH {
            if self.length.is_some() || value.as_bytes().contains(&b',') {
                return Err("more than one Content-Length");
            }
            self.length = Some(length(&value).ok_or("a Content-Length that is no number")?);
        } else if name == header::TRANSFER_ENCODING {
            if self.chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err("an unknown Transfer-Encoding");
            }
            self.chunked = true;
            return Ok(());
        } else if name == header::CONNECTION {
            self.connection.push(value);
            return Ok(());
        } else if is_hop_by_hop(name.as_str()) {
            if name == header::UPGRADE {
                self.protocol = Some(value);
            }
            return Ok(());
        }
        self.headers.append(name, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, method: &Method) -> Result<Answer, &'static str> {
        match parse(&Bytes::copy_from_slice(text.as_bytes()), method, false)? {
            Parsed::Answer(answer) => Ok(*answer),
            Parsed::Interim(_) | Parsed::Partial => Err("no whole answer"),
        }
    }

    #[test]
    fn the_end_of_a_body_is_where_rfc_9112_says() {
        let get = |text: &str| parsed(text, &Method::GET).map(|answer| (answer.framing, answer.keep_alive));
        assert_eq!(get("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"), Ok((Framing::Sized(3), true)));
        assert_eq!(get("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"), Ok((Framing::Chunked, true)));
        assert_eq!(get("HTTP/1.1 200 OK\r\n\r\n"), Ok((Framing::UntilClose, true)));
        assert_eq!(get("HTTP/1.1 204 No\r\n\r\n"), Ok((Framing::Sized(0), true)));
        assert_eq!(get("HTTP/1.1 304 No\r\netag: x\r\n\r\n"), Ok((Framing::Sized(0), true)));
        assert_eq!(get("HTTP/1.1 304 No\r\ncontent-length: 3\r\n\r\n"), Ok((Framing::Sized(0), false)));
        assert_eq!(get("HTTP/1.1 204 No\r\ntransfer-encoding: chunked\r\n\r\n"), Ok((Framing::Sized(0), false)));
        let head = parsed("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", &Method::HEAD).map(|answer| answer.framing);
        assert_eq!(head, Ok(Framing::Sized(0)));
    }

    #[test]
    fn a_connection_is_kept_as_its_version_and_its_words_say() {
        let kept = |text: &str| parsed(text, &Method::GET).map(|answer| answer.keep_alive);
        assert_eq!(kept("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), Ok(true));
        assert_eq!(kept("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: Close\r\n\r\n"), Ok(false));
        assert_eq!(kept("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close, keep-alive\r\n\r\n"), Ok(false));
        assert_eq!(kept("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"), Ok(false));
        assert_eq!(kept("HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n"), Ok(true));
    }

    #[test]
    fn an_interim_answer_is_told_from_the_answer() {
        let bytes = Bytes::from_static(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n");
        assert!(matches!(parse(&bytes, &Method::GET, false), Ok(Parsed::Interim(28))));
        assert!(matches!(parse(&bytes.slice(28..), &Method::GET, false), Ok(Parsed::Partial)));
    }
}
