//! What can be wrong with `[gateway]`: all of it, with what is allowed.

use std::{collections::BTreeMap, path::Path};

use baluarte_kernel::{Findings, FreeForAll, Period};
use http::{HeaderValue, Method, StatusCode, uri::PathAndQuery};

use super::{GatewayConfig, Preset, RouteConfig, UpstreamConfig};
use crate::{
    access::Access,
    snapshot,
    table::{HostPattern, Place},
    target::{Redirect, is_directory},
};

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
    pub fn validate(&self, known: &KnownNames<'_>, findings: &mut Findings) {
        for (name, upstream) in &self.upstreams {
            upstream.validate(&format!("gateway.upstreams.{name}"), findings);
        }
        for (name, headers) in &self.headers {
            for (key, problem) in headers.compile(name).1 {
                findings.add(format!("gateway.headers.{name}.{key}"), problem);
            }
        }
        let mut places: BTreeMap<(Place, String), usize> = BTreeMap::new();
        for (n, route) in self.routes.iter().enumerate() {
            let key = format!("gateway.routes[{n}]");
            route.validate(&key, self, known, findings);
            let (Ok(place), methods) = (route.place(), route.methods()) else { continue };
            let methods = if methods.is_empty() { vec!["".to_owned()] } else { methods.iter().map(Method::to_string).collect() };
            for method in methods {
                if let Some(first) = places.insert((place.clone(), method), n) {
                    findings.add(
                        &*key,
                        format!("the same host, path and method as gateway.routes[{first}]; only one of them could ever answer"),
                    );
                    break;
                }
            }
        }
    }
}

impl UpstreamConfig {
    fn validate(&self, key: &str, findings: &mut Findings) {
        if self.servers.is_empty() {
            findings.add(format!("{key}.servers"), "found none, expected at least one address such as \"http://127.0.0.1:9000\"");
        }
        for (n, server) in self.servers.iter().enumerate() {
            if let Err(err) = server.parse::<baluarte_proxy::ServerAddress>() {
                findings.add(format!("{key}.servers[{n}]"), err.to_string());
            }
        }
        if !self.host.is_empty() && (HeaderValue::from_str(&self.host).is_err() || self.host.parse::<http::uri::Authority>().is_err()) {
            findings.add(format!("{key}.host"), format!("found {:?}, expected a host name such as \"app.example.com\"", self.host));
        }
        if let Some(health) = &self.health
            && (!health.path.starts_with('/') || health.path.parse::<PathAndQuery>().is_err())
        {
            findings.add(format!("{key}.health.path"), format!("found {:?}, expected a path such as \"/healthz\"", health.path));
        }
        if self.max_connections == 0 {
            findings.add(format!("{key}.max_connections"), "found 0, expected at least 1");
        }
        if self.retries > 2 {
            findings.add(format!("{key}.retries"), format!("found {}, expected 0, 1 or 2", self.retries));
        }
        if !self.ca.is_empty()
            && let Err(err) = std::fs::read(&self.ca).and_then(|pem| baluarte_proxy::TlsClient::with_authorities(&pem))
        {
            findings.add(format!("{key}.ca"), format!("found {:?} ({err}), expected a PEM file with certificates", self.ca));
        }
    }
}

impl RouteConfig {
    fn validate(&self, key: &str, gateway: &GatewayConfig, known: &KnownNames<'_>, findings: &mut Findings) {
        let mut add = |name: &str, problem: String| findings.add(format!("{key}.{name}"), problem);
        self.validate_place(&mut add);
        self.validate_target(gateway, &mut add);
        match self.access.parse::<Access>() {
            Err(err) => add("access", err.to_string()),
            Ok(Access::Plan(plan)) if plan != FreeForAll::PLAN && !known.plans.contains(&plan.as_str()) => {
                add(
                    "access",
                    format!("no plan is called {plan:?}; there are: {}", list(known.plans.iter().copied().chain([FreeForAll::PLAN]))),
                );
            }
            Ok(_) => {}
        }
        if let Some(max_age) = self.max_age {
            if self.access == "public" {
                add("max_age", "asks people again who they are, and the route is public: set access".to_owned());
            }
            if max_age < Period::from_secs(60) {
                add("max_age", format!("found {max_age}, the least is 1m: people need a moment to confirm"));
            }
        }
        if !Preset::NAMES.contains(&&*self.headers) && !gateway.headers.contains_key(&self.headers) {
            let known =
                Preset::NAMES.into_iter().chain(gateway.headers.keys().map(String::as_str).filter(|name| !Preset::NAMES.contains(name)));
            add("headers", format!("no set of headers is called {:?}; there are: {}", self.headers, list(known)));
        }
        for limit in &self.limits {
            if !known.limits.contains(&limit.as_str()) {
                add("limits", format!("no limit is called {limit:?}; there are: {}", list(known.limits.iter().copied())));
            }
        }
    }

