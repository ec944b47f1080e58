//! The configuration as requests need it: compiled once, shared by all cores, replaced as a whole.

use std::{path::PathBuf, sync::Arc};

use baluarte_kernel::Period;
use baluarte_limits::Limits;
use baluarte_proxy::{TlsClient, Upstream, UpstreamSpec};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::{
    BuildError,
    access::Access,
    calls::Audited,
    config::{GatewayConfig, RouteConfig, UpstreamConfig},
    table::{Place, Route, Table, Target},
    target::{Directory, Fixed, Redirect, ToUpstream},
};

pub(crate) struct Snapshot {
    pub(crate) table: Table,
    pub(crate) upstreams: Vec<Member>,
    /// Of the routes, in the order of the configuration.
    pub(crate) names: Vec<Arc<str>>,
    /// In the same order.
    pub(crate) audited: Vec<AuditedRoute>,
}

/// What the audit log says about each call of a route.
pub(crate) struct AuditedRoute {
    pub(crate) audited: Audited,
    pub(crate) route: Arc<str>,
    /// Empty for routes without one.
    pub(crate) upstream: Box<str>,
}

/// An upstream and the configuration it was made of.
#[derive(Clone)]
pub(crate) struct Member {
    name: String,
    config: UpstreamConfig,
    pub(crate) upstream: Arc<Upstream>,
}

impl Snapshot {
    /// Upstreams that did not change keep their connections and what is known of their health. The second part lists the new ones.
    pub(crate) fn build(config: &GatewayConfig, limits: &Limits, before: Option<&Self>) -> Result<(Self, Vec<Member>), BuildError> {
        let mut upstreams = Vec::new();
        let mut fresh = Vec::new();
        for (name, settings) in &config.upstreams {
            let known = before.and_then(|before| before.upstreams.iter().find(|member| member.name == *name && member.config == *settings));
            let member = match known {
                Some(member) => member.clone(),
                None => {
                    let upstream = Upstream::new(spec(name, settings)?);
                    let member = Member { name: name.clone(), config: settings.clone(), upstream };
                    fresh.push(member.clone());
                    member
                }
            };
            upstreams.push(member);
        }
        let routes: Vec<(Place, Route)> =
            config.routes.iter().enumerate().map(|(n, route)| compile(n, route, config, &upstreams, limits)).collect::<Result<_, _>>()?;
        let names = routes.iter().map(|(_, route)| Arc::clone(&route.name)).collect();
        let audited = config.routes.iter().zip(&names);
        let audited = audited.map(|(route, name)| AuditedRoute {
            audited: route.audit,
            route: Arc::clone(name),
            upstream: route.upstream.as_str().into(),
        });
        let audited = audited.collect();
        Ok((Self { table: Table::new(routes), upstreams, names, audited }, fresh))
    }
}

impl Member {
    /// The path and interval of the active check, if there is one.
    pub(crate) fn check(&self) -> Option<(String, Period)> {
        self.config.health.as_ref().map(|health| (health.path.clone(), health.every))
    }
}

fn spec(name: &str, config: &UpstreamConfig) -> Result<UpstreamSpec, BuildError> {
    let fail = |what: String| BuildError(format!("gateway.upstreams.{name}: {what}"));
    let servers: Vec<baluarte_proxy::ServerAddress> = config
        .servers
        .iter()
        .map(|server| server.parse())
        .collect::<Result<_, baluarte_proxy::BadAddress>>()
        .map_err(|err| fail(err.to_string()))?;
    if servers.is_empty() {
        return Err(fail("it has no servers".to_owned()));
    }
    let mut spec = UpstreamSpec::new(name, servers);
    if spec.servers.iter().any(|server| server.tls) {
        let tls = match config.ca.as_str() {
            "" => TlsClient::system(),
            file => std::fs::read(file).and_then(|pem| TlsClient::with_authorities(&pem)),
        };
        spec.tls = Some(tls.map_err(|err| fail(err.to_string()))?);
    }
    if !config.host.is_empty() {
        spec.host = Some(HeaderValue::from_str(&config.host).map_err(|err| fail(err.to_string()))?);
    }
    spec.timeout = config.timeout.get();
    spec.connect_timeout = config.connect_timeout.get();
    spec.idle_timeout = config.idle_timeout.get();
    spec.tunnel_idle_timeout = config.tunnel_idle_timeout.get();
    spec.keep_alive = config.keep_alive.get();
    spec.max_connections = config.max_connections as usize;
    spec.max_waiting = config.max_waiting as usize;
    spec.retries = u32::from(config.retries);
    Ok(spec)
}

