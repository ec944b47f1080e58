//! The one place where a problem becomes bytes: JSON for programs, a page for people.

use axum::response::Response;
use baluarte_kernel::Locale;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{FieldError, Problem};
use crate::{Site, negotiate, page};

/// What rendering needs to know of the request that failed.
#[derive(Debug, Clone, Copy)]
pub struct RenderContext<'a> {
    /// Becomes `instance`, and the reference that people quote to support.
    pub request_id: &'a str,
    pub locale: Locale,
    /// The client asked for a page rather than data.
    pub prefers_html: bool,
    /// Path and query that show the same problem in another language; absent: the page has no language switch.
    pub path: Option<&'a str>,
    pub site: &'a Site,
}

impl<'a> RenderContext<'a> {
    /// What was asked for, if asking again with GET does no harm. Where our own pages answer on another host, nothing
    /// answers the switch, and there is none.
    #[must_use]
    pub fn at(mut self, path: Option<&'a str>) -> Self {
        self.path = path.filter(|_| self.site.assets_origin.is_empty());
        self
    }

    /// Negotiates language and form from the request's headers.
    pub fn of(request: &HeaderMap, request_id: &'a str, site: &'a Site) -> Self {
        Self { request_id, locale: negotiate::locale_of(request), prefers_html: negotiate::prefers_html(request), path: None, site }
    }
}

/// RFC 9457, with our extensions.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    code: &'a str,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    instance: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(rename = "violated-policies", skip_serializing_if = "<[_]>::is_empty")]
    violated_policies: &'a [String],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    upstream: bool,
}

/// Status, headers and body of the answer. Needs no router and no state: the edge calls it too.
pub fn render(problem: &Problem, cx: &RenderContext<'_>) -> (StatusCode, HeaderMap, Bytes) {
    let mut headers = problem.headers.clone();
    let body = if cx.prefers_html {
        page::page_headers(&mut headers, cx.site, cx.locale);
        page::error_page(problem, cx).into()
    } else {
        for (name, value) in [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::CACHE_CONTROL, "no-store"),
            (header::VARY, "accept, accept-language, cookie"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let body = Body {
            r#type: format!("/problems/{}", problem.code),
            code: problem.code,
            title: problem.title,
            status: problem.status.as_u16(),
            detail: problem.detail.as_deref(),
            instance: cx.request_id,
            errors: &problem.errors,
            violated_policies: &problem.violated_policies,
            upstream: problem.upstream,
        };
        serde_json::to_vec(&body).unwrap_or_default().into()
    };
    (problem.status, headers, body)
}

/// For the server's outermost layer: an answer that carries a problem is written out, any other passes unchanged.
///
/// Headers that inner layers set (`Allow`, `Set-Cookie`) stay.
pub fn render_response(response: Response, cx: &RenderContext<'_>) -> Response {
    let (mut parts, body) = response.into_parts();
    let Some(problem) = parts.extensions.remove::<Problem>() else {
        return Response::from_parts(parts, body);
    };
    let (status, headers, bytes) = render(&problem, cx);
    parts.status = status;
    parts.headers.remove(header::CONTENT_LENGTH);
    for (name, value) in &headers {
        parts.headers.insert(name, value.clone());
    }
    Response::from_parts(parts, bytes.into())
}
