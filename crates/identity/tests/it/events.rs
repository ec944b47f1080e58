//! What others hear of: published with the fact, or not at all.

use baluarte_identity::EmailVerification;
use baluarte_testkit::each_backend;
use serde_json::json;

use crate::app::{App, PASSWORD, home};

each_backend! {
    async fn every_fact_is_published_once_and_what_was_refused_is_not(test: TestDb) {
        let app = App::with(test, |config| config.email_verification = EmailVerification::Required).await;
        app.account("root@example.com", "admin").await;
        let (admin, _) = app.sign_in("root@example.com").await;
        app.post(&home(), "/api/v1/auth/register", json!({"email": "zoe@example.com", "password": PASSWORD, "name": "Zoë"})).await.is(202, "");
        app.settle().await;
        let token = app.mailed_token("zoe@example.com").await;
        app.post(&home(), "/api/v1/auth/verify-email", json!({"token": token})).await.is(204, "");
        app.post(&home(), "/api/v1/auth/verify-email", json!({"token": token})).await.is(422, "identity.link_invalid");
        assert_eq!(app.events().await, ["user.registered", "user.registered", "user.verified"]);

        let (zoe, _) = app.sign_in("zoe@example.com").await;
        let me = app.get(&zoe, "/api/v1/users/me").await.text("/id");
        let wrong = json!({"current_password": "not the password", "new_password": "another long password"});
        app.post(&zoe, "/api/v1/users/me/password", wrong).await;
        assert_eq!(app.events().await.len(), 3);

        let path = format!("/api/v1/admin/users/{me}");
        app.patch(&admin, &path, json!({"role": "staff"})).await.is(200, "");
        app.patch(&admin, &path, json!({"disabled": true})).await.is(200, "");
        app.patch(&admin, &path, json!({"disabled": true})).await.is(200, "");
        app.patch(&admin, &path, json!({"disabled": false})).await.is(200, "");
        app.delete(&admin, &format!("{path}/sessions"), None).await.is(204, "");
        assert_eq!(app.events().await[3..], ["user.role_changed", "user.disabled", "user.enabled", "user.sessions_revoked"]);

        app.post(&home(), "/auth/forgot-password", json!({"email": "zoe@example.com"})).await.is(202, "");
        app.settle().await;
        let token = app.mailed_token("zoe@example.com").await;
        app.post(&home(), "/auth/reset-password", json!({"token": token, "password": PASSWORD})).await.is(204, "");
        assert_eq!(app.events().await[7..], ["user.password_changed", "user.sessions_revoked"]);

        let (zoe, _) = app.sign_in("zoe@example.com").await;
        app.delete(&zoe, "/api/v1/users/me", Some(json!({"password": PASSWORD}))).await.is(204, "");
        assert_eq!(app.events().await[9..], ["user.deleted"]);
    }
}
