//! The queue, with the built binary.

mod chaos;
mod command;
mod operator;
mod schedules;
mod workers;

use std::time::Duration;

use baluarte_kernel::Clock;
use baluarte_testkit::{Baluarte, Client, Receiver};
use serde_json::{Value, json};

use crate::outside::PASSWORD;

/// So that no limit meets a test that asks often.
const LIMITS: &str =
    "[limits.api]\nrate = \"10000/s\"\n[limits.user]\nrate = \"10000/s\"\nburst = 1000\n[limits.login]\nrate = \"1000/s\"\n";

async fn admin(app: &Baluarte) -> Client {
    app.create_user("root@example.com", PASSWORD, "admin");
    app.sign_in("root@example.com", PASSWORD).await
}

const JOBS: &str = "/api/v1/jobs";
const ADMIN_JOBS: &str = "/api/v1/admin/jobs";

/// A customer's app at an address that jobs may call.
fn with_app(url: &str) -> String {
    format!("{LIMITS}[jobs]\nretry_base = \"50ms\"\nheartbeat = \"1s\"\n[jobs.endpoints.app]\nurl = \"{url}\"\n")
}

async fn enqueue(admin: &Client, body: Value) -> String {
    let answer = admin.post_json(JOBS, &body).await.expect_status(202);
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// A job that calls the app once.
fn call(path: &str) -> Value {
    json!({"endpoint": "app", "path": path, "max_attempts": 1})
}

async fn until(app: &Baluarte, admin: &Client, id: &str, state: &str) -> Value {
    app.eventually(admin, &format!("{ADMIN_JOBS}/{id}"), |answer| answer.json()["state"] == state).await.json()
}

fn tomorrow() -> String {
    Clock::System.now().plus(Duration::from_secs(86_400)).to_string()
}

/// What `baluarte jobs list --json` says of a job, whether or not anybody serves.
fn listed(app: &Baluarte, id: &str) -> Value {
    let out = app.run(&["jobs", "list", "--json"], "").expect_code(0).stdout;
    let all = out.lines().map(|line| serde_json::from_str::<Value>(line).expect("one JSON object a line"));
    all.into_iter().find(|job| job["id"] == id).unwrap_or_else(|| panic!("{id} is not in\n{out}"))
}

async fn scrape(app: &Baluarte) -> String {
    Client::new("").get(&app.metrics_url()).await.text()
}

/// Every path that the receiver was called at, in order.
fn paths(shop: &Receiver) -> Vec<String> {
    shop.received().into_iter().map(|sent| sent.target).collect()
}
