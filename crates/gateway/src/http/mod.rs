//! The gateway's failures as problems, and its own endpoints.

mod verify;

use std::time::Duration;

use baluarte_kernel::RequestMeta;
use baluarte_proxy::{ClientFault, ProxyError};
use baluarte_web::{
    Problem,
    problem::{BODY_TOO_LARGE, BODY_TOO_SLOW, MALFORMED_BODY},
};

pub use verify::VERIFY;
pub(crate) use verify::router;

use crate::problems;

/// What the client is told; the cause goes to the log with the request's id.
pub(crate) fn problem(err: &ProxyError, upstream: &str, meta: &RequestMeta) -> Problem {
    let doc = match err {
        ProxyError::Unreachable { .. } | ProxyError::Broken { .. } => &problems::UPSTREAM_UNREACHABLE,
        ProxyError::Timeout { .. } => &problems::UPSTREAM_TIMEOUT,
        ProxyError::InvalidAnswer { .. } => &problems::UPSTREAM_INVALID,
        ProxyError::Busy => return Problem::of(&problems::UPSTREAM_BUSY).upstream().retry_after(Duration::from_secs(1)),
        ProxyError::Client(ClientFault::TooLarge) => return Problem::of(&BODY_TOO_LARGE),
        ProxyError::Client(ClientFault::TooSlow) => return Problem::of(&BODY_TOO_SLOW),
        ProxyError::Client(ClientFault::Gone) => return Problem::of(&MALFORMED_BODY),
    };
    let cause = std::error::Error::source(err).map(ToString::to_string).unwrap_or_default();
    tracing::warn!(target: "gateway", request_id = %meta.request_id, upstream, error = %err, cause, "the upstream failed");
    Problem::of(doc).upstream()
}
