use std::time::Duration;

use baluarte_testkit::each_backend;
use http::header;
use serde_json::json;

use crate::app::{App, Client, PASSWORD, Reply, home};

each_backend! {
    async fn asvs_6_3_8_a_wrong_password_and_a_wrong_address_get_the_same_answer(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let wrong = app.try_sign_in(&home(), "zoe@example.com", "not the password").await;
        for address in ["nobody@example.com", "not an address", ""] {
            let unknown = app.try_sign_in(&home(), address, "not the password").await;
            unknown.is(401, "identity.wrong_credentials");
            let names = |reply: &Reply| reply.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!((&unknown.pointers, names(&unknown)), (&wrong.pointers, names(&wrong)));
        }
    }

    async fn signing_in_gives_tokens_and_no_cookie(test: TestDb) {
        let app = App::start(test).await;
        let user = app.user("zoe@example.com").await;
        let reply = app.try_sign_in(&home(), "zoe@example.com", PASSWORD).await;
        reply.is(200, "");
        assert_eq!(reply.json["token_type"], "Bearer");
        assert_eq!(reply.json["expires_in"], 900);
        assert_eq!(reply.text("/user/id"), user.id.to_string());
        assert!(!reply.headers.contains_key(header::SET_COOKIE));
        assert_eq!(reply.headers[header::CACHE_CONTROL], "no-store");
        let me = app.get(&home().with_bearer(&reply.text("/access_token")), "/api/v1/users/me").await;
        assert_eq!(me.text("/email"), "zoe@example.com");
    }

    async fn asvs_3_3_1_and_3_3_2_and_3_3_4_a_cookie_session_has_a_safe_cookie_and_no_tokens(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let body = json!({"email": "zoe@example.com", "password": PASSWORD, "session": "cookie"});
        let reply = app.post(&home(), "/api/v1/auth/login", body).await;
        reply.is(200, "");
        assert_eq!(reply.json.as_object().unwrap().keys().collect::<Vec<_>>(), ["user"]);
        let cookie = reply.headers[header::SET_COOKIE].to_str().unwrap();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        let value = pair.strip_prefix("__Host-baluarte=").unwrap();
        assert_eq!(value.len(), 43, "256 bits");
        assert_eq!(attributes, "Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure");
        let client = home().with_cookie(value);
        assert_eq!(app.get(&client, "/api/v1/users/me").await.status, 200);
        let out = app.post(&client, "/api/v1/auth/logout", json!({})).await;
        out.is(204, "");
        assert!(out.headers[header::SET_COOKIE].to_str().unwrap().starts_with("__Host-baluarte=; Path=/; Max-Age=0;"));
        assert!(!app.is_signed_in(&client).await);
        assert_eq!(app.count("sessions", "cookie_hash", value).await, 0, "the cookie itself is not stored");
    }

    async fn asvs_7_2_4_a_browser_that_signs_in_again_gets_another_cookie_and_the_old_one_ends(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let old = app.sign_in_with_cookie("zoe@example.com").await;
        let body = json!({"email": "zoe@example.com", "password": PASSWORD, "session": "cookie"});
        let reply = app.post(&old, "/api/v1/auth/login", body).await;
        let cookie = reply.headers[header::SET_COOKIE].to_str().unwrap();
        let value = cookie.split_once(';').unwrap().0.strip_prefix("__Host-baluarte=").unwrap();
        assert_ne!(Some(value), old.cookie.as_deref());
        assert!(app.is_signed_in(&home().with_cookie(value)).await);
        assert!(!app.is_signed_in(&old).await);
    }

    async fn asvs_7_3_1_and_7_3_2_a_cookie_session_ends_after_a_day_and_when_unused(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let busy = app.sign_in_with_cookie("zoe@example.com").await;
        let idle = app.sign_in_with_cookie("zoe@example.com").await;
        for _ in 0..23 {
            app.pass(Duration::from_secs(3_600));
            assert!(app.is_signed_in(&busy).await);
        }
        assert!(!app.is_signed_in(&idle).await, "unused for twelve hours");
        app.pass(Duration::from_secs(3_600));
        assert!(!app.is_signed_in(&busy).await, "a day is over");
    }

    async fn asvs_7_2_1_damaged_and_foreign_credentials_are_nobody(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (client, refresh) = app.sign_in("zoe@example.com").await;
        let access = client.bearer.unwrap();
        for credential in ["", "x", "blt_0123", &refresh, &access[1..], &"x".repeat(10_000)] {
            assert!(!app.is_signed_in(&home().with_bearer(credential)).await, "{credential}");
            assert!(!app.is_signed_in(&home().with_cookie(credential)).await, "{credential}");
        }
        assert!(!app.is_signed_in(&home().with_cookie(&access)).await);
    }

    async fn a_password_is_hashed_again_when_the_configuration_asks_for_more(test: TestDb) {
        let app = App::start(test).await;
        let user = app.user("zoe@example.com").await;
        let app = app.restarted(|config| config.password_passes = 3).await;
        app.sign_in("zoe@example.com").await;
        assert!(app.password_hash(&user).await.starts_with("$argon2id$v=19$m=19456,t=3,p=1$"));
        app.sign_in("zoe@example.com").await;
    }

    async fn the_login_limit_counts_sign_ins_by_address_and_nothing_else(test: TestDb) {
        let app = App::with_built_in_limits(test).await;
        for n in 0..3 {
            let reply = app.try_sign_in(&home(), &format!("n{n}@example.com"), PASSWORD).await;
            reply.is(401, "identity.wrong_credentials");
            assert!(reply.headers.contains_key("ratelimit"));
        }
        let reply = app.try_sign_in(&home(), "n@example.com", PASSWORD).await;
        reply.is(429, "limits.exceeded");
        assert!(reply.headers.contains_key(header::RETRY_AFTER));
        app.post(&home(), "/api/v1/auth/register", json!({})).await.is(422, "web.invalid_fields");
        app.try_sign_in(&Client::at("198.51.100.1"), "n@example.com", PASSWORD).await.is(401, "identity.wrong_credentials");
        app.post(&home(), "/auth/forgot-password", json!({"email": "a@b.c"})).await.is(202, "");
    }

    async fn a_few_mistakes_in_a_form_are_no_reason_to_wait(test: TestDb) {
        let app = App::with_built_in_limits(test).await;
        for _ in 0..10 {
            app.post(&home(), "/api/v1/auth/register", json!({})).await.is(422, "web.invalid_fields");
        }
        // One budget for all of it: nobody gets more tries by going from one to the other.
        app.post(&home(), "/auth/reset-password", json!({})).await.is(429, "limits.exceeded");
        app.try_sign_in(&home(), "n@example.com", PASSWORD).await.is(401, "identity.wrong_credentials");
    }

    async fn asvs_7_5_2_people_see_their_devices_and_sign_them_out(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        app.user("other@example.com").await;
        let browser = app.sign_in_with_cookie("zoe@example.com").await;
        let (program, _) = app.sign_in("zoe@example.com").await;
        let (stranger, _) = app.sign_in("other@example.com").await;
        let list = app.get(&program, "/api/v1/sessions").await;
        let items = list.json["items"].as_array().unwrap();
        assert_eq!(items.iter().map(|it| (it["kind"].as_str().unwrap(), it["current"].as_bool().unwrap())).collect::<Vec<_>>(), [("tokens", true), ("cookie", false)]);
        assert_eq!((items[0]["user_agent"].as_str(), items[0]["ip"].as_str()), (Some("test/1.0"), Some("203.0.113.7")));

        let path = format!("/api/v1/sessions/{}", items[1]["id"].as_str().unwrap());
        app.delete(&stranger, &path, None).await.is(404, "identity.session_not_found");
        assert!(app.is_signed_in(&browser).await);
        app.delete(&program, &path, None).await.is(204, "");
        assert!(!app.is_signed_in(&browser).await && app.is_signed_in(&program).await);
        app.delete(&program, &path, None).await.is(404, "identity.session_not_found");
        app.delete(&program, "/api/v1/sessions/ses_nonsense", None).await.is(404, "web.not_found");
    }

    async fn the_oldest_of_too_many_devices_makes_room(test: TestDb) {
        let app = App::start(test).await;
        let user = app.user("zoe@example.com").await;
        let oldest = app.sign_in_with_cookie("zoe@example.com").await;
        app.fill_with_sessions(&user, 499).await;
        assert!(app.is_signed_in(&oldest).await);
        let newest = app.sign_in_with_cookie("zoe@example.com").await;
        assert!(app.is_signed_in(&newest).await && !app.is_signed_in(&oldest).await);
    }

    async fn a_sign_in_from_a_new_network_is_told_where_asked_for(test: TestDb) {
        let app = App::with(test, |config| config.sign_in_notice = true).await;
        app.user("zoe@example.com").await;
        app.sign_in("zoe@example.com").await;
        assert!(app.mails("zoe@example.com").await.is_empty(), "the first one is no news");
        app.try_sign_in(&Client::at("203.0.113.99"), "zoe@example.com", PASSWORD).await.is(200, "");
        assert!(app.mails("zoe@example.com").await.is_empty(), "the same network");
        app.try_sign_in(&Client::at("198.51.100.1"), "zoe@example.com", PASSWORD).await.is(200, "");
        assert!(app.mails("zoe@example.com").await[0].text.contains("198.51.100.1"));
    }
}
