#![doc = include_str!("../README.md")]

mod access;
mod calls;
mod config;
mod core;
mod credentials;
mod guesses;
mod http;
mod live;
mod path;
pub mod problems;
mod sign_in;
mod snapshot;
mod table;
mod target;

use std::sync::Arc;

use arc_swap::ArcSwap;
use baluarte_audit::Calls;
use baluarte_component::{Component, Kit, Tasks};
use baluarte_kernel::{Authenticator, Clock, Entitlements};
use baluarte_limits::Limits;

use crate::snapshot::{Member, Snapshot};
pub use crate::{
    calls::Audited,
    config::{GatewayConfig, HeadersConfig, HealthConfig, KnownNames, Preset, RespondConfig, RouteConfig, UpstreamConfig},
    core::GatewayCore,
    http::VERIFY,
};

/// What the gateway works with.
#[derive(Clone)]
pub struct Parts {
    pub limits: Limits,
    /// Where calls that are to be recorded go.
    pub calls: Calls,
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
    pub fn from_kit(
        kit: &Kit,
        calls: Calls,
        own_host: &str,
        authenticator: Arc<dyn Authenticator>,
        entitlements: Arc<dyn Entitlements>,
    ) -> Self {
        Self {
            limits: kit.limits.clone(),
            calls,
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
pub struct Gateway(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) parts: Parts,
    pub(crate) snapshot: ArcSwap<Snapshot>,
}

impl Gateway {
    /// Compiles the routes and starts the upstreams' health checks on the control runtime.
    pub fn new(config: &GatewayConfig, parts: Parts) -> Result<Self, BuildError> {
        let (snapshot, fresh) = Snapshot::build(config, &parts.limits, None)?;
        let gateway = Self(Arc::new(Shared { parts, snapshot: ArcSwap::from_pointee(snapshot) }));
        gateway.watch(fresh);
        Ok(gateway)
    }

    /// Replaces the routes; requests under way finish with the old ones. On an error the old ones stay.
    pub fn reload(&self, config: &GatewayConfig) -> Result<(), BuildError> {
        let (snapshot, fresh) = Snapshot::build(config, &self.0.parts.limits, Some(&self.0.snapshot.load()))?;
        self.0.snapshot.store(Arc::new(snapshot));
        self.watch(fresh);
        Ok(())
    }

    /// This core's part: connections and verified credentials. Call it on the core's own thread, inside its local runtime.
    pub fn open_core(&self, core: usize) -> GatewayCore {
        GatewayCore::new(self.clone(), core)
    }

    /// `GET /auth/verify` for nginx, Caddy and Traefik.
    pub fn component(&self) -> Component {
        Component { api: http::router(self.clone()), ..Component::named("gateway") }
    }

    /// Each watch ends with its upstream, or when the server stops.
    fn watch(&self, members: Vec<Member>) {
        for member in members {
            let Some((path, every)) = member.check() else { continue };
            let stop = self.0.parts.tasks.stopping();
            let watch = baluarte_proxy::watch(Arc::downgrade(&member.upstream), path, every.get());
            self.0.parts.tasks.spawn(async move { stop.run_until_cancelled(watch).await });
        }
    }
}
