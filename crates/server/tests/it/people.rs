//! What stays of somebody who has deleted their account: nothing that names them, wherever it was.

use baluarte_testkit::{Baluarte, Client, FakeSendGrid, Mishap, Receiver, Reply, each_process_backend};
use http::Method;
use serde_json::json;

use crate::{bin, outside::PASSWORD};

const EMAIL: &str = "zoraida.q@mail.example";
const NAME: &str = "Zoraida Quintanilla";

/// Tables in which one of her words stands.
async fn naming(app: &Baluarte) -> Vec<String> {
    let texts = app.site().stored_texts().await;
    let mut tables: Vec<String> = texts
        .into_iter()
        .filter(|(_, text)| ["zoraida", "quintanilla"].iter().any(|word| text.to_lowercase().contains(word)))
        .map(|(table, _)| table)
        .collect();
    tables.sort();
    tables.dedup();
    tables
}

async fn id_of(me: &Client) -> String {
    me.get("/api/v1/users/me").await.json()["id"].as_str().unwrap_or_default().to_owned()
}

each_process_backend! {
    async fn an_account_is_deleted_by_an_administrator_and_at_the_command_line_but_never_the_last_one(backend) {
        let app = Baluarte::builder(bin()).backend(backend).config("").start().await;
        for (email, role) in [("root@example.com", "admin"), ("zoe@example.com", "user"), ("ana@example.com", "user")] {
            app.create_user(email, PASSWORD, role);
        }
        let root = app.sign_in("root@example.com", PASSWORD).await;
        let zoe = app.sign_in("zoe@example.com", PASSWORD).await;
        let (root_id, zoe_id) = (id_of(&root).await, id_of(&zoe).await);
        let path = format!("/api/v1/admin/users/{zoe_id}");
        zoe.delete(&path).await.expect_status(403);
        root.delete(&path).await.expect_status(204);
        root.delete(&path).await.expect_status(404);
        app.eventually(&zoe, "/api/v1/users/me", |answer| answer.status == 401).await;
        root.delete(&format!("/api/v1/admin/users/{root_id}")).await.expect_status(409);

        let run = |arguments: &[&str], code| app.run(arguments, "").expect_code(code);
        assert!(run(&["user", "delete", "ana@example.com"], 2).stderr.contains("--yes"));
        assert!(run(&["user", "list"], 0).stdout.contains("ana@example.com"));
        run(&["user", "delete", "ana@example.com", "--yes"], 0);
        run(&["user", "delete", "ana@example.com", "--yes"], 1);
        run(&["user", "delete", "root@example.com", "--yes"], 1);
        assert_eq!(run(&["user", "list"], 0).stdout.lines().count(), 1);
    }

    async fn nothing_in_the_database_names_somebody_whose_account_is_gone(backend) {
        let (shop, sendgrid) = (Receiver::start().await, FakeSendGrid::start().await);
        let config = format!(
            "[jobs]\nretry_base = \"50ms\"\n[jobs.endpoints.app]\nurl = \"{}\"\n[limits.user]\nrate = \"10000/s\"\nburst = 1000\n[notify]\nemail_from = \"shop@example.com\"\n[notify.sendgrid]\napi_base = \"{}\"\n",
            shop.url(),
            sendgrid.url()
        );
        let app = Baluarte::builder(bin()).backend(backend).config(&config).env("SENDGRID_API_KEY", FakeSendGrid::KEY).start().await;
        app.create_user("root@example.com", PASSWORD, "admin");
        let root = app.sign_in("root@example.com", PASSWORD).await;
        root.post_json("/api/v1/admin/webhooks", &json!({"url": format!("{}/webhooks", shop.url())})).await.expect_status(201);
        // The receiver says whom it has heard of, as some do.
        shop.otherwise(Reply::With { status: 200, headers: Vec::new(), body: format!("noted {NAME} <{EMAIL}>") });
        let body = json!({"email": EMAIL, "password": PASSWORD, "name": NAME});
        let user = app.client().post_json("/api/v1/auth/register", &body).await.expect_status(201).json()["user"]["id"].clone();
        shop.wait_for(1).await;
        // So that she may have addresses called.
        root.patch_json(&format!("/api/v1/admin/users/{}", user.as_str().unwrap_or_default()), &json!({"role": "admin"})).await.expect_status(200);
        let zoe = app.sign_in(EMAIL, PASSWORD).await;
        let job = zoe.post_json("/api/v1/jobs", &json!({"endpoint": "app", "path": "/hooks", "body": {"for": EMAIL}})).await.expect_status(202);
        let job = format!("/api/v1/jobs/{}", job.json()["id"].as_str().unwrap_or_default());
        app.eventually(&root, &job, |answer| answer.json()["state"] == "done").await;
        // One mail that was sent, one that still waits.
        app.client().post_json("/auth/forgot-password", &json!({"email": EMAIL})).await.expect_status(202);
        let list = "/api/v1/admin/messages?kind=identity.reset_password";
        app.eventually(&root, list, |answer| answer.json()["items"][0]["state"] == "sent").await;
        sendgrid.mishaps((0..50).map(|_| Mishap::status(503)));
        app.client().post_json("/auth/forgot-password", &json!({"email": EMAIL})).await.expect_status(202);
        app.eventually(&root, list, |answer| answer.json()["items"].as_array().is_some_and(|items| items.len() == 2)).await;
        let before = naming(&app).await;
        for table in ["users", "messages", "http_calls"] {
            assert!(before.iter().any(|held| held == table), "{table}: {before:?}");
        }

        shop.otherwise(Reply::Status(204));
        zoe.send(Method::DELETE, "/api/v1/users/me", |request| request.json(&json!({"password": PASSWORD}))).await.expect_status(204);
        let mut left = naming(&app).await;
        for _ in 0..1_500 {
            if left.is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(40)).await;
            left = naming(&app).await;
        }
        assert_eq!(left, Vec::<String>::new(), "{}", app.logs());
        root.get(&job).await.expect_status(404);
        assert_eq!(root.get(list).await.json()["items"].as_array().map(Vec::len), Some(0));
        sendgrid.clear_mishaps();
    }
}
