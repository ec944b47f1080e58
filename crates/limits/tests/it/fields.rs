//! What callers are told.

use std::time::Duration;

use baluarte_kernel::{Rate, UserId};
use baluarte_limits::{Limits, Subject, Verdict};
use baluarte_web::Problem;
use http::HeaderMap;

use crate::{from, ids, limits, passes};

async fn headers(limits: &Limits, names: &[&str], subject: &Subject<'_>) -> Result<HeaderMap, Problem> {
    let fields = limits.check(&ids(limits, names), subject).await.into_result()?;
    let mut headers = HeaderMap::new();
    fields.write(&mut headers);
    Ok(headers)
}

#[tokio::test]
async fn an_allowed_request_is_told_policy_and_rest() {
    let (limits, clock) = limits("");
    let told = headers(&limits, &["general"], &from("192.0.2.1")).await.expect("allowed");
    assert_eq!(told["ratelimit-policy"], "\"general\";q=100;w=60");
    assert_eq!(told["ratelimit"], "\"general\";r=19;t=1");
    for _ in 0..9 {
        headers(&limits, &["general"], &from("192.0.2.1")).await.expect("allowed");
    }
    clock.advance(Duration::from_millis(600));
    let told = headers(&limits, &["general"], &from("192.0.2.1")).await.expect("allowed");
    assert_eq!(told["ratelimit"], "\"general\";r=10;t=6");
}

#[tokio::test]
async fn several_limits_share_the_fields() {
    let (limits, _) = limits("");
    let pro = Subject { user: Some(UserId::generate()), user_rate: Some(Rate::per_minute(1_000)), ..from("192.0.2.1") };
    let told = headers(&limits, &["general", "user"], &pro).await.expect("allowed");
    assert_eq!(told["ratelimit-policy"], "\"general\";q=100;w=60, \"user\";q=1000;w=60");
    assert_eq!(told["ratelimit"], "\"general\";r=19;t=1, \"user\";r=999;t=1");
    let told = headers(&limits, &["forgot-password", "mfa"], &pro).await.expect("allowed");
    assert_eq!(
        told["ratelimit-policy"],
        "\"forgot-password/min\";q=5;w=60, \"forgot-password/h\";q=30;w=3600, \"mfa/user\";q=6;w=60, \"mfa/ip\";q=6;w=60"
    );
}

#[tokio::test]
async fn somebody_anonymous_is_counted_once_by_a_limit_by_user_and_address() {
    let (limits, _) = limits("");
    let told = headers(&limits, &["mfa"], &from("192.0.2.1")).await.expect("allowed");
    assert_eq!(told["ratelimit"], "\"mfa/ip\";r=5;t=10");
}

#[tokio::test]
async fn a_rate_within_a_second_is_told_by_the_second() {
    let (limits, _) = limits("[fast]\nrate = \"5/500ms\"");
    let told = headers(&limits, &["fast"], &from("192.0.2.1")).await.expect("allowed");
    assert_eq!(
        (&told["ratelimit-policy"], &told["ratelimit"]),
        (&"\"fast\";q=10;w=1".parse().expect("ascii"), &"\"fast\";r=4;t=1".parse().expect("ascii"))
    );
}

#[tokio::test]
async fn a_refusal_says_what_was_violated_and_when_to_come_back() {
    let (limits, clock) = limits("[narrow]\nrate = \"1/min\"\n[wide]\nrate = \"10/h\"");
    assert_eq!(passes(&limits, &["wide", "narrow"], &from("192.0.2.1")).await, 1);
    clock.advance(Duration::from_millis(15_500));
    let problem = headers(&limits, &["wide", "narrow"], &from("192.0.2.1")).await.expect_err("refused");
    assert_eq!((problem.status.as_u16(), problem.code), (429, "limits.exceeded"));
    assert_eq!(problem.violated_policies, ["narrow"]);
    assert_eq!(problem.headers["retry-after"], "45");
    assert_eq!(problem.headers["ratelimit-policy"], "\"wide\";q=10;w=3600, \"narrow\";q=1;w=60");
    assert_eq!(problem.headers["ratelimit"], "\"wide\";r=9;t=45, \"narrow\";r=0;t=45", "no t is later than Retry-After");
    clock.advance(Duration::from_secs(45));
    assert!(headers(&limits, &["wide", "narrow"], &from("192.0.2.1")).await.is_ok(), "who waits as told is served");
}

#[tokio::test]
async fn without_limits_there_are_no_fields() {
    let (limits, _) = limits("");
    assert!(headers(&limits, &[], &from("192.0.2.1")).await.expect("allowed").is_empty());
    let Verdict::Allowed(fields) = limits.check(&[], &from("192.0.2.1")).await else { panic!("allowed") };
    let mut headers = HeaderMap::new();
    fields.move_into(&mut headers);
    assert!(headers.is_empty());
}
