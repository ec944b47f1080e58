//! What a door is told about a request, and what every answer carries.

use baluarte_edge::{EdgeConfig, Options};

use crate::rig::{Rig, config, options, statuses};

fn get(headers: &str) -> String {
    format!("GET /a?token=hunter2 HTTP/1.1\r\nHost: Shop.example\r\nConnection: close\r\n{headers}\r\n")
}

fn behind_a_proxy() -> Rig {
    Rig::with(Options { trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")], ..options() }, config())
}

#[tokio::test]
async fn what_a_client_says_about_itself_changes_nothing() {
    let rig = Rig::start();
    let spoofed = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nForwarded: for=192.0.2.1;proto=https\r\n";
    let answer = rig.exchange(get(spoofed)).await;
    for fact in ["\nclient_ip=127.0.0.1\n", "\ntrusted_peer=None\n", "\nscheme=http\n", "\nhost=shop.example\n"] {
        assert!(answer.contains(fact), "{fact:?} in {answer}");
    }
    assert!(!answer.contains("strict-transport-security"));
    assert_eq!(rig.log_lines()[0]["client_ip"], "127.0.0.1");
}

#[tokio::test]
async fn a_trusted_proxy_speaks_for_its_client() {
    let rig = behind_a_proxy();
    let told = "X-Forwarded-For: 1.1.1.1, 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: WWW.shop.example\r\n";
    let answer = rig.exchange(get(told)).await;
    for fact in ["\nclient_ip=192.0.2.1\n", "\ntrusted_peer=Some(127.0.0.1)\n", "\nscheme=https\n", "\nhost=www.shop.example\n"] {
        assert!(answer.contains(fact), "{fact:?} in {answer}");
    }
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
}

#[tokio::test]
async fn a_request_has_one_id_everywhere() {
    let rig = Rig::start();
    let answer = rig.exchange(get("X-Request-ID: my-id.1\r\n")).await;
    for fact in ["\r\nx-request-id: my-id.1\r\n", "\nrequest_id=my-id.1\n", "\nx-request-id: my-id.1\n"] {
        assert!(answer.contains(fact), "{fact:?} in {answer}");
    }
    assert_eq!(rig.log_lines()[0]["request_id"], "my-id.1");
    let answer = rig.exchange(get("X-Request-ID: <script>\r\n")).await;
    assert!(!answer.contains("<script>"), "{answer}");
}

#[tokio::test]
async fn a_correlation_id_is_the_request_id_where_there_is_no_other() {
    let rig = Rig::start();
    let answer = rig.exchange(get("X-Correlation-ID: order-7\r\n")).await;
    let facts = [
        "\r\nx-request-id: order-7\r\n",
        "\r\nx-correlation-id: order-7\r\n",
        "\nrequest_id=order-7\n",
        "\nx-request-id: order-7\n",
        "\nx-correlation-id: order-7\n",
    ];
    for fact in facts {
        assert!(answer.contains(fact), "{fact:?} in {answer}");
    }
    assert_eq!(rig.log_lines()[0]["request_id"], "order-7");
    let answer = rig.exchange(get("X-Correlation-ID: theirs\r\nX-Request-ID: ours\r\n")).await;
    assert!(answer.contains("\r\nx-request-id: ours\r\n") && !answer.contains("\r\nx-correlation-id: "), "{answer}");
    let answer = rig.exchange(get("X-Correlation-ID: <script>\r\n")).await;
    assert!(!answer.contains("\r\nx-request-id: <script>") && !answer.contains("\r\nx-correlation-id: "), "{answer}");
}

#[tokio::test]
async fn a_trace_is_continued_or_dropped() {
    let rig = Rig::start();
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert!(rig.exchange(get(&format!("traceparent: {good}\r\n"))).await.contains(&format!("\ntraceparent: {good}\n")));
    assert!(!rig.exchange(get("traceparent: nonsense\r\n")).await.contains("traceparent"));
}

#[tokio::test]
async fn every_answer_has_the_security_headers_and_an_id() {
    let rig = Rig::start();
    for request in [get(""), get("X : y\r\n"), get("").replace("/a", "/problem"), get("").replace("/a", "/panic")] {
        let answer = rig.exchange(&request).await;
        for header in
            ["x-content-type-options: nosniff", "referrer-policy: ", "x-frame-options: ", "x-request-id: ", "cross-origin-opener-policy: "]
        {
            assert!(answer.contains(header), "{header} for {request}: {answer}");
        }
    }
}

#[tokio::test]
async fn neither_a_query_nor_a_headers_value_reaches_the_log() {
    let rig = Rig::start();
    let secrets = "Authorization: Bearer hunter2\r\nCookie: s=hunter2\r\nReferer: http://a/?t=hunter2\r\nUser-Agent: hunter2\r\n";
    rig.exchange(get(secrets)).await;
    rig.exchange(get(&format!("{secrets}X : y\r\n"))).await;
    rig.exchange("GET http://shop.example/a?token=hunter2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let lines = rig.log_lines();
    assert_eq!(lines.len(), 3);
    for line in lines {
        assert!(!line.to_string().contains("hunter2"), "{line}");
        assert_eq!(line["path"], "/a", "{line}");
    }
}

#[tokio::test]
async fn the_doors_note_is_logged_and_counted() {
    let rig = Rig::start();
    rig.exchange(get("").replace("/a?", "/noted?")).await;
    let lines = rig.log_lines();
    assert_eq!(
        (lines[0]["surface"].as_str(), lines[0]["route"].as_str(), lines[0]["bytes"].as_u64()),
        (Some("gateway"), Some("shop"), Some(5))
    );
    assert_eq!(rig.metric("baluarte_http_requests_total{surface=\"gateway\",method=\"GET\",status_class=\"2xx\"}"), Some(1.0));
    assert_eq!(rig.metric("baluarte_http_request_duration_seconds_count{surface=\"gateway\",route=\"shop\"}"), Some(1.0));
    assert_eq!(rig.metric("baluarte_http_requests_in_flight"), Some(0.0));
}

#[tokio::test]
async fn a_door_that_panics_is_a_500_and_nothing_more() {
    let rig = Rig::start();
    let answer = rig.exchange(get("").replace("/a?", "/panic?")).await;
    assert_eq!(statuses(&answer), [500]);
    assert_eq!(statuses(&rig.exchange(get("")).await), [200]);
}

#[tokio::test]
async fn underscored_headers_pass_where_the_operator_wants_them() {
    let rig = Rig::with(options(), EdgeConfig { underscore_headers: true, ..config() });
    assert!(rig.exchange(get("api_key: y\r\n")).await.contains("\napi_key: y\n"));
}
