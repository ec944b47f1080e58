//! Keys for programs, seen on the built binary: at the gateway, at our own API, on every replica.

use baluarte_testkit::{Baluarte, Client, Upstream, each_process_backend};
use serde_json::{Value, json};

use crate::{bin, outside::PASSWORD};

fn config(app: &Upstream) -> String {
    format!(
        r#"
[gateway.upstreams.shop]
servers = ["{}"]
[[gateway.routes]]
path = "/export"
upstream = "shop"
access = "scope:orders"
limits = ["keys"]
[[gateway.routes]]
path = "/basket"
upstream = "shop"
access = "signed-in"
[limits.keys]
key = "api-key"
rate = "2/h"
burst = 2
"#,
        app.url()
    )
}

fn text(made: &Value, field: &str) -> String {
    made[field].as_str().expect("a text").to_owned()
}

async fn key_of(client: &Client, app: &Baluarte, scopes: Value) -> (Client, String, String) {
    let made = client.post_json("/api/v1/api-keys", &json!({ "name": "Export", "scopes": scopes })).await.expect_status(201).json();
    let (id, key) = (text(&made, "id"), text(&made, "key"));
    (app.client().with_bearer(&key), id, key)
}

each_process_backend! {
    async fn a_program_with_a_key_gets_through_where_its_scope_is_asked_for(backend) {
        let upstream = Upstream::start().await;
        let app = Baluarte::builder(bin()).backend(backend).config(&config(&upstream)).start().await;
        app.create_user("ana@example.com", PASSWORD, "user");
        let ana = app.sign_in("ana@example.com", PASSWORD).await;
        let (program, id, key) = key_of(&ana, &app, json!(["orders"])).await;
        program.get("/export").await.expect_status(200);
        let seen = upstream.last();
        assert_eq!((seen.header("remote-email"), seen.header("authorization")), (Some("ana@example.com"), None));
        assert!(seen.header("x-baluarte-identity").is_some());
        program.get("/basket").await.expect_problem(403, "gateway.scope_required");
        // No address carries a key.
        app.client().get(&format!("/export?access_token={key}")).await.expect_problem(401, "gateway.sign_in_required");
        // Each key has its own share.
        let (other, ..) = key_of(&ana, &app, json!(["orders"])).await;
        program.get("/export").await.expect_status(200);
        program.get("/export").await.expect_problem(429, "limits.exceeded");
        other.get("/export").await.expect_status(200);

        ana.delete(&format!("/api/v1/api-keys/{id}")).await.expect_status(204);
        app.within_a_second(&program, "/export", |answer| answer.status == 401).await;
        assert!(!app.logs().contains(&key), "a key is in the log");
    }

    async fn a_key_of_an_administrator_has_addresses_called_and_does_nothing_else(backend) {
        let app = Baluarte::builder(bin()).backend(backend).start().await;
        app.create_user("root@example.com", PASSWORD, "admin");
        let root = app.sign_in("root@example.com", PASSWORD).await;
        let (program, ..) = key_of(&root, &app, json!(["jobs"])).await;
        let job = program.post_json("/api/v1/jobs", &json!({ "url": "https://example.com/hook" })).await.expect_status(202).json();
        let list = program.get("/api/v1/jobs").await.expect_status(200).json();
        assert_eq!(list["items"][0]["id"], job["id"]);
        program.get("/api/v1/admin/users").await.expect_problem(403, "web.key_refused");
        program.get("/api/v1/sessions").await.expect_problem(403, "web.key_refused");
        program.get("/health/deep").await.expect_problem(403, "web.forbidden");
        let (watcher, ..) = key_of(&root, &app, json!(["monitor"])).await;
        watcher.get("/health/deep").await.expect_status(200);
        watcher.get("/api/v1/jobs").await.expect_problem(403, "web.forbidden");
    }
}
