//! Baluarte's own paths come before every route; what is not there is a problem, in the form its reader wants.

use baluarte_testkit::{Baluarte, Upstream};
use http::Method;
use serde_json::json;

use crate::{bin, outside::PASSWORD};

async fn behind(upstream: &Upstream, more: &str) -> Baluarte {
    let config = format!(
        "{more}\n[gateway.upstreams.app]\nservers = [\"{}\"]\n[[gateway.routes]]\npath = \"/\"\nupstream = \"app\"\nlimits = []\n",
        upstream.url()
    );
    Baluarte::builder(bin()).config(&config).start().await
}

#[tokio::test]
async fn own_paths_are_answered_here_and_everything_else_by_the_routes() {
    let upstream = Upstream::start().await;
    let app = behind(&upstream, "").await;
    let client = app.client();
    client.get("/healthz").await.expect_status(200);
    client.get("/openapi.json").await.expect_status(200);
    client.get("/problems/web.not_found").await.expect_status(200);
    assert_eq!(upstream.received().len(), 0, "nothing of our own went to the app");
    for path in ["/", "/healthzz", "/authors", "/api/v2/x", "/dev/outboxes"] {
        client.get(path).await;
        assert_eq!(upstream.received().last().map(|seen| seen.target.clone()).as_deref(), Some(path));
    }
}

#[tokio::test]
async fn an_own_path_that_does_not_exist_is_a_404_problem() {
    let app = Baluarte::builder(bin()).start().await;
    let answer = app.client().get("/api/v1/nothing").await.expect_status(404);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let problem = answer.json();
    assert_eq!(
        (&problem["code"], &problem["status"], &problem["type"]),
        (&json!("web.not_found"), &json!(404), &json!("/problems/web.not_found"))
    );
    assert_eq!(problem["instance"].as_str(), answer.headers["x-request-id"].to_str().ok());
    let page = app.client().as_browser().get("/auth/nothing").await.expect_status(404);
    assert!(page.headers["content-type"].to_str().is_ok_and(|kind| kind.starts_with("text/html")));
}

#[tokio::test]
async fn an_error_page_can_be_read_in_another_language() {
    let app = Baluarte::builder(bin()).start().await;
    let browser = app.client().as_browser();
    for path in ["/auth/nothing", "/elsewhere?page=2"] {
        let page = browser.get(path).await.expect_status(404).text();
        assert!(page.contains(&format!("name=\"return_to\" value=\"{path}\"")), "{page}");
    }
    let posted = browser.post_form("/elsewhere", &[]).await.expect_status(404).text();
    assert!(posted.contains("<html") && !posted.contains("return_to"), "asking with GET may be something else: {posted}");
}

#[tokio::test]
async fn an_error_page_on_a_host_of_the_gateway_has_its_files_elsewhere_and_no_switch() {
    // What waits for the start asks by another host.
    let ready = "[[gateway.routes]]\npath = \"/healthz\"\nrespond = { status = 200, body = \"\" }\n";
    let app = Baluarte::builder(bin()).config(&format!("[server]\nown_host = \"id.example.com\"\n{ready}")).start().await;
    let page = app.client().as_browser().get("/elsewhere").await.expect_status(404).text();
    assert!(page.contains(&format!("{}/auth/assets/style.", app.public_url())), "{page}");
    assert!(!page.contains("return_to"), "{page}");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_405_with_allow() {
    let app = Baluarte::builder(bin()).start().await;
    for (path, method) in [("/openapi.json", Method::POST), ("/api/v1/auth/login", Method::GET), ("/health", Method::DELETE)] {
        let answer = app.client().send(method, path, |request| request).await.expect_status(405);
        assert!(answer.headers.contains_key("allow"), "{path}");
        assert_eq!(answer.json()["code"], "web.method_not_allowed");
    }
}

#[tokio::test]
async fn malformed_wrong_unknown_and_large_bodies_each_get_their_status() {
    let app = Baluarte::builder(bin()).config("[server]\nbody_limit = \"2KiB\"").start().await;
    let client = app.client();
    let login = |kind: &'static str, body: String| {
        client.send(Method::POST, "/api/v1/auth/login", move |request| request.header("content-type", kind).body(body))
    };
    assert_eq!(login("application/json", "{\"email\":".to_owned()).await.expect_status(400).json()["code"], "web.malformed_json");
    let wrong = login("application/json", "{\"email\": 5, \"password\": \"x\"}".to_owned()).await.expect_status(422).json();
    assert_eq!(wrong["errors"][0]["pointer"], "/email");
    login("application/xml", "<x/>".to_owned()).await.expect_status(415);
    login("application/json", format!("{{\"email\": \"{}\"}}", "a".repeat(4_000))).await.expect_status(413);
}

