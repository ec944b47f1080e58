use std::collections::BTreeMap;

use baluarte_kernel::{Findings, Period};
use serde::{Deserialize, Serialize};

use crate::http_job::{self, EndpointConfig, HttpScheduleConfig};

/// `[jobs]`
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JobsConfig {
    /// Jobs that one worker process runs at the same time.
    pub concurrency: u32,
    /// The pause after the first failed attempt; it doubles with each further one, up to six hours.
    pub retry_base: Period,
    /// Attempts until a job is given up, unless its kind says otherwise.
    pub max_attempts: u32,
    /// A worker shows a sign of life at least this often (WORKER_HEARTBEAT_INTERVAL, in seconds). One that does not is
    /// lost: an alarm is raised and others do its jobs again.
    pub heartbeat: Period,
    /// Done jobs are kept so long, and at most `keep_at_most` of them.
    pub keep_done: Period,
    /// Jobs that were given up or canceled are kept so long, and at most `keep_at_most` of them.
    pub keep_dead: Period,
    /// Rows kept of finished jobs: so many done ones, and so many dead or canceled ones.
    pub keep_at_most: u32,
    /// Jobs that may wait; further ones are refused until some are done. What has happened is still followed up, and jobs may go on with
    /// others, until a quarter more wait.
    pub max_queued: u32,
    /// Let HTTP jobs and webhooks reach private addresses, whoever wrote them. Better: name what they may reach in `endpoints`.
    pub allow_private_targets: bool,
    /// Apps that HTTP jobs and webhooks may call, be their addresses private or not.
    pub endpoints: BTreeMap<String, EndpointConfig>,
    /// Requests that are made again and again.
    pub schedules: BTreeMap<String, HttpScheduleConfig>,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            concurrency: 100,
            retry_base: Period::from_secs(5),
            max_attempts: 20,
            heartbeat: Period::from_secs(30),
            keep_done: Period::from_secs(3 * 86_400),
            keep_dead: Period::from_secs(30 * 86_400),
            keep_at_most: 100_000,
            max_queued: 1_000_000,
            allow_private_targets: false,
            endpoints: BTreeMap::new(),
            schedules: BTreeMap::new(),
        }
    }
}

/// However few jobs may wait, so many more may that follow from others.
const LEAST_RESERVE: u64 = 100;

impl JobsConfig {
    /// Jobs that may wait when they follow from what has happened.
    pub(crate) fn with_reserve(&self) -> u64 {
        let most = u64::from(self.max_queued);
        most + (most / 4).max(LEAST_RESERVE)
    }

    /// `upstreams`: the names that the gateway knows.
    pub fn validate(&self, upstreams: &[&str], findings: &mut Findings) {
        http_job::validate(&self.endpoints, &self.schedules, upstreams, findings);
        let mut within = |key: &str, value: u32, low: u32, high: u32| {
            if !(low..=high).contains(&value) {
                findings.add(format!("jobs.{key}"), format!("found {value}, allowed is {low} to {high}"));
            }
        };
        within("concurrency", self.concurrency, 1, 10_000);
        within("max_attempts", self.max_attempts, 1, 1_000);
        within("keep_at_most", self.keep_at_most, 100, 10_000_000);
        within("max_queued", self.max_queued, 1, 100_000_000);
        if self.heartbeat.get().as_secs() < 1 || self.heartbeat.get().as_secs() > 600 {
            findings.add("jobs.heartbeat", format!("found {}, allowed is 1s to 10m", self.heartbeat));
        }
    }
}
