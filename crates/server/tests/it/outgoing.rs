//! Calls to other programs by the built binary: HTTP jobs and webhooks.

use std::{collections::BTreeSet, process::Command};

use baluarte_kernel::Timestamp;
use baluarte_outbound::{SigningKey, sign};
use baluarte_testkit::{Backend, Baluarte, Client, Port, Program, Received, Receiver, Reply, each_process_backend};
use serde_json::{Value, json};

use crate::{
    bin,
    outside::{PASSWORD, python, repository},
};

const JOBS: &str = "/api/v1/jobs";
const WEBHOOKS: &str = "/api/v1/admin/webhooks";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An app of the customer, at an address that jobs and webhooks may call.
fn endpoint(url: &str) -> String {
    format!(
        "[jobs]\nretry_base = \"50ms\"\n[jobs.endpoints.app]\nurl = \"{url}\"\ntimeout = \"2s\"\n\
         [limits.api]\nrate = \"10000/s\"\n[limits.user]\nrate = \"10000/s\"\nburst = 1000\n[limits.login]\nrate = \"1000/s\"\n"
    )
}

async fn admin(app: &Baluarte) -> Client {
    app.create_user("root@example.com", PASSWORD, "admin");
    app.sign_in("root@example.com", PASSWORD).await
}

async fn done(app: &Baluarte, admin: &Client, id: &str) -> Value {
    app.eventually(admin, &format!("{JOBS}/{id}"), |answer| answer.status == 200 && answer.json()["state"] == "done").await.json()
}

