//! Two replicas with one Redis, and what each limit does while it is away.

use std::time::Duration;

use baluarte_backplane::{Backplane, ClusterConfig, Status};
use baluarte_kernel::{Clock, Secret};
use baluarte_limits::{Limits, Verdict};
use baluarte_testkit::RedisServer;

use crate::{KEY, allowed, config, from, ids, passes};

const LIMITS: &str = "
[here]
rate = \"3/day\"
on_store_failure = \"local\"
[loose]
rate = \"3/day\"
on_store_failure = \"open\"
[strict]
rate = \"3/day\"
on_store_failure = \"closed\"
";

async fn replica(server: &RedisServer) -> (Limits, Backplane) {
    let cluster = ClusterConfig { redis_url: Secret::new(server.url()), ..ClusterConfig::default() };
    // Patient: other tests and builds keep the machine busy.
    let connected = Backplane::connect_patiently(&cluster, Clock::System, Duration::from_secs(20)).await;
    let backplane = connected.expect("the address is well formed");
    until(&backplane, Status::Connected).await;
    (Limits::new(&config(LIMITS), backplane.clone(), &KEY), backplane)
}

async fn until(backplane: &Backplane, status: Status) {
    let mut changes = backplane.status_changes();
    let reached = changes.wait_for(|now| *now == status);
    tokio::time::timeout(Duration::from_secs(20), reached).await.expect("the status changes in time").expect("the backplane lives");
}

#[tokio::test]
async fn two_replicas_share_their_limits() {
    let server = RedisServer::start();
    let ((one, _), (two, _)) = (replica(&server).await, replica(&server).await);
    let ana = from("192.0.2.1");
    assert!(allowed(&one, &["here"], &ana).await);
    assert!(allowed(&two, &["here"], &ana).await);
    assert!(allowed(&one, &["here"], &ana).await);
    assert!(!allowed(&two, &["here"], &ana).await);
    assert!(!allowed(&one, &["here"], &ana).await);
    assert!(allowed(&two, &["here"], &from("192.0.2.2")).await);
}

#[tokio::test]
async fn while_redis_is_away_each_limit_follows_its_policy_and_afterwards_all_count_again() {
    let mut server = RedisServer::start();
    let (limits, backplane) = replica(&server).await;
    let ana = from("192.0.2.1");
    server.kill();
    until(&backplane, Status::Disconnected).await;

    assert_eq!(passes(&limits, &["here"], &ana).await, 3, "local: this replica counts by itself");
    for _ in 0..50 {
        assert!(allowed(&limits, &["loose"], &ana).await, "open: everything passes");
    }
    let verdict = limits.check(&ids(&limits, &["strict"]), &ana).await;
    let problem = verdict.into_result().expect_err("closed: refused");
    assert_eq!((problem.status.as_u16(), problem.code), (503, "limits.unavailable"));
    assert!(problem.headers.contains_key("retry-after"));

    // Together the strictest policy decides, and what is refused debits nothing.
    let bob = from("192.0.2.2");
    assert!(matches!(limits.check(&ids(&limits, &["here", "strict"]), &bob).await, Verdict::StoreAway));
    assert_eq!(passes(&limits, &["loose", "here"], &bob).await, 3);
    let stats = limits.snapshot().into_iter().find(|stats| stats.name == "strict").expect("counted");
    assert_eq!((stats.store_failures, stats.allowed, stats.limited), (2, 0, 0));

    server.run();
    until(&backplane, Status::Connected).await;
    for name in ["here", "loose", "strict"] {
        assert_eq!(passes(&limits, &[name], &ana).await, 3, "{name}: counted in Redis again");
    }
}
