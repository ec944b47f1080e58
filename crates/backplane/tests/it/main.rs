//! Both kinds of backplane, and two replicas that share a Redis which comes and goes.

mod agreement;
mod alarm;
mod buckets;
mod leases;
mod outage;
mod topics;

use std::time::Duration;

use baluarte_backplane::{Backplane, ClusterConfig, Quota, Status, Want};
use baluarte_kernel::{Clock, Secret};
use baluarte_testkit::RedisServer;

/// Other tests and builds keep the machine busy; only what takes this long counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// One replica connected to this Redis.
async fn replica(server: &RedisServer) -> Backplane {
    let backplane = Backplane::connect_patiently(&cluster(server), Clock::System, PATIENCE).await.expect("the address is well formed");
    until(&backplane, Status::Connected).await;
    backplane
}

fn cluster(server: &RedisServer) -> ClusterConfig {
    ClusterConfig { redis_url: Secret::new(server.url()), ..ClusterConfig::default() }
}

/// Waits for a status; fails when it does not come about.
async fn until(backplane: &Backplane, status: Status) {
    let mut changes = backplane.status_changes();
    let reached = changes.wait_for(|now| *now == status);
    tokio::time::timeout(Duration::from_secs(20), reached).await.expect("the status changes in time").expect("the backplane lives");
}

fn want(limit: &str, subject: u128, quota: Quota) -> Want<'_> {
    Want { limit, subject, quota, cost: 1 }
}

fn per_hour(burst: u32) -> Quota {
    Quota::new(burst, Duration::from_secs(3_600), burst)
}
