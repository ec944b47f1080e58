//! Two replicas on one PostgreSQL and one Redis, and either of these going away.

use baluarte_testkit::{Answer, Backend, Baluarte, Gate, RedisServer, Second, Upstream};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{bin, outside::PASSWORD};

const ANA: &str = "ana@example.com";

fn routes(upstream: &Upstream) -> String {
    format!(
        r#"
[gateway.upstreams.app]
servers = ["{}"]
[[gateway.routes]]
path = "/public"
upstream = "app"
access = "public"
limits = []
[[gateway.routes]]
path = "/private"
upstream = "app"
access = "signed-in"
limits = []
[[gateway.routes]]
path = "/live"
upstream = "app"
access = "signed-in"
strip_prefix = true
limits = []
[[gateway.routes]]
path = "/closed"
upstream = "app"
access = "public"
limits = ["closed"]
[[gateway.routes]]
path = "/open"
upstream = "app"
access = "public"
limits = ["open"]
[[gateway.routes]]
path = "/local"
upstream = "app"
access = "public"
limits = ["local"]
[[gateway.routes]]
path = "/shared"
upstream = "app"
access = "public"
limits = ["shared"]
[limits.account]
key = "ip"
rate = "1000/s"
[limits.login]
key = "ip"
rate = "1000/s"
[limits.closed]
key = "ip"
rate = "1000/s"
on_store_failure = "closed"
[limits.open]
key = "ip"
rate = "2/h"
burst = 2
on_store_failure = "open"
[limits.local]
key = "ip"
rate = "3/h"
burst = 3
on_store_failure = "local"
[limits.shared]
key = "ip"
rate = "6/h"
burst = 6
"#,
        upstream.url()
    )
}

async fn two_replicas(upstream: &Upstream) -> (Baluarte, Baluarte) {
    let first = Baluarte::builder(bin()).backend(Backend::PostgresRedis).config(&routes(upstream)).start().await;
    first.create_user(ANA, PASSWORD, "user");
    let second = first.replica().await;
    (first, second)
}

