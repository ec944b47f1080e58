//! The route table: built once from the configuration, then only read.

use std::{sync::Arc, time::Duration};

use ahash::AHashMap;
use baluarte_kernel::Scheme;
use baluarte_limits::LimitId;
use baluarte_web::SecurityHeaders;
use http::{HeaderValue, Method};

use crate::{
    access::Access,
    path::{Readings, fold},
    target::{Directory, Fixed, Redirect, ToUpstream},
};

/// A route as requests meet it.
#[derive(Debug)]
pub(crate) struct Route {
    /// Place in the configuration.
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
    pub(crate) access: Access,
    /// How long ago people may have shown who they are.
    pub(crate) max_age: Option<Duration>,
    pub(crate) limits: Box<[LimitId]>,
    /// Empty: all.
    pub(crate) methods: Vec<Method>,
    /// This route, or another at the same place, is for some methods only.
    pub(crate) names_methods: bool,
    pub(crate) body_limit: Option<u64>,
    pub(crate) forward_credentials: bool,
    /// For browsers. `None`: what every answer gets.
    pub(crate) headers: Option<Arc<SecurityHeaders>>,
    pub(crate) target: Target,
}

#[derive(Debug)]
pub(crate) enum Target {
    Upstream(ToUpstream),
    Directory(Directory),
    Redirect(Redirect),
    Fixed(Fixed),
}

impl Target {
    /// Name of the upstream, for limits counted by it.
    pub(crate) fn upstream(&self) -> &str {
        match self {
            Self::Upstream(to) => &to.name,
            Self::Directory(_) | Self::Redirect(_) | Self::Fixed(_) => "",
        }
    }
}

impl Route {
    fn takes(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method) || (*method == Method::HEAD && self.methods.contains(&Method::GET))
    }
}

/// Where a route stands in the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) scheme: Option<&'static str>,
    pub(crate) host: HostPattern,
    /// Without a slash at the end; `""` is everything.
    pub(crate) path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum HostPattern {
    Exact(String),
    /// `.example.com`: one or more labels before it.
    Beneath(String),
    Any,
}

#[derive(Debug)]
pub(crate) enum Found<'a> {
    Route(&'a Arc<Route>),
    /// The path exists, the method does not: what would be allowed.
    WrongMethod(HeaderValue),
    Nothing,
    /// Two readings of the path lead to different routes.
    Ambiguous,
}

/// Routes that name a scheme are looked at before those that do not.
#[derive(Debug, Default)]
pub(crate) struct Table {
    http: Hosts,
    https: Hosts,
    any: Hosts,
}

#[derive(Debug, Default)]
struct Hosts {
    exact: AHashMap<Box<str>, Paths>,
    /// Longest suffix first.
    beneath: Vec<(Box<str>, Paths)>,
    any: Paths,
}

#[derive(Debug, Default)]
struct Paths {
    /// Routes of one path; those that name methods first.
    groups: AHashMap<Box<str>, Vec<Arc<Route>>>,
    /// The same by [folded](fold) path: `/API` and `/api` are one here.
    folded: AHashMap<Box<str>, Vec<Arc<Route>>>,
    longest: usize,
}

impl Table {
    pub(crate) fn new(routes: Vec<(Place, Route)>) -> Self {
        let mut table = Self::default();
        for (place, route) in routes {
            let hosts = match place.scheme {
                Some("http") => &mut table.http,
                Some(_) => &mut table.https,
                None => &mut table.any,
            };
            hosts.paths(place.host).add(place.path, Arc::new(route));
        }
        table
    }

    pub(crate) fn find(&self, host: &str, scheme: Scheme, method: &Method, path: &Readings<'_>) -> Found<'_> {
        let host = without_port(host);
        let found = self.find_one(host, scheme, method, &path.plain);
        let same = path.others.iter().all(|other| same(&found, &self.find_one(host, scheme, method, other)));
        let missed = path.folded.as_deref().is_some_and(|folded| match &found {
            Found::Route(route) => !self.folded(host, scheme, folded).iter().any(|group| Arc::ptr_eq(group, route)),
            Found::WrongMethod(_) | Found::Nothing | Found::Ambiguous => false,
        });
        if same && !missed { found } else { Found::Ambiguous }
    }

    /// The routes that a forgiving reader would find: of a longer path, perhaps, than the one that was meant.
    fn folded(&self, host: &str, scheme: Scheme, folded: &str) -> &[Arc<Route>] {
        [self.of(scheme), &self.any].into_iter().find_map(|hosts| hosts.of(host).find_map(|paths| paths.folded(folded))).unwrap_or_default()
    }

    fn of(&self, scheme: Scheme) -> &Hosts {
        match scheme {
            Scheme::Http => &self.http,
            Scheme::Https => &self.https,
        }
    }

    fn find_one(&self, host: &str, scheme: Scheme, method: &Method, path: &str) -> Found<'_> {
        for hosts in [self.of(scheme), &self.any] {
            match hosts.find(host, method, path) {
                Found::Nothing => {}
                found => return found,
            }
        }
        Found::Nothing
    }
}

