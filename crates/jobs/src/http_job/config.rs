//! `[jobs.endpoints.NAME]` and `[jobs.schedules.NAME]`.

use std::collections::BTreeMap;

use baluarte_kernel::{Findings, Period, Secret};
use baluarte_outbound::SigningKey;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    MAX_BODY,
    request::{HttpRequest, Target},
};
use crate::{
    Missed,
    cron::{check_cron, check_time_zone},
};

/// `[jobs.endpoints.NAME]`: an app of yours that jobs and webhooks may call, be its address private or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EndpointConfig {
    /// Where it is: scheme, host and port, `http://10.0.0.5:9000`.
    pub url: String,
    /// Or the name of an upstream of the gateway, whose servers are meant.
    pub upstream: String,
    /// Only paths that begin so may be called.
    pub path: String,
    /// Secrets that requests are signed with (Standard Webhooks): `whsec_…`, `env:NAME` or `file:PATH`. Two while one is exchanged,
    /// the new one first. None: one is derived from SECRET_KEY, and `baluarte secret signing NAME` prints it.
    pub secrets: Vec<Secret>,
    /// How long a call may take.
    pub timeout: Period,
    /// Calls to it under way at once, for each worker process.
    pub concurrency: u32,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            upstream: String::new(),
            path: "/".to_owned(),
            secrets: Vec::new(),
            timeout: Period::from_secs(30),
            concurrency: 8,
        }
    }
}

/// The longest a call may be given.
pub(super) const LONGEST_TIMEOUT: Period = Period::from_secs(300);

/// `[jobs.schedules.NAME]`: a request that is made again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpScheduleConfig {
    /// Five fields, as in a crontab: `"0 3 * * *"`.
    pub cron: String,
    /// A name of the IANA time zone database: `"America/Sao_Paulo"`.
    pub time_zone: String,
    /// What happens to calls whose time came while no worker was there. They are counted and told in any case.
    pub missed: MissedCalls,
    /// The address to call; or `endpoint` and `path`.
    pub url: String,
    /// The name of one of `[jobs.endpoints]`.
    pub endpoint: String,
    /// The path at that endpoint.
    pub path: String,
    /// POST, PUT, PATCH, DELETE or GET.
    pub method: String,
    /// Headers to send. Values: the text itself, `env:NAME` or `file:PATH`.
    pub headers: BTreeMap<String, Secret>,
    /// Sent as JSON; a text is sent as it is.
    #[schemars(with = "Option<Body>")]
    pub body: Option<serde_json::Value>,
    /// Attempts until it is given up; follows `jobs.max_attempts` when it is not set.
    pub max_attempts: Option<u32>,
}

/// In words of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MissedCalls {
    /// One call makes up for all of them.
    #[default]
    RunOnce,
    /// The next one is in time.
    Skip,
}

impl From<MissedCalls> for Missed {
    fn from(calls: MissedCalls) -> Self {
        match calls {
            MissedCalls::RunOnce => Self::RunOnce,
            MissedCalls::Skip => Self::Skip,
        }
    }
}

/// Whatever TOML can say.
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Body {
    Text(String),
    Table(BTreeMap<String, serde_json::Value>),
    List(Vec<serde_json::Value>),
}

impl Default for HttpScheduleConfig {
    fn default() -> Self {
        Self {
            cron: String::new(),
            time_zone: "UTC".to_owned(),
            missed: MissedCalls::default(),
            url: String::new(),
            endpoint: String::new(),
            path: String::new(),
            method: "POST".to_owned(),
            headers: BTreeMap::new(),
            body: None,
            max_attempts: None,
        }
    }
}

impl HttpScheduleConfig {
    pub(super) fn request(&self) -> HttpRequest {
        let target = if self.endpoint.is_empty() {
            Target::Url { url: self.url.clone() }
        } else {
            Target::Endpoint { endpoint: self.endpoint.clone(), path: self.path.clone() }
        };
        let headers = self.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
        HttpRequest { target, method: self.method.clone(), headers, body: self.body.clone() }
    }
}

/// What is wrong with both sections. `upstreams`: the names that the gateway knows.
pub fn validate(
    endpoints: &BTreeMap<String, EndpointConfig>,
    schedules: &BTreeMap<String, HttpScheduleConfig>,
    upstreams: &[&str],
    findings: &mut Findings,
) {
    for (name, endpoint) in endpoints {
        endpoint.validate(&format!("jobs.endpoints.{name}"), upstreams, findings);
        check_name(name, &format!("jobs.endpoints.{name}"), findings);
    }
    for (name, schedule) in schedules {
        let key = format!("jobs.schedules.{name}");
        check_name(name, &key, findings);
        if let Err(bad) = check_cron(&schedule.cron) {
            findings.add(format!("{key}.cron"), bad.to_string());
        }
        if let Err(bad) = check_time_zone(&schedule.time_zone) {
            findings.add(format!("{key}.time_zone"), bad.to_string());
        }
        if schedule.endpoint.is_empty() == schedule.url.is_empty() {
            findings.add(&key, "needs either url, or endpoint and path");
        } else if !schedule.endpoint.is_empty() && !endpoints.contains_key(&schedule.endpoint) {
            findings.add(format!("{key}.endpoint"), format!("found {:?}, which is not among [jobs.endpoints]", schedule.endpoint));
        } else if let Err(wrong) = schedule.request().prepare(MAX_BODY) {
            for (pointer, problem) in wrong {
                findings.add(format!("{key}{}", pointer.replace('/', ".")), problem);
            }
        }
        if schedule.max_attempts.is_some_and(|count| !(1..=1_000).contains(&count)) {
            findings.add(format!("{key}.max_attempts"), "allowed is 1 to 1000");
        }
    }
}

