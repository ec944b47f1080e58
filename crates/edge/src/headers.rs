//! Headers on every answer. What an application set itself is never overwritten.

use baluarte_kernel::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::request_id::{RequestId, X_CORRELATION_ID, X_REQUEST_ID};

static CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
static PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
static X_POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");
static X_XSS_PROTECTION: HeaderName = HeaderName::from_static("x-xss-protection");

static NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
static REFERRER: HeaderValue = HeaderValue::from_static("strict-origin-when-cross-origin");
static SAMEORIGIN: HeaderValue = HeaderValue::from_static("SAMEORIGIN");
/// Sign-in windows of identity providers and payment pages still work.
static OPENER: HeaderValue = HeaderValue::from_static("same-origin-allow-popups");
/// Nothing that an application might need: camera, microphone and location stay its own to decide about.
static PERMISSIONS: HeaderValue = HeaderValue::from_static("browsing-topics=()");
/// A year. Subdomains are not ours to decide about.
static HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What we add to one answer's headers: what it lacks, and the request's identifier.
pub(crate) struct Added {
    has: Has,
    request_id: HeaderValue,
}

/// Takes away what tells attackers which software runs behind, and finds out what is missing.
///
/// Looks at each header once instead of asking for each of ours: most answers have few, and asking hashes.
pub(crate) fn harden(headers: &mut HeaderMap, scheme: Scheme, request_id: RequestId) -> Added {
    let mut has = Has { transport_security: scheme != Scheme::Https, correlation: !request_id.is_correlation, ..Has::default() };
    let mut unwanted = false;
    for (name, value) in headers.iter() {
        let name = name.as_str();
        // By length first: most headers are none of these.
        match name.len() {
            6 => unwanted |= name == "server",
            12 => unwanted |= name == "x-powered-by" || name == "x-request-id",
            15 if name == "referrer-policy" => has.referrer = true,
            15 if name == "x-frame-options" => has.frames = true,
            16 if name == "x-correlation-id" => has.correlation = true,
            16 => unwanted |= name == "x-xss-protection",
            18 if name == "permissions-policy" => has.permissions = true,
            22 if name == "x-content-type-options" => has.nosniff = true,
            // A policy of the application that names frame-ancestors says more than our header, which would contradict it.
            23 if name == "content-security-policy" => {
                has.frames |= memchr::memmem::find(value.as_bytes(), b"frame-ancestors").is_some();
            }
            // Said over plain HTTP it means nothing (RFC 6797, 7.2).
            25 if name == "strict-transport-security" && scheme == Scheme::Https => has.transport_security = true,
            25 => unwanted |= name == "strict-transport-security",
            26 if name == "cross-origin-opener-policy" => has.opener = true,
            _ => {}
        }
    }
    if unwanted {
        headers.remove(&header::SERVER);
        headers.remove(&X_POWERED_BY);
        headers.remove(&X_XSS_PROTECTION);
        headers.remove(&X_REQUEST_ID);
        if scheme != Scheme::Https {
            headers.remove(&header::STRICT_TRANSPORT_SECURITY);
        }
    }
    Added { has, request_id: request_id.value }
}

impl Added {
    fn each(self) -> impl Iterator<Item = (&'static HeaderName, HeaderValue)> {
        let Self { has, request_id } = self;
        let missing = [
            (has.nosniff, &header::X_CONTENT_TYPE_OPTIONS, &NOSNIFF),
            (has.referrer, &header::REFERRER_POLICY, &REFERRER),
            (has.frames, &header::X_FRAME_OPTIONS, &SAMEORIGIN),
            (has.opener, &CROSS_ORIGIN_OPENER_POLICY, &OPENER),
            (has.permissions, &PERMISSIONS_POLICY, &PERMISSIONS),
            (has.transport_security, &header::STRICT_TRANSPORT_SECURITY, &HSTS),
        ];
        let missing = missing.into_iter().filter(|(there, ..)| !there).map(|(_, name, value)| (name, value.clone()));
        let correlation = (!has.correlation).then(|| (&X_CORRELATION_ID, request_id.clone()));
        missing.chain(correlation).chain([(&X_REQUEST_ID, request_id)])
    }