async fn enqueue(admin: &Client, body: Value) -> String {
    let answer = admin.post_json(JOBS, &body).await.expect_status(202);
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn is_signed_with(sent: &Received, key: &SigningKey) -> bool {
    let (Some(id), Some(at)) = (sent.header("webhook-id"), sent.header("webhook-timestamp").and_then(|at| at.parse().ok())) else {
        return false;
    };
    let expected =
        sign(std::slice::from_ref(key), id, Timestamp::from_unix_seconds(at), &sent.body).expect("an id that a header can carry");
    let signatures = sent.header("webhook-signature").unwrap_or_default();
    signatures.split(' ').any(|signature| expected[2].1 == signature)
}

each_process_backend! {
    async fn a_job_of_the_customers_app_is_called_signed_until_it_succeeds(backend) {
        let shop = Receiver::start().await;
        let app = Baluarte::builder(bin()).backend(backend).config(&endpoint(&shop.url())).start().await;
        let admin = admin(&app).await;
        shop.plan([Reply::Status(500), Reply::HangUp, Reply::header(429, "retry-after", "1")]);
        let id = enqueue(&admin, json!({"endpoint": "app", "path": "/hooks/paid", "body": {"order": 4711}, "headers": {"X-Shop": "a"}})).await;
        let job = done(&app, &admin, &id).await;
        let statuses: Vec<_> = job["calls"].as_array().expect("calls").iter().map(|call| call["status"].clone()).collect();
        assert_eq!(statuses, [json!(204), json!(429), json!(null), json!(500)], "{job}");
        let key: SigningKey = app.run(&["secret", "signing", "app"], "").expect_code(0).stdout.trim().parse().expect("a key");
        let received = shop.received();
        assert!(received.iter().all(|sent| is_signed_with(sent, &key) && sent.header("webhook-id") == Some(&id) && sent.target == "/hooks/paid"));
        assert_eq!((&received[0].body[..], received[0].header("x-shop")), (&br#"{"order":4711}"#[..], Some("a")));
        assert!(!app.logs().contains(key.to_secret().expose()));
        // Others may not, and see nothing of it.
        app.create_user("ana@example.com", PASSWORD, "user");
        let ana = app.sign_in("ana@example.com", PASSWORD).await;
        ana.post_json(JOBS, &json!({"url": "https://example.com/"})).await.expect_problem(403, "web.forbidden");
        ana.get(&format!("{JOBS}/{id}")).await.expect_problem(403, "web.forbidden");
        // Nor does an answer lead anywhere else.
        let elsewhere = Receiver::start().await;
        shop.plan([Reply::header(307, "location", elsewhere.url())]);
        let id = enqueue(&admin, json!({"endpoint": "app", "path": "/", "max_attempts": 1})).await;
        app.eventually(&admin, &format!("{JOBS}/{id}"), |answer| answer.json()["state"] == "dead").await;
        assert!(elsewhere.received().is_empty());
        let port = elsewhere.port();
        let hosts = ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"];
        let here = hosts.iter().map(|host| format!("http://{host}:{port}/"));
        let nearby = ["http://169.254.169.254/latest/meta-data", "http://2852039166/", "http://[64:ff9b::a9fe:a9fe]/", "http://[fd00:ec2::254]/", "https://example.com:25/"];
        for url in here.chain(nearby.map(str::to_owned)).chain([elsewhere.url()]) {
            let answer = admin.post_json(JOBS, &json!({"url": url, "max_attempts": 1})).await;
            // A name is only known to lead here when it is asked.
            if answer.status == 202 {
                let path = format!("{JOBS}/{}", answer.json()["id"].as_str().unwrap_or_default());
                let job = app.eventually(&admin, &path, |answer| answer.json()["state"] == "dead").await.json();
                assert_eq!(job["error"], "not a public address", "{url}");
            } else {
                assert_eq!(answer.expect_problem(422, "web.invalid_fields").json()["errors"][0]["pointer"], "/url", "{url}");
            }
        }
        assert!(elsewhere.received().is_empty());
    }

    async fn what_happens_in_the_product_reaches_registered_webhooks(backend) {
        let shop = Receiver::start().await;
        let app = Baluarte::builder(bin()).backend(backend).config(&endpoint(&shop.url())).start().await;
        let admin = admin(&app).await;
        let body = json!({"url": format!("{}/webhooks", shop.url()), "events": ["user.registered", "user.disabled"]});
        let created = admin.post_json(WEBHOOKS, &body).await.expect_status(201);
        assert_eq!(created.header("cache-control"), Some("no-store"));
        let (id, secret) = (created.json()["id"].as_str().unwrap_or_default().to_owned(), created.json()["secret"].as_str().unwrap_or_default().to_owned());
        let first: SigningKey = secret.parse().expect("a key");
        let path = format!("{WEBHOOKS}/{id}");
        assert!(admin.get(&path).await.expect_status(200).json().get("secret").is_none());
        for url in ["http://127.0.0.1:1/", "http://2130706433/", "http://[::ffff:127.0.0.1]/", "http://169.254.169.254/", "https://example.com:25/", "https://u:p@example.com/"] {
            admin.post_json(WEBHOOKS, &json!({"url": url})).await.expect_problem(422, "web.invalid_fields");
        }

        let zoe = json!({"email": "zoe@example.com", "password": PASSWORD, "name": "Zoë"});
        let user = app.client().post_json("/api/v1/auth/register", &zoe).await.expect_status(201).json()["user"]["id"].clone();
        let sent = shop.wait_for(1).await.remove(0);
        let told: Value = serde_json::from_slice(&sent.body).expect("JSON");
        assert_eq!((&told["type"], &told["data"]["user_id"], &told["data"]["email"]), (&json!("user.registered"), &user, &json!("zoe@example.com")));
        assert!(is_signed_with(&sent, &first));

        let rotated = admin.post_json(&format!("{path}/rotate-secret"), &json!({"overlap_seconds": 3600})).await.expect_status(200);
        let second: SigningKey = rotated.json()["secret"].as_str().unwrap_or_default().parse().expect("a key");
        admin.patch_json(&format!("/api/v1/admin/users/{}", user.as_str().unwrap_or_default()), &json!({"disabled": true})).await.expect_status(200);
        let sent = shop.wait_for(2).await.remove(1);
        assert!(is_signed_with(&sent, &first) && is_signed_with(&sent, &second));

        let all_delivered = |count: usize| move |answer: &baluarte_testkit::Answer| {
            let items = answer.json()["items"].as_array().cloned().unwrap_or_default();
            items.len() == count && items.iter().all(|item| item["state"] == "delivered")
        };
        let deliveries = format!("{path}/deliveries");
        let list = app.eventually(&admin, &deliveries, all_delivered(2)).await.json();
        let one = format!("{deliveries}/{}", list["items"][1]["id"].as_str().unwrap_or_default());
        assert!(admin.get(&one).await.expect_status(200).json()["body"].as_str().unwrap_or_default().contains("zoe@example.com"));
        admin.post_json(&format!("{one}/replay"), &json!({})).await.expect_status(202);
        let again = shop.wait_for(3).await.remove(2);
        app.eventually(&admin, &deliveries, all_delivered(2)).await;
        assert_eq!(again.header("webhook-id"), shop.received()[0].header("webhook-id"));
        admin.post_json(&format!("{path}/replay"), &json!({"since": "2020-01-01T00:00:00Z", "delivered_too": true})).await.expect_status(202);
        shop.wait_for(5).await;
        admin.post_json(&format!("{path}/test"), &json!({})).await.expect_status(202);
        let test: Value = serde_json::from_slice(&shop.wait_for(6).await[5].body).expect("JSON");
        assert_eq!(test["type"], "webhook.test");
        admin.delete(&path).await.expect_status(204);
        admin.get(&path).await.expect_problem(404, "webhooks.endpoint_not_found");
        let logs = app.logs();
        assert!(!logs.contains(&secret) && !logs.contains(second.to_secret().expose()));
    }
}

/// Enough to answer many times before anybody gives up waiting.
const JOBS_AT_ONCE: usize = 60;

#[tokio::test]
async fn two_replicas_share_the_calls_and_make_each_once() {
    let shop = Receiver::start().await;
    let app = Baluarte::builder(bin()).backend(Backend::PostgresRedis).config(&endpoint(&shop.url())).start().await;
    let other = app.replica().await;
    let admin = admin(&app).await;
    let there = admin.at(&other.base_url);
    let mut ids = BTreeSet::new();
    for n in 0..JOBS_AT_ONCE {
        let client = if n % 2 == 0 { &admin } else { &there };
        ids.insert(enqueue(client, json!({"endpoint": "app", "path": "/hooks/x", "unique_key": format!("order-{n}")})).await);
    }
    shop.wait_for(JOBS_AT_ONCE).await;
    for id in &ids {
        done(&other, &there, id).await;
    }
    let called: Vec<String> = shop.received().iter().filter_map(|sent| sent.header("webhook-id").map(str::to_owned)).collect();
    assert_eq!(called.len(), JOBS_AT_ONCE, "each was called once");
    assert_eq!(called.into_iter().collect::<BTreeSet<_>>(), ids);
}

#[tokio::test]
async fn a_slow_receiver_gets_no_more_calls_at_once_than_allowed_and_holds_nobody_up() {
    let (slow, quick) = (Receiver::start().await, Receiver::start().await);
    slow.otherwise(Reply::Slow(std::time::Duration::from_millis(300), 204));
    let config = format!(
        "[jobs]\nconcurrency = 6\n[jobs.endpoints.slow]\nurl = \"{}\"\nconcurrency = 2\n[jobs.endpoints.quick]\nurl = \"{}\"\n[limits.user]\nrate = \"10000/s\"\nburst = 1000\n",
        slow.url(),
        quick.url()
    );
    let app = Baluarte::builder(bin()).config(&config).start().await;
    let admin = admin(&app).await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(enqueue(&admin, json!({"endpoint": "slow", "path": "/"})).await);
    }
    let quickly = enqueue(&admin, json!({"endpoint": "quick", "path": "/"})).await;
    done(&app, &admin, &quickly).await;
    assert!(slow.received().len() < 12, "the quick one did not wait for the slow ones");
    for id in &ids {
        let job = done(&app, &admin, id).await;
        assert_eq!(job["attempts"], 1, "waiting for a turn is no attempt: {job}");
    }
    assert_eq!((slow.received().len(), slow.most_at_once()), (12, 2));
}

/// Baluarte, and a program that verifies what it gets with the library of the specification.
async fn verified_by(start: impl FnOnce(u16) -> Command) {
    let port = Port::reserve();
    let config = endpoint(&port.url()).replace("timeout = \"2s\"\n", &format!("timeout = \"2s\"\nsecrets = [\"{SECRET}\"]\n"));
    let app = Baluarte::builder(bin()).config(&config).start().await;
    let program = Program::start_at(port, |port, _| start(port));
    let admin = admin(&app).await;
    let body = json!({"url": format!("{}/webhooks", program.url()), "secret": SECRET});
    let id = admin.post_json(WEBHOOKS, &body).await.expect_status(201).json()["id"].as_str().unwrap_or_default().to_owned();
    let receiver = Client::new(&program.url());
    // The second one carries two signatures, of which the program knows one.
    for count in 1..=2 {
        let sent = admin.post_json(&format!("{WEBHOOKS}/{id}/test"), &json!({})).await.expect_status(202).json();
        let believed =
            app.eventually(&receiver, "/webhooks", |answer| answer.json().as_array().is_some_and(|ids| ids.len() == count)).await.json();
        assert!(believed.as_array().is_some_and(|ids| ids.contains(&sent["event_id"])), "{believed}");
        admin.post_json(&format!("{WEBHOOKS}/{id}/rotate-secret"), &json!({})).await.expect_status(200);
    }
    // A job of the app's own comes in the same way, signed with the endpoint's secret.
    let job =
        enqueue(&admin, json!({"endpoint": "app", "path": "/webhooks", "body": {"type": "report.wanted", "at": "olá & adiós"}})).await;
    done(&app, &admin, &job).await;
    assert!(receiver.get("/webhooks").await.json().as_array().is_some_and(|ids| ids.contains(&json!(job))));
    // Rotated twice: what the program knows is void.
    let sent = admin.post_json(&format!("{WEBHOOKS}/{id}/test"), &json!({})).await.expect_status(202).json();
    let path = format!("{WEBHOOKS}/{id}/deliveries/{}", sent["id"].as_str().unwrap_or_default());
    let refused = app.eventually(&admin, &path, |answer| answer.json()["state"] == "failed").await.json();
    assert_eq!(refused["status"], 401, "{refused}\n{}", program.logs());
    // Nor is anybody else believed.
    for signature in ["", "v1,", "v1,bm90IGl0"] {
        let forged = receiver
            .at(&program.url())
            .with_header("webhook-id", "evt_1")
            .with_header("webhook-timestamp", "1")
            .with_header("webhook-signature", signature);
        assert_eq!(forged.post_json("/webhooks", &json!({"type": "user.deleted"})).await.status, 401);
    }
}

#[tokio::test]
async fn the_flask_example_verifies_our_signatures() {
    verified_by(|port| {
        let mut app = python("python");
        app.arg(repository().join("examples/webhooks-flask/app.py")).env("PORT", port.to_string()).env("WEBHOOK_SECRET", SECRET);
        app
    })
    .await;
}

#[tokio::test]
async fn the_node_example_verifies_our_signatures() {
    verified_by(|port| {
        let mut app = Command::new("node");
        app.arg("app.js").current_dir(repository().join("examples/webhooks-node"));
        app.env("PORT", port.to_string()).env("WEBHOOK_SECRET", SECRET);
        app
    })
    .await;
}
