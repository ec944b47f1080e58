//! Leases in Redis: `SET NX PX` with a token of the holder; renewed and given back only by whoever knows the token.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use redis::Cmd;

use super::{Redis, wire};
use crate::BackplaneError;

const RENEW: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";
const RELEASE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

impl Redis {
    /// The token of the new holder; `None` when somebody holds it.
    pub(crate) async fn lease(&self, name: &str, ttl: Duration) -> Result<Option<String>, BackplaneError> {
        let shared = &self.0.shared;
        let token = format!("{}:{}", shared.instance, shared.last_lease.fetch_add(1, Relaxed));
        let mut command = redis::cmd("SET");
        command.arg(wire::lease(&shared.prefix, name)).arg(&token).arg("NX").arg("PX").arg(millis(ttl));
        let answer: Option<String> = shared.ask(command).await?;
        Ok(answer.map(|_ok| token))
    }

    pub(crate) async fn renew(&self, name: &str, token: &str, ttl: Duration) -> Result<bool, BackplaneError> {
        let mut command = self.with_token(RENEW, name, token);
        command.arg(millis(ttl));
        Ok(self.0.shared.ask::<i64>(command).await? == 1)
    }

    pub(crate) async fn release(&self, name: &str, token: &str) -> Result<(), BackplaneError> {
        self.0.shared.ask::<i64>(self.with_token(RELEASE, name, token)).await.map(drop)
    }

    /// Gives back without anybody waiting for it.
    pub(crate) fn release_in_background(&self, name: String, token: String) {
        let redis = self.clone();
        // Not reached: the lease runs out by itself.
        self.0.shared.runtime.spawn(async move { redis.release(&name, &token).await.ok() });
    }

    fn with_token(&self, script: &str, name: &str, token: &str) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(1).arg(wire::lease(&self.0.shared.prefix, name)).arg(token);
        command
    }
}

fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}
