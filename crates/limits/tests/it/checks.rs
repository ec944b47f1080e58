//! Who is counted with whom, and how often.

use std::time::Duration;

use baluarte_kernel::{Rate, UserId};
use baluarte_limits::{LimitStats, OnStoreFailure, Subject, Verdict};

use crate::{allowed, from, ids, ip, limits, passes};

#[tokio::test]
async fn built_in_limits_allow_what_the_contract_says() {
    for (name, burst, then) in [
        ("login", 3, 5),
        ("account", 10, 20),
        ("api", 30, 30),
        ("general", 20, 100),
        ("user", 100, 100),
        ("mfa", 6, 6),
        ("forgot-password", 5, 5),
    ] {
        let (limits, clock) = limits("");
        assert_eq!(passes(&limits, &[name], &from("192.0.2.1")).await, burst, "{name} at once");
        let mut granted = 0;
        for _ in 0..600 {
            clock.advance(Duration::from_millis(100));
            granted += u32::from(allowed(&limits, &[name], &from("192.0.2.1")).await);
        }
        assert_eq!(granted, then, "{name} in the minute after");
    }
}

#[tokio::test]
async fn a_limit_with_two_rates_keeps_both() {
    let (limits, clock) = limits("");
    let mut granted = 0;
    for _ in 0..60 {
        granted += passes(&limits, &["forgot-password"], &from("192.0.2.1")).await;
        clock.advance(Duration::from_secs(60));
    }
    assert!((30..=60).contains(&granted), "{granted}: thirty at once and at most thirty more in the hour");
    let Verdict::Limited { violated, .. } = ({
        passes(&limits, &["forgot-password"], &from("192.0.2.1")).await;
        limits.check(&ids(&limits, &["forgot-password"]), &from("192.0.2.1")).await
    }) else {
        panic!("refused")
    };
    assert!(violated.contains(&"forgot-password/h".to_owned()), "{violated:?}");
}

#[tokio::test]
async fn addresses_users_keys_routes_and_upstreams_are_counted_each_by_itself() {
    let (limits, _) = limits(
        "[by-key]\nkey = \"api-key\"\nrate = \"2/h\"\n[by-route]\nkey = \"route\"\nrate = \"2/h\"\n[by-upstream]\nkey = \"upstream\"\nrate = \"2/h\"\n[by-user]\nkey = \"user\"\nrate = \"2/h\"\n[by-ip]\nrate = \"2/h\"",
    );
    let ana = Subject { user: Some(UserId::generate()), api_key: Some("key_a"), route: "/shop", upstream: "shop", ..from("192.0.2.1") };
    let bob = Subject { user: Some(UserId::generate()), api_key: Some("key_b"), route: "/blog", upstream: "blog", ..from("192.0.2.2") };
    for name in ["by-key", "by-route", "by-upstream", "by-user", "by-ip"] {
        assert_eq!(passes(&limits, &[name], &ana).await, 2, "{name}");
        assert!(allowed(&limits, &[name], &bob).await, "{name}: somebody else");
    }
    let elsewhere = Subject { ip: ip("198.51.100.9"), ..ana };
    assert!(!allowed(&limits, &["by-user"], &elsewhere).await, "a user is the same from everywhere");
    assert!(allowed(&limits, &["by-ip"], &elsewhere).await);
}

#[tokio::test]
async fn who_leaves_the_credential_away_is_counted_by_address() {
    let (limits, _) = limits("[by-user]\nkey = \"user\"\nrate = \"2/h\"");
    assert_eq!(passes(&limits, &["by-user"], &from("192.0.2.1")).await, 2);
    assert!(allowed(&limits, &["by-user"], &from("192.0.2.2")).await);
}

#[tokio::test]
async fn a_limit_by_user_and_address_holds_from_everywhere() {
    let (limits, _) = limits("");
    assert_eq!(passes(&limits, &["mfa"], &from("192.0.2.1")).await, 6);
    // Signed in, the same address is still spent, and so is the user after six tries from different places.
    let ana = Subject { user: Some(UserId::generate()), ..from("192.0.2.1") };
    assert!(!allowed(&limits, &["mfa"], &ana).await);
    for last in 0..6 {
        assert!(allowed(&limits, &["mfa"], &Subject { ip: ip(&format!("198.51.100.{last}")), ..ana }).await);
    }
    assert!(!allowed(&limits, &["mfa"], &Subject { ip: ip("198.51.100.99"), ..ana }).await);
}

#[tokio::test]
async fn the_rate_of_a_plan_replaces_the_rate_of_the_user_limit_only() {
    let (limits, _) = limits("[by-user]\nkey = \"user\"\nrate = \"2/h\"");
    let pro = Subject { user: Some(UserId::generate()), user_rate: Some(Rate::per_minute(1_000)), ..from("192.0.2.1") };
    assert_eq!(passes(&limits, &["by-user"], &pro).await, 2);
    assert_eq!(passes(&limits, &["user"], &pro).await, 1_000);
    let free = Subject { user: Some(UserId::generate()), ..from("192.0.2.1") };
    assert_eq!(passes(&limits, &["user"], &free).await, 100);
    let nobody = Subject { user_rate: Some(Rate::per_minute(1_000)), ..from("192.0.2.1") };
    assert_eq!(passes(&limits, &["user"], &nobody).await, 100, "a plan needs somebody who has it");
}

#[tokio::test]
async fn a_refusal_by_one_limit_debits_no_other() {
    let (limits, clock) = limits("[narrow]\nrate = \"1/min\"\n[wide]\nrate = \"10/h\"");
    let ana = from("192.0.2.1");
    assert!(allowed(&limits, &["wide", "narrow"], &ana).await);
    for _ in 0..50 {
        assert!(!allowed(&limits, &["wide", "narrow"], &ana).await);
    }
    clock.advance(Duration::from_micros(1));
    assert_eq!(passes(&limits, &["wide"], &ana).await, 9);
}

#[tokio::test]
async fn no_limits_allow_everything_and_unknown_names_do_not_resolve() {
    let (limits, _) = limits("");
    assert!(matches!(limits.check(&[], &from("192.0.2.1")).await, Verdict::Allowed(_)));
    assert_eq!(limits.resolve("nonsense"), None);
}

#[tokio::test]
async fn more_buckets_than_fit_are_refused_not_ignored() {
    let (limits, _) = limits("");
    let many = ids(&limits, &["mfa"; 5]);
    let ana = Subject { user: Some(UserId::generate()), ..from("192.0.2.1") };
    assert!(matches!(limits.check(&many, &ana).await, Verdict::StoreAway));
}

#[tokio::test]
async fn decisions_are_counted_by_limit() {
    let (limits, _) = limits("[narrow]\nrate = \"1/min\"\n[wide]\nrate = \"10/h\"");
    passes(&limits, &["wide", "narrow"], &from("192.0.2.1")).await;
    let snapshot = limits.snapshot();
    let stats = |name: &str| snapshot.iter().find(|stats| stats.name == name).expect("counted").clone();
    let expected = |name: &str, limited| LimitStats {
        name: name.to_owned(),
        allowed: 1,
        limited,
        store_failures: 0,
        on_store_failure: OnStoreFailure::Local,
    };
    assert_eq!((stats("narrow"), stats("wide")), (expected("narrow", 1), expected("wide", 0)));

    let metrics = baluarte_telemetry::Metrics::default();
    limits.report(&metrics);
    for _ in 0..2 {
        assert!(
            metrics.render().contains("baluarte_limits_decisions_total{limit=\"narrow\",decision=\"limited\"} 1"),
            "{}",
            metrics.render()
        );
    }
}
