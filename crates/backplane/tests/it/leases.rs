//! One holder at a time, in memory and in Redis.

use std::time::Duration;

use baluarte_backplane::{Backplane, Lease};
use baluarte_kernel::{Clock, Timestamp};
use baluarte_testkit::RedisServer;

use crate::replica;

const TERM: Duration = Duration::from_secs(30);

async fn take(backplane: &Backplane, term: Duration) -> Option<Lease> {
    backplane.lease("rotate-keys", term).await.expect("the store answers")
}

async fn one_holder_at_a_time(one: &Backplane, two: &Backplane) {
    let mut lease = take(one, TERM).await.expect("nobody holds it");
    assert!(lease.is_held());
    assert!(take(two, TERM).await.is_none());
    assert!(two.lease("something-else", TERM).await.expect("the store answers").is_some());
    assert!(lease.renew().await.expect("the store answers"));
    lease.release().await.expect("the store answers");

    let lease = take(two, TERM).await.expect("it was given back");
    assert!(take(one, TERM).await.is_none());
    drop(lease);
}

#[tokio::test]
async fn a_lease_has_one_holder_in_memory() {
    let backplane = Backplane::local(Clock::System);
    one_holder_at_a_time(&backplane, &backplane.clone()).await;
    assert!(take(&backplane, TERM).await.is_some(), "dropping gives it back");
}

#[tokio::test]
async fn a_lease_has_one_holder_among_replicas() {
    let server = RedisServer::start();
    let (one, two) = (replica(&server).await, replica(&server).await);
    one_holder_at_a_time(&one, &two).await;
    let freed = async {
        while take(&one, TERM).await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), freed).await.expect("dropping gives it back");
}

#[tokio::test]
async fn a_lease_that_was_not_renewed_is_lost_in_memory() {
    let clock = Clock::fixed(Timestamp::from_micros(1_000_000));
    let backplane = Backplane::local(clock.clone());
    let mut old = take(&backplane, TERM).await.expect("nobody holds it");
    clock.advance(TERM);
    assert!(!old.is_held());
    let new = take(&backplane, TERM).await.expect("the term is over");
    assert!(!old.renew().await.expect("the store answers"));
    drop(old);
    assert!(new.is_held(), "the former holder cannot give away what is no longer its own");
}

#[tokio::test]
async fn a_lease_that_was_not_renewed_is_lost_among_replicas() {
    let server = RedisServer::start();
    let (one, two) = (replica(&server).await, replica(&server).await);
    let mut old = take(&one, Duration::from_millis(1)).await.expect("nobody holds it");
    let new = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            if let Some(lease) = take(&two, TERM).await {
                return lease;
            }
        }
    });
    let mut new = new.await.expect("the term ends");
    assert!(!old.is_held());
    assert!(!old.renew().await.expect("Redis answers"));
    old.release().await.expect("Redis answers");
    assert!(new.renew().await.expect("Redis answers"), "the former holder cannot give away what is no longer its own");
}