/// They stand in addresses, tags and metrics.
fn check_name(name: &str, key: &str, findings: &mut Findings) {
    if name.is_empty() || name.len() > 60 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
        findings.add(key, "a name has 1 to 60 letters, digits, - or _");
    }
}

impl EndpointConfig {
    fn validate(&self, key: &str, upstreams: &[&str], findings: &mut Findings) {
        match (self.url.is_empty(), self.upstream.is_empty()) {
            (false, true) if origin_only(&self.url).is_none() => findings.add(
                format!("{key}.url"),
                format!("found {:?}, expected scheme, host and port such as \"http://10.0.0.5:9000\"; a path goes into `path`", self.url),
            ),
            (false, true) => {}
            (true, false) if !upstreams.contains(&self.upstream.as_str()) => {
                findings.add(format!("{key}.upstream"), format!("found {:?}, which is not among [gateway.upstreams]", self.upstream));
            }
            (true, false) => {}
            _ => findings.add(key, "needs either url or upstream"),
        }
        if !self.path.starts_with('/') || self.path.starts_with("//") {
            findings.add(format!("{key}.path"), format!("found {:?}, expected a path such as \"/hooks/\"", self.path));
        }
        for (n, secret) in self.secrets.iter().enumerate() {
            if let Err(bad) = secret.expose().parse::<SigningKey>() {
                findings.add(format!("{key}.secrets[{n}]"), format!("{bad}; `baluarte secret generate --webhook` makes one"));
            }
        }
        if self.secrets.len() > 3 {
            findings.add(format!("{key}.secrets"), format!("found {}, at most 3 sign at a time", self.secrets.len()));
        }
        if !(1..=1_000).contains(&self.concurrency) {
            findings.add(format!("{key}.concurrency"), format!("found {}, allowed is 1 to 1000", self.concurrency));
        }
        if self.timeout > LONGEST_TIMEOUT {
            findings.add(format!("{key}.timeout"), format!("found {}, allowed is up to {LONGEST_TIMEOUT}", self.timeout));
        }
    }
}

/// `http://host:port`, and nothing behind it.
pub(super) fn origin_only(url: &str) -> Option<String> {
    let parsed = Url::parse(url).ok()?;
    let bare = parsed.path() == "/" && parsed.query().is_none() && parsed.fragment().is_none();
    let anonymous = parsed.username().is_empty() && parsed.password().is_none();
    (bare && anonymous && matches!(parsed.scheme(), "http" | "https")).then(|| parsed.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(toml: serde_json::Value) -> Vec<String> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Both {
            endpoints: BTreeMap<String, EndpointConfig>,
            schedules: BTreeMap<String, HttpScheduleConfig>,
        }
        let both: Both = serde_json::from_value(toml).unwrap();
        let mut findings = Findings::default();
        validate(&both.endpoints, &both.schedules, &["shop"], &mut findings);
        findings.into_vec().into_iter().map(|it| it.key).collect()
    }

    #[test]
    fn every_mistake_has_its_key() {
        let good = serde_json::json!({
            "endpoints": {
                "a": { "url": "http://10.0.0.5:9000", "path": "/hooks/" },
                "b": { "upstream": "shop", "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] },
            },
            "schedules": { "nightly": { "cron": "0 3 * * *", "endpoint": "a", "path": "/hooks/x", "body": { "n": 1 } } },
        });
        assert!(findings(good).is_empty());
        let bad = serde_json::json!({
            "endpoints": {
                "a b": { "url": "http://10.0.0.5:9000" },
                "c": { "url": "http://10.0.0.5:9000/x" },
                "d": { "url": "http://u:p@10.0.0.5" },
                "e": { "upstream": "shoe" },
                "f": {},
                "g": { "url": "http://x", "upstream": "shop" },
                "h": { "url": "http://x", "secrets": ["hunter2"] },
                "i": { "url": "http://x", "timeout": "1h", "concurrency": 0, "path": "hooks" },
            },
            "schedules": {
                "j": { "cron": "0 3 * * *" },
                "k": { "cron": "0 3 * * *", "endpoint": "nobody", "path": "/x" },
                "l": { "cron": "0 3 * * *", "url": "http://x/", "headers": { "Host": "y" } },
                "m": { "url": "http://x/" },
                "n": { "url": "http://x/", "cron": "61 3 * * *", "time_zone": "Mars/Olympus" },
            },
        });
        assert_eq!(
            findings(bad),
            [
                "jobs.endpoints.a b",
                "jobs.endpoints.c.url",
                "jobs.endpoints.d.url",
                "jobs.endpoints.e.upstream",
                "jobs.endpoints.f",
                "jobs.endpoints.g",
                "jobs.endpoints.h.secrets[0]",
                "jobs.endpoints.i.path",
                "jobs.endpoints.i.concurrency",
                "jobs.endpoints.i.timeout",
                "jobs.schedules.j",
                "jobs.schedules.k.endpoint",
                "jobs.schedules.l.headers.Host",
                "jobs.schedules.m.cron",
                "jobs.schedules.n.cron",
                "jobs.schedules.n.time_zone",
            ]
        );
    }
}
