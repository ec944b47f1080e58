//! Headers on every answer. What an application set itself is never overwritten.

use std::sync::Arc;

use baluarte_kernel::Scheme;
use baluarte_web::SecurityHeaders;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::request_id::{RequestId, X_CORRELATION_ID, X_REQUEST_ID};

static CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
static CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
static PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
static REPORTING_ENDPOINTS: HeaderName = HeaderName::from_static("reporting-endpoints");
static X_POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");
static X_XSS_PROTECTION: HeaderName = HeaderName::from_static("x-xss-protection");

static STANDARD: SecurityHeaders = SecurityHeaders::STANDARD;
static NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// What we add to one answer's headers: what it lacks, and the request's identifier.
pub(crate) struct Added {
    has: Has,
    request_id: HeaderValue,
    /// The route's own instead of the standard ones.
    set: Option<Arc<SecurityHeaders>>,
    transport_security: Option<HeaderValue>,
}

/// What is known of an answer besides its headers.
pub(crate) struct About {
    pub(crate) scheme: Scheme,
    pub(crate) request_id: RequestId,
    pub(crate) set: Option<Arc<SecurityHeaders>>,
    /// `edge.strict_transport_security`. Said over plain HTTP it means nothing (RFC 6797, 7.2).
    pub(crate) transport_security: Option<HeaderValue>,
}

/// Takes away what tells attackers which software runs behind, and finds out what is missing.
///
/// Looks at each header once instead of asking for each of ours: most answers have few, and asking hashes.
pub(crate) fn harden(headers: &mut HeaderMap, about: About) -> Added {
    let About { scheme, request_id, set, transport_security } = about;
    let transport_security = transport_security.filter(|_| scheme == Scheme::Https);
    // What the standard ones lack is not looked for.
    let standard = set.is_none();
    let mut has = Has {
        transport_security: transport_security.is_none(),
        correlation: !request_id.is_correlation,
        policy: standard,
        report_only: standard,
        reporting: standard,
        resource: standard,
        ..Has::default()
    };
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
            19 if name == "reporting-endpoints" => has.reporting = true,
            22 if name == "x-content-type-options" => has.nosniff = true,
            // A policy of the application that names frame-ancestors says more than our header, which would contradict it.
            23 if name == "content-security-policy" => {
                has.policy = true;
                has.frames |= memchr::memmem::find(value.as_bytes(), b"frame-ancestors").is_some();
            }
            25 if name == "strict-transport-security" && scheme == Scheme::Https => has.transport_security = true,
            25 => unwanted |= name == "strict-transport-security",
            26 if name == "cross-origin-opener-policy" => has.opener = true,
            28 if name == "cross-origin-resource-policy" => has.resource = true,
            35 if name == "content-security-policy-report-only" => has.report_only = true,
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
    Added { has, request_id: request_id.value, set, transport_security }
}