fn compile(
    n: usize,
    config: &RouteConfig,
    gateway: &GatewayConfig,
    upstreams: &[Member],
    limits: &Limits,
) -> Result<(Place, Route), BuildError> {
    let fail = |what: String| BuildError(format!("gateway.routes[{n}]: {what}"));
    let place = config.place().map_err(|(_, problem)| fail(problem))?;
    let access: Access = config.access.parse().map_err(|err: crate::access::BadAccess| fail(err.to_string()))?;
    let limits = config
        .limits
        .iter()
        .map(|name| limits.resolve(name).ok_or_else(|| fail(format!("no limit is called {name:?}"))))
        .collect::<Result<_, _>>()?;
    let segments = place.path.matches('/').count();
    let strip = if config.strip_prefix { segments } else { 0 };
    let target = if !config.upstream.is_empty() {
        let index = upstreams
            .iter()
            .position(|member| member.name == config.upstream)
            .ok_or_else(|| fail(format!("no upstream is called {:?}", config.upstream)))?;
        Target::Upstream(ToUpstream {
            index,
            name: config.upstream.as_str().into(),
            strip,
            rewrite: config.rewrite.trim_end_matches('/').to_owned(),
            timeout: config.timeout.map(Period::get),
        })
    } else if !config.directory.is_empty() {
        let max_age = match config.cache.as_str() {
            "" => None,
            cache => Some(cache.parse::<Period>().map_err(|err| fail(err.to_string()))?.get().as_secs()),
        };
        let fallback = if config.fallback.is_empty() { None } else { file_segments(&config.fallback) };
        Target::Directory(Directory {
            root: Arc::new(PathBuf::from(&config.directory)),
            strip,
            max_age,
            public: access == Access::Public,
            fallback,
        })
    } else if let Some(respond) = &config.respond {
        Target::Fixed(Fixed {
            status: StatusCode::from_u16(respond.status).map_err(|err| fail(err.to_string()))?,
            body: Bytes::from(respond.body.clone()),
            content_type: HeaderValue::from_str(&respond.content_type).ok().filter(|value| !value.is_empty()),
        })
    } else {
        Target::Redirect(Redirect::parse(&config.redirect, config.redirect_status, segments).map_err(fail)?)
    };
    let name = if config.name.is_empty() { format!("{}{}", config.host, config.path) } else { config.name.clone() };
    let route = Route {
        index: n,
        name: name.into(),
        access,
        max_age: config.max_age.map(Period::get),
        limits,
        methods: config.methods(),
        names_methods: gateway.routes.iter().any(|other| {
            !other.methods.is_empty() && other.place().is_ok_and(|other| other.host == place.host && other.path == place.path)
        }),
        body_limit: config.body_limit.map(baluarte_kernel::ByteSize::get),
        forward_credentials: config.forward_credentials,
        headers: gateway.headers.get(&config.headers).cloned().unwrap_or_default().compile(&config.headers).0.map(Arc::new),
        target,
    };
    Ok((place, route))
}

/// `app/index.html` → its segments; `None` if it would leave the directory.
pub(crate) fn file_segments(name: &str) -> Option<Vec<String>> {
    let sound = name.split('/').all(|segment| !segment.is_empty() && !segment.starts_with('.')) && !name.contains(['\\', '\0']);
    sound.then(|| name.split('/').map(str::to_owned).collect())
}
