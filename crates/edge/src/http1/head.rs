//! One request head, or one trailer section, judged byte by byte (RFC 9112, sections 2 to 6; RFC 9110, sections 5 and 7).

use memchr::memchr;

use crate::rules::{self, Rule};

/// The longest method that is registered has 17 letters.
const MAX_METHOD: usize = 24;
/// The longest header name in bytes.
const MAX_NAME: usize = 256;
/// The longest header value in bytes.
const MAX_VALUE: usize = 16 * 1024;
const MAX_TRAILERS: usize = 32;

/// How much a client may send as a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// Bytes of the request target.
    pub(crate) target: usize,
    /// Bytes of the whole head.
    pub(crate) head: usize,
    pub(crate) headers: usize,
}

/// How a request's body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    Sized(u64),
    Chunked,
}

/// What is to be known of a head that passed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes up to and with the empty line.
    pub(crate) len: usize,
    pub(crate) http_1_0: bool,
    pub(crate) body: Body,
    /// Asks to leave HTTP for WebSocket.
    pub(crate) websocket: bool,
    /// Has an `Upgrade` header of any kind.
    pub(crate) upgrade: bool,
    /// Has a header with `_` in its name.
    pub(crate) underscore: bool,
}

/// Judges the head at the front of `bytes`; `None` when its end is not there yet.
pub(crate) fn check(bytes: &[u8], limits: &HeadLimits) -> Result<Option<Head>, &'static Rule> {
    read(bytes, limits, |_, _| {})
}

/// As [`check`], and shows each header's name and value (without white space around it) on the way.
pub(crate) fn read(bytes: &[u8], limits: &HeadLimits, mut each: impl FnMut(&[u8], &[u8])) -> Result<Option<Head>, &'static Rule> {
    let Some(newline) = memchr(b'\n', bytes) else { return Ok(None) };
    let http_1_0 = request_line(without_crlf(bytes, newline)?, limits)?;
    let mut fields = Fields { http_1_0, ..Fields::default() };
    let mut at = newline + 1;
    loop {
        let Some(length) = memchr(b'\n', &bytes[at..]) else { return Ok(None) };
        let line = without_crlf(&bytes[at..], length)?;
        at += length + 1;
        if at > limits.head {
            return Err(&rules::HEAD_SIZE);
        }
        if line.is_empty() {
            return fields.finish(at).map(Some);
        }
        fields.count += 1;
        if fields.count > limits.headers {
            return Err(&rules::FIELD_COUNT);
        }
        let (name, value) = fields.field(line)?;
        each(name, value);
    }
}

/// Judges a trailer section without the empty line at its end.
pub(crate) fn check_trailers(mut bytes: &[u8]) -> Result<(), &'static Rule> {
    let mut count = 0;
    while let Some(newline) = memchr(b'\n', bytes) {
        let line = without_crlf(bytes, newline)?;
        bytes = &bytes[newline + 1..];
        if line.is_empty() {
            return Ok(());
        }
        count += 1;
        let (name, _, _) = split_field(line)?;
        if count > MAX_TRAILERS || FORBIDDEN_TRAILERS.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(name)) {
            return Err(&rules::TRAILER);
        }
    }
    Ok(())
}

/// Fields that frame, route, authenticate or describe the content have to come before it (RFC 9110, 6.5.1).
const FORBIDDEN_TRAILERS: [&[u8]; 23] = [
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"expect",
    b"forwarded",
    b"host",
    b"keep-alive",
    b"max-forwards",
    b"proxy-authorization",
    b"proxy-connection",
    b"range",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
];

/// A line's content, when it ends properly.
fn without_crlf(bytes: &[u8], newline: usize) -> Result<&[u8], &'static Rule> {
    match bytes[..newline].split_last() {
        Some((b'\r', line)) => Ok(line),
        _ => Err(&rules::BARE_LF),
    }
}

/// Tells whether the request is HTTP/1.0.
fn request_line(line: &[u8], limits: &HeadLimits) -> Result<bool, &'static Rule> {
    let (method, rest) = memchr(b' ', line).map(|space| (&line[..space], &line[space + 1..])).ok_or(&rules::REQUEST_LINE)?;
    let (target, version) = memchr(b' ', rest).map(|space| (&rest[..space], &rest[space + 1..])).ok_or(&rules::REQUEST_LINE)?;
    if let Some(rule) = method_rule(method) {
        return Err(rule);
    }
    if target.len() > limits.target {
        return Err(&rules::TARGET_LENGTH);
    }
    let http_1_0 = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            return Err(&rules::VERSION);
        }
        _ => return Err(&rules::REQUEST_LINE),
    };
    check_target(target, method)?;
    Ok(http_1_0)
}