impl Added {
    fn each(self) -> impl Iterator<Item = (&'static HeaderName, HeaderValue)> {
        let Self { has, request_id, set, transport_security } = self;
        let set = set.as_deref().unwrap_or(&STANDARD);
        let missing = |there: bool, name: &'static HeaderName, value: Option<&HeaderValue>| {
            value.filter(|_| !there).map(|value| (name, value.clone()))
        };
        [
            missing(has.nosniff, &header::X_CONTENT_TYPE_OPTIONS, set.nosniff.then_some(&NOSNIFF)),
            missing(has.referrer, &header::REFERRER_POLICY, set.referrer.as_ref()),
            missing(has.frames, &header::X_FRAME_OPTIONS, set.frames.as_ref()),
            missing(has.opener, &CROSS_ORIGIN_OPENER_POLICY, set.opener.as_ref()),
            missing(has.permissions, &PERMISSIONS_POLICY, set.permissions.as_ref()),
            missing(has.transport_security, &header::STRICT_TRANSPORT_SECURITY, transport_security.as_ref()),
            missing(false, &header::CONTENT_SECURITY_POLICY, set.policy.missing(has.policy, has.frames).as_ref()),
            missing(has.report_only, &header::CONTENT_SECURITY_POLICY_REPORT_ONLY, set.report_only.as_ref()),
            missing(has.reporting, &REPORTING_ENDPOINTS, set.reporting.as_ref()),
            missing(has.resource, &CROSS_ORIGIN_RESOURCE_POLICY, set.resource.as_ref()),
            missing(has.correlation, &X_CORRELATION_ID, Some(&request_id)),
            Some((&X_REQUEST_ID, request_id)),
        ]
        .into_iter()
        .flatten()
    }

    /// For whoever wants a map.
    pub(crate) fn insert(self, headers: &mut HeaderMap) {
        // One growth instead of several.
        headers.reserve(8);
        // Nothing is there that is not missing, but for a policy that gets its other half.
        for (name, value) in self.each() {
            headers.append(name, value);
        }
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
            policy: true,
            report_only: true,
            reporting: true,
            resource: true,
        };
        if self.set.is_none() && self.has == USUAL {
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
    policy: bool,
    report_only: bool,
    reporting: bool,
    resource: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(value: &'static str) -> RequestId {
        RequestId { text: value.into(), value: HeaderValue::from_static(value), is_correlation: false }
    }

    fn about(scheme: Scheme, request_id: RequestId) -> About {
        About { scheme, request_id, set: None, transport_security: Some(HeaderValue::from_static("max-age=31536000")) }
    }

    fn hardened(headers: &mut HeaderMap, scheme: Scheme) {
        harden(headers, about(scheme, named("id"))).insert(headers);
    }

    #[test]
    fn as_lines_and_in_a_map_the_same_is_added() {
        let none = Some(Arc::new(SecurityHeaders::default()));
        for (scheme, own, set) in [
            (Scheme::Http, None, None),
            (Scheme::Https, None, None),
            (Scheme::Http, Some("x-frame-options"), None),
            (Scheme::Http, None, Some(Arc::new(SecurityHeaders::STANDARD))),
            (Scheme::Https, None, none),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(own.map(|own| (HeaderName::from_static(own), HeaderValue::from_static("DENY"))));
            headers.insert(&X_REQUEST_ID, HeaderValue::from_static("of the app"));
            let mut lines = Vec::new();
            harden(&mut headers, About { set: set.clone(), ..about(scheme, named("ours")) }).write(&mut lines);
            assert!(!headers.contains_key(&X_REQUEST_ID));
            let mut map = headers.clone();
            harden(&mut headers, About { set: set.clone(), ..about(scheme, named("ours")) }).insert(&mut map);
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
    fn a_routes_own_set_is_added_and_what_the_application_says_wins() {
        let value = |text: &'static str| Some(HeaderValue::from_static(text));
        let set = Arc::new(SecurityHeaders {
            nosniff: true,
            referrer: value("same-origin"),
            resource: value("same-origin"),
            frames: value("DENY"),
            policy: baluarte_web::Policy::new("default-src 'self'", "'none'").expect("a policy"),
            ..SecurityHeaders::default()
        });
        let answer = |own: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.extend(own.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))));
            let about = About { set: Some(Arc::clone(&set)), ..about(Scheme::Http, named("id")) };
            harden(&mut headers, about).insert(&mut headers);
            let policies = headers.get_all(header::CONTENT_SECURITY_POLICY).iter().map(|it| it.to_str().expect("text").to_owned());
            (policies.collect::<Vec<_>>(), headers)
        };
        let (policies, headers) = answer(&[]);
        assert_eq!(policies, ["default-src 'self'; frame-ancestors 'none'"]);
        let text = |name: &HeaderName| headers[name].to_str().expect("text");
        assert_eq!((text(&header::REFERRER_POLICY), text(&header::X_FRAME_OPTIONS)), ("same-origin", "DENY"));
        assert_eq!(&headers[&CROSS_ORIGIN_RESOURCE_POLICY], "same-origin");
        assert!(!headers.contains_key(&PERMISSIONS_POLICY) && !headers.contains_key(&CROSS_ORIGIN_OPENER_POLICY), "not in the set");

        let own = "script-src 'nonce-x'";
        let (policies, headers) = answer(&[("content-security-policy", own), ("referrer-policy", "no-referrer")]);
        assert_eq!(policies, [own, "frame-ancestors 'none'"], "who may frame it, the application did not say");
        assert_eq!(headers.get_all(header::REFERRER_POLICY).iter().collect::<Vec<_>>(), ["no-referrer"]);
        let own = "frame-ancestors https://partner.example";
        let (policies, headers) = answer(&[("content-security-policy", own)]);
        assert_eq!((policies, headers.get(header::X_FRAME_OPTIONS)), (vec![own.to_owned()], None));
        let (policies, headers) = answer(&[("x-frame-options", "SAMEORIGIN")]);
        assert_eq!((&*policies[0], headers[header::X_FRAME_OPTIONS].to_str().ok()), ("default-src 'self'", Some("SAMEORIGIN")));
    }

    #[test]
    fn an_id_that_came_as_correlation_id_goes_back_under_both_names() {
        let correlated = || RequestId { is_correlation: true, ..named("theirs") };
        let mut headers = HeaderMap::new();
        harden(&mut headers, about(Scheme::Http, correlated())).insert(&mut headers);
        assert_eq!((&headers[&X_CORRELATION_ID], &headers[&X_REQUEST_ID]), (&correlated().value, &correlated().value));
        let mut headers = HeaderMap::from_iter([(X_CORRELATION_ID.clone(), HeaderValue::from_static("of the app"))]);
        harden(&mut headers, about(Scheme::Http, correlated())).insert(&mut headers);
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
