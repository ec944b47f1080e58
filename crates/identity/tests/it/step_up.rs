//! Showing in the middle of a session that it is still its owner.

use std::time::Duration;

use baluarte_kernel::Actor;
use baluarte_testkit::each_backend;
use http::{Method, header};
use serde_json::json;

use crate::{
    app::{App, Client, PASSWORD, Reply, home},
    factors::{EMAIL, Phone, answer, ask, enrol, protected},
};

async fn step_up(app: &App, client: &Client, body: serde_json::Value) -> Reply {
    app.post(client, "/api/v1/auth/step-up", body).await
}

/// What the gateway is told.
async fn proven_ago(app: &App, client: &Client) -> u64 {
    let Actor::User(principal) = app.ctx(client).await.actor else { panic!("nobody is signed in") };
    app.clock.now().since(principal.proven_at).as_secs()
}

fn new_cookie(reply: &Reply) -> Client {
    let cookie = reply.headers[header::SET_COOKIE].to_str().unwrap().strip_prefix("__Host-baluarte=").unwrap();
    home().with_cookie(cookie.split(';').next().unwrap())
}

pub(crate) async fn enter(app: &App, phone: &Phone) -> Reply {
    let token = ask(app, &home()).await.text("/mfa_token");
    let entered = answer(app, &home(), &token, "totp", &phone.next_code(app)).await;
    entered.is(200, "");
    entered
}

