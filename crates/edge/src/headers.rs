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
/// Nothing that an application might need: camera, microphone and location stay its own to decide about.
static PERMISSIONS: HeaderValue = HeaderValue::from_static("browsing-topics=()");
/// A year. Subdomains are not ours to decide about.
static HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds what is missing and takes away what tells attackers which software runs behind.
///
/// Looks at each header once instead of asking for each of ours: most answers have few, and asking hashes.
pub(crate) fn harden(headers: &mut HeaderMap, scheme: Scheme) {
    let mut has = Has { transport_security: scheme != Scheme::Https, ..Has::default() };
    for (name, value) in headers.iter() {
        match name.as_str() {
            "x-content-type-options" => has.nosniff = true,
            "referrer-policy" => has.referrer = true,
            "x-frame-options" => has.frames = true,
            // A policy of the application that names frame-ancestors says more than our header, which would contradict it.
            "content-security-policy" => has.frames |= memchr::memmem::find(value.as_bytes(), b"frame-ancestors").is_some(),
            "cross-origin-opener-policy" => has.opener = true,
            "permissions-policy" => has.permissions = true,
            // Said over plain HTTP it means nothing (RFC 6797, 7.2).
            "strict-transport-security" if scheme == Scheme::Https => has.transport_security = true,
            "strict-transport-security" | "server" | "x-powered-by" | "x-xss-protection" => has.unwanted = true,
            _ => {}
        }
    }
    if has.unwanted {
        headers.remove(&header::SERVER);
        headers.remove(&X_POWERED_BY);
        headers.remove(&X_XSS_PROTECTION);
        if scheme != Scheme::Https {
            headers.remove(&header::STRICT_TRANSPORT_SECURITY);
        }
    }
    // One growth instead of several.
    headers.reserve(7);
    for (there, name, value) in [
        (has.nosniff, &header::X_CONTENT_TYPE_OPTIONS, &NOSNIFF),
        (has.referrer, &header::REFERRER_POLICY, &REFERRER),
        (has.frames, &header::X_FRAME_OPTIONS, &SAMEORIGIN),
        (has.opener, &CROSS_ORIGIN_OPENER_POLICY, &OPENER),
        (has.permissions, &PERMISSIONS_POLICY, &PERMISSIONS),
        (has.transport_security, &header::STRICT_TRANSPORT_SECURITY, &HSTS),
    ] {
        if !there {
            headers.insert(name, value.clone());
        }
    }
}

/// What an answer has already.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "one flag per header is what this is")]
struct Has {
    nosniff: bool,
    referrer: bool,
    frames: bool,
    opener: bool,
    permissions: bool,
    transport_security: bool,
    unwanted: bool,
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
