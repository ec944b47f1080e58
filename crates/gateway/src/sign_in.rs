//! Where a request's credential is, whether it may be used, and what strangers are told.

use baluarte_kernel::RequestMeta;
use baluarte_web::{Problem, ReturnTo, cookie, cross_origin, prefers_html};
use http::{HeaderMap, HeaderValue, Method, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{Parts, access::Denied, problems, table::without_port};

const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// What is in the first `Authorization: Bearer …`. Other schemes are the app's own business.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get_all(header::AUTHORIZATION).iter().find_map(|line| {
        // As long as a token, and looked at for each request: checked by words, not by bytes.
        let line = std::str::from_utf8(line.as_bytes()).ok().filter(|line| line.is_ascii())?;
        let (scheme, token) = line.split_once([' ', '\t'])?;
        let token = token.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    })
}

/// Takes out every `Authorization` line that has a token of ours in it, in whatever form it is written.
pub(crate) fn remove_tokens(headers: &mut HeaderMap, is_own: impl Fn(&str) -> bool) {
    let has_own = |line: &HeaderValue| {
        let mut words = line.as_bytes().split(|b| matches!(b, b' ' | b'\t' | b',' | b'"' | b'='));
        words.any(|word| std::str::from_utf8(word).is_ok_and(|word| !word.is_empty() && is_own(word)))
    };
    let lines = headers.get_all(header::AUTHORIZATION);
    if !lines.iter().any(has_own) {
        return;
    }
    let left: Vec<HeaderValue> = lines.iter().filter(|line| !has_own(line)).cloned().collect();
    headers.remove(header::AUTHORIZATION);
    for line in left {
        headers.append(header::AUTHORIZATION, line);
    }
}

pub(crate) fn session<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    cookie(headers, name).filter(|value| !value.is_empty())
}

/// May the session cookie speak for this request? A protocol switch acts like an unsafe method: any page may open a WebSocket.
pub(crate) fn cookie_may_act(headers: &HeaderMap, method: &Method, scheme: &str, host: &str) -> Result<(), Problem> {
    // Another proxy that asks for its own client drops `Upgrade`, but not the key that every browser sends with it.
    let switches = headers.contains_key(header::UPGRADE) || headers.contains_key(header::SEC_WEBSOCKET_KEY);
    if method.is_safe() && !switches {
        return Ok(());
    }
    let method = if method.is_safe() { &Method::POST } else { method };
    cross_origin(headers, method, &format!("{scheme}://{host}"))
}

/// A person who follows a link, as opposed to a program or a page's script.
pub(crate) fn is_navigation(headers: &HeaderMap, method: &Method) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    match headers.get("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => prefers_html(headers),
    }
}

pub(crate) const LOGIN: &str = "/auth/login";
pub(crate) const CONFIRM: &str = "/auth/confirm";

/// Where to sign in, or to show again who one is, and come back from. Our own pages answer on the host that was asked for, unless they have one of their own:
/// a session belongs to one host, so from there nobody can be sent back signed in.
pub(crate) fn address(place: &str, parts: &Parts, host: &str, target: &str) -> String {
    let own = parts.own_host.as_str();
    if !own.is_empty() && without_port(host) != without_port(own) {
        return format!("{}{place}", parts.public_url);
    }
    let target = ReturnTo::parse(target).map_or_else(|| "/".to_owned(), |target| target.as_str().to_owned());
    format!("{place}?return_to={}", utf8_percent_encode(&target, QUERY_VALUE))
}

/// What somebody is told who may not.
pub(crate) fn refusal(denied: Denied) -> Problem {
    match denied {
        Denied::NotSignedIn => {
            Problem::of(&problems::SIGN_IN_REQUIRED).header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        }
        Denied::Role(role) => Problem::of(&problems::ROLE_REQUIRED).detail(format!("this needs the role {role}")),
        Denied::Plan(plan) => Problem::of(&problems::PLAN_REQUIRED).detail(format!("this needs the plan {plan} or a higher one")),
        // RFC 9470.
        Denied::Stale(max_age) => {
            let seconds = max_age.as_secs();
            let challenge = format!("Bearer error=\"insufficient_user_authentication\", max_age=\"{seconds}\"");
            let challenge = HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static("Bearer"));
            Problem::of(&problems::STEP_UP_REQUIRED)
                .detail(format!(
                    "shown longer than {seconds} seconds ago: POST /api/v1/auth/step-up, then refresh the tokens and try again"
                ))
                .header(header::WWW_AUTHENTICATE, challenge)
        }
        Denied::Scope(scope) => Problem::of(&problems::SCOPE_REQUIRED)
            .detail(format!("this needs the scope {scope}"))
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"insufficient_scope\"")),
    }
}

