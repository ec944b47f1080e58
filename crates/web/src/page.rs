//! The frame around every page, and the headers it travels with.

use askama::Template;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{Problem, RenderContext, Site};

/// Sets what every page of ours carries: the content security policy and its company.
pub fn page_headers(headers: &mut HeaderMap, site: &Site) {
    let own = if site.origin.is_empty() { String::new() } else { format!(" {}", site.origin) };
    let policy = format!(
        "default-src 'none'; style-src 'self'{own}; script-src 'self'{own}; img-src 'self'{own} data:; connect-src 'self'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=()"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[derive(Template)]
#[template(
    source = "<!doctype html><html lang=\"{{ lang }}\"><title>{{ title }}</title><h1>{{ title }}</h1><p>{{ request_id }}</p></html>",
    ext = "html"
)]
struct ErrorPage<'a> {
    lang: &'a str,
    title: &'a str,
    request_id: &'a str,
}

pub(crate) fn error_page(problem: &Problem, cx: &RenderContext<'_>) -> String {
    ErrorPage {
        lang: cx.locale.tag(),
        title: problem.doc.map_or(&problem.title, |doc| doc.title.get(cx.locale)),
        request_id: cx.request_id,
    }
    .render()
    .unwrap_or_default()
}
