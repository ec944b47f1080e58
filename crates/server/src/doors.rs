//! The door of each data-plane core: own surface to the app on the control runtime, everything else to the gateway.

use baluarte_component::Tasks;
use baluarte_edge::{Door, Doors};
use baluarte_gateway::{Gateway, GatewayCore};
use baluarte_kernel::RequestMeta;
use baluarte_proxy::{BodyError, RequestBody, ResponseBody};
use baluarte_telemetry::{AccessNote, Surface};
use baluarte_web::{BodyTrouble, Problem};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::surface;

/// Opens one [`FrontDoor`] per core.
pub(crate) struct FrontDoors {
    pub(crate) surface: surface::Surface,
    pub(crate) app: App,
    pub(crate) gateway: Gateway,
}

impl Doors for FrontDoors {
    type Door = FrontDoor;
    fn open(&self, core: usize) -> FrontDoor {
        FrontDoor { surface: self.surface.clone(), app: self.app.clone(), gateway: self.gateway.open_core(core) }
    }
}

pub(crate) struct FrontDoor {
    surface: surface::Surface,
    app: App,
    gateway: GatewayCore,
}

impl Door for FrontDoor {
    async fn call(&self, request: Box<Request<RequestBody>>, meta: &RequestMeta, note: &mut AccessNote) -> Response<ResponseBody> {
        if !self.surface.is_own(&meta.host, request.uri().path()) {
            return self.gateway.call(request, meta, note).await;
        }
        if request.uri().path() == "/healthz" && matches!(*request.method(), Method::GET | Method::HEAD) {
            note.surface = Surface::App;
            return alive();
        }
        // On the heap, so that requests for the gateway do not carry its size about.
        Box::pin(self.app.call(*request, meta)).await
    }

    fn is_timed(&self, request: &Request<RequestBody>, meta: &RequestMeta) -> bool {
        self.surface.is_own(&meta.host, request.uri().path())
    }

    fn body_limit<B>(&self, request: &Request<B>, meta: &RequestMeta) -> Option<u64> {
        if self.surface.is_own(&meta.host, request.uri().path()) { None } else { self.gateway.body_limit(request, meta) }
    }
}

/// Answered on the core itself: it says that this core accepts and answers, and nothing else.
fn alive() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Full(Bytes::from_static(b"{\"ok\": true}")));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The axum router of all components, on the control runtime. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    router: axum::Router,
    tasks: Tasks,
}

impl App {
    /// `router`: with its whole stack around it.
    pub(crate) fn new(router: axum::Router, tasks: Tasks) -> Self {
        Self { router, tasks }
    }

    /// Hands the request over and waits. A client that goes away does not stop the work: what it asked for is finished
    /// or not begun, and the stack bounds how long that takes.
    async fn call(&self, request: Request<RequestBody>, meta: &RequestMeta) -> Response<ResponseBody> {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(meta.clone());
        let request = Request::from_parts(parts, axum::body::Body::new(body.map_err(readable)));
        let router = self.router.clone();
        match self.tasks.spawn(async move { router.oneshot(request).await }).await {
            Ok(Ok(response)) => response.map(|body| ResponseBody::Boxed(Box::pin(body.map_err(|err| BodyError::Other(err.into()))))),
            Ok(Err(never)) => match never {},
            // Panics are caught inside; what is left is a runtime that is shutting down.
            Err(_) => refused(Problem::of(&baluarte_web::problem::UNAVAILABLE)),
        }
    }
}

fn refused(problem: Problem) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Empty);
    *response.status_mut() = problem.status;
    response.extensions_mut().insert(problem);
    response
}

/// In the words that the extractors understand, so that they answer 413 and 408.
fn readable(err: BodyError) -> axum::BoxError {
    match err {
        BodyError::TooLarge => BodyTrouble::TooLarge.into(),
        BodyError::TooSlow => BodyTrouble::TooSlow.into(),
        other @ (BodyError::Client(_) | BodyError::Upstream(_) | BodyError::Other(_)) => other.into(),
    }
}
