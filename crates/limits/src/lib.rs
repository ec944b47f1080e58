#![doc = include_str!("../README.md")]

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use baluarte_backplane::Backplane;
use baluarte_kernel::{Findings, Rate, UserId};
use baluarte_web::Problem;
use serde::{Deserialize, Serialize};

/// `[limits.NAME]`
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitConfig {
    /// Whose requests are counted together; a list counts by each of them.
    #[serde(default)]
    pub key: OneOrMany<KeyBy>,
    /// How many in which span of time; a list must be kept all at once.
    pub rate: OneOrMany<Rate>,
    /// How many at once before the rate applies (of several rates: the shortest); the rate's count when absent.
    #[serde(default)]
    pub burst: Option<u32>,
    /// What happens when Redis cannot be reached.
    #[serde(default)]
    pub on_store_failure: OnStoreFailure,
}

/// `"5/min"` or `["5/min", "30/h"]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Default> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::One(T::default())
    }
}

impl<T> OneOrMany<T> {
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(item) => std::slice::from_ref(item),
            Self::Many(items) => items,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyBy {
    #[default]
    Ip,
    User,
    ApiKey,
    Route,
    Upstream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnStoreFailure {
    /// This replica goes on counting by itself.
    #[default]
    Local,
    /// Let everything pass.
    Open,
    /// Refuse with 503.
    Closed,
}

/// `[limits]`: what the file adds to, or replaces in, the built-in limits.
pub type LimitsConfig = BTreeMap<String, LimitConfig>;

/// Checks the section; built-in limits are known without configuration.
pub fn validate(_config: &LimitsConfig, _findings: &mut Findings) {}

/// A limit that exists, by number; resolve once, check often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LimitId(pub u16);

/// Everything a limit could count by, for one request.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub ip: IpAddr,
    pub user: Option<UserId>,
    pub api_key: Option<&'a str>,
    pub route: &'a str,
    pub upstream: &'a str,
    /// The plan's rate: replaces the rate of the built-in limit `user`.
    pub user_rate: Option<Rate>,
}

/// May the request go on?
#[derive(Debug, Clone)]
pub enum Verdict {
    Allowed(Fields),
    Limited {
        retry_after: Duration,
        violated: Vec<String>,
        fields: Fields,
    },
    /// A limit with the policy `closed`, and Redis is away.
    StoreAway,
}

impl Verdict {
    /// `Ok` with the fields to set on the answer, or the refusal (429 `limits.exceeded`, 503 `limits.unavailable`) with its fields set.
    pub fn into_result(self) -> Result<Fields, Problem> {
        unimplemented!("limits")
    }
}

/// The `RateLimit-Policy` and `RateLimit` header fields of a decision; set on every answer, allowed or not.
#[derive(Debug, Clone, Default)]
pub struct Fields {}

impl Fields {
    pub fn write(&self, _headers: &mut http::HeaderMap) {
        unimplemented!("limits")
    }
}

/// All limits of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Limits {}

impl Limits {
    /// `subject_key`: derived from the installation's secret and the same on every replica; whoever lacks it cannot tell
    /// from the keys in Redis whose they are.
    pub fn new(_config: &LimitsConfig, _backplane: Backplane, _subject_key: &[u8; 32]) -> Self {
        unimplemented!("limits")
    }

    pub fn resolve(&self, _name: &str) -> Option<LimitId> {
        unimplemented!("limits")
    }

    /// Debits all of them or none. From memory it answers without yielding.
    pub async fn check(&self, _limits: &[LimitId], _subject: &Subject<'_>) -> Verdict {
        unimplemented!("limits")
    }

    /// What was decided so far, for `/metrics`.
    pub fn snapshot(&self) -> Vec<LimitStats> {
        unimplemented!("limits")
    }
}

/// Decisions of one limit since the process began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitStats {
    pub name: String,
    pub allowed: u64,
    pub limited: u64,
    /// Decided while Redis was away, by the limit's policy.
    pub store_failures: u64,
    pub on_store_failure: OnStoreFailure,
}

impl<'a> Subject<'a> {
    /// Somebody known only by address; set the other fields as they become known.
    pub fn anonymous(ip: IpAddr) -> Self {
        Self { ip, user: None, api_key: None, route: "", upstream: "", user_rate: None }
    }
}
