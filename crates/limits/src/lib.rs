#![doc = include_str!("../README.md")]

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use baluarte_backplane::Backplane;
use baluarte_kernel::{Findings, Rate, UserId};
use serde::{Deserialize, Serialize};

/// `[limits.NAME]`
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitConfig {
    /// Whose requests are counted together.
    #[serde(default)]
    pub key: KeyBy,
    /// How many in which span of time.
    pub rate: Rate,
    /// How many at once before the rate applies; the rate's count when absent.
    #[serde(default)]
    pub burst: Option<u32>,
    /// What happens when Redis cannot be reached.
    #[serde(default)]
    pub on_store_failure: OnStoreFailure,
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
    pub fn new(_config: &LimitsConfig, _backplane: Backplane) -> Self {
        unimplemented!("limits")
    }

    pub fn resolve(&self, _name: &str) -> Option<LimitId> {
        unimplemented!("limits")
    }

    /// Debits all of them or none. From memory it answers without yielding.
    pub async fn check(&self, _limits: &[LimitId], _subject: &Subject<'_>) -> Verdict {
        unimplemented!("limits")
    }
}
