//! What an answer tells: when to come back, and the few words of it that are kept for the operator.

use std::{
    sync::LazyLock,
    time::{Duration, UNIX_EPOCH},
};

use baluarte_kernel::Timestamp;
use http::{HeaderMap, HeaderValue, header};
use regex_lite::Regex;

/// However long a receiver wants to be left alone.
pub(super) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(86_400);
/// Of an answer's body, as kept.
pub(super) const EXCERPT: usize = 512;

/// `Retry-After`, in seconds or as a date, within a bound: from one second to a day.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // Too many digits for a number are a very long time.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let at = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::default().plus(at).since(now)
    };
    Some(wait.clamp(Duration::from_secs(1), LONGEST_RETRY_AFTER))
}

static SECRETS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?i)("[^"]*(?:passw|secret|token|authorization|api[-_]?key|cookie|signature|session)[^"]*"\s*:\s*")[^"]*"#,
        r"|((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}",
        r"|((?:whsec|blt|sk|pk|rk)_)[A-Za-z0-9+/=_-]{6,}",
        r"|(eyJ)[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
    ))
    .ok()
});

/// The beginning of an answer, in one line, without what looks like a secret and without what we sent: some receivers
/// answer with a copy of the request.
pub(super) fn excerpt(body: &[u8], sent: &HeaderMap) -> String {
    // More than is kept, so that a secret at the edge is recognised before it is cut.
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * EXCERPT)]);
    let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    for value in sent.values().filter(|value| value.is_sensitive()).filter_map(word) {
        text = text.replace(value, "[redacted]");
    }
    let text = match &*SECRETS {
        Some(secrets) => secrets.replace_all(&text, "$1$2$3$4[redacted]").into_owned(),
        None => String::new(),
    };
    let text = text.trim();
    match text.char_indices().map(|(at, _)| at).find(|at| *at >= EXCERPT) {
        Some(end) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Short values are words that everybody uses.
fn word(value: &HeaderValue) -> Option<&str> {
    let value = value.to_str().ok()?;
    let value = value.split_once(' ').map_or(value, |(scheme, rest)| if scheme.len() < 8 { rest } else { value });
    (value.len() >= 6).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        // Sun, 06 Nov 1994 08:49:37 GMT
        retry_after(&headers, Timestamp::from_unix_seconds(784_111_777)).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("0"), Some(1));
        assert_eq!(wait("999999999"), Some(86_400));
        assert_eq!(wait("99999999999999999999999"), Some(86_400));
        assert_eq!(wait("Sun, 06 Nov 1994 08:51:37 GMT"), Some(120));
        assert_eq!(wait("Sunday, 06-Nov-94 08:51:37 GMT"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(1));
        assert_eq!(wait("Fri, 31 Dec 9999 23:59:59 GMT"), Some(86_400));
        for nonsense in ["", "soon", "-5", "1.5", "12 seconds"] {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn an_excerpt_holds_no_secret_neither_theirs_nor_ours() {
        let mut sent = HeaderMap::new();
        let mut own = HeaderValue::from_static("Bearer our-own-credential");
        own.set_sensitive(true);
        sent.insert(header::AUTHORIZATION, own);
        for (body, kept) in [
            (r#"you sent our-own-credential"#, "you sent [redacted]"),
            (r#"{"access_token":"abc","ok":1}"#, r#"{"access_token":"[redacted]","ok":1}"#),
            ("authorization: Bearer abcdefgh", "authorization: Bearer [redacted]"),
            ("use whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "use whsec_[redacted]"),
            ("a\r\nb\u{0}c", "a  b c"),
            ("  not found  ", "not found"),
        ] {
            assert_eq!(excerpt(body.as_bytes(), &sent), kept);
        }
        assert_eq!(excerpt("é".repeat(5000).as_bytes(), &sent).chars().count(), EXCERPT / 2 + 1);
        assert!(excerpt(&[0xff, 0xfe, b'x'], &sent).ends_with('x'));
    }
}