fn same(one: &Found<'_>, other: &Found<'_>) -> bool {
    match (one, other) {
        (Found::Route(one), Found::Route(other)) => Arc::ptr_eq(one, other),
        (Found::Nothing, Found::Nothing) | (Found::WrongMethod(_), Found::WrongMethod(_)) => true,
        _ => false,
    }
}

/// `shop.example.com:8443` → `shop.example.com`; without the dot that a full name may end with.
pub(crate) fn without_port(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

impl Hosts {
    fn paths(&mut self, host: HostPattern) -> &mut Paths {
        match host {
            HostPattern::Any => &mut self.any,
            HostPattern::Exact(name) => self.exact.entry(name.into()).or_default(),
            HostPattern::Beneath(suffix) => {
                let at = match self.beneath.iter().position(|(known, _)| **known == *suffix) {
                    Some(at) => at,
                    None => {
                        let at = self.beneath.iter().position(|(known, _)| known.len() < suffix.len()).unwrap_or(self.beneath.len());
                        self.beneath.insert(at, (suffix.into(), Paths::default()));
                        at
                    }
                };
                &mut self.beneath[at].1
            }
        }
    }

    /// Everything that is about this host, the most specific first.
    fn of<'a>(&'a self, host: &str) -> impl Iterator<Item = &'a Paths> {
        let exact = if self.exact.is_empty() { None } else { self.exact.get(host) };
        let beneath =
            self.beneath.iter().filter(move |(suffix, _)| host.len() > suffix.len() && host.ends_with(&**suffix)).map(|(_, paths)| paths);
        exact.into_iter().chain(beneath).chain([&self.any])
    }

    fn find(&self, host: &str, method: &Method, path: &str) -> Found<'_> {
        for paths in self.of(host) {
            match paths.find(method, path) {
                Found::Nothing => {}
                found => return found,
            }
        }
        Found::Nothing
    }
}

impl Paths {
    fn add(&mut self, path: String, route: Arc<Route>) {
        self.longest = self.longest.max(path.len());
        self.folded.entry(fold(&path).into()).or_default().push(Arc::clone(&route));
        let group = self.groups.entry(path.into()).or_default();
        let at = if route.methods.is_empty() { group.len() } else { 0 };
        group.insert(at, route);
    }

    fn folded(&self, path: &str) -> Option<&[Arc<Route>]> {
        let shorter = path.rmatch_indices('/').map(|(slash, _)| &path[..slash]);
        [path].into_iter().chain(shorter).find_map(|path| self.folded.get(path)).map(Vec::as_slice)
    }

    /// The longest path that is `path` or ends before one of its slashes.
    fn find(&self, method: &Method, path: &str) -> Found<'_> {
        if self.groups.is_empty() {
            return Found::Nothing;
        }
        let mut end = path.len();
        loop {
            if end <= self.longest
                && let Some(group) = self.groups.get(&path[..end])
            {
                return match group.iter().find(|route| route.takes(method)) {
                    Some(route) => Found::Route(route),
                    None => Found::WrongMethod(allowed(group)),
                };
            }
            match path[..end].rfind('/') {
                Some(slash) => end = slash,
                None => return Found::Nothing,
            }
        }
    }
}

