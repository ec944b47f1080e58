//! Redis is away: at the start, in the middle, and back again.

use std::time::Duration;

use baluarte_backplane::{Backplane, BackplaneError, Hint, Status, Want};
use baluarte_kernel::Clock;
use baluarte_testkit::RedisServer;

use crate::{cluster, per_hour, replica, topics::next, until, want};

#[tokio::test]
async fn it_starts_without_redis_and_finds_it_later() {
    let mut server = RedisServer::start();
    server.kill();
    let backplane = Backplane::connect(&cluster(&server), Clock::System).await.expect("an absent Redis is no error");
    assert_eq!(backplane.status(), Status::Disconnected);
    assert_eq!(backplane.take(&[want("login", 1, per_hour(6))]).await, Err(BackplaneError::Unavailable));
    server.run();
    until(&backplane, Status::Connected).await;
    assert!(backplane.take(&[want("login", 1, per_hour(6))]).await.expect("Redis is there").granted);
}

#[tokio::test]
async fn while_redis_is_away_operations_fail_at_once_and_memory_decides() {
    let mut server = RedisServer::start();
    let backplane = replica(&server).await;
    server.kill();
    until(&backplane, Status::Disconnected).await;
    let wants = [want("login", 1, per_hour(2))];
    refuses_without_waiting(&backplane, &wants).await;
    assert_eq!(backplane.lease("rotate-keys", Duration::from_secs(1)).await.err(), Some(BackplaneError::Unavailable));
    assert!(backplane.take_local(&wants).granted);
    assert!(backplane.take_local(&wants).granted);
    assert!(!backplane.take_local(&wants).granted);
    assert!(backplane.stats().failures >= 1_000);
}

/// Would hang for minutes if each refusal waited for an answer.
async fn refuses_without_waiting(backplane: &Backplane, wants: &[Want<'_>]) {
    let refusals = async {
        for _ in 0..1_000 {
            assert_eq!(backplane.take(wants).await, Err(BackplaneError::Unavailable));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), refusals).await.expect("nobody waits");
}

#[tokio::test]
async fn it_recovers_alone_and_everybody_hears_a_gap() {
    let mut server = RedisServer::start();
    let (one, two) = (replica(&server).await, replica(&server).await);
    let (mut at_one, mut at_two) = (one.subscribe("sessions"), two.subscribe("sessions"));
    server.kill();
    until(&one, Status::Disconnected).await;
    until(&two, Status::Disconnected).await;
    assert_eq!(one.publish("sessions", b"lost").await, Err(BackplaneError::Unavailable));
    assert_eq!(next(&mut at_one).await, Hint::Message(b"lost".to_vec()), "one's own subscribers hear it all the same");
    server.run();
    until(&one, Status::Connected).await;
    until(&two, Status::Connected).await;
    assert_eq!((next(&mut at_one).await, next(&mut at_two).await), (Hint::Gap, Hint::Gap));
    // Whichever came back first announces that something was lost; then messages flow again.
    one.publish("sessions", b"found").await.expect("Redis is there");
    loop {
        match next(&mut at_two).await {
            Hint::Gap => {}
            Hint::Message(payload) => {
                assert_eq!(payload, b"found");
                break;
            }
        }
    }
    assert_eq!((one.stats().connects, one.stats().disconnects), (2, 1));
}

#[tokio::test]
async fn a_redis_that_cannot_write_counts_as_away() {
    let server = RedisServer::start();
    let backplane = replica(&server).await;
    let client = redis::Client::open(server.url()).expect("well formed");
    let mut connection = client.get_multiplexed_async_connection().await.expect("Redis is there");
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").exec_async(&mut connection).await.expect("Redis obeys");
    assert!(backplane.take(&[want("login", 1, per_hour(6))]).await.is_err());
    until(&backplane, Status::Disconnected).await;
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("0").exec_async(&mut connection).await.expect("Redis obeys");
    until(&backplane, Status::Connected).await;
    assert!(backplane.take(&[want("login", 1, per_hour(6))]).await.expect("Redis is there").granted);
}

#[test]
fn a_caller_on_another_runtime_is_served() {
    let control = tokio::runtime::Runtime::new().expect("threads are available");
    let server = RedisServer::start();
    let backplane = control.block_on(replica(&server));
    // As on a core of the data plane: one thread, and not even a timer.
    let core = tokio::runtime::Builder::new_current_thread().build().expect("a thread is available");
    let decision = core.block_on(backplane.take(&[want("login", 1, per_hour(6))]));
    assert!(decision.expect("Redis is there").granted);
}

#[tokio::test]
async fn a_redis_that_does_not_answer_costs_one_wait_and_then_none() {
    let server = RedisServer::start();
    let backplane = Backplane::connect_patiently(&cluster(&server), Clock::System, Duration::from_secs(1)).await.expect("well formed");
    until(&backplane, Status::Connected).await;
    // From now on it accepts and says nothing, as a stopped process or a dead link does.
    let client = redis::Client::open(server.url()).expect("well formed");
    let mut connection = client.get_multiplexed_async_connection().await.expect("Redis is there");
    redis::cmd("CLIENT").arg("PAUSE").arg(600_000).arg("ALL").exec_async(&mut connection).await.expect("Redis obeys");
    let wants = [want("login", 1, per_hour(2))];
    assert_eq!(backplane.take(&wants).await, Err(BackplaneError::Unavailable));
    until(&backplane, Status::Disconnected).await;
    refuses_without_waiting(&backplane, &wants).await;
}
