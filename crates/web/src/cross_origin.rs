//! Requests that other sites make with our visitor's cookie are refused.

use axum::extract::FromRequestParts;
use http::{HeaderMap, Method, header, request::Parts};

use crate::{
    Site,
    problem::{CROSS_ORIGIN, Problem},
};

/// For the forms of our own pages, signed in or not: refuses what [`cross_origin`] refuses.
#[derive(Debug, Clone, Copy)]
pub struct SameOrigin;

impl<S: Sync> FromRequestParts<S> for SameOrigin {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let own_origin = parts.extensions.get::<Site>().map_or("", |site| &site.own_origin);
        cross_origin(&parts.headers, &parts.method, own_origin).map(|()| Self)
    }
}

/// May a request that a cookie authenticates act? Safe methods always; others only when the browser says that our
/// own pages made them: `Sec-Fetch-Site: same-origin` (or `none`: typed by the person), else an `Origin` equal to
/// `own_origin` (`https://host[:port]`). Without either header nobody can tell, so it is refused.
///
/// Browsers leave `Sec-Fetch-Site` out on plain HTTP other than localhost; `Origin` is on every form they post.
pub fn cross_origin(request: &HeaderMap, method: &Method, own_origin: &str) -> Result<(), Problem> {
    if method.is_safe() {
        return Ok(());
    }
    let same = match (request.get("sec-fetch-site"), request.get(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => origin.to_str().is_ok_and(|origin| !own_origin.is_empty() && origin.eq_ignore_ascii_case(own_origin)),
        (None, None) => false,
    };
    if same { Ok(()) } else { Err(Problem::of(&CROSS_ORIGIN)) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const OWN: &str = "https://shop.example";

    fn check(method: Method, headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        cross_origin(&headers, &method, OWN).is_ok()
    }

    #[test]
    fn only_our_own_pages_may_act_with_the_cookie() {
        assert!(check(Method::POST, &[("sec-fetch-site", "same-origin")]));
        assert!(check(Method::POST, &[("sec-fetch-site", "none")]));
        assert!(check(Method::DELETE, &[("origin", OWN)]));
        assert!(check(Method::GET, &[("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn other_sites_and_silence_are_refused() {
        assert!(!check(Method::POST, &[("sec-fetch-site", "same-site"), ("origin", OWN)]));
        assert!(!check(Method::POST, &[("sec-fetch-site", "cross-site")]));
        for origin in
            ["null", "https://evil.example", "http://shop.example", "https://shop.example.evil.example", "https://shop.example:444"]
        {
            assert!(!check(Method::PATCH, &[("origin", origin)]), "{origin}");
        }
        assert!(!check(Method::POST, &[]));
    }
}