    /// For whoever wants a map.
    pub(crate) fn insert(self, headers: &mut HeaderMap) {
        // One growth instead of several.
        headers.reserve(7);
        self.each().for_each(|(name, value)| drop(headers.insert(name, value)));
    }

    /// As the lines of HTTP/1.1; in the usual case, one piece.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        const USUAL: Has = Has {
            nosniff: false,
            referrer: false,
            frames: false,
            opener: false,
            permissions: false,
            transport_security: true,
            correlation: true,
        };
        if self.has == USUAL {
            out.extend_from_slice(USUAL_LINES);
            out.extend_from_slice(self.request_id.as_bytes());
            out.extend_from_slice(b"\r\n");
            return;
        }
        for (name, value) in self.each() {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// What is added to an answer that has none of it, over plain HTTP, up to the request's identifier.
const USUAL_LINES: &[u8] = b"x-content-type-options: nosniff\r\nreferrer-policy: strict-origin-when-cross-origin\r\n\
    x-frame-options: SAMEORIGIN\r\ncross-origin-opener-policy: same-origin-allow-popups\r\npermissions-policy: browsing-topics=()\r\n\
    x-request-id: ";

/// What an answer has already.
#[derive(Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one flag per header is what this is")]
struct Has {
    nosniff: bool,
    referrer: bool,
    frames: bool,
    opener: bool,
    permissions: bool,
    transport_security: bool,
    correlation: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(value: &'static str) -> RequestId {
        RequestId { text: value.into(), value: HeaderValue::from_static(value), is_correlation: false }
    }

    fn hardened(headers: &mut HeaderMap, scheme: Scheme) {
        harden(headers, scheme, named("id")).insert(headers);
    }

    #[test]
    fn as_lines_and_in_a_map_the_same_is_added() {
        for (scheme, own) in [(Scheme::Http, None), (Scheme::Https, None), (Scheme::Http, Some("x-frame-options"))] {
            let mut headers = HeaderMap::new();
            headers.extend(own.map(|own| (HeaderName::from_static(own), HeaderValue::from_static("DENY"))));
            headers.insert(&X_REQUEST_ID, HeaderValue::from_static("of the app"));
            let mut lines = Vec::new();
            harden(&mut headers, scheme, named("ours")).write(&mut lines);
            assert!(!headers.contains_key(&X_REQUEST_ID));
            let mut map = headers.clone();
            harden(&mut headers, scheme, named("ours")).insert(&mut map);
            own.map(|own| map.remove(own));
            let mut from_map: Vec<String> = map.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
            let lines = String::from_utf8(lines).expect("text");
            let mut lines: Vec<&str> = lines.lines().collect();
            from_map.sort();
            lines.sort();
            assert_eq!(from_map, lines);
        }
    }

    #[test]
    fn an_application_keeps_its_own_headers_and_loses_only_its_signature() {
        let mut headers = HeaderMap::new();
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'self'; frame-ancestors https://partner.example"),
        );
        headers.insert(header::SERVER, HeaderValue::from_static("gunicorn"));
        hardened(&mut headers, Scheme::Http);
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!headers.contains_key(header::X_FRAME_OPTIONS), "it would contradict frame-ancestors");
        assert!(!headers.contains_key(header::SERVER));
    }

    #[test]
    fn an_id_that_came_as_correlation_id_goes_back_under_both_names() {
        let correlated = || RequestId { is_correlation: true, ..named("theirs") };
        let mut headers = HeaderMap::new();
        harden(&mut headers, Scheme::Http, correlated()).insert(&mut headers);
        assert_eq!((&headers[&X_CORRELATION_ID], &headers[&X_REQUEST_ID]), (&correlated().value, &correlated().value));
        let mut headers = HeaderMap::from_iter([(X_CORRELATION_ID.clone(), HeaderValue::from_static("of the app"))]);
        harden(&mut headers, Scheme::Http, correlated()).insert(&mut headers);
        assert_eq!(headers[&X_CORRELATION_ID], "of the app");
    }

    #[test]
    fn strict_transport_security_is_said_over_https_only() {
        for (scheme, said) in [(Scheme::Http, false), (Scheme::Https, true)] {
            let mut headers = HeaderMap::new();
            hardened(&mut headers, scheme);
            assert_eq!(headers.contains_key(header::STRICT_TRANSPORT_SECURITY), said);
        }
    }
}
