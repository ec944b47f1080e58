//! Links from the mailbox that sign in: for the browser that asked, once, and never without the second factor.

use std::time::Duration;

use baluarte_identity::{EmailVerification, MagicLinkMode};
use baluarte_testkit::{TestDb, each_backend};
use http::header;
use serde_json::{Value, json};

use crate::{
    app::{App, Client, PASSWORD, Reply, home},
    factors::{EMAIL, answer, protected},
};

const ASK: &str = "/auth/magic-link";
const ENTER: &str = "/api/v1/auth/magic-link";
const ZOE: &str = "zoe@example.com";

async fn with_links(test: TestDb) -> App {
    App::with(test, |config| config.magic_link = MagicLinkMode::On).await
}

/// Asks, and gives the cookie of the browser that did.
async fn ask(app: &App, email: &str) -> String {
    let reply = app.post(&home(), ASK, json!({"email": email})).await;
    cookie(reply.is(202, ""))
}

fn cookie(reply: &Reply) -> String {
    let set = reply.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(
        set.starts_with("__Host-baluarte-link=") && ["HttpOnly", "Secure", "SameSite=Lax"].iter().all(|part| set.contains(part)),
        "{set}"
    );
    set.split(';').next().unwrap().to_owned()
}

async fn enter(app: &App, cookie: &str, body: Value) -> Reply {
    app.post_with_cookie(&home(), ENTER, cookie, body).await
}

async fn token(app: &App) -> Value {
    json!({"token": app.mailed_token(ZOE).await})
}

/// The eight digits in the latest mail.
async fn code(app: &App) -> String {
    let mail = app.mails(ZOE).await.remove(0);
    mail.text.split_whitespace().find(|word| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit())).expect("a code").to_owned()
}

