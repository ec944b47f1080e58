//! Refusals and failures (RFC 9457): made anywhere, rendered in one place.

mod codes;
mod doc;
mod render;

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use baluarte_kernel::Forbidden;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

pub use self::{
    codes::*,
    doc::ProblemDoc,
    render::{RenderContext, render, render_response},
};

/// One field that is wrong, for a 422.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct FieldError {
    /// JSON Pointer into the request body (`/email`), or the name of a query parameter.
    pub pointer: String,
    pub detail: String,
}

/// What went wrong, before anybody decided whether a person or a program reads it.
///
/// As a response it carries itself in the extensions and has no body: the one place that knows the request
/// (`render`) writes `application/problem+json`, or a page for browsers, with the request id as `instance`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Problem {
    pub status: StatusCode,
    /// `component.reason`; documented at `/problems/<code>`.
    pub code: &'static str,
    pub title: &'static str,
    pub detail: Option<String>,
    pub errors: Vec<FieldError>,
    /// The failure is the upstream's, not ours.
    pub upstream: bool,
    /// Names of the limits that refused.
    pub violated_policies: Vec<String>,
    /// Sent with the answer: `Retry-After`, `Allow`, `WWW-Authenticate`, rate-limit fields.
    pub headers: HeaderMap,
    /// What is known about the code, in every language.
    pub doc: &'static ProblemDoc,
}

impl Problem {
    /// The refusal that `doc` declares (see [`problems!`](crate::problems)).
    pub fn of(doc: &'static ProblemDoc) -> Self {
        Self {
            status: doc.status,
            code: doc.code,
            title: doc.title.en,
            detail: None,
            errors: Vec::new(),
            upstream: false,
            violated_policies: Vec::new(),
            headers: HeaderMap::new(),
            doc,
        }
    }

    /// 401 with the challenge, or 403.
    pub fn forbidden(denied: &Forbidden) -> Self {
        match denied {
            Forbidden::NotSignedIn => Self::sign_in_required(),
            Forbidden::KeyRefused => Self::of(&KEY_REFUSED),
            Forbidden::RoleNeeded(_) | Forbidden::ScopeNeeded(_) => Self::of(&FORBIDDEN).detail(denied.to_string()),
        }
    }

    /// 401 with `WWW-Authenticate: Bearer`.
    pub fn sign_in_required() -> Self {
        Self::of(&SIGN_IN_REQUIRED).header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// Our own fault: the whole chain goes to the log once, nothing of it to the client.
    pub fn internal(err: &(dyn std::error::Error + 'static)) -> Self {
        let mut chain = err.to_string();
        let mut source = err.source();
        while let Some(cause) = source {
            chain.push_str(": ");
            chain.push_str(&cause.to_string());
            source = cause.source();
        }
        tracing::error!(target: "web", error = %chain, "internal error");
        Self::of(&INTERNAL)
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Whole seconds, rounded up, at least one.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    #[must_use]
    pub fn upstream(mut self) -> Self {
        self.upstream = true;
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}