fn allowed(group: &[Arc<Route>]) -> HeaderValue {
    let mut names: Vec<&str> = group.iter().flat_map(|route| &route.methods).map(Method::as_str).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.sort_unstable();
    names.dedup();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(routes: &[(&str, &str, &str, &str, &[&str])]) -> Table {
        let route = |(name, scheme, host, path, methods): &(&str, &str, &str, &str, &[&str])| {
            let host = match host.strip_prefix('*') {
                Some(suffix) => HostPattern::Beneath(suffix.to_owned()),
                None if host.is_empty() => HostPattern::Any,
                None => HostPattern::Exact((*host).to_owned()),
            };
            let scheme = match *scheme {
                "http" => Some("http"),
                "https" => Some("https"),
                _ => None,
            };
            let place = Place { scheme, host, path: path.trim_end_matches('/').to_owned() };
            let route = Route {
                index: 0,
                name: Arc::from(*name),
                access: Access::Public,
                max_age: None,
                limits: Box::default(),
                methods: methods.iter().map(|name| name.parse().unwrap()).collect(),
                names_methods: !methods.is_empty(),
                body_limit: None,
                forward_credentials: false,
                headers: None,
                target: Target::Fixed(Fixed::default()),
            };
            (place, route)
        };
        Table::new(routes.iter().map(route).collect())
    }

    fn ask(table: &Table, method: &str, host: &str, path: &str) -> String {
        let readings = Readings::of(path).unwrap();
        match table.find(host, Scheme::Https, &method.parse().unwrap(), &readings) {
            Found::Route(route) => route.name.to_string(),
            Found::WrongMethod(allow) => format!("405 {}", allow.to_str().unwrap()),
            Found::Nothing => "404".to_owned(),
            Found::Ambiguous => "400".to_owned(),
        }
    }

    #[test]
    fn a_path_matches_whole_segments_and_the_longest_wins() {
        let table = table(&[("shop", "", "", "/shop", &[]), ("cart", "", "", "/shop/cart/", &[])]);
        for (path, name) in [
            ("/shop", "shop"),
            ("/shop/", "shop"),
            ("/shop/x", "shop"),
            ("/shop/cart", "cart"),
            ("/shop/cart/1", "cart"),
            ("/shop/carts", "shop"),
            ("/shopping", "404"),
            ("/", "404"),
        ] {
            assert_eq!(ask(&table, "GET", "any.example", path), name, "{path}");
        }
    }

    #[test]
    fn the_most_specific_host_wins_before_the_path() {
        let table = table(&[
            ("all", "", "", "/very/long/path", &[]),
            ("beneath", "", "*.example.com", "/", &[]),
            ("deeper", "", "*.eu.example.com", "/", &[]),
            ("exact", "", "a.example.com", "/", &[]),
        ]);
        assert_eq!(ask(&table, "GET", "a.example.com:8443", "/very/long/path"), "exact");
        assert_eq!(ask(&table, "GET", "a.example.com.", "/"), "exact");
        assert_eq!(ask(&table, "GET", "b.example.com", "/very/long/path"), "beneath");
        assert_eq!(ask(&table, "GET", "x.eu.example.com", "/"), "deeper");
        assert_eq!(ask(&table, "GET", "example.com", "/"), "404");
        assert_eq!(ask(&table, "GET", "evilexample.com", "/very/long/path"), "all");
        assert_eq!(ask(&table, "GET", "[::1]:8080", "/very/long/path"), "all");
    }

    #[test]
    fn a_wrong_method_is_told_what_is_allowed_and_falls_through_to_nobody() {
        let table = table(&[("read", "", "", "/api", &["GET"]), ("write", "", "", "/api", &["POST", "PUT"]), ("rest", "", "", "/", &[])]);
        assert_eq!(ask(&table, "HEAD", "h", "/api/x"), "read");
        assert_eq!(ask(&table, "PUT", "h", "/api/x"), "write");
        assert_eq!(ask(&table, "DELETE", "h", "/api/x"), "405 GET, HEAD, POST, PUT");
        assert_eq!(ask(&table, "DELETE", "h", "/other"), "rest");
    }

    #[test]
    fn routes_of_a_scheme_come_first() {
        let table = table(&[("to-https", "http", "", "/", &[]), ("tls", "https", "", "/only", &[]), ("app", "", "", "/", &[])]);
        assert_eq!(ask(&table, "GET", "h", "/x"), "app");
        assert_eq!(ask(&table, "GET", "h", "/only"), "tls");
        let readings = Readings::of("/x").unwrap();
        assert!(matches!(table.find("h", Scheme::Http, &Method::GET, &readings), Found::Route(route) if &*route.name == "to-https"));
    }

    #[test]
    fn no_spelling_of_a_path_gets_around_a_protected_route() {
        let table = table(&[("admin", "", "", "/admin", &[]), ("deep", "", "", "/app/internal", &[]), ("open", "", "", "/", &[])]);
        for (path, expected) in [
            ("/admin", "admin"),
            ("/%61dmin/x", "admin"),
            ("/%61%64%6d%69%6e", "admin"),
            ("//admin", "400"),
            ("///admin/x", "400"),
            ("/\\admin", "400"),
            ("/%5cadmin", "400"),
            ("/%2fadmin", "400"),
            ("/admin%2fx", "400"),
            ("/admin;x", "400"),
            ("/;x/admin", "400"),
            ("/admin%3bx/users", "400"),
            ("/app%2finternal", "400"),
            ("/app//internal", "400"),
            ("/app/;a=b/internal", "400"),
            ("/app%252finternal", "400"),
            ("/%2561dmin", "400"),
            ("/ADMIN", "400"),
            ("/Admin/users", "400"),
            ("/admin.", "400"),
            ("/admin%20/users", "400"),
            ("/admin%3fx", "400"),
            ("/admin%253Fx", "400"),
            ("/admin%23", "400"),
            ("/app/Internal%2e", "400"),
            ("/ADMIN%2fx", "400"),
            // Harmless: every reading stays on one route.
            ("/Projects/README.", "open"),
            ("/why%3F", "open"),
            ("/admin/Users", "admin"),
            ("/projects/group%2Fproject", "open"),
            ("/a//b", "open"),
            ("/matrix;v=1/x", "open"),
            ("/admin/a%2Fb", "admin"),
        ] {
            assert_eq!(ask(&table, "GET", "h", path), expected, "{path}");
        }
    }

    #[test]
    fn routes_that_differ_in_case_only_are_both_reached() {
        let table = table(&[("upper", "", "", "/API", &[]), ("lower", "", "", "/api", &[]), ("read", "", "", "/Docs", &["GET"])]);
        for (path, name) in [("/API/x", "upper"), ("/api/X", "lower"), ("/Docs/A", "read"), ("/docs", "404")] {
            assert_eq!(ask(&table, "GET", "h", path), name, "{path}");
        }
        assert_eq!(ask(&table, "POST", "h", "/Docs"), "405 GET, HEAD");
    }
}