each_backend! {
    async fn asvs_6_5_1_a_link_signs_in_once_and_within_ten_minutes(test: TestDb) {
        let app = with_links(test).await;
        app.user(ZOE).await;
        let browser = ask(&app, ZOE).await;
        let link = token(&app).await;
        let entered = enter(&app, &browser, link.clone()).await;
        assert_eq!(entered.is(200, "").text("/user/email"), ZOE);
        assert!(app.is_signed_in(&home().with_bearer(&entered.text("/access_token"))).await);
        enter(&app, &browser, link).await.is(422, "identity.link_invalid");

        let browser = ask(&app, ZOE).await;
        let link = token(&app).await;
        app.pass(Duration::from_secs(601));
        enter(&app, &browser, link).await.is(422, "identity.link_invalid");
    }

    async fn of_two_that_use_a_link_at_once_one_gets_in(test: TestDb) {
        let app = with_links(test).await;
        app.user(ZOE).await;
        let browser = ask(&app, ZOE).await;
        let (link, code) = (token(&app).await, json!({"code": code(&app).await}));
        let (one, two, three) = tokio::join!(enter(&app, &browser, link.clone()), enter(&app, &browser, link), enter(&app, &browser, code));
        let mut statuses = [one.status, two.status, three.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 422, 422]);
    }

    async fn asvs_6_6_2_a_link_opens_only_the_browser_that_asked_for_it(test: TestDb) {
        let app = with_links(test).await;
        app.user(ZOE).await;
        let browser = ask(&app, ZOE).await;
        let link = token(&app).await;
        let other = ask(&app, "nobody@example.com").await;
        for wrong in ["", other.as_str(), "__Host-baluarte-link=made-up"] {
            enter(&app, wrong, link.clone()).await.is(409, "identity.other_browser");
        }
        enter(&app, &other, json!({"code": code(&app).await})).await.is(422, "identity.link_invalid");
        // Nobody's mistake has used it up.
        enter(&app, &browser, link).await.is(200, "");
    }

    async fn whoever_reads_the_mail_elsewhere_types_its_code_where_they_asked(test: TestDb) {
        let app = with_links(test).await;
        app.user(ZOE).await;
        let browser = ask(&app, ZOE).await;
        let code = code(&app).await;
        let spaced = format!("{} {}", &code[..4], &code[4..]);
        enter(&app, &browser, json!({"code": spaced, "session": "cookie"})).await.is(200, "");
        enter(&app, &browser, json!({"code": code})).await.is(422, "identity.link_invalid");
        enter(&app, &browser, json!({})).await.is(422, "web.invalid_fields");
        enter(&app, &browser, json!({"code": code, "token": "x"})).await.is(422, "web.invalid_fields");
    }

    async fn asvs_6_5_2_five_wrong_codes_end_a_link(test: TestDb) {
        let app = with_links(test).await;
        app.user(ZOE).await;
        let browser = ask(&app, ZOE).await;
        let code = code(&app).await;
        let wrong = if code == "00000000" { "11111111" } else { "00000000" };
        for _ in 0..5 {
            enter(&app, &browser, json!({"code": wrong})).await.is(401, "identity.wrong_code");
        }
        enter(&app, &browser, json!({"code": code})).await.is(422, "identity.link_invalid");
    }

    async fn asvs_6_3_8_asking_does_not_tell_whether_there_is_an_account(test: TestDb) {
        let app = with_links(test).await;
        let disabled = app.user("gone@example.com").await;
        app.identity.disable_user(&app.operator(), disabled.id).await.unwrap();
        app.user(ZOE).await;
        let mut names = Vec::new();
        for email in [ZOE, "nobody@example.com", "gone@example.com", "not an address"] {
            let reply = app.post(&home(), ASK, json!({"email": email})).await;
            reply.is(202, "");
            cookie(&reply);
            names.push(reply.headers.keys().cloned().collect::<Vec<_>>());
            assert_eq!(reply.json, Value::Null);
        }
        assert!(names.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!((app.mails(ZOE).await.len(), app.mails("gone@example.com").await.len()), (1, 0));
    }

    async fn asvs_6_4_3_the_second_factor_is_still_asked_for(test: TestDb) {
        let app = with_links(test).await;
        let (phone, _) = protected(&app).await;
        let browser = ask(&app, EMAIL).await;
        let asked = enter(&app, &browser, json!({"token": app.mailed_token(EMAIL).await})).await;
        assert_eq!(asked.is(200, "").json["mfa_required"], true);
        assert!(asked.json.get("access_token").is_none());
        answer(&app, &home(), &asked.text("/mfa_token"), "totp", &phone.next_code(&app)).await.is(200, "");
    }

    async fn a_link_is_void_after_another_password_or_another_link_of_the_same_browser(test: TestDb) {
        let app = with_links(test).await;
        app.user(ZOE).await;
        let browser = ask(&app, ZOE).await;
        let first = token(&app).await;
        let again = app.post_with_cookie(&home(), ASK, &browser, json!({"email": ZOE})).await;
        assert_eq!(cookie(&again), browser, "the browser keeps its name");
        let second = token(&app).await;
        enter(&app, &browser, first).await.is(422, "identity.link_invalid");
        app.post(&home(), "/auth/forgot-password", json!({"email": ZOE})).await.is(202, "");
        app.settle().await;
        let reset = json!({"token": app.mailed_token(ZOE).await, "password": "another long password"});
        app.post(&home(), "/auth/reset-password", reset).await.is(204, "");
        enter(&app, &browser, second).await.is(422, "identity.link_invalid");
    }

    async fn an_address_is_proven_and_whoever_registered_it_first_is_out(test: TestDb) {
        let app = with_links(test).await;
        let stranger = app.post(&home(), "/api/v1/auth/register", json!({"email": ZOE, "password": PASSWORD, "name": "Eve"})).await;
        stranger.is(201, "");
        let (eve, _) = app.sign_in(ZOE).await;
        let browser = ask(&app, ZOE).await;
        enter(&app, &browser, token(&app).await).await.is(200, "");
        assert!(!app.is_signed_in(&eve).await);
        app.try_sign_in(&home(), ZOE, PASSWORD).await.is(401, "identity.wrong_credentials");
        assert_eq!(app.events().await.last().map(String::as_str), Some("user.verified"));
        // The second time nothing is taken away.
        app.post(&home(), "/auth/forgot-password", json!({"email": ZOE})).await.is(202, "");
        app.settle().await;
        let reset = json!({"token": app.mailed_token(ZOE).await, "password": "another long password"});
        app.post(&home(), "/auth/reset-password", reset).await.is(204, "");
        let browser = ask(&app, ZOE).await;
        enter(&app, &browser, token(&app).await).await.is(200, "");
        app.try_sign_in(&home(), ZOE, "another long password").await.is(200, "");
    }

    async fn where_addresses_have_to_be_confirmed_the_link_does_it(test: TestDb) {
        let app = App::with(test, |config| {
            config.magic_link = MagicLinkMode::On;
            config.email_verification = EmailVerification::Required;
        })
        .await;
        app.post(&home(), "/api/v1/auth/register", json!({"email": ZOE, "password": PASSWORD, "name": "Zoë"})).await.is(202, "");
        app.settle().await;
        let confirmation = app.mailed_token(ZOE).await;
        let browser = ask(&app, ZOE).await;
        enter(&app, &browser, token(&app).await).await.is(200, "");
        app.post(&home(), "/api/v1/auth/verify-email", json!({"token": confirmation})).await.is(422, "identity.link_invalid");
    }

    async fn mailboxes_are_not_filled_and_switched_off_means_off(test: TestDb) {
        let app = with_links(test).await;
        app.user(ZOE).await;
        for _ in 0..7 {
            ask(&app, ZOE).await;
        }
        assert_eq!(app.mails(ZOE).await.len(), 5);
        let browser = ask(&app, ZOE).await;
        let link = token(&app).await;
        let off = app.restarted(|config| config.magic_link = MagicLinkMode::Off).await;
        off.post(&Client::at("198.51.100.9"), ASK, json!({"email": ZOE})).await.is(403, "identity.magic_links_off");
        enter(&off, &browser, link).await.is(403, "identity.magic_links_off");
    }

    async fn nothing_in_the_database_opens_the_account(test: TestDb) {
        let app = with_links(test).await;
        app.user(ZOE).await;
        let browser = ask(&app, ZOE).await;
        let (link, code) = (app.mailed_token(ZOE).await, code(&app).await);
        let value = browser.split_once('=').unwrap().1.to_owned();
        for (column, value) in [("token_hash", &link), ("code_hash", &code), ("browser_hash", &value)] {
            assert_eq!(app.count("magic_links", column, value).await, 0, "{column}");
        }
        assert_eq!(app.count("magic_links", "email", ZOE).await, 1);
    }
}
