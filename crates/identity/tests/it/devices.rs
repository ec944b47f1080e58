use std::time::Duration;

use baluarte_identity::{Granted, IdentityError, MagicLinkMode, SessionKind, SignIn, SignedIn, Welcome};
use baluarte_kernel::Secret;
use baluarte_testkit::each_backend;
use http::header;
use serde_json::json;

use crate::app::{App, Client, PASSWORD, Reply, home, token_in};

const EMAIL: &str = "zoe@example.com";

/// A browser somewhere, with what it keeps in its cookie for devices.
async fn browser(app: &App, at: &Client, device: Option<&Secret>, password: &str) -> Result<SignedIn, IdentityError> {
    let attempt =
        SignIn { email: EMAIL.to_owned(), password: Secret::new(password), session: SessionKind::Cookie, device: device.cloned() };
    match app.identity.sign_in(&app.ctx(at).await, attempt).await? {
        Welcome::In(signed_in) => Ok(*signed_in),
        Welcome::SecondStep(_) => panic!("a second factor is asked for"),
    }
}

async fn known(app: &App, at: &Client) -> Secret {
    browser(app, at, None, PASSWORD).await.unwrap().device.expect("a cookie for the browser").value
}

/// The cookie that an answer sets.
fn set(reply: &Reply, start: &str) -> Option<String> {
    let cookies = reply.headers.get_all(header::SET_COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    cookies.filter_map(|cookie| cookie.split(';').next()).find(|cookie| cookie.starts_with(start)).map(str::to_owned)
}

async fn hammer(app: &App, from: impl Fn(usize) -> String, times: usize) {
    for n in 0..times {
        app.try_sign_in(&Client::at(&from(n)), EMAIL, "not the password").await;
    }
}

each_backend! {
    async fn a_browser_that_its_owner_used_comes_in_while_others_hammer_the_account(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let device = known(&app, &home()).await;
        // From everywhere, and from next door.
        hammer(&app, |n| format!("198.51.{n}.1"), 25).await;
        hammer(&app, |_| "203.0.113.99".to_owned(), 8).await;
        let abroad = Client::at("192.0.2.1");
        // A cookie that somebody made up opens nothing.
        let made_up = Secret::new("A".repeat(43));
        assert!(matches!(browser(&app, &abroad, Some(&made_up), PASSWORD).await, Err(IdentityError::TooManyAttempts { .. })));
        for at in [&abroad, &home()] {
            app.try_sign_in(at, EMAIL, PASSWORD).await.is(429, "identity.too_many_attempts");
            assert!(browser(&app, at, Some(&device), PASSWORD).await.is_ok(), "with its cookie");
        }
    }

    async fn a_stolen_cookie_of_a_browser_gives_no_more_guesses_than_any(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let device = known(&app, &home()).await;
        for n in 0..5 {
            let thief = Client::at(&format!("198.51.{n}.1"));
            assert!(matches!(browser(&app, &thief, Some(&device), "not the password").await, Err(IdentityError::WrongCredentials)));
        }
        let refused = browser(&app, &Client::at("198.51.77.1"), Some(&device), PASSWORD).await;
        assert!(matches!(refused, Err(IdentityError::TooManyAttempts { retry_after }) if retry_after == Duration::from_secs(10)), "{refused:?}");
        // Its owner, at home, has attempts that the thief did not use up.
        app.try_sign_in(&home(), EMAIL, PASSWORD).await.is(200, "");
        app.pass(Duration::from_secs(10));
        assert!(browser(&app, &home(), Some(&device), PASSWORD).await.is_ok(), "and not for long");
    }

    async fn asvs_6_3_1_passwords_tried_on_many_accounts_from_one_address_are_slowed_down(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let sprayer = Client::at("198.51.100.66");
        for n in 0..30 {
            app.try_sign_in(&sprayer, &format!("person{n}@example.com"), "Summer2026!").await.is(401, "identity.wrong_credentials");
        }
        app.try_sign_in(&sprayer, "another@example.com", "Summer2026!").await.is(429, "identity.too_many_attempts");
        app.try_sign_in(&Client::at("198.51.100.67"), "another@example.com", "x").await.is(401, "identity.wrong_credentials");
        app.try_sign_in(&sprayer, EMAIL, PASSWORD).await.is(429, "identity.too_many_attempts");
        // An office has one address: whoever is known there comes in, and after an hour everybody does.
        app.pass(Duration::from_secs(3_600));
        app.try_sign_in(&sprayer, EMAIL, PASSWORD).await.is(200, "");
        for n in 0..31 {
            app.try_sign_in(&sprayer, &format!("somebody{n}@example.com"), "Summer2026!").await;
        }
        app.try_sign_in(&sprayer, "another@example.com", "x").await.is(429, "identity.too_many_attempts");
        app.try_sign_in(&sprayer, EMAIL, PASSWORD).await.is(200, "");
    }

    async fn a_whole_subnet_is_slowed_down_whatever_its_addresses(test: TestDb) {
        let app = App::start(test).await;
        for n in 0..100 {
            let from = Client::at(&format!("2001:db8:7:{n:x}::1"));
            app.try_sign_in(&from, &format!("person{n}@example.com"), "Summer2026!").await.is(401, "identity.wrong_credentials");
        }
        app.try_sign_in(&Client::at("2001:db8:7:ffff::1"), "another@example.com", "x").await.is(429, "identity.too_many_attempts");
        app.try_sign_in(&Client::at("2001:db8:8::1"), "another@example.com", "x").await.is(401, "identity.wrong_credentials");
    }

    async fn asvs_6_3_5_a_sign_in_in_a_new_browser_is_told_with_a_link_that_ends_it(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let device = known(&app, &home()).await;
        assert!(app.mails(EMAIL).await.is_empty(), "nobody is told of their first sign-in");
        browser(&app, &Client::at("192.0.2.1"), Some(&device), PASSWORD).await.unwrap();
        assert!(app.mails(EMAIL).await.is_empty(), "a known browser is nothing new, wherever it is");
        let stranger = browser(&app, &Client::at("198.51.100.66"), None, PASSWORD).await.unwrap();
        let Granted::Cookie(cookie) = &stranger.granted else { panic!("a cookie was asked for") };
        let stranger = Client::at("198.51.100.66").with_cookie(cookie.value.expose());
        let mail = app.mails(EMAIL).await.remove(0);
        assert!(mail.text.contains("198.51.100.66") && mail.text.contains("test") && mail.text.contains("/auth/end-session?token="), "{}", mail.text);
        assert!(app.is_signed_in(&stranger).await);
        let token = token_in(&mail.text);
        // A scanner that opens the link ends nothing.
        assert_eq!(app.get(&home(), &format!("/auth/end-session?token={token}")).await.status, 200);
        assert!(app.is_signed_in(&stranger).await);
        app.post(&home(), "/api/v1/auth/end-session", json!({"token": token})).await.is(204, "");
        assert!(!app.is_signed_in(&stranger).await);
        assert_eq!(app.count("audit_entries", "action", "identity.session.disowned").await, 1);
        app.post(&home(), "/api/v1/auth/end-session", json!({"token": token})).await.is(422, "identity.link_invalid");
        assert_eq!(app.get(&home(), &format!("/auth/end-session?token={token}")).await.status, 410);
    }

    async fn a_link_from_the_mailbox_makes_a_browser_known_and_tells_of_it_once(test: TestDb) {
        let app = App::with(test, |config| config.magic_link = MagicLinkMode::On).await;
        app.user(EMAIL).await;
        known(&app, &home()).await;
        let mut device = String::new();
        for (n, at) in ["198.51.100.1", "198.51.100.2", "192.0.2.1"].map(Client::at).iter().enumerate() {
            let asked = app.post(at, "/auth/magic-link", json!({"email": EMAIL})).await;
            let body = json!({"token": app.mailed_token(EMAIL).await, "session": "cookie"});
            let cookies = format!("{}; {device}", set(&asked, "__Host-baluarte-link=").unwrap());
            let entered = app.post_with_cookie(at, "/api/v1/auth/magic-link", &cookies, body).await;
            entered.is(200, "");
            let made = set(&entered, "__Host-baluarte-device=");
            assert_eq!(made.is_some(), n == 0, "a browser keeps its cookie");
            device = made.unwrap_or(device);
            let told = app.mails(EMAIL).await.into_iter().filter(|mail| mail.text.contains("/auth/end-session?")).count();
            assert_eq!(told, 1, "wherever it goes");
        }
    }

    async fn a_stranger_who_signs_in_again_and_again_does_not_fill_the_mailbox(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        known(&app, &home()).await;
        for n in 0..8 {
            browser(&app, &Client::at(&format!("198.51.{n}.1")), None, PASSWORD).await.unwrap();
        }
        assert_eq!(app.mails(EMAIL).await.len(), 5);
    }

    async fn a_link_from_the_mailbox_lets_an_owner_in_where_they_are(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        hammer(&app, |n| format!("198.51.{n}.1"), 25).await;
        let abroad = Client::at("192.0.2.1");
        app.try_sign_in(&abroad, EMAIL, PASSWORD).await.is(429, "identity.too_many_attempts");
        for email in [EMAIL, "nobody@example.com", "not an address"] {
            app.post(&abroad, "/api/v1/auth/unlock/ask", json!({"email": email})).await.is(202, "");
        }
        let token = app.mailed_token(EMAIL).await;
        app.post(&abroad, "/api/v1/auth/unlock", json!({"token": token})).await.is(204, "");
        app.post(&abroad, "/api/v1/auth/unlock", json!({"token": token})).await.is(422, "identity.link_invalid");
        for action in ["identity.user.unlock_mailed", "identity.user.unlocked"] {
            assert_eq!(app.count("audit_entries", "action", action).await, 1, "{action}");
        }
        // It is no way around the password, and whoever goes on hammering does not undo it.
        app.try_sign_in(&abroad, EMAIL, "not the password").await.is(401, "identity.wrong_credentials");
        hammer(&app, |n| format!("198.51.{}.1", n + 100), 25).await;
        app.try_sign_in(&abroad, EMAIL, PASSWORD).await.is(200, "");
    }

    async fn a_refresh_token_that_was_used_twice_is_shown_to_its_owner_and_to_support(test: TestDb) {
        let app = App::start(test).await;
        let user = app.user(EMAIL).await;
        app.account("support@example.com", "support").await;
        let (client, _) = app.sign_in(EMAIL).await;
        let (_, first) = app.sign_in(EMAIL).await;
        app.refresh(&first).await.is(200, "");
        app.pass(Duration::from_secs(11));
        app.refresh(&first).await.is(401, "identity.refresh_reused");
        let seen = app.identity.list_alerts(&app.ctx(&client).await).await.unwrap();
        assert_eq!(seen.len(), 1);
        let (support, _) = app.sign_in("support@example.com").await;
        let details = app.get(&support, &format!("/api/v1/admin/users/{}/details", user.id)).await;
        assert_eq!(details.json["alerts"][0]["kind"], "refresh_reused");
        assert_eq!(details.json["alerts"][0]["ip"], "203.0.113.7");
        app.pass(Duration::from_secs(91 * 86_400));
        assert!(app.identity.find_details(&app.operator(), user.id).await.unwrap().alerts.is_empty(), "for three months");
    }
}