/// Why a method is refused, if it is.
pub(crate) fn method_rule(method: &[u8]) -> Option<&'static Rule> {
    match method {
        b"GET" | b"HEAD" | b"POST" | b"PUT" | b"DELETE" | b"OPTIONS" | b"PATCH" => None,
        b"CONNECT" => Some(&rules::CONNECT),
        b"TRACE" => Some(&rules::TRACE),
        b"" => Some(&rules::REQUEST_LINE),
        other if REGISTERED_METHODS.contains(&other) => None,
        other if other.iter().take(MAX_METHOD).all(|byte| TOKEN[usize::from(*byte)] != 0) => Some(&rules::METHOD),
        _ => Some(&rules::REQUEST_LINE),
    }
}

/// Whether or not it is allowed.
pub(super) fn is_registered(method: &[u8]) -> bool {
    matches!(method, b"CONNECT" | b"TRACE" | b"PRI") || method_rule(method).is_none()
}

/// The IANA registry of HTTP methods, without those matched above and without `PRI`.
const REGISTERED_METHODS: [&[u8]; 31] = [
    b"ACL",
    b"BASELINE-CONTROL",
    b"BIND",
    b"CHECKIN",
    b"CHECKOUT",
    b"COPY",
    b"LABEL",
    b"LINK",
    b"LOCK",
    b"MERGE",
    b"MKACTIVITY",
    b"MKCALENDAR",
    b"MKCOL",
    b"MKREDIRECTREF",
    b"MKWORKSPACE",
    b"MOVE",
    b"ORDERPATCH",
    b"PROPFIND",
    b"PROPPATCH",
    b"QUERY",
    b"REBIND",
    b"REPORT",
    b"SEARCH",
    b"UNBIND",
    b"UNCHECKOUT",
    b"UNLINK",
    b"UNLOCK",
    b"UPDATE",
    b"UPDATEREDIRECTREF",
    b"VERSION-CONTROL",
    b"PURGE",
];

fn check_target(target: &[u8], method: &[u8]) -> Result<(), &'static Rule> {
    let path = match target {
        [b'/', ..] => target,
        b"*" if method == b"OPTIONS" => return Ok(()),
        b"*" => return Err(&rules::TARGET_ASTERISK),
        _ => {
            let rest = strip_prefix_ignore_case(target, b"http://")
                .or_else(|| strip_prefix_ignore_case(target, b"https://"))
                .ok_or(&rules::TARGET)?;
            let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            if !host_is_valid(authority) {
                return Err(&rules::HOST_INVALID);
            }
            path
        }
    };
    if target_is_clean(path) { Ok(()) } else { Err(&rules::TARGET_CHARACTER) }
}

