//! What is wrong with a configuration is found all at once, and says what is allowed.

use baluarte_gateway::KnownNames;
use baluarte_kernel::Findings;

use crate::harness::parse;

fn findings(config: &str) -> Vec<String> {
    let mut findings = Findings::default();
    parse(config).validate(&KnownNames { limits: &["general", "user"], plans: &["pro"] }, &mut findings);
    findings.into_vec().iter().map(ToString::to_string).collect()
}

#[test]
fn every_mistake_is_named_with_its_key() {
    let found = findings(
        r#"
[gateway.upstreams.empty]
[gateway.upstreams.bad]
servers = ["ftp://x", "http://app/base"]
host = "a b"
health = { path = "healthz" }
max_connections = 0
retries = 3
ca = "/nowhere.pem"
[gateway.headers.shop]
content_security_policy = "defualt-src 'self'"
[[gateway.routes]]
path = "shop"
upstream = "nobody"
access = "role:"
limits = ["nolimit"]
headers = "strictest"
[[gateway.routes]]
host = "a..b"
path = "/x/../y"
methods = ["get", "CONNECT"]
[[gateway.routes]]
upstream = "bad"
redirect = "nowhere"
access = "plan:gold"
cache = "soon"
[[gateway.routes]]
directory = "/definitely/not/there"
fallback = "../x"
rewrite = "/x"
path = "/files"
[[gateway.routes]]
respond = { status = 99 }
scheme = "ftp"
[[gateway.routes]]
path = "/twice"
respond = {}
[[gateway.routes]]
path = "/twice/"
respond = {}
"#,
    );
    for expected in [
        "gateway.headers.shop.content_security_policy: found \"defualt-src 'self'\", no directive is called \"defualt-src\"",
        "gateway.routes[0].headers: no set of headers is called \"strictest\"; there are: standard, strict, bootstrap, none, shop",
        "gateway.upstreams.empty.servers: found none, expected at least one address",
        "gateway.upstreams.bad.servers[0]: found \"ftp://x\", expected http://HOST:PORT",
        "gateway.upstreams.bad.servers[1]: found \"http://app/base\", expected http://HOST:PORT",
        "gateway.upstreams.bad.host: found \"a b\", expected a host name",
        "gateway.upstreams.bad.health.path: found \"healthz\", expected a path",
        "gateway.upstreams.bad.max_connections: found 0, expected at least 1",
        "gateway.upstreams.bad.retries: found 3, expected 0, 1 or 2",
        "gateway.upstreams.bad.ca: found \"/nowhere.pem\" (No such file or directory",
        "gateway.routes[0].path: found \"shop\", expected the beginning of a path",
        "gateway.routes[0].upstream: no upstream is called \"nobody\"; there are: bad, empty",
        "gateway.routes[0].access: found \"role:\", expected \"public\"",
        "gateway.routes[0].limits: no limit is called \"nolimit\"; there are: general, user",
        "gateway.routes[1].host: found \"a..b\", expected a host name",
        "gateway.routes[1].methods: found \"get\", expected methods such as \"GET\" or \"POST\"",
        "gateway.routes[1].methods: found \"CONNECT\", expected methods such as \"GET\" or \"POST\"",
        "gateway.routes[1].upstream: found none, expected one of upstream, directory, redirect or respond",
        "gateway.routes[2].redirect: found upstream and redirect, expected one of upstream, directory, redirect or respond",
        "gateway.routes[2].redirect: found \"nowhere\", expected a path or an http(s) address",
        "gateway.routes[2].access: no plan is called \"gold\"; there are: pro, free",
        "gateway.routes[2].cache: works only with directory",
        "gateway.routes[2].cache: found \"soon\", expected a span of time above zero",
        "gateway.routes[3].directory: found \"/definitely/not/there\", expected an existing directory",
        "gateway.routes[3].fallback: found \"../x\", expected the name of a file",
        "gateway.routes[3].rewrite: works only with upstream",
        "gateway.routes[4].respond.status: found 99, expected a status from 200 to 599",
        "gateway.routes[4].scheme: found \"ftp\", expected \"http\", \"https\" or nothing",
        "gateway.routes[6]: the same host, path and method as gateway.routes[5]",
    ] {
        assert!(found.iter().any(|finding| finding.starts_with(expected)), "missing: {expected}\nfound: {found:#?}");
    }
    assert_eq!(found.len(), 29, "{found:#?}");
}

#[test]
fn a_fixed_answer_is_a_final_one() {
    for status in [0, 99, 100, 101, 103, 199, 600, 999] {
        let found = findings(&format!("[[gateway.routes]]\nrespond = {{ status = {status} }}"));
        assert_eq!(found, [format!("gateway.routes[0].respond.status: found {status}, expected a status from 200 to 599")]);
    }
    for status in [200, 204, 304, 418, 599] {
        assert!(findings(&format!("[[gateway.routes]]\nrespond = {{ status = {status} }}")).is_empty(), "{status}");
    }
}

#[test]
fn a_sound_configuration_has_no_findings() {
    let found = findings(
        r#"
[gateway.upstreams.shop]
servers = ["http://127.0.0.1:9000", "https://app.example"]
health = { path = "/healthz", every = "10s" }
[[gateway.routes]]
host = "*.example.com"
path = "/shop"
upstream = "shop"
strip_prefix = true
methods = ["GET"]
access = "plan:pro"
limits = ["general", "user"]
[[gateway.routes]]
host = "*.example.com"
path = "/shop"
methods = ["POST"]
upstream = "shop"
access = "plan:free"
[[gateway.routes]]
directory = "/"
cache = "30d"
"#,
    );
    assert_eq!(found, [""; 0]);
}

#[test]
fn keys_of_later_releases_are_unknown_keys() {
    assert!(toml::from_str::<baluarte_gateway::GatewayConfig>("[credentials.partner]\nkind = \"header\"").is_err());
    assert!(toml::from_str::<baluarte_gateway::GatewayConfig>("[upstreams.x]\ncredential = \"partner\"").is_err());
}
