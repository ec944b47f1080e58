use std::time::Duration;

use baluarte_kernel::Secret;
use baluarte_testkit::each_backend;
use http::Method;
use serde_json::{Value, json};

use crate::app::{App, Client, PASSWORD, PUBLIC_URL, Reply, home};

const FORGOT: &str = "/auth/forgot-password";
const RESET: &str = "/auth/reset-password";
const NEW: &str = "another long password";

async fn forgot(app: &App) -> String {
    app.post(&home(), FORGOT, json!({"email": "zoe@example.com"})).await.is(202, "");
    app.mailed_token("zoe@example.com").await
}

async fn reset(app: &App, token: &str, password: &str) -> Reply {
    app.post(&home(), RESET, json!({"token": token, "password": password})).await
}

async fn change(app: &App, client: &Client, current: &str, password: &str) -> Reply {
    let body = json!({"current_password": current, "password": password});
    app.call(client, Method::PUT, "/api/v1/users/me/password", Some(body)).await
}

each_backend! {
    async fn asvs_6_3_8_forgetting_a_password_tells_nobody_whether_there_is_an_account(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let disabled = app.user("disabled@example.com").await;
        app.identity.disable_user(&app.operator(), disabled.id).await.unwrap();
        let known = app.post(&home(), FORGOT, json!({"email": "zoe@example.com"})).await;
        for email in ["nobody@example.com", "disabled@example.com", "not an address", ""] {
            let reply = app.post(&home(), FORGOT, json!({"email": email})).await;
            reply.is(202, "");
            assert_eq!((reply.json, reply.headers.keys().collect::<Vec<_>>()), (Value::Null, known.headers.keys().collect::<Vec<_>>()));
        }
        assert_eq!(app.mails("zoe@example.com").await.len(), 1);
        assert!(app.mails("nobody@example.com").await.is_empty() && app.mails("disabled@example.com").await.is_empty());
    }

    async fn the_link_begins_with_the_public_url_whatever_host_the_request_names(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        forgot(&app).await;
        let mail = &app.mails("zoe@example.com").await[0];
        assert!(mail.text.contains(&format!("{PUBLIC_URL}/auth/reset-password?token=")));
        assert!(!mail.text.contains("evil.example") && !mail.html.as_ref().unwrap().contains("evil.example"));
    }

    async fn a_reset_token_works_once_ends_all_sessions_and_signs_nobody_in(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (program, refresh) = app.sign_in("zoe@example.com").await;
        let browser = app.sign_in_with_cookie("zoe@example.com").await;
        let token = forgot(&app).await;
        assert_eq!(app.count("links", "token_hash", &token).await, 0, "the token itself is not stored");
        let done = reset(&app, &token, NEW).await;
        done.is(204, "");
        assert!(!done.headers.contains_key("set-cookie") && done.json.is_null());
        assert!(!app.is_signed_in(&program).await && !app.is_signed_in(&browser).await);
        app.refresh(&refresh).await.is(401, "identity.refresh_invalid");
        reset(&app, &token, "a third long password").await.is(422, "identity.link_invalid");
        app.try_sign_in(&home(), "zoe@example.com", PASSWORD).await.is(401, "identity.wrong_credentials");
        app.try_sign_in(&home(), "zoe@example.com", NEW).await.is(200, "");
        assert!(app.mails("zoe@example.com").await[0].subject.contains("changed"), "the owner is told");
    }

    async fn of_two_that_use_a_reset_token_at_once_one_wins(test: TestDb) {
        let app = App::start(test).await;
        let replica = app.replica().await;
        app.user("zoe@example.com").await;
        let token = forgot(&app).await;
        let (one, two) = tokio::join!(reset(&app, &token, NEW), reset(&replica, &token, "a third long password"));
        let winner = match (one.status, two.status) {
            (204, 422) => NEW,
            (422, 204) => "a third long password",
            other => panic!("{other:?}"),
        };
        app.try_sign_in(&home(), "zoe@example.com", winner).await.is(200, "");
    }

    async fn asvs_6_4_1_a_reset_token_lives_for_half_an_hour(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let token = forgot(&app).await;
        app.pass(Duration::from_secs(1_800));
        reset(&app, &token, NEW).await.is(422, "identity.link_invalid");
    }

    async fn a_newer_request_or_another_password_voids_a_link(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let old = forgot(&app).await;
        app.pass(Duration::from_secs(1));
        let new = forgot(&app).await;
        reset(&app, &old, NEW).await.is(422, "identity.link_invalid");
        let (client, _) = app.sign_in("zoe@example.com").await;
        change(&app, &client, PASSWORD, "a third long password").await.is(204, "");
        reset(&app, &new, NEW).await.is(422, "identity.link_invalid");
        app.try_sign_in(&home(), "zoe@example.com", "a third long password").await.is(200, "");
    }

    async fn a_password_that_is_refused_does_not_use_the_link_up(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let token = forgot(&app).await;
        assert_eq!(reset(&app, &token, "short").await.is(422, "identity.bad_password").pointers, ["/password"]);
        reset(&app, &token, NEW).await.is(204, "");
    }

    async fn a_link_for_one_thing_does_not_do_another(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let token = forgot(&app).await;
        app.post(&home(), "/api/v1/auth/verify-email", json!({"token": token})).await.is(422, "identity.link_invalid");
        for bad in ["", "x", &token[1..]] {
            reset(&app, bad, NEW).await.is(422, "identity.link_invalid");
        }
        reset(&app, &token, NEW).await.is(204, "");
    }

    async fn strangers_cannot_fill_somebodys_mailbox_with_links(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        for n in 0..8 {
            app.post(&Client::at(&format!("198.51.{n}.1")), FORGOT, json!({"email": "zoe@example.com"})).await.is(202, "");
        }
        assert_eq!(app.mails("zoe@example.com").await.len(), 5);
    }

    async fn asvs_6_2_2_and_6_2_3_changing_a_password_asks_for_the_old_one_and_ends_the_other_sessions(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (here, refresh) = app.sign_in("zoe@example.com").await;
        let (there, _) = app.sign_in("zoe@example.com").await;
        change(&app, &here, "not the password", NEW).await.is(422, "identity.wrong_password");
        change(&app, &here, PASSWORD, "password123").await.is(422, "identity.bad_password");
        change(&app, &home(), PASSWORD, NEW).await.is(401, "web.sign_in_required");
        assert!(app.is_signed_in(&there).await);
        change(&app, &here, PASSWORD, NEW).await.is(204, "");
        assert!(app.is_signed_in(&here).await && !app.is_signed_in(&there).await);
        app.refresh(&refresh).await.is(200, "");
        app.try_sign_in(&home(), "zoe@example.com", PASSWORD).await.is(401, "identity.wrong_credentials");
        app.try_sign_in(&home(), "zoe@example.com", NEW).await.is(200, "");
        assert!(app.mails("zoe@example.com").await[0].text.contains("203.0.113.7"));
    }

    async fn of_two_changes_that_began_with_the_same_password_one_wins(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (one, _) = app.sign_in("zoe@example.com").await;
        let (two, _) = app.sign_in("zoe@example.com").await;
        let (one, two) = (app.ctx(&one).await, app.ctx(&two).await);
        let old = Secret::new(PASSWORD);
        let (a, b) = tokio::join!(
            app.identity.change_password(&one, &old, Secret::new(NEW)),
            app.identity.change_password(&two, &old, Secret::new("a third long password")),
        );
        assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1, "{a:?} {b:?}");
    }

    async fn a_form_is_answered_by_the_page(test: TestDb) {
        let app = App::start(test).await;
        let reply = app.form(FORGOT, "email=zoe%40example.com").await;
        assert!(reply.code != "web.unsupported_media_type", "{}", reply.status);
    }
}