#[tokio::test]
async fn a_route_may_take_larger_or_smaller_bodies_than_the_server() {
    let upstream = Upstream::start().await;
    let routes = format!(
        "[server]\nbody_limit = \"2KiB\"\n[gateway.upstreams.app]\nservers = [\"{}\"]\n\
         [[gateway.routes]]\npath = \"/\"\nupstream = \"app\"\n\
         [[gateway.routes]]\npath = \"/large\"\nupstream = \"app\"\nbody_limit = \"8KiB\"\n\
         [[gateway.routes]]\npath = \"/small\"\nupstream = \"app\"\nbody_limit = \"1KiB\"",
        upstream.url()
    );
    let app = Baluarte::builder(bin()).config(&routes).start().await;
    let client = app.client();
    for (path, bytes, status) in [
        ("/", 2_048, 200),
        ("/", 2_049, 413),
        ("/large", 8_192, 200),
        ("/large", 8_193, 413),
        ("/small", 1_024, 200),
        ("/small", 1_025, 413),
    ] {
        let answer = client.send(Method::POST, path, |request| request.body(vec![b'a'; bytes])).await;
        assert_eq!(answer.status, status, "{bytes} bytes to {path}");
    }
}

#[tokio::test]
async fn with_an_own_host_the_other_hosts_belong_to_the_routes() {
    let upstream = Upstream::start().await;
    let app = behind(&upstream, "[server]\nown_host = \"id.example.com\"").await;
    let own = app.client().with_header("host", "id.example.com");
    own.get("/openapi.json").await.expect_status(200);
    own.get("/anything").await.expect_status(404);
    own.get("/llms.txt").await.expect_status(200);
    app.client().with_header("host", "shop.example.com").get("/auth/login").await;
    assert_eq!(upstream.received().last().map(|seen| seen.target.clone()).as_deref(), Some("/auth/login"));
    app.run(&["healthcheck"], "").expect_code(0);
}

#[tokio::test]
async fn the_outbox_is_there_on_a_developers_machine_and_elsewhere_only_where_it_is_switched_on() {
    let app = Baluarte::builder(bin()).start().await;
    assert_eq!(app.client().get("/dev/outbox").await.expect_status(200).json(), json!({ "items": [] }));
    for elsewhere in [
        "[notify]\ndev_outbox = false",
        "[server]\npublic_url = \"http://shop.example.com\"",
        "[notify]\nsmtp_url = \"smtp://127.0.0.1:1?tls=off\"\nemail_from = \"shop@example.com\"",
    ] {
        let app = Baluarte::builder(bin()).config(elsewhere).start().await;
        app.client().get("/dev/outbox").await.expect_status(404);
    }
    let app =
        Baluarte::builder(bin()).config("[server]\npublic_url = \"http://shop.example.com\"\n[notify]\ndev_outbox = true").start().await;
    app.client().get("/dev/outbox").await.expect_status(200);
}

#[tokio::test]
async fn a_body_is_an_object_of_known_fields_and_all_its_mistakes_are_told() {
    let app = Baluarte::builder(bin()).start().await;
    app.create_user("ana@example.com", PASSWORD, "user");
    let post = async |path: &str, body: serde_json::Value| {
        let answer = app.client().post_json(path, &body).await.expect_status(422).json();
        let pointers = answer["errors"].as_array().cloned().unwrap_or_default();
        pointers.iter().filter_map(|error| error["pointer"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(post("/api/v1/auth/login", json!(["ana@example.com", PASSWORD, "tokens"])).await, [""]);
    assert_eq!(post("/api/v1/auth/login", json!({})).await, ["/email", "/password"]);
    assert_eq!(
        post("/api/v1/auth/register", json!({ "email": "no", "name": "", "password": "short" })).await,
        ["/email", "/name", "/password"]
    );
    let ana = app.sign_in("ana@example.com", PASSWORD).await;
    let refused = ana.patch_json("/api/v1/users/me", &json!({ "email": "zoe@example.com" })).await.expect_status(422);
    assert_eq!(refused.json()["errors"][0]["pointer"], "/email");
}

#[tokio::test]
async fn the_documentation_page_needs_nothing_from_elsewhere() {
    let app = Baluarte::builder(bin()).start().await;
    let client = app.client().as_browser();
    let text = client.get("/docs").await.expect_status(200).text();
    for part in text.split(['"', '\'']).filter(|part| part.starts_with("http") || part.starts_with("//")) {
        assert!(part.starts_with(app.public_url()), "the page names {part}");
    }
    for file in text.split('"').filter(|part| part.starts_with("/auth/assets/")) {
        client.get(file).await.expect_status(200);
    }
}

#[tokio::test]
async fn anonymous_calls_of_the_api_are_limited_and_say_so() {
    let app = Baluarte::builder(bin()).config("[limits.api]\nrate = \"3/min\"\n").start().await;
    let client = app.client();
    for _ in 0..3 {
        let answer = client.get("/api/v1/users/me").await.expect_status(401);
        assert!(answer.headers.contains_key("ratelimit") && answer.headers.contains_key("ratelimit-policy"));
    }
    let refused = client.get("/api/v1/users/me").await.expect_status(429);
    assert_eq!(refused.json()["code"], "limits.exceeded");
    assert!(refused.headers.contains_key("retry-after"));
    client.get("/healthz").await.expect_status(200);
    client.get("/api/v1/health").await.expect_status(200);
}
