//! One holder at a time, among all replicas.

use std::time::{Duration, Instant};

use crate::{BackplaneError, local::Local, redis::Redis};

/// Held by one replica at a time; lost when not renewed in time. Dropping gives it back in the background.
///
/// It keeps replicas from doing the same work twice; it is not a lock to guard data with: a process that was stopped
/// for longer than the term does not know that another one has begun. What must hold, the database holds.
#[derive(Debug)]
pub struct Lease {
    name: String,
    ttl: Duration,
    holder: Holder,
}

#[derive(Debug)]
enum Holder {
    Local(Local, u64),
    /// Until: on our monotonic clock, counted from before we asked, so that we never believe longer than Redis does.
    Redis {
        redis: Redis,
        token: String,
        until: Instant,
    },
    Released,
}

impl Lease {
    pub(crate) fn local(local: &Local, name: &str, ttl: Duration) -> Option<Self> {
        let token = local.lease(name, ttl)?;
        Some(Self { name: name.to_owned(), ttl, holder: Holder::Local(local.clone(), token) })
    }

    pub(crate) async fn redis(redis: &Redis, name: &str, ttl: Duration) -> Result<Option<Self>, BackplaneError> {
        let until = Instant::now() + ttl;
        let token = redis.lease(name, ttl).await?;
        let holder = token.map(|token| Holder::Redis { redis: redis.clone(), token, until });
        Ok(holder.map(|holder| Self { name: name.to_owned(), ttl, holder }))
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Still ours, as far as this process can tell without asking.
    pub fn is_held(&self) -> bool {
        match &self.holder {
            Holder::Local(local, token) => local.holds(&self.name, *token),
            Holder::Redis { until, .. } => Instant::now() < *until,
            Holder::Released => false,
        }
    }

    /// Another full term; false when it was lost in the meantime. After an error it may still be held: see `is_held`.
    pub async fn renew(&mut self) -> Result<bool, BackplaneError> {
        match &mut self.holder {
            Holder::Local(local, token) => Ok(local.renew(&self.name, *token, self.ttl)),
            Holder::Redis { redis, token, until } => {
                let asked = Instant::now();
                let renewed = redis.renew(&self.name, token, self.ttl).await?;
                *until = if renewed { asked + self.ttl } else { asked };
                Ok(renewed)
            }
            Holder::Released => Ok(false),
        }
    }

    /// Gives it back at once.
    pub async fn release(mut self) -> Result<(), BackplaneError> {
        match std::mem::replace(&mut self.holder, Holder::Released) {
            Holder::Local(local, token) => {
                local.release(&self.name, token);
                Ok(())
            }
            Holder::Redis { redis, token, .. } => redis.release(&self.name, &token).await,
            Holder::Released => Ok(()),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.holder, Holder::Released) {
            Holder::Local(local, token) => local.release(&self.name, token),
            Holder::Redis { redis, token, .. } => redis.release_in_background(std::mem::take(&mut self.name), token),
            Holder::Released => {}
        }
    }
}
