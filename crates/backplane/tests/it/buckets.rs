//! What replicas share, and what the memory of one process bears.

use std::time::Duration;

use baluarte_backplane::{Backplane, Quota, Want};
use baluarte_kernel::{Clock, Timestamp};
use baluarte_testkit::RedisServer;

use crate::{per_hour, replica, want};

#[tokio::test]
async fn two_replicas_share_a_bucket() {
    let server = RedisServer::start();
    let (one, two) = (replica(&server).await, replica(&server).await);
    let wants = [want("login", 7, per_hour(6))];
    let mut granted = 0;
    for _ in 0..5 {
        granted += u32::from(one.take(&wants).await.expect("Redis is there").granted);
        granted += u32::from(two.take(&wants).await.expect("Redis is there").granted);
    }
    assert_eq!(granted, 6);
}

#[tokio::test]
async fn a_refusal_of_one_bucket_debits_no_other_across_replicas() {
    let server = RedisServer::start();
    let (one, two) = (replica(&server).await, replica(&server).await);
    let (narrow, wide) = (want("login", 7, per_hour(1)), want("general", 7, per_hour(10)));
    assert!(one.take(&[narrow, wide]).await.expect("Redis is there").granted);
    assert!(!two.take(&[wide, narrow]).await.expect("Redis is there").granted);
    let look = Want { cost: 0, ..wide };
    assert_eq!(two.take(&[look]).await.expect("Redis is there").taken[0].remaining, 9);
}

#[tokio::test]
async fn a_flushed_redis_gets_its_script_again() {
    let server = RedisServer::start();
    let backplane = replica(&server).await;
    let client = redis::Client::open(server.url()).expect("well formed");
    let mut connection = client.get_multiplexed_async_connection().await.expect("Redis is there");
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await.expect("Redis obeys");
    assert!(backplane.take(&[want("login", 7, per_hour(6))]).await.expect("the script is sent along").granted);
    assert_eq!(backplane.stats().failures, 0);
}

#[tokio::test]
async fn keys_carry_prefix_and_version_and_expire() {
    let server = RedisServer::start();
    let backplane = replica(&server).await;
    backplane.take(&[want("login", 0xabc, per_hour(6))]).await.expect("Redis is there");
    let client = redis::Client::open(server.url()).expect("well formed");
    let mut connection = client.get_multiplexed_async_connection().await.expect("Redis is there");
    let keys: Vec<String> = redis::cmd("KEYS").arg("*limit*").query_async(&mut connection).await.expect("Redis obeys");
    assert_eq!(keys, ["baluarte:v1:limit:login:00000000000000000000000000000abc"]);
    let ttl: i64 = redis::cmd("PTTL").arg(&keys[0]).query_async(&mut connection).await.expect("Redis obeys");
    assert!((1..=610_000).contains(&ttl), "{ttl} ms for ten minutes of debt");
}

#[tokio::test]
async fn a_large_bucket_lends_in_advance_and_is_exact_at_its_edge() {
    let server = RedisServer::start();
    let (one, two) = (replica(&server).await, replica(&server).await);
    let wants = [want("user", 7, Quota::new(1_000, Duration::from_secs(30 * 86_400), 1_000))];
    let mut granted = [0, 0];
    let mut trips_of_first_half = 0;
    loop {
        let mut refusals = 0;
        for (count, replica) in granted.iter_mut().zip([&one, &two]) {
            let decision = replica.take(&wants).await.expect("Redis is there");
            if decision.granted { *count += 1 } else { refusals += 1 }
        }
        if granted[0] + granted[1] == 400 {
            trips_of_first_half = scripts_run(&server).await;
        }
        if refusals == 2 {
            break;
        }
    }
    assert_eq!(granted[0] + granted[1], 1_000, "what is lent is spent or stays taken, and nobody gets more");
    assert_eq!(trips_of_first_half, 40, "every tenth request asks Redis");
    assert!(scripts_run(&server).await > 500, "below half every request does");
}

async fn scripts_run(server: &RedisServer) -> u32 {
    let client = redis::Client::open(server.url()).expect("well formed");
    let mut connection = client.get_multiplexed_async_connection().await.expect("Redis is there");
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.expect("Redis obeys");
    let calls = info.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")?.split(',').next()?.parse().ok());
    calls.unwrap_or(0)
}

#[test]
fn a_flood_of_strangers_does_not_forgive_who_is_at_the_limit() {
    let clock = Clock::fixed(Timestamp::from_micros(1_763_769_600_000_000));
    let memory = Backplane::local(clock);
    let busy = want("general", u128::MAX, per_hour(20));
    while memory.take_local(&[busy]).granted {}
    for stranger in 0..3_000_000_u128 {
        memory.take_local(&[want("general", stranger.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835), per_hour(20))]);
    }
    assert!(!memory.take_local(&[busy]).granted);
}
