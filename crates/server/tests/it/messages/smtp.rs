//! Mail servers that are busy, refuse, break off, or want TLS.

use std::path::PathBuf;

use baluarte_testkit::{Baluarte, Client, Program, each_process_backend};
use serde_json::{Value, json};

use super::{mail_server, mails, said, script, smtp, smtp_with, until};
use crate::{
    bin,
    outside::{PASSWORD, python},
};

const FREE: &str = "[limits.forgot-password]\nkey = \"ip\"\nrate = \"100000/s\"\nburst = 1000\n";

/// One that speaks nothing but TLS after the greeting; and the file of the authority that vouches for it.
fn mail_server_with_tls() -> (Program, PathBuf) {
    let mut authority = PathBuf::new();
    let server = Program::start(|port, folder| {
        authority = folder.join("ca.pem");
        let mut server = python("python");
        server.arg(script("smtp_receiver.py")).arg(port.to_string()).arg(folder);
        server
    });
    (server, authority)
}

fn with_tls(server: &Program) -> String {
    smtp_with(server, "s3cret%20pass", "?tls=required")
}

async fn forgotten(app: &Baluarte, email: &str) {
    app.client().post_json("/auth/forgot-password", &json!({ "email": email })).await.expect_status(202);
}

/// The last message to somebody, once it is in this state.
async fn message(app: &Baluarte, admin: &Client, to: &str, state: &str) -> Value {
    let path = format!("/api/v1/admin/messages?to={to}");
    app.eventually(admin, &path, |answer| answer.json()["items"][0]["state"] == state).await.json()["items"][0].clone()
}

each_process_backend! {
    async fn a_mail_server_that_is_busy_refuses_or_breaks_off_loses_nothing(backend) {
        let server = mail_server();
        let app = Baluarte::builder(bin()).backend(backend).config(&format!("{}{FREE}", smtp(&server, "s3cret%20pass"))).start().await;
        app.create_user("root@example.com", PASSWORD, "admin");
        let admin = app.sign_in("root@example.com", PASSWORD).await;
        let names = ["busy", "nobody", "unwelcome", "drop", "lost"].map(|name| format!("{name}@example.com"));
        for name in &names {
            app.create_user(name, PASSWORD, "user");
            forgotten(&app, name).await;
        }
        let [busy, nobody, unwelcome, dropped, lost] = names;
        // Refused for good: at once, and only the mailbox that does not exist is left alone from now on.
        let refused = message(&app, &admin, &nobody, "failed").await;
        assert!(refused["last_error"].as_str().is_some_and(|why| why.contains("5.1.1")), "{refused}");
        let refused = message(&app, &admin, &unwelcome, "failed").await;
        assert!(refused["last_error"].as_str().is_some_and(|why| why.contains("554")), "{refused}");
        forgotten(&app, &nobody).await;
        message(&app, &admin, &nobody, "suppressed").await;
        let list = admin.get("/api/v1/admin/suppressions").await.json();
        assert_eq!((list["items"].as_array().map(Vec::len), &list["items"][0]["address"]), (Some(1), &json!("n…@example.com")));
        // For now: again.
        let sent = message(&app, &admin, &busy, "sent").await;
        assert_eq!((&sent["attempts"], &sent["last_error"]), (&json!(2), &Value::Null));
        // Nobody knows whether it was taken: again under the same Message-ID.
        for name in [&dropped, &lost] {
            assert_eq!(message(&app, &admin, name, "sent").await["attempts"], 2, "{name}");
        }
        let to = |name: &str| mails(&server).into_iter().filter(|mail| mail["to"] == json!([name])).collect::<Vec<_>>();
        assert_eq!((to(&busy).len(), to(&dropped).len(), to(&lost).len()), (1, 1, 2));
        let lost = to(&lost);
        assert!(lost[0]["headers"]["message-id"] == lost[1]["headers"]["message-id"] && lost[0]["headers"]["message-id"].is_string());
        let logs = app.logs();
        assert!(!logs.contains("nobody@") && !logs.contains("s3cret"), "{logs}");
    }
}

#[tokio::test]
async fn a_mail_server_that_wants_tls_gets_it_before_the_password() {
    let (server, authority) = mail_server_with_tls();
    let config = with_tls(&server);
    let app = Baluarte::builder(bin()).config(&config).env("SSL_CERT_FILE", &authority.to_string_lossy()).start().await;
    app.create_user("zoe@example.com", PASSWORD, "user");
    forgotten(&app, "zoe@example.com").await;
    until("a mail arrives", || !mails(&server).is_empty()).await;
    assert_eq!(mails(&server)[0]["tls"], true, "{}", server.logs());
}

#[tokio::test]
async fn no_password_is_said_to_a_mail_server_that_nobody_vouches_for_or_that_knows_no_tls() {
    let plain = mail_server();
    let (stranger, _) = mail_server_with_tls();
    for (server, word) in [(&plain, "STARTTLS"), (&stranger, "certificate")] {
        let app = Baluarte::builder(bin()).config(&with_tls(server)).start().await;
        app.create_user("root@example.com", PASSWORD, "admin");
        let admin = app.sign_in("root@example.com", PASSWORD).await;
        forgotten(&app, "root@example.com").await;
        let path = "/api/v1/admin/messages?to=root@example.com";
        let tried = app.eventually(&admin, path, |answer| answer.json()["items"][0]["last_error"].is_string()).await.json();
        let why = tried["items"][0]["last_error"].as_str().unwrap_or_default();
        assert!(why.to_lowercase().contains(&word.to_lowercase()), "{why}");
        assert_eq!(tried["items"][0]["state"], "queued");
        assert_eq!(said(server), Vec::<Value>::new(), "neither a mail nor a password");
    }
}