fn refused(answer: &Answer) -> bool {
    answer.status == 401
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_one_limit() {
    let upstream = Upstream::start().await;
    let (first, second) = two_replicas(&upstream).await;
    let (here, there) = (first.client(), second.client());
    let mut granted = 0;
    for _ in 0..6 {
        for client in [&here, &there] {
            granted += u32::from(client.get("/shared").await.status == 200);
        }
    }
    assert_eq!(granted, 6, "the burst is one for both");
    here.get("/shared").await.expect_problem(429, "limits.exceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_at_one_replica_is_known_to_the_other() {
    let upstream = Upstream::start().await;
    let (first, second) = two_replicas(&upstream).await;
    for client in [first.sign_in(ANA, PASSWORD).await, first.sign_in_with_cookie(ANA, PASSWORD).await] {
        let there = client.at(&second.base_url);
        assert_eq!(there.get("/api/v1/users/me").await.expect_status(200).json()["email"], ANA);
        there.get("/private").await.expect_status(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_rotated_across_replicas_and_its_replay_ends_the_family_on_both() {
    let upstream = Upstream::start().await;
    let (first, second) = two_replicas(&upstream).await;
    let here = first.client();
    let tokens = here.sign_in(ANA, PASSWORD).await;
    let there = here.at(&second.base_url);
    let old = json!({ "refresh_token": tokens["refresh_token"] });
    let fresh = second.client().post_json("/api/v1/auth/refresh", &old).await.expect_status(200).json();
    // Within the grace the first replica gives the same child again.
    let again = first.client().post_json("/api/v1/auth/refresh", &old).await.expect_status(200).json();
    assert_eq!(fresh["refresh_token"], again["refresh_token"]);
    // A step further, the grandparent is a replay wherever it is shown.
    let next = json!({ "refresh_token": fresh["refresh_token"] });
    first.client().post_json("/api/v1/auth/refresh", &next).await.expect_status(200);
    second.client().post_json("/api/v1/auth/refresh", &old).await.expect_problem(401, "identity.refresh_reused");
    first.within_a_second(&here, "/private", refused).await;
    second.within_a_second(&there, "/private", refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_at_one_replica_ends_what_is_open_at_the_other() {
    let upstream = Upstream::start().await;
    let (first, second) = two_replicas(&upstream).await;
    let here = first.sign_in_with_cookie(ANA, PASSWORD).await;
    let there = here.at(&second.base_url);
    let mut events = there.stream("/live/sse?events=1000000&every=50").await.unwrap();
    assert!(events.chunk().await.unwrap().is_some_and(|event| event.starts_with(b"data: 0")));
    let host = second.base_url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(host).await.unwrap();
    let ask = format!(
        "GET /live/ws HTTP/1.1\r\nhost: {host}\r\ncookie: baluarte={}\r\nsec-fetch-site: same-origin\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        there.cookie("baluarte").unwrap()
    );
    socket.write_all(ask.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    socket.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");

    here.at(&first.base_url).post_json("/api/v1/auth/logout", &json!({})).await.expect_status(204);
    let ends = async {
        let _ = socket.read_to_end(&mut Vec::new()).await;
        while events.chunk().await.is_ok_and(|event| event.is_some()) {}
    };
    let mut ends = std::pin::pin!(ends);
    let mut second = Second::begin();
    loop {
        tokio::select! {
            () = &mut ends => break,
            () = second.pause() => assert!(second.goes_on(), "open for more than a second after signing out"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_at_one_replica_ends_the_session_at_the_other() {
    let upstream = Upstream::start().await;
    let (first, second) = two_replicas(&upstream).await;
    for here in [first.sign_in(ANA, PASSWORD).await, first.sign_in_with_cookie(ANA, PASSWORD).await] {
        let there = here.at(&second.base_url);
        there.get("/private").await.expect_status(200);
        let leaving = here.at(&first.base_url);
        leaving.post_json("/api/v1/auth/logout", &json!({})).await.expect_status(204);
        // The client keeps what it had; it is worth nothing any more, at once here and soon there.
        here.get("/private").await.expect_status(401);
        second.within_a_second(&there, "/private", refused).await;
        second.within_a_second(&there, "/api/v1/users/me", refused).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_is_out_everywhere() {
    let upstream = Upstream::start().await;
    let (first, second) = two_replicas(&upstream).await;
    let there = first.sign_in(ANA, PASSWORD).await.at(&second.base_url);
    there.get("/private").await.expect_status(200);
    first.run(&["user", "disable", ANA], "").expect_code(0);
    second.within_a_second(&there, "/private", refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_each_limit_follows_its_policy_and_all_is_well_when_it_is_back() {
    let upstream = Upstream::start().await;
    let mut redis = RedisServer::start();
    let config = format!("{}[cluster]\nredis_url = \"{}\"\n", routes(&upstream), redis.url());
    let app = Baluarte::builder(bin()).backend(Backend::PostgresRedis).config(&config).start().await;
    let client = app.client();
    client.get("/closed").await.expect_status(200);
    // Redis has seen the whole burst of these two.
    for _ in 0..2 {
        client.get("/open").await.expect_status(200);
    }
    client.get("/open").await.expect_status(429);

    redis.kill();
    app.eventually(&client, "/closed", |answer| answer.status == 503).await.expect_problem(503, "limits.unavailable");
    app.wait_for_log("Redis").await;
    for _ in 0..5 {
        client.get("/open").await.expect_status(200);
    }
    // From memory, from now on: a burst of its own.
    let granted = granted_of(&client, "/local", 8).await;
    assert_eq!(granted, 3, "the policy `local` still limits");
    client.get("/public").await.expect_status(200);
    assert_eq!(client.get("/health").await.json()["redis"], "disconnected");

    redis.run();
    app.eventually(&client, "/closed", |answer| answer.status == 200).await;
    app.eventually(&client, "/health", |answer| answer.json()["redis"] == "connected").await;
    assert_eq!(granted_of(&client, "/open", 4).await, 2, "counted again, by a Redis that has forgotten");
}

async fn granted_of(client: &baluarte_testkit::Client, path: &str, tries: u32) -> u32 {
    let mut granted = 0;
    for _ in 0..tries {
        granted += u32::from(client.get(path).await.status == 200);
    }
    granted
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_the_gateway_goes_on_and_all_is_well_when_it_is_back() {
    let (upstream, gate) = (Upstream::start().await, Gate::to_postgres().await);
    let app = Baluarte::builder(bin()).backend(Backend::PostgresRedis).config(&routes(&upstream)).database_through(&gate).start().await;
    app.create_user(ANA, PASSWORD, "user");
    let (nobody, ana, browser) = (app.client(), app.sign_in(ANA, PASSWORD).await, app.sign_in_with_cookie(ANA, PASSWORD).await);
    // Every core learns of them while the database is there.
    for _ in 0..20 {
        ana.get("/private").await.expect_status(200);
        browser.get("/private").await.expect_status(200);
    }

    gate.close();
    app.eventually(&nobody, "/health", |answer| answer.status == 503).await;
    // A load balancer leaves the replica where it is: it still serves.
    assert_eq!(nobody.get("/readyz").await.expect_status(200).json(), json!({ "ready": true, "database": "disconnected" }));
    nobody.get("/public").await.expect_status(200);
    // Nobody can tell whose this is; a public route does not need to know, and nobody is kept waiting for it.
    let stranger = app.client().with_header("cookie", &format!("baluarte={}", "x".repeat(43)));
    for _ in 0..40 {
        stranger.get("/public").await.expect_status(200);
        stranger.get("/private").await.expect_status(503);
    }
    ana.get("/private").await.expect_status(200);
    browser.get("/private").await.expect_status(200);
    let sign_in = json!({ "email": ANA, "password": PASSWORD });
    nobody.post_json("/api/v1/auth/login", &sign_in).await.expect_status(503);
    nobody.get("/healthz").await.expect_status(200);

    gate.reopen().await;
    app.eventually(&nobody, "/health", |answer| answer.status == 200).await;
    app.client().sign_in(ANA, PASSWORD).await;
    ana.get("/private").await.expect_status(200);
}