each_backend! {
    async fn asvs_7_2_4_a_browser_that_confirms_gets_another_cookie_for_the_same_session(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let client = app.sign_in_with_cookie(EMAIL).await;
        app.pass(Duration::from_secs(900));
        assert_eq!(proven_ago(&app, &client).await, 900);
        let how = app.get(&client, "/api/v1/auth/step-up").await;
        assert_eq!(how.json["methods"], json!([]));
        step_up(&app, &client, json!({"password": "not the password"})).await.is(422, "identity.wrong_password");
        step_up(&app, &client, json!({})).await.is(422, "identity.wrong_password");
        let confirmed = step_up(&app, &client, json!({"password": PASSWORD})).await;
        confirmed.is(204, "");
        let fresh = new_cookie(&confirmed);
        assert_eq!(proven_ago(&app, &fresh).await, 0);
        // Nothing remembers the other one as fresh; a minute later nobody remembers it at all.
        assert!(!app.is_signed_in(&client).await || proven_ago(&app, &client).await == 900);
        app.pass(Duration::from_secs(61));
        assert!(app.is_signed_in(&fresh).await && !app.is_signed_in(&client).await);
        assert_eq!(app.get(&fresh, "/api/v1/sessions").await.json["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(app.count("audit_entries", "action", "identity.session.confirmed").await, 1);
    }

    async fn where_there_is_a_factor_the_password_does_not_confirm(test: TestDb) {
        let app = App::start(test).await;
        let (phone, codes) = protected(&app).await;
        let entered = enter(&app, &phone).await;
        let client = home().with_bearer(&entered.text("/access_token"));
        app.pass(Duration::from_secs(700));
        assert_eq!(app.get(&client, "/api/v1/auth/step-up").await.json["methods"], json!(["totp", "recovery"]));
        step_up(&app, &client, json!({"password": PASSWORD})).await.is(422, "identity.bad_code");
        step_up(&app, &client, json!({"method": "totp", "code": phone.other(&app)})).await.is(422, "identity.bad_code");
        let code = phone.next_code(&app);
        step_up(&app, &client, json!({"method": "totp", "code": code})).await.is(204, "");
        step_up(&app, &client, json!({"method": "totp", "code": code})).await.is(422, "identity.bad_code");
        step_up(&app, &client, json!({"method": "recovery", "code": codes[0]})).await.is(204, "");
        // The token that is out says what it said; the next one says when.
        assert!(proven_ago(&app, &client).await > 700);
        let refreshed = app.refresh(&entered.text("/refresh_token")).await;
        assert_eq!(proven_ago(&app, &home().with_bearer(&refreshed.text("/access_token"))).await, 0);
        // And factors may be changed again.
        app.call(&client, Method::POST, "/api/v1/mfa/recovery-codes", None).await.is(200, "");
    }

    async fn a_code_by_mail_confirms_the_session_it_was_sent_for(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let (client, _) = app.sign_in(EMAIL).await;
        app.call(&client, Method::POST, "/api/v1/mfa/email", None).await.is(200, "");
        app.pass(Duration::from_secs(700));
        let send = |method: &'static str| app.post(&client, "/api/v1/auth/step-up/challenge", json!({"method": method}));
        send("totp").await.is(422, "identity.factor_unavailable");
        send("sms").await.is(422, "identity.factor_unavailable");
        send("email").await.is(202, "");
        send("email").await.is(429, "identity.code_too_soon");
        let mail = app.mails(EMAIL).await.remove(0);
        assert!(mail.text.contains("was asked to show again"), "{}", mail.text);
        let code = mail.subject.split(' ').next().unwrap().to_owned();
        // It answers no sign-in, and nothing in another session.
        let token = ask(&app, &home()).await.text("/mfa_token");
        answer(&app, &home(), &token, "email", &code).await.is(401, "identity.wrong_code");
        step_up(&app, &client, json!({"method": "email", "code": if code == "000000" { "111111" } else { "000000" }})).await.is(422, "identity.bad_code");
        step_up(&app, &client, json!({"method": "email", "code": code})).await.is(204, "");
        step_up(&app, &client, json!({"method": "email", "code": code})).await.is(422, "identity.bad_code");
    }

    async fn guessing_in_a_session_is_slowed_down_like_everywhere_else(test: TestDb) {
        let app = App::start(test).await;
        let (phone, _) = protected(&app).await;
        let client = home().with_bearer(&enter(&app, &phone).await.text("/access_token"));
        for _ in 0..5 {
            step_up(&app, &client, json!({"method": "totp", "code": phone.other(&app)})).await.is(422, "identity.bad_code");
        }
        step_up(&app, &client, json!({"method": "totp", "code": phone.other(&app)})).await.is(429, "identity.too_many_attempts");
    }

    async fn asvs_7_5_1_a_password_or_an_account_goes_only_with_the_factor_proven_lately(test: TestDb) {
        let app = App::start(test).await;
        let (phone, _) = protected(&app).await;
        let client = home().with_bearer(&enter(&app, &phone).await.text("/access_token"));
        app.pass(Duration::from_secs(601));
        let change = || json!({"current_password": PASSWORD, "password": "another long password"});
        app.call(&client, Method::PUT, "/api/v1/users/me/password", Some(change())).await.is(403, "identity.step_up_required");
        app.delete(&client, "/api/v1/users/me", Some(json!({"password": PASSWORD}))).await.is(403, "identity.step_up_required");
        step_up(&app, &client, json!({"method": "totp", "code": phone.next_code(&app)})).await.is(204, "");
        app.call(&client, Method::PUT, "/api/v1/users/me/password", Some(change())).await.is(204, "");
        app.delete(&client, "/api/v1/users/me", Some(json!({"password": "another long password"}))).await.is(204, "");
    }

    async fn a_trusted_browser_signs_in_with_the_password_and_is_not_fresh(test: TestDb) {
        let app = App::start(test).await;
        let (phone, _) = protected(&app).await;
        let asked = app.post(&home(), "/api/v1/auth/login", json!({"email": EMAIL, "password": PASSWORD, "session": "cookie"})).await;
        let body = json!({"mfa_token": asked.text("/mfa_token"), "method": "totp", "code": phone.next_code(&app), "trust_device": true});
        let entered = app.post(&home(), "/api/v1/auth/mfa/verify", body).await;
        let device = entered.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap())
            .find_map(|cookie| cookie.strip_prefix("__Host-baluarte-device=")).unwrap().split(';').next().unwrap().to_owned();
        app.pass(Duration::from_secs(3_600));
        let attempt = baluarte_identity::SignIn {
            email: EMAIL.to_owned(),
            password: baluarte_kernel::Secret::new(PASSWORD),
            session: baluarte_identity::SessionKind::Cookie,
            device: Some(baluarte_kernel::Secret::new(device)),
        };
        let welcome = app.identity.sign_in(&app.ctx(&home()).await, attempt).await.unwrap();
        let baluarte_identity::Welcome::In(signed_in) = welcome else { panic!("it is trusted") };
        let baluarte_identity::Granted::Cookie(cookie) = signed_in.granted else { panic!("a cookie was asked for") };
        assert_eq!(proven_ago(&app, &home().with_cookie(cookie.value.expose())).await, 3_600);
    }

    async fn a_new_factor_counts_as_shown(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let client = app.sign_in_with_cookie(EMAIL).await;
        app.pass(Duration::from_secs(300));
        enrol(&app, &client).await;
        app.pass(Duration::from_secs(61));
        assert_eq!(proven_ago(&app, &client).await, 61);
    }
}
