//! Headers on every answer. What an application set itself is never overwritten.

use baluarte_kernel::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, header};

static CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
static PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
static X_POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");
static X_XSS_PROTECTION: HeaderName = HeaderName::from_static("x-xss-protection");

static NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
static REFERRER: HeaderValue = HeaderValue::from_static("strict-origin-when-cross-origin");
static SAMEORIGIN: HeaderValue = HeaderValue::from_static("SAMEORIGIN");
/// Sign-in windows of identity providers and payment pages still work.
static OPENER: HeaderValue = HeaderValue::from_static("same-origin-allow-popups");
/// Without camera, microphone, location: an application that needs them sends a policy of its own.
static PERMISSIONS: HeaderValue = HeaderValue::from_static("browsing-topics=()");
/// A year. Subdomains are not ours to decide about.
static HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds what is missing and takes away what tells attackers which software runs behind.
pub(crate) fn harden(headers: &mut HeaderMap, scheme: Scheme) {
    // One growth instead of several.
    headers.reserve(8);
    add(headers, &header::X_CONTENT_TYPE_OPTIONS, &NOSNIFF);
    add(headers, &header::REFERRER_POLICY, &REFERRER);
    // A policy of the application that names frame-ancestors says more than this header, which would contradict it.
    if !frame_ancestors(headers) {
        add(headers, &header::X_FRAME_OPTIONS, &SAMEORIGIN);
    }
    add(headers, &CROSS_ORIGIN_OPENER_POLICY, &OPENER);
    add(headers, &PERMISSIONS_POLICY, &PERMISSIONS);
    if scheme == Scheme::Https {
        add(headers, &header::STRICT_TRANSPORT_SECURITY, &HSTS);
    } else {
        headers.remove(&header::STRICT_TRANSPORT_SECURITY);
    }
    headers.remove(&header::SERVER);
    headers.remove(&X_POWERED_BY);
    headers.remove(&X_XSS_PROTECTION);
}

fn frame_ancestors(headers: &HeaderMap) -> bool {
    headers
        .get_all(&header::CONTENT_SECURITY_POLICY)
        .iter()
        .any(|policy| memchr::memmem::find(policy.as_bytes(), b"frame-ancestors").is_some())
}

fn add(headers: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) {
    if let header::Entry::Vacant(vacant) = headers.entry(name) {
        vacant.insert(value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_keeps_its_own_headers_and_loses_only_its_signature() {
        let mut headers = HeaderMap::new();
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'self'; frame-ancestors https://partner.example"),
        );
        headers.insert(header::SERVER, HeaderValue::from_static("gunicorn"));
        harden(&mut headers, Scheme::Http);
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!headers.contains_key(header::X_FRAME_OPTIONS), "it would contradict frame-ancestors");
        assert!(!headers.contains_key(header::SERVER));
    }

    #[test]
    fn strict_transport_security_is_said_over_https_only() {
        for (scheme, said) in [(Scheme::Http, false), (Scheme::Https, true)] {
            let mut headers = HeaderMap::new();
            harden(&mut headers, scheme);
            assert_eq!(headers.contains_key(header::STRICT_TRANSPORT_SECURITY), said);
        }
    }
}
