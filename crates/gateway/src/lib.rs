#![doc = include_str!("../README.md")]

mod config;

use std::{rc::Rc, sync::Arc};

use baluarte_component::{Component, Kit, Tasks};
use baluarte_kernel::{Authenticator, Clock, Entitlements, Findings, RequestMeta};
use baluarte_limits::Limits;
use baluarte_proxy::{RequestBody, ResponseBody};
use http::{Request, Response};

pub use config::{GatewayConfig, HealthConfig, RespondConfig, RouteConfig, UpstreamConfig};

/// What routes may name although it is configured elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct KnownNames<'a> {
    /// The limits that exist: built-in and configured.
    pub limits: &'a [&'a str],
    /// The configured plans; `free` always exists.
    pub plans: &'a [&'a str],
}

impl GatewayConfig {
    /// Everything that is wrong with the section, under `gateway.…`.
    pub fn validate(&self, _known: &KnownNames<'_>, _findings: &mut Findings) {}
}

/// What the gateway works with.
#[derive(Clone)]
pub struct Parts {
    pub limits: Limits,
    pub clock: Clock,
    pub tasks: Tasks,
    /// Where Baluarte's own pages are, without a slash at the end: people without a session are sent to `/auth/login` there.
    pub public_url: Arc<str>,
    /// `server.own_host`; empty: own pages answer on every host, and people sign in on the host they asked for.
    pub own_host: String,
    /// The session cookie's name: `__Host-baluarte` with secure cookies, else `baluarte`.
    pub session_cookie: &'static str,
    pub authenticator: Arc<dyn Authenticator>,
    pub entitlements: Arc<dyn Entitlements>,
}

impl Parts {
    pub fn from_kit(kit: &Kit, own_host: &str, authenticator: Arc<dyn Authenticator>, entitlements: Arc<dyn Entitlements>) -> Self {
        Self {
            limits: kit.limits.clone(),
            clock: kit.clock.clone(),
            tasks: kit.tasks.clone(),
            public_url: Arc::clone(&kit.public_url),
            own_host: own_host.to_owned(),
            session_cookie: if kit.secure_cookies { "__Host-baluarte" } else { "baluarte" },
            authenticator,
            entitlements,
        }
    }
}

/// Why a gateway cannot be made of a configuration that passed [`GatewayConfig::validate`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(String);

/// The gateway of this process: the routes as they are now, and the state its cores share. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    _parts: Arc<Parts>,
}

impl Gateway {
    /// Compiles the routes and starts the upstreams' health checks on the control runtime.
    pub fn new(config: &GatewayConfig, parts: Parts) -> Result<Self, BuildError> {
        let _ = config;
        Ok(Self { _parts: Arc::new(parts) })
    }

    /// Replaces the routes; requests under way finish with the old ones. On an error the old ones stay.
    pub fn reload(&self, _config: &GatewayConfig) -> Result<(), BuildError> {
        Ok(())
    }

    /// This core's part: connections and verified credentials. Call it on the core's own thread, inside its local runtime.
    pub fn open_core(&self, _core: usize) -> GatewayCore {
        GatewayCore { _gateway: Rc::new(self.clone()) }
    }

    /// `GET /auth/verify` for nginx, Caddy and Traefik.
    pub fn component(&self) -> Component {
        Component { name: "gateway", api: Default::default(), pages: Default::default(), health: Vec::new() }
    }
}

/// The gateway on one core. Cheap to clone, not `Send`.
#[derive(Clone)]
pub struct GatewayCore {
    _gateway: Rc<Gateway>,
}

impl GatewayCore {
    /// Answers everything that is not Baluarte's own surface. A refusal carries a `web::Problem` in the extensions.
    pub async fn call(&self, _request: Request<RequestBody>, _meta: &RequestMeta) -> Response<ResponseBody> {
        let problem = baluarte_web::Problem::new(http::StatusCode::NOT_FOUND, "gateway.no_route", "There is nothing at this address");
        let mut response = Response::new(ResponseBody::Empty);
        *response.status_mut() = problem.status;
        response.extensions_mut().insert(problem);
        response
    }
}
