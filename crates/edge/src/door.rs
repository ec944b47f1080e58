//! Where the edge hands a request on. The edge does not know what is behind a door.

use baluarte_kernel::RequestMeta;
use baluarte_proxy::{RequestBody, ResponseBody};
use baluarte_telemetry::AccessNote;
use http::{Request, Response};

/// What is behind the edge on one core. Lives on that core's single thread, so nothing in it needs to be `Send`.
///
/// A refusal comes back as a response that carries a `web::Problem` in its extensions and no body; the edge renders it.
/// What served the request, for the access log and the metrics, goes into `note`; an `AccessNote` in the extensions replaces it.
///
/// Requests come boxed: each future they are handed down through would hold a copy, and so be larger, for as long as the answer takes.
pub trait Door: 'static {
    fn call(
        &self,
        request: Box<Request<RequestBody>>,
        meta: &RequestMeta,
        note: &mut AccessNote,
    ) -> impl Future<Output = Response<ResponseBody>>;

    /// Whether [`Options::request_timeout`](crate::Options) applies. Upstreams have time limits of their own.
    fn is_timed(&self, _request: &Request<RequestBody>, _meta: &RequestMeta) -> bool {
        false
    }

    /// What to allow this request's body instead of [`Options::body_limit`](crate::Options). Asked only when the client
    /// announces more than that; the door sets the limit of the body itself.
    fn body_limit<B>(&self, _request: &Request<B>, _meta: &RequestMeta) -> Option<u64> {
        None
    }
}

/// Makes the door of each core, on that core's thread.
pub trait Doors: Send + Sync + 'static {
    type Door: Door;
    fn open(&self, core: usize) -> Self::Door;
}
