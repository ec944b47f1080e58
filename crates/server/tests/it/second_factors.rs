//! Second factors, seen on the built binary.

use baluarte_testkit::{Baluarte, each_process_backend};
use serde_json::json;

use crate::{bin, outside::PASSWORD};

const CONFIG: &str = r#"
[identity]
mfa = { staff = "required" }
[[gateway.routes]]
path = "/vault"
access = "signed-in"
max_age = "1m"
respond = { body = "gold" }
limits = []
"#;

each_process_backend! {
    async fn the_operator_lets_somebody_in_who_has_lost_their_second_factor(backend) {
        let app = Baluarte::builder(bin()).backend(backend).config(CONFIG).start().await;
        app.create_user("ana@example.com", PASSWORD, "user");
        let ana = app.sign_in("ana@example.com", PASSWORD).await;
        ana.post_json("/api/v1/mfa/email", &json!({})).await.expect_status(200);
        let login = json!({ "email": "ana@example.com", "password": PASSWORD });
        assert_eq!(app.client().post_json("/api/v1/auth/login", &login).await.expect_status(200).json()["mfa_required"], true);
        app.run(&["user", "reset-mfa", "nobody@example.com"], "").expect_code(1);
        let told = app.run(&["user", "reset-mfa", "ana@example.com"], "").expect_code(0).stdout;
        assert!(told.contains("ana@example.com has no second factor any more"), "{told}");
        // Everywhere within a second, and the password is enough again.
        app.within_a_second(&ana, "/api/v1/users/me", |answer| answer.status == 401).await;
        app.sign_in("ana@example.com", PASSWORD).await.get("/api/v1/users/me").await.expect_status(200);
    }

    async fn a_route_asks_again_and_is_content_with_the_next_token(backend) {
        let app = Baluarte::builder(bin()).backend(backend).config(CONFIG).start().await;
        app.create_user("ana@example.com", PASSWORD, "user");
        // Who has just signed in has just shown it, with a cookie and with a token.
        app.sign_in("ana@example.com", PASSWORD).await.get("/vault").await.expect_status(200);
        let browser = app.sign_in_with_cookie("ana@example.com", PASSWORD).await;
        browser.get("/vault").await.expect_status(200);
        let how = browser.get("/api/v1/auth/step-up").await.expect_status(200).json();
        assert_eq!(how["methods"], json!([]));
        browser.post_json("/api/v1/auth/step-up", &json!({ "password": PASSWORD })).await.expect_status(204);
        let again = browser.get("/api/v1/auth/step-up").await.expect_status(200).json();
        assert!(again["proven_at"].as_str() > how["proven_at"].as_str(), "{how} {again}");
    }
}
