//! A changed configuration while requests go on.

use baluarte_telemetry::Metrics;

use crate::{allowed, config, from, ids, limits, passes};

#[tokio::test]
async fn a_reload_changes_limits_under_the_numbers_they_have() {
    let (limits, _) = limits("[shop]\nrate = \"2/h\"");
    let ids = ids(&limits, &["shop", "login"]);
    limits.reload(&config("[shop]\nrate = \"5/h\"\n[blog]\nrate = \"7/h\"\n[login]\nburst = 9"));
    assert_eq!(crate::ids(&limits, &["shop", "login"]), ids);
    assert_eq!(passes(&limits, &["shop"], &from("192.0.2.1")).await, 5);
    assert_eq!(passes(&limits, &["login"], &from("192.0.2.1")).await, 9);
    assert_eq!(passes(&limits, &["blog"], &from("192.0.2.1")).await, 7);
}

#[tokio::test]
async fn a_reload_begins_anew_where_the_quota_changed_and_nowhere_else() {
    let (limits, _) = limits("[shop]\nrate = \"1/h\"\n[blog]\nrate = \"1/h\"");
    for name in ["shop", "blog"] {
        assert_eq!(passes(&limits, &[name], &from("192.0.2.1")).await, 1, "{name}");
    }
    limits.reload(&config("[shop]\nrate = \"60/min\"\nburst = 2\n[blog]\nrate = \"1/h\"\non_store_failure = \"open\""));
    assert_eq!(passes(&limits, &["shop"], &from("192.0.2.1")).await, 2, "nobody waits for an hour that is no longer asked for");
    assert!(!allowed(&limits, &["blog"], &from("192.0.2.1")).await);
}

#[tokio::test]
async fn a_limit_that_is_gone_is_not_found_and_still_judges_requests_on_their_way() {
    let (limits, _) = limits("[shop]\nrate = \"2/h\"");
    let shop = ids(&limits, &["shop"]);
    limits.reload(&config("[blog]\nrate = \"7/h\""));
    assert_eq!(limits.resolve("shop"), None);
    let mut granted = 0;
    while limits.check(&shop, &from("192.0.2.1")).await.into_result().is_ok() {
        granted += 1;
    }
    assert_eq!(granted, 2);
    limits.reload(&config("[shop]\nrate = \"3/h\""));
    assert_eq!(ids(&limits, &["shop"]), shop);
}

#[tokio::test]
async fn counts_go_on_after_a_reload_and_new_limits_are_counted_too() {
    let (limits, _) = limits("[shop]\nrate = \"2/h\"");
    let metrics = Metrics::default();
    limits.report(&metrics);
    passes(&limits, &["shop"], &from("192.0.2.1")).await;
    let line = |limit: &str, decision: &str, count: u64| {
        let rendered = metrics.render();
        let both = [format!("limit=\"{limit}\""), format!("decision=\"{decision}\"")];
        let found = rendered.lines().find(|line| both.iter().all(|part| line.contains(part))).unwrap_or_default().to_owned();
        assert!(found.ends_with(&format!(" {count}")), "{limit} {decision}: {found:?}");
    };
    line("shop", "allowed", 2);
    limits.reload(&config("[shop]\nrate = \"9/h\"\non_store_failure = \"closed\"\n[blog]\nrate = \"7/h\""));
    passes(&limits, &["shop"], &from("192.0.2.2")).await;
    passes(&limits, &["blog"], &from("192.0.2.2")).await;
    line("shop", "allowed", 11);
    line("shop", "limited", 2);
    line("blog", "allowed", 7);
    let rendered = metrics.render();
    assert!(rendered.contains("policy=\"closed\"") && !rendered.contains("limit=\"shop\",policy=\"closed\"} 1"), "{rendered}");
}
