//! `kill -9` at any moment: what was accepted is sent, called and told all the same, and twice only where it was under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use baluarte_testkit::{Backend, Baluarte, Client, FakeSendGrid, Mishap, Received, Receiver, Reply, each_process_backend};
use http::Method;
use serde_json::{Value, json};

use crate::{
    bin,
    outside::{PASSWORD, setting},
};

/// How often the server is killed; a longer run is `BALUARTE_KILL_ROUNDS=50 cargo nextest run -p baluarte-server crash_outgoing`.
fn rounds() -> usize {
    setting("BALUARTE_KILL_ROUNDS").and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

/// Runs of one process at the same time: so many can be under way when it dies.
const AT_ONCE: usize = 6;
const WRITERS: usize = 4;

fn config(shop: &Receiver, sendgrid: &FakeSendGrid) -> String {
    let mut text = format!(
        "[jobs]\nretry_base = \"50ms\"\nconcurrency = {AT_ONCE}\n[jobs.endpoints.app]\nurl = \"{}\"\ntimeout = \"20s\"\n\
         [identity]\nregistration = \"open\"\nemail_verification = \"required\"\n\
         [notify]\nemail_from = \"shop@example.com\"\n[notify.sendgrid]\napi_base = \"{}\"\n",
        shop.url(),
        sendgrid.url()
    );
    for limit in ["api", "account", "login", "user", "forgot-password"] {
        text.push_str(&format!("[limits.{limit}]\nkey = \"ip\"\nrate = \"100000/s\"\nburst = 100000\n"));
    }
    text
}

/// A worker that died is missed after a second.
async fn start(backend: Backend, config: &str) -> Baluarte {
    let builder = Baluarte::builder(bin()).backend(backend).config(config).env("WORKER_HEARTBEAT_INTERVAL", "1");
    builder.env("SENDGRID_API_KEY", FakeSendGrid::KEY).start().await
}

async fn until(app: &Baluarte, what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(150);
    while !done() {
        assert!(Instant::now() < deadline, "never: {what}\n{}", app.logs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What was acknowledged.
#[derive(Default)]
struct Acknowledged {
    emails: BTreeSet<String>,
    jobs: BTreeSet<String>,
}

/// Registers accounts and asks for calls, in turn, until the server is gone.
async fn write(client: Client, admin: Client, name: String, over: Arc<AtomicBool>, count: Arc<AtomicUsize>) -> Acknowledged {
    let mut held = Acknowledged::default();
    for n in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let email = format!("{name}-n{n}@example.com");
        let body = json!({ "email": email, "password": PASSWORD, "name": "Somebody" });
        match client.try_send(Method::POST, "/api/v1/auth/register", |request| request.json(&body)).await {
            Ok(answer) if answer.status == 202 => {
                held.emails.insert(email);
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) => assert!(matches!(answer.status, 429 | 503), "{} {}", answer.status, answer.text()),
            Err(_) => break,
        }
        let body = json!({ "endpoint": "app", "path": "/hooks", "body": { "name": name, "n": n } });
        match admin.try_send(Method::POST, "/api/v1/jobs", |request| request.json(&body)).await {
            Ok(answer) if answer.status == 202 => {
                held.jobs.insert(answer.json()["id"].as_str().unwrap_or_default().to_owned());
            }
            Ok(answer) => assert!(matches!(answer.status, 429 | 503), "{} {}", answer.status, answer.text()),
            Err(_) => break,
        }
    }
    held
}

fn id(sent: &Received) -> String {
    sent.header("webhook-id").unwrap_or_default().to_owned()
}

/// For each address the identifiers of the events that told of it, as often as they arrived.
fn told(shop: &Receiver) -> BTreeMap<String, Vec<String>> {
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for sent in shop.received().iter().filter(|sent| sent.target == "/webhooks") {
        let event: Value = serde_json::from_slice(&sent.body).unwrap_or_default();
        told.entry(event["data"]["email"].as_str().unwrap_or_default().to_owned()).or_default().push(id(sent));
    }
    told
}

async fn with_webhook(app: &Baluarte, shop: &Receiver) -> Client {
    app.create_user("root@example.com", PASSWORD, "admin");
    let admin = app.sign_in("root@example.com", PASSWORD).await;
    let body = json!({"url": format!("{}/webhooks", shop.url()), "events": ["user.registered"]});
    admin.post_json("/api/v1/admin/webhooks", &body).await.expect_status(201);
    admin
}

each_process_backend! {
    async fn what_was_accepted_is_sent_called_and_told_after_kill_9_at_any_moment(backend) {
        let (shop, sendgrid) = (Receiver::start().await, FakeSendGrid::start().await);
        // Something is always under way.
        shop.otherwise(Reply::Slow(Duration::from_millis(20), 204));
        let mut app = start(backend, &config(&shop, &sendgrid)).await;
        with_webhook(&app, &shop).await;
        let mut expected = Acknowledged::default();
        for round in 0..rounds() {
            let admin = app.sign_in("root@example.com", PASSWORD).await;
            let (over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let writers: Vec<_> = (0..WRITERS)
                .map(|n| tokio::spawn(write(app.client(), admin.at(&app.base_url), format!("r{round}-w{n}"), over.clone(), count.clone())))
                .collect();
            // Another moment in every round, with all writers at work.
            while count.load(Ordering::Relaxed) < 6 + 5 * round {
                tokio::task::yield_now().await;
            }
            app.kill9();
            over.store(true, Ordering::Relaxed);
            for writer in writers {
                let held = writer.await.expect("a writer ends when the server is gone");
                expected.emails.extend(held.emails);
                expected.jobs.extend(held.jobs);
            }
            app.start().await;
        }
        let mailed = || {
            let mut times: BTreeMap<String, usize> = BTreeMap::new();
            sendgrid.taken().iter().for_each(|mail| *times.entry(mail.to.clone()).or_default() += 1);
            times
        };
        let called = || {
            let mut times: BTreeMap<String, usize> = BTreeMap::new();
            shop.received().iter().filter(|sent| sent.target == "/hooks").for_each(|sent| *times.entry(id(sent)).or_default() += 1);
            times
        };
        until(&app, "every mail is sent", || expected.emails.iter().all(|email| mailed().contains_key(email))).await;
        until(&app, "every event is told", || expected.emails.iter().all(|email| told(&shop).contains_key(email))).await;
        until(&app, "every call is made", || expected.jobs.iter().all(|job| called().contains_key(job))).await;
        // What is left over is done, so that a second copy would be here.
        let admin = app.sign_in("root@example.com", PASSWORD).await;
        for state in ["ready", "running", "retrying"] {
            for kind in ["notify.deliver", "webhooks.deliver", "jobs.call_http"] {
                let list = format!("/api/v1/admin/jobs?state={state}&kind={kind}");
                app.eventually(&admin, &list, |answer| answer.json()["items"].as_array().is_some_and(Vec::is_empty)).await;
            }
        }
        let most = AT_ONCE * rounds();
        let twice = |times: &BTreeMap<String, usize>| times.values().map(|times| times - 1).sum::<usize>();
        let (mails, calls, events) = (mailed(), called(), told(&shop));
        assert!(mails.values().all(|times| *times <= 2) && twice(&mails) <= most, "{mails:?}");
        assert!(twice(&calls) <= most, "{calls:?}");
        let times: BTreeMap<String, usize> = events.iter().map(|(email, ids)| (email.clone(), ids.len())).collect();
        assert!(twice(&times) <= most, "{times:?}");
        for (email, ids) in &events {
            assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 1, "{email}: the same event, recognised by its identifier: {ids:?}");
        }
    }

    async fn a_call_that_was_under_way_is_made_again_under_the_same_identifier(backend) {
        let (shop, sendgrid) = (Receiver::start().await, FakeSendGrid::start().await);
        let mut app = start(backend, &config(&shop, &sendgrid)).await;
        let admin = with_webhook(&app, &shop).await;
        // Neither the call nor the event is ever answered.
        shop.plan([Reply::Silence, Reply::Silence]);
        let job = admin.post_json("/api/v1/jobs", &json!({"endpoint": "app", "path": "/hooks", "body": {"order": 1}})).await.expect_status(202).json();
        let job = job["id"].as_str().unwrap_or_default().to_owned();
        let zoe = json!({"email": "zoe@example.com", "password": PASSWORD, "name": "Zoe"});
        app.client().post_json("/api/v1/auth/register", &zoe).await.expect_status(202);
        shop.wait_for(2).await;
        app.kill9();
        app.start().await;
        let received = shop.wait_for(4).await;
        for path in ["/hooks", "/webhooks"] {
            let both: Vec<_> = received.iter().filter(|sent| sent.target == path).collect();
            assert_eq!(both.len(), 2, "{path}");
            assert!(id(both[0]) == id(both[1]) && both[0].body == both[1].body, "{path}");
            assert_ne!(both[0].header("x-baluarte-attempt"), both[1].header("x-baluarte-attempt"));
        }
        let admin = app.sign_in("root@example.com", PASSWORD).await;
        app.eventually(&admin, &format!("/api/v1/jobs/{job}"), |answer| answer.json()["state"] == "done").await;
        assert_eq!(shop.received().len(), 4);
    }

    async fn a_message_that_was_under_way_is_sent_again_once_under_the_same_name(backend) {
        let (shop, sendgrid) = (Receiver::start().await, FakeSendGrid::start().await);
        let mut app = start(backend, &config(&shop, &sendgrid)).await;
        // One was taken and one was not; in both cases nobody heard an answer.
        sendgrid.mishaps([Mishap::HangAfterAccept, Mishap::Hang]);
        for name in ["zoe", "ana"] {
            let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD, "name": name});
            app.client().post_json("/api/v1/auth/register", &body).await.expect_status(202);
        }
        until(&app, "both are under way", || sendgrid.offers() == 2).await;
        app.kill9();
        app.start().await;
        until(&app, "both are sent", || sendgrid.taken().len() == 3).await;
        let taken = sendgrid.taken();
        let named = |mail: &baluarte_testkit::Taken| mail.body.pointer("/personalizations/0/custom_args/baluarte_message").cloned();
        let again: Vec<_> = taken.iter().filter(|mail| mail.to == taken[0].to).collect();
        assert!(again.len() == 2 && named(again[0]) == named(again[1]), "{taken:?}");
        assert_eq!(sendgrid.offers(), 4);
    }
}
