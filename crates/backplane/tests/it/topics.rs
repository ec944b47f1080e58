//! Hints between subscribers of one process and of several.

use std::time::Duration;

use baluarte_backplane::{Backplane, BackplaneError, Hint, MAX_PAYLOAD, Subscription};
use baluarte_kernel::Clock;
use baluarte_testkit::RedisServer;

use crate::replica;

pub(crate) async fn next(subscription: &mut Subscription) -> Hint {
    tokio::time::timeout(Duration::from_secs(20), subscription.next()).await.expect("a hint comes")
}

fn message(text: &str) -> Hint {
    Hint::Message(text.as_bytes().to_vec())
}

#[tokio::test]
async fn subscribers_of_one_process_hear_their_topic_only() {
    let backplane = Backplane::local(Clock::System);
    let (mut one, mut two) = (backplane.subscribe("sessions"), backplane.subscribe("sessions"));
    let mut other = backplane.subscribe("routes");
    backplane.publish("sessions", b"1").await.expect("in memory");
    backplane.publish("routes", b"2").await.expect("in memory");
    assert_eq!((next(&mut one).await, next(&mut two).await, next(&mut other).await), (message("1"), message("1"), message("2")));
}

#[tokio::test]
async fn two_replicas_hear_each_other_and_themselves_once() {
    let server = RedisServer::start();
    let (one, two) = (replica(&server).await, replica(&server).await);
    let (mut at_one, mut at_two) = (one.subscribe("sessions"), two.subscribe("sessions"));
    for (publisher, text) in [(&one, "a"), (&two, "b\n"), (&one, "end")] {
        publisher.publish("sessions", text.as_bytes()).await.expect("Redis is there");
        assert_eq!((next(&mut at_one).await, next(&mut at_two).await), (message(text), message(text)));
    }
    assert_eq!((one.stats().published, two.stats().received), (2, 2));
}

#[tokio::test]
async fn who_falls_behind_hears_a_gap_and_goes_on() {
    let backplane = Backplane::local(Clock::System);
    let mut slow = backplane.subscribe("sessions");
    for number in 0..10_000 {
        backplane.publish("sessions", number.to_string().as_bytes()).await.expect("in memory");
    }
    assert_eq!(next(&mut slow).await, Hint::Gap);
    let Hint::Message(payload) = next(&mut slow).await else { panic!("after the gap come messages") };
    assert!(String::from_utf8_lossy(&payload).parse::<u32>().is_ok_and(|number| number > 9_000));
}

#[tokio::test]
async fn a_payload_has_a_bound() {
    let backplane = Backplane::local(Clock::System);
    assert_eq!(backplane.publish("sessions", &vec![0; MAX_PAYLOAD + 1]).await, Err(BackplaneError::TooLarge));
    assert_eq!(backplane.publish("sessions", &vec![0; MAX_PAYLOAD]).await, Ok(()));
}
