//! What probes are told.

use baluarte_testkit::{Backend, Baluarte};
use serde_json::json;

use crate::bin;

#[tokio::test]
async fn healthz_answers_without_asking_anybody() {
    let app = Baluarte::builder(bin()).start().await;
    let answer = app.client().get("/healthz").await.expect_status(200);
    assert_eq!(answer.json(), json!({ "ok": true }));
    assert_eq!(answer.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn health_has_the_shape_that_monitors_know() {
    let app = Baluarte::builder(bin()).start().await;
    let answer = app.client().get("/health").await.expect_status(200);
    let expected = json!({
        "status": "healthy", "database": "connected", "redis": "not_configured", "email_configured": false, "sms_configured": false,
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(app.client().get("/readyz").await.expect_status(200).json(), json!({ "ready": true, "database": "connected" }));
    assert_eq!(app.client().get("/api/v1/health").await.expect_status(200).json()["database"], "connected");
}

#[tokio::test]
async fn health_names_redis_where_replicas_share_it() {
    let app = Baluarte::builder(bin()).backend(Backend::PostgresRedis).start().await;
    let health = app.eventually(&app.client(), "/health", |answer| answer.json()["redis"] == "connected").await.json();
    assert_eq!((&health["status"], &health["database"]), (&json!("healthy"), &json!("connected")));
}

#[tokio::test]
async fn the_healthcheck_command_agrees_with_the_server() {
    let mut app = Baluarte::builder(bin()).start().await;
    app.run(&["healthcheck"], "").expect_code(0);
    app.stop().await;
    app.run(&["healthcheck"], "").expect_code(1);
}

#[tokio::test]
async fn a_mail_provider_shows_as_configured() {
    let app = Baluarte::builder(bin())
        .config("[notify]\nsmtp_url = \"smtp://127.0.0.1:1\"\nemail_from = \"Shop <shop@example.com>\"")
        .start()
        .await;
    assert_eq!(app.client().get("/health").await.json()["email_configured"], true);
}
