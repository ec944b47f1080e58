//! Messages of the built binary: a real mail server, fakes that answer as SendGrid and Twilio do, and the word of their official
//! clients on signatures.

mod smtp;

use std::path::Path;

use baluarte_testkit::{Backend, Baluarte, FakeSendGrid, FakeTwilio, Mishap, Program};
use http::Method;
use serde_json::{Value, json};

use crate::{
    bin,
    outside::{PASSWORD, python},
};

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/messages").join(name)
}

fn mail_server() -> Program {
    Program::start(|port, _| {
        let mut server = python("python");
        server.arg(script("smtp_receiver.py")).arg(port.to_string());
        server
    })
}

/// Everything it told, passwords that were tried included.
fn said(server: &Program) -> Vec<Value> {
    server.logs().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn mails(server: &Program) -> Vec<Value> {
    said(server).into_iter().filter(|line| line.get("to").is_some()).collect()
}

fn official(arguments: &[&str]) -> String {
    let output = python("python").arg(script("official_clients.py")).args(arguments).output().expect("the Python environment works");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if done() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

fn smtp(server: &Program, password: &str) -> String {
    smtp_with(server, password, "")
}

/// `parameters`: behind the address of the server.
fn smtp_with(server: &Program, password: &str, parameters: &str) -> String {
    format!(
        "[notify]\nemail_from = \"Olá Shop <no-reply@shop.example>\"\nsmtp_url = \"{}{parameters}\"\n",
        server.url().replace("http://", &format!("smtp://shop:{password}@"))
    )
}

#[tokio::test]
async fn a_real_mail_server_gets_both_forms_and_the_link_of_the_public_url() {
    for backend in [Backend::Sqlite, Backend::PostgresRedis] {
        let server = mail_server();
        let app = Baluarte::builder(bin()).backend(backend).config(&smtp(&server, "s3cret%20pass")).start().await;
        app.create_user("zoe@example.com", PASSWORD, "user");
        let evil = app.client().with_header("host", "evil.example").with_header("accept-language", "pt");
        evil.post_json("/auth/forgot-password", &json!({ "email": "zoe@example.com" })).await;
        app.client().post_json("/auth/forgot-password", &json!({ "email": "zoe@example.com" })).await.expect_status(202);
        until("a mail arrives", || !mails(&server).is_empty()).await;
        let mail = mails(&server).remove(0);
        assert_eq!((&mail["from"], &mail["to"]), (&json!("no-reply@shop.example"), &json!(["zoe@example.com"])));
        assert_eq!(
            (&mail["headers"]["from"], &mail["headers"]["auto-submitted"]),
            (&json!("Olá Shop <no-reply@shop.example>"), &json!("auto-generated"))
        );
        let link = format!("{}/auth/reset-password?token=", app.public_url());
        for form in ["text/plain", "text/html"] {
            let text = mail["parts"][form].as_str().unwrap_or_default();
            assert!(text.contains(&link) && !text.contains("evil.example"), "{form}: {text}");
        }
        assert!(!app.logs().contains("zoe@example.com"), "{}", app.logs());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_live_signs_in_at_every_provider_and_sends_nothing() {
    let (server, twilio, sendgrid) = (mail_server(), FakeTwilio::start().await, FakeSendGrid::start().await);
    let bases = format!("[notify.twilio]\napi_base = \"{}\"\n[notify.sendgrid]\napi_base = \"{}\"\n", twilio.url(), sendgrid.url());
    let app = Baluarte::builder(bin())
        .config(&format!("{}{bases}", smtp(&server, "s3cret%20pass")))
        .env("SENDGRID_API_KEY", FakeSendGrid::KEY)
        .env("TWILIO_ACCOUNT_SID", FakeTwilio::ACCOUNT)
        .env("TWILIO_AUTH_TOKEN", FakeTwilio::TOKEN)
        .env("TWILIO_PHONE_NUMBER", "+351910000000")
        .prepare()
        .await;
    let said = tokio::task::block_in_place(|| app.run(&["check", "--live"], "")).stdout;
    for line in ["mail smtp", "takes mail", "mail sendgrid", "may send mail", "sms twilio", "the account is active"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!((sendgrid.offers(), twilio.offers(), mails(&server).len()), (0, 0, 0));

    let wrong = Baluarte::builder(bin()).config(&smtp(&server, "wrong")).prepare().await;
    let said = tokio::task::block_in_place(|| wrong.run(&["check", "--live"], "").expect_code(1)).stdout;
    assert!(said.contains("535") && !said.contains("wrong@"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_can_be_looked_at_and_one_sent_to_try_a_provider() {
    let (server, twilio) = (mail_server(), FakeTwilio::start().await);
    let config = format!(
        "{}[notify.twilio]\napi_base = \"{}\"\naccount_sid = \"{}\"\nphone_number = \"+351910000000\"\nauth_token = \"env:TOKEN\"\n",
        smtp(&server, "s3cret%20pass"),
        twilio.url(),
        FakeTwilio::ACCOUNT
    );
    let app = Baluarte::builder(bin()).config(&config).env("TOKEN", FakeTwilio::TOKEN).prepare().await;
    let run = |arguments: &[&str], code| tokio::task::block_in_place(|| app.run(arguments, "").expect_code(code));
    assert!(run(&["messages", "list"], 0).stdout.contains("identity.reset_password"));
    assert!(run(&["messages", "preview", "identity.reset_password", "--lang", "es"], 0).stdout.contains("Elige una contraseña nueva"));
    assert!(run(&["messages", "preview", "identity.reset_password", "--html"], 0).stdout.starts_with("<!doctype html>"));
    assert!(run(&["messages", "preview", "identity.reset"], 2).stderr.contains("identity.reset_password"));

    run(&["messages", "test", "--to", "me@example.com", "--name", "identity.new_sign_in"], 0);
    assert_eq!(mails(&server)[0]["to"], json!(["me@example.com"]));
    run(&["messages", "test", "--to", "+351912345678"], 0);
    assert_eq!(twilio.taken()[0].to, "+351912345678");
    assert!(run(&["messages", "test", "--to", "+447400123456"], 1).stderr.contains("notify.sms_guard.countries"));
    assert_eq!(twilio.offers(), 1);
}

#[tokio::test]
async fn the_official_clients_agree_with_us_on_signatures() {
    let (twilio, sendgrid) = (FakeTwilio::start().await, FakeSendGrid::start().await);
    let config = format!(
        "[notify]\nemail_from = \"shop@example.com\"\n[notify.sendgrid]\napi_base = \"{}\"\nwebhook_key = \"{}\"\n[notify.twilio]\napi_base = \"{}\"\n",
        sendgrid.url(),
        sendgrid.webhook_key(),
        twilio.url()
    );
    let app = Baluarte::builder(bin())
        .config(&config)
        .env("SENDGRID_API_KEY", FakeSendGrid::KEY)
        .env("TWILIO_ACCOUNT_SID", FakeTwilio::ACCOUNT)
        .env("TWILIO_AUTH_TOKEN", FakeTwilio::TOKEN)
        .env("TWILIO_PHONE_NUMBER", "+351910000000")
        .start()
        .await;
    assert_eq!(app.client().get("/health").await.json()["sms_configured"], true);
    let path = "/api/v1/notify/callbacks/twilio?message=msg_0192f0c1d2e37000a1b2c3d4e5f60718";
    let form = [("AccountSid", FakeTwilio::ACCOUNT), ("MessageStatus", "delivered"), ("MessageSid", "SM1"), ("Body", "olá & adiós + 1=1")];
    let parameters = Value::Object(form.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect());
    let signature = official(&["twilio", &app.url(path), FakeTwilio::TOKEN, &parameters.to_string()]);
    assert_eq!(signature, FakeTwilio::sign(&app.url(path), &form));
    let client = app.client();
    // More than the general limit of anonymous callers.
    for _ in 0..40 {
        client.send(Method::POST, path, |request| request.header("x-twilio-signature", &signature).form(&form)).await.expect_status(204);
    }
    let refused = client.send(Method::POST, path, |request| request.header("x-twilio-signature", &signature).form(&form[1..])).await;
    assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("notify.not_genuine")));

    let at = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs().to_string();
    let body = "[{\"event\":\"delivered\",\"email\":\"zoé@example.com\"}]\r\n";
    let signed = sendgrid.sign(&at, body.as_bytes());
    assert_eq!(official(&["sendgrid", &sendgrid.webhook_key(), &at, &signed, body]), "True");
    let post = |at: &str, signature: &str| {
        let (at, signature) = (at.to_owned(), signature.to_owned());
        client.send(Method::POST, "/api/v1/notify/callbacks/sendgrid", move |request| {
            request
                .header("x-twilio-email-event-webhook-timestamp", at)
                .header("x-twilio-email-event-webhook-signature", signature)
                .header("content-type", "application/json")
                .body(body)
        })
    };
    post(&at, &signed).await.expect_status(204);
    assert_eq!(post("1600112502", &signed).await.expect_status(403).json()["code"], "notify.not_genuine");
    assert_eq!(post("1600112502", &sendgrid.sign("1600112502", body.as_bytes())).await.expect_status(403).json()["code"], "notify.stale");
}

#[tokio::test]
async fn a_mail_survives_a_restart_and_operators_see_what_became_of_it() {
    for backend in [Backend::Sqlite, Backend::PostgresRedis] {
        let sendgrid = FakeSendGrid::start().await;
        let config = format!("[notify]\nemail_from = \"shop@example.com\"\n[notify.sendgrid]\napi_base = \"{}\"\n", sendgrid.url());
        let mut app = Baluarte::builder(bin()).backend(backend).config(&config).env("SENDGRID_API_KEY", FakeSendGrid::KEY).start().await;
        app.create_user("zoe@example.com", PASSWORD, "admin");
        // It takes nothing while this process lives.
        sendgrid.mishaps((0..50).map(|_| Mishap::status(503)));
        app.client().post_json("/auth/forgot-password", &json!({ "email": "zoe@example.com" })).await.expect_status(202);
        until("somebody tries", || sendgrid.offers() > 0).await;
        app.stop().await;
        sendgrid.clear_mishaps();
        app.start().await;
        until("the mail arrives", || !sendgrid.taken().is_empty()).await;

        let admin = app.sign_in("zoe@example.com", PASSWORD).await;
        let listed = app
            .eventually(&admin, "/api/v1/admin/messages?kind=identity.reset_password", |answer| {
                answer.json()["items"][0]["state"] == "sent"
            })
            .await;
        let message = listed.json()["items"][0].clone();
        assert_eq!((&message["to"], &message["provider"]), (&json!("z…@example.com"), &json!("sendgrid")));
        assert!(message["attempts"].as_u64().is_some_and(|attempts| attempts >= 2), "{message}");
        let me = admin.get("/api/v1/users/me").await.json()["id"].as_str().unwrap_or_default().to_owned();
        assert_eq!(message["user_id"], me.as_str());
        for (user, count) in [(me.as_str(), 1), ("usr_0192f0c1d2e37000a1b2c3d4e5f60718", 0)] {
            let listed = admin.get(&format!("/api/v1/admin/messages?kind=identity.reset_password&user_id={user}")).await.json();
            assert_eq!(listed["items"].as_array().map(Vec::len), Some(count), "{user}");
        }
        let path = format!("/api/v1/admin/messages/{}", message["id"].as_str().unwrap_or_default());
        assert_eq!(admin.get(&path).await.json()["to"], "z…@example.com");
        assert_eq!(admin.get(&format!("{path}?reveal=true")).await.json()["to"], "zoe@example.com");
        let again = admin.post_json(&format!("{path}/resend"), &json!({})).await;
        assert_eq!((again.status, &again.json()["code"]), (409, &json!("notify.cannot_resend")));
        let providers = admin.get("/api/v1/admin/messages/providers").await.expect_status(200).json();
        assert_eq!(providers["providers"][0]["name"], "sendgrid");

        let held = json!({ "channel": "email", "address": "Ana@Example.com" });
        let added = admin.post_json("/api/v1/admin/suppressions", &held).await.expect_status(201).json();
        assert_eq!(admin.get("/api/v1/admin/suppressions").await.json()["items"][0]["address"], "a…@example.com");
        assert_eq!(admin.get("/api/v1/admin/suppressions?address=ana@example.com").await.json()["items"].as_array().map(Vec::len), Some(1));
        let path = format!("/api/v1/admin/suppressions/{}", added["id"].as_str().unwrap_or_default());
        admin.delete(&path).await.expect_status(204);
        admin.delete(&path).await.expect_status(404);
        admin.post_json("/api/v1/admin/suppressions", &json!({ "channel": "sms", "address": "nobody" })).await.expect_status(422);

        let metrics = admin.at(&app.metrics_url().replace("/metrics", "")).get("/metrics").await.text();
        assert!(metrics.contains("baluarte_notify_messages_total{channel=\"email\",state=\"sent\"} 1"), "{metrics}");
        assert!(!app.logs().contains("zoe@example.com"), "{}", app.logs());
    }
}

#[tokio::test]
async fn what_messages_look_like_is_shown_in_development_only() {
    let app = Baluarte::builder(bin()).start().await;
    let all = app.client().get("/dev/messages").await.expect_status(200).json();
    assert!(all["items"].as_array().is_some_and(|items| items.len() >= 7), "{all}");
    let page = app.client().as_browser().get("/dev/messages").await.expect_status(200).text();
    assert!(page.contains("/dev/messages/identity.reset_password?lang=pt"), "{page}");
    let mail = app.client().get("/dev/messages/identity.reset_password?lang=pt").await.expect_status(200);
    assert!(
        mail.text().contains("Escolha uma nova senha")
            && mail.header("content-security-policy").is_some_and(|policy| policy.contains("sandbox"))
    );
    let text = app.client().get("/dev/messages/identity.sms_code?lang=es").await.expect_status(200);
    assert!(text.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    app.client().get("/dev/messages/identity.nothing").await.expect_status(404);

    let public = Baluarte::builder(bin()).config("[notify]\ndev_outbox = false").start().await;
    public.client().get("/dev/messages").await.expect_status(404);
}

#[tokio::test]
async fn deep_health_is_for_administrators_and_mails_nobody_but_the_operator_and_seldom() {
    let server = mail_server();
    let config = format!("{}operator_email = \"me@example.com\"\n", smtp(&server, "s3cret%20pass"));
    let app = Baluarte::builder(bin()).config(&config).start().await;
    app.create_user("zoe@example.com", PASSWORD, "user");
    app.create_user("root@example.com", PASSWORD, "admin");
    app.client().get("/health/deep").await.expect_status(401);
    app.sign_in("zoe@example.com", PASSWORD).await.get("/health/deep").await.expect_status(403);
    let root = app.sign_in("root@example.com", PASSWORD).await;
    let answers = futures::future::join_all((0..8).map(|_| root.get("/health/deep"))).await;
    for answer in &answers {
        let health = answer.json();
        assert_eq!((answer.status, &health["status"], &health), (200, &json!("healthy"), &answers[0].json()));
        let parts: Vec<&str> = health["parts"].as_array().into_iter().flatten().filter_map(|part| part["name"].as_str()).collect();
        assert_eq!(parts, ["database", "mail smtp", "messages waiting", "mail to the operator"]);
    }
    assert_eq!(mails(&server).iter().map(|mail| mail["to"].clone()).collect::<Vec<_>>(), [json!(["me@example.com"])]);

    let failing =
        Baluarte::builder(bin()).config("[notify]\nemail_from = \"a@b.example\"\nsmtp_url = \"smtp://127.0.0.1:1\"\n").start().await;
    failing.create_user("root@example.com", PASSWORD, "admin");
    let root = failing.sign_in("root@example.com", PASSWORD).await;
    assert_eq!(root.get("/health/deep").await.expect_status(200).json()["status"], "degraded");
}