    fn validate_place(&self, add: &mut dyn FnMut(&str, String)) {
        if let Err((name, problem)) = self.place() {
            add(name, problem);
        }
        for method in &self.methods {
            if !is_method(method) {
                add("methods", format!("found {method:?}, expected methods such as \"GET\" or \"POST\""));
            }
        }
    }

    fn validate_target(&self, gateway: &GatewayConfig, add: &mut dyn FnMut(&str, String)) {
        let targets = [
            ("upstream", !self.upstream.is_empty()),
            ("directory", !self.directory.is_empty()),
            ("redirect", !self.redirect.is_empty()),
            ("respond", self.respond.is_some()),
        ];
        let named: Vec<&str> = targets.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
        match named[..] {
            [_] => {}
            [] => add("upstream", "found none, expected one of upstream, directory, redirect or respond".to_owned()),
            _ => add(named[1], format!("found {}, expected one of upstream, directory, redirect or respond", named.join(" and "))),
        }
        if !self.upstream.is_empty() && !gateway.upstreams.contains_key(&self.upstream) {
            add(
                "upstream",
                format!("no upstream is called {:?}; there are: {}", self.upstream, list(gateway.upstreams.keys().map(String::as_str))),
            );
        }
        if !self.directory.is_empty() && !is_directory(Path::new(&self.directory)) {
            add("directory", format!("found {:?}, expected an existing directory", self.directory));
        }
        if !self.redirect.is_empty()
            && let Err(problem) = Redirect::parse(&self.redirect, self.redirect_status, 0)
        {
            add("redirect", problem);
        }
        if let Some(respond) = &self.respond {
            if !(200..=599).contains(&respond.status) || StatusCode::from_u16(respond.status).is_err() {
                add("respond.status", format!("found {}, expected a status from 200 to 599", respond.status));
            }
            if HeaderValue::from_str(&respond.content_type).is_err() {
                add("respond.content_type", format!("found {:?}, expected a content type such as \"text/plain\"", respond.content_type));
            }
        }
        if !self.rewrite.is_empty()
            && (!self.rewrite.starts_with('/') || self.rewrite.contains('?') || self.rewrite.parse::<PathAndQuery>().is_err())
        {
            add("rewrite", format!("found {:?}, expected a path such as \"/api/v2\"", self.rewrite));
        }
        for (name, set, only) in [
            ("rewrite", !self.rewrite.is_empty(), "upstream"),
            ("timeout", self.timeout.is_some(), "upstream"),
            ("forward_credentials", self.forward_credentials, "upstream"),
            ("cache", !self.cache.is_empty(), "directory"),
            ("fallback", !self.fallback.is_empty(), "directory"),
        ] {
            if set && !named.contains(&only) {
                add(name, format!("works only with {only}"));
            }
        }
        if !self.cache.is_empty()
            && let Err(err) = self.cache.parse::<Period>()
        {
            add("cache", err.to_string());
        }
        if !self.fallback.is_empty() && snapshot::file_segments(&self.fallback).is_none() {
            add("fallback", format!("found {:?}, expected the name of a file in the directory such as \"index.html\"", self.fallback));
        }
    }

    /// Where the route stands; the error names the key.
    pub(crate) fn place(&self) -> Result<Place, (&'static str, String)> {
        let scheme = match self.scheme.as_str() {
            "" => None,
            "http" => Some("http"),
            "https" => Some("https"),
            other => return Err(("scheme", format!("found {other:?}, expected \"http\", \"https\" or nothing"))),
        };
        Ok(Place { scheme, host: host_pattern(&self.host)?, path: path(&self.path)? })
    }

    pub(crate) fn methods(&self) -> Vec<Method> {
        self.methods.iter().filter(|name| is_method(name)).filter_map(|name| name.parse().ok()).collect()
    }
}

fn is_method(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') && name != "CONNECT"
}

fn host_pattern(text: &str) -> Result<HostPattern, (&'static str, String)> {
    let host = text.to_ascii_lowercase();
    if host.is_empty() {
        return Ok(HostPattern::Any);
    }
    let (name, beneath) = match host.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (host.as_str(), false),
    };
    let is_ip = !beneath && name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    let is_name = name
        .split('.')
        .all(|label| !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    if !is_ip && !is_name {
        return Err((
            "host",
            format!("found {text:?}, expected a host name without port such as \"shop.example.com\" or \"*.example.com\""),
        ));
    }
    Ok(if beneath { HostPattern::Beneath(format!(".{name}")) } else { HostPattern::Exact(host) })
}

/// Without the slash at its end. Only paths that have one reading: what routes are compared with.
fn path(text: &str) -> Result<String, (&'static str, String)> {
    let plain = crate::path::Readings::of(text).is_ok_and(|readings| readings.plain == text && readings.others.is_empty());
    if !plain || text.contains(['?', '#', '*', '{', '}']) {
        return Err((
            "path",
            format!("found {text:?}, expected the beginning of a path such as \"/shop\", without pattern, query, escape or “..”"),
        ));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