/// No control characters, spaces, non-ASCII bytes, fragment or delimiters that RFC 3986 forbids. `{`, `|`, `}` are forbidden too, but
/// browsers send them.
pub(crate) fn target_is_clean(path_and_query: &[u8]) -> bool {
    let bad = |byte: u8| !matches!(byte, 0x21..=0x7e) | matches!(byte, b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`');
    !path_and_query.iter().fold(false, |found, byte| found | bad(*byte))
}

fn strip_prefix_ignore_case<'a>(bytes: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (front, rest) = bytes.split_at_checked(prefix.len())?;
    front.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// `name`, `1.2.3.4` or `[::1]`, with or without `:port`. No userinfo, path, percent-encoding or separators of lists.
pub(crate) fn host_is_valid(host: &[u8]) -> bool {
    let (name, port) = if let [b'[', rest @ ..] = host {
        let Some(end) = memchr(b']', rest) else { return false };
        let address = &rest[..end];
        let valid = std::str::from_utf8(address).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
        if !valid {
            return false;
        }
        match &rest[end + 1..] {
            [] => return true,
            [b':', port @ ..] => (address, Some(port)),
            _ => return false,
        }
    } else {
        match memchr(b':', host) {
            Some(colon) => (&host[..colon], Some(&host[colon + 1..])),
            None => (host, None),
        }
    };
    let port_is_valid = |port: &[u8]| {
        (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit) && number(port).is_some_and(|port| port <= 65_535)
    };
    // `admin.example.com..` would miss the routes of a host that some resolvers and apps still read in it.
    let labels = !name.starts_with(b".") && !name.windows(2).any(|pair| pair == b"..");
    let named =
        host.first() == Some(&b'[') || labels && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'~'));
    !name.is_empty() && name.len() <= 255 && named && port.is_none_or(port_is_valid)
}

/// What the header lines said so far.
#[derive(Default)]
struct Fields {
    http_1_0: bool,
    count: usize,
    host: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    websocket: bool,
    connection_upgrade: bool,
    underscore: bool,
}

impl Fields {
    fn field<'a>(&mut self, line: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), &'static Rule> {
        let (name, value, underscore) = split_field(line)?;
        self.underscore |= underscore;
        self.look_at(name, value).map(|()| (name, value))
    }

    fn look_at(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static Rule> {
        // By length first: most headers are none of these.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value),
            6 if name.eq_ignore_ascii_case(b"expect") && !value.eq_ignore_ascii_case(b"100-continue") => Err(&rules::EXPECT),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                // As in `service::is_websocket`: one header, nothing else in it.
                self.websocket = !self.upgrade && value.eq_ignore_ascii_case(b"websocket");
                self.upgrade = true;
                Ok(())
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.connection_upgrade |= says_upgrade(value);
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.coding(value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), &'static Rule> {
        if self.host {
            return Err(&rules::HOST_DUPLICATE);
        }
        self.host = true;
        if host_is_valid(value) { Ok(()) } else { Err(&rules::HOST_INVALID) }
    }

    fn length(&mut self, value: &[u8]) -> Result<(), &'static Rule> {
        if self.length.is_some() {
            return Err(&rules::LENGTH_DUPLICATE);
        }
        self.length = Some(number(value).ok_or(&rules::LENGTH_INVALID)?);
        Ok(())
    }

    fn coding(&mut self, value: &[u8]) -> Result<(), &'static Rule> {
        if self.chunked {
            return Err(&rules::CODING_INVALID);
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        let mut codings = value.rsplit(|b| *b == b',').map(<[u8]>::trim_ascii);
        let last_is_chunked = codings.next().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
        let others_are_not = codings.all(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"chunked"));
        Err(if last_is_chunked && others_are_not { &rules::CODING_UNKNOWN } else { &rules::CODING_INVALID })
    }

    fn finish(self, len: usize) -> Result<Head, &'static Rule> {
        if !self.host && !self.http_1_0 {
            return Err(&rules::HOST_MISSING);
        }
        let body = match (self.chunked, self.length) {
            (true, Some(_)) => return Err(&rules::LENGTH_AND_CODING),
            (true, None) if self.http_1_0 => return Err(&rules::CODING_IN_1_0),
            (true, None) => Body::Chunked,
            (false, None | Some(0)) => Body::None,
            (false, Some(length)) => Body::Sized(length),
        };
        let websocket = self.websocket && self.connection_upgrade && !self.http_1_0;
        Ok(Head { len, http_1_0: self.http_1_0, body, websocket, upgrade: self.upgrade, underscore: self.underscore })
    }
}

/// Does a `Connection` header ask for another protocol?
pub(crate) fn says_upgrade(value: &[u8]) -> bool {
    value.split(|b| *b == b',').any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// Name, value without white space around it, and whether the name has a `_`.
fn split_field(line: &[u8]) -> Result<(&[u8], &[u8], bool), &'static Rule> {
    let mut seen = 0;
    let end = line
        .iter()
        .position(|byte| {
            let class = TOKEN[usize::from(*byte)];
            seen |= class;
            class == 0
        })
        .ok_or(&rules::FIELD_NAME)?;
    match line[end] {
        b':' if end > 0 => {}
        b' ' | b'\t' if end == 0 => return Err(&rules::FOLDED),
        b' ' | b'\t' => return Err(&rules::SPACE_BEFORE_COLON),
        _ => return Err(&rules::FIELD_NAME),
    }
    let value = &line[end + 1..];
    if end > MAX_NAME || value.len() > MAX_VALUE {
        return Err(&rules::FIELD_SIZE);
    }
    // Without an early end, so that the compiler can look at many bytes at once.
    let control = value.iter().fold(false, |found, byte| found | ((*byte < 0x20) & (*byte != b'\t')) | (*byte == 0x7f));
    if control {
        return Err(&rules::CONTROL);
    }
    Ok((&line[..end], trim(value), seen & UNDERSCORE != 0))
}

/// Without optional white space (spaces and tabs, nothing else) at both ends.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Digits only, at most what a signed 64-bit number holds.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

const UNDERSCORE: u8 = 2;

/// 0: not a token character; 2: `_`; 1: any other.
pub(super) static TOKEN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_usize;
    while byte < 128 {
        // The index is below 128.
        #[expect(clippy::cast_possible_truncation, reason = "the index is below 128")]
        let c = byte as u8;
        if c.is_ascii_alphanumeric()
            || matches!(c, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'`' | b'|' | b'~')
        {
            table[byte] = 1;
        }
        byte += 1;
    }
    table[b'_' as usize] = UNDERSCORE;
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_clean_can_be_parsed() {
        for byte in 0..=255_u8 {
            for target in [[b"/a".as_slice(), &[byte], b"b"].concat(), [b"/a?b".as_slice(), &[byte], b"c"].concat()] {
                let parsed = http::uri::PathAndQuery::try_from(target.as_slice());
                let whole = parsed.as_ref().is_ok_and(|parsed| parsed.as_str().as_bytes() == target);
                assert!(whole || !target_is_clean(&target), "{:?}", String::from_utf8_lossy(&target));
            }
        }
    }
}
