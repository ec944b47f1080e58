//! `kill -9` at any moment loses no acknowledged write.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use baluarte_testkit::{Baluarte, Client, each_process_backend};
use serde_json::json;

use crate::{
    bin,
    outside::{PASSWORD, setting},
};

/// How often the server is killed; a longer run is `BALUARTE_KILL_ROUNDS=200 cargo nextest run -p baluarte-server kill`.
fn rounds() -> usize {
    setting("BALUARTE_KILL_ROUNDS").and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

const CONFIG: &str = r#"
[identity]
registration = "open"
email_verification = "off"
[limits.api]
key = "ip"
rate = "100000/s"
burst = 100000
[limits.account]
key = "ip"
rate = "100000/s"
burst = 100000
[limits.login]
key = "ip"
rate = "100000/s"
burst = 100000
"#;

const WRITERS: usize = 8;

/// Registers accounts until the server is gone; each address that was acknowledged.
async fn register(client: Client, writer: usize, round: usize, over: Arc<AtomicBool>, acknowledged: Arc<AtomicUsize>) -> Vec<String> {
    let mut created = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let email = format!("r{round}-w{writer}-n{}@example.com", created.len());
        let body = json!({ "email": email, "password": PASSWORD, "name": "Somebody" });
        let answer = client.try_send(http::Method::POST, "/api/v1/auth/register", |request| request.json(&body)).await;
        match answer {
            Ok(answer) if answer.status == 201 => {
                created.push(email);
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            // A waiting line that is full is an answer, too; no answer at all is the end.
            Ok(answer) => assert!(matches!(answer.status, 429 | 503), "{} {}", answer.status, answer.text()),
            Err(_) => break,
        }
    }
    created
}

each_process_backend! {
    async fn an_account_that_was_acknowledged_survives_kill_9(backend) {
        let mut app = Baluarte::builder(bin()).backend(backend).config(CONFIG).start().await;
        let mut expected = Vec::new();
        for round in 0..rounds() {
            let (over, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| tokio::spawn(register(app.client(), writer, round, over.clone(), acknowledged.clone())))
                .collect();
            // Another moment in every round, with all writers at work.
            while acknowledged.load(Ordering::Relaxed) < 5 + 3 * round {
                tokio::task::yield_now().await;
            }
            app.kill9();
            over.store(true, Ordering::Relaxed);
            for writer in writers {
                expected.extend(writer.await.expect("a writer ends when the server is gone"));
            }
            app.start().await;
            let list = app.run(&["user", "list"], "").expect_code(0).stdout;
            let lost: Vec<_> = expected.iter().filter(|email| !list.contains(email.as_str())).collect();
            assert!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:?}");
        }
        let last = expected.last().expect("something was acknowledged");
        app.client().sign_in(last, PASSWORD).await;
    }

    async fn a_sign_out_that_was_acknowledged_survives_kill_9(backend) {
        let mut app = Baluarte::builder(bin()).backend(backend).config(CONFIG).start().await;
        app.create_user("ana@example.com", PASSWORD, "user");
        for _ in 0..rounds() {
            let (leaving, staying) = (app.sign_in("ana@example.com", PASSWORD).await, app.sign_in_with_cookie("ana@example.com", PASSWORD).await);
            leaving.post_json("/api/v1/auth/logout", &json!({})).await.expect_status(204);
            app.kill9();
            app.start().await;
            leaving.get("/api/v1/users/me").await.expect_status(401);
            staying.get("/api/v1/users/me").await.expect_status(200);
        }
    }

    async fn a_session_survives_a_restart(backend) {
        let mut app = Baluarte::builder(bin()).backend(backend).config(CONFIG).start().await;
        app.create_user("ana@example.com", PASSWORD, "user");
        let (tokens, browser) = (app.sign_in("ana@example.com", PASSWORD).await, app.sign_in_with_cookie("ana@example.com", PASSWORD).await);
        app.restart().await;
        tokens.get("/api/v1/users/me").await.expect_status(200);
        browser.get("/api/v1/users/me").await.expect_status(200);
    }
}