/// Nobody can tell who this is.
pub(crate) fn unavailable() -> Problem {
    Problem::of(&baluarte_web::problem::UNAVAILABLE).retry_after(std::time::Duration::from_secs(5))
}

/// Whatever the host, in the form that `Origin` has.
pub(crate) fn own_origin(meta: &RequestMeta) -> (&'static str, &str) {
    (meta.scheme.as_str(), &meta.host)
}

/// Takes one cookie out and leaves the app's.
pub(crate) fn remove_cookie(headers: &mut HeaderMap, name: &str) {
    let Some(cookies) = headers.get(header::COOKIE) else { return };
    let is_ours = |pair: &[u8]| pair.trim_ascii_start().strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'='));
    if !cookies.as_bytes().split(|b| *b == b';').any(is_ours) {
        return;
    }
    let left: Vec<&[u8]> = cookies.as_bytes().split(|b| *b == b';').filter(|pair| !is_ours(pair)).map(<[u8]>::trim_ascii).collect();
    match HeaderValue::from_bytes(&left.join(&b"; "[..])) {
        Ok(left) if !left.is_empty() => headers.insert(header::COOKIE, left),
        _ => headers.remove(header::COOKIE),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_a_bearer_token_is_ours() {
        assert_eq!(bearer(&headers(&[("authorization", "Bearer abc")])), Some("abc"));
        assert_eq!(bearer(&headers(&[("authorization", "bearer abc")])), Some("abc"));
        assert_eq!(bearer(&headers(&[("authorization", "Bearer\t abc")])), Some("abc"));
        for other in ["Basic abc", "Bearer", "Bearer ", "abc"] {
            assert_eq!(bearer(&headers(&[("authorization", other)])), None, "{other}");
        }
    }

    #[test]
    fn our_cookie_goes_and_the_apps_stay() {
        for (before, after) in [
            ("a=1; baluarte=x; b=2", Some("a=1; b=2")),
            ("baluarte=x", None),
            ("xbaluarte=1; baluarte2=2", Some("xbaluarte=1; baluarte2=2")),
            ("baluarte=x;baluarte=y; c=3", Some("c=3")),
        ] {
            let mut map = headers(&[("cookie", before)]);
            remove_cookie(&mut map, "baluarte");
            assert_eq!(map.get("cookie").and_then(|value| value.to_str().ok()), after, "{before}");
        }
    }

    #[test]
    fn people_who_follow_a_link_are_told_from_programs() {
        let get = Method::GET;
        assert!(is_navigation(&headers(&[("sec-fetch-mode", "navigate")]), &get));
        assert!(is_navigation(&headers(&[("accept", "text/html,*/*;q=0.8")]), &get));
        assert!(!is_navigation(&headers(&[("sec-fetch-mode", "cors"), ("accept", "text/html")]), &get));
        assert!(!is_navigation(&headers(&[("accept", "application/json")]), &get));
        assert!(!is_navigation(&headers(&[("sec-fetch-mode", "navigate")]), &Method::POST));
    }

    #[test]
    fn another_page_cannot_open_a_websocket_with_our_cookie() {
        let upgrade = |origin: &'static str| headers(&[("upgrade", "websocket"), ("origin", origin)]);
        assert!(cookie_may_act(&upgrade("https://shop.example"), &Method::GET, "https", "shop.example").is_ok());
        assert!(cookie_may_act(&upgrade("https://evil.example"), &Method::GET, "https", "shop.example").is_err());
        // As another proxy tells of it, which keeps `Upgrade` to itself.
        let told = headers(&[("sec-websocket-key", "x"), ("origin", "https://evil.example")]);
        assert!(cookie_may_act(&told, &Method::GET, "https", "shop.example").is_err());
        assert!(cookie_may_act(&headers(&[]), &Method::GET, "https", "shop.example").is_ok());
        assert!(cookie_may_act(&headers(&[]), &Method::POST, "https", "shop.example").is_err());
    }
}
