//! Second factors at the door, as an attacker and as an owner meet them.

use std::time::Duration;

use baluarte_testkit::each_backend;
use http::{Method, header};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use crate::app::{App, Client, PASSWORD, Reply, home};

pub(crate) const EMAIL: &str = "zoe@example.com";

/// The owner's phone.
pub(crate) struct Phone(String);

impl Phone {
    pub(crate) fn with(secret: &str) -> Self {
        Self(secret.to_owned())
    }

    /// What it shows now.
    pub(crate) fn code(&self, app: &App) -> String {
        let totp = Builder::new().with_secret(Secret::try_from_base32(&self.0).unwrap()).build().unwrap();
        totp.generate(u64::try_from(app.clock.now().unix_seconds()).unwrap()).to_string()
    }

    /// What it shows once nothing it showed before is good any more.
    pub(crate) fn next_code(&self, app: &App) -> String {
        app.pass(Duration::from_secs(30));
        self.code(app)
    }

    /// Six digits that it does not show, nor has just shown, nor is about to.
    pub(crate) fn other(&self, app: &App) -> String {
        let shown = self.code(app);
        ["000000", "111111", "222222", "333333", "444444"].into_iter().find(|code| *code != shown).unwrap().to_owned()
    }
}

/// Sets up the app of an account that is signed in; its phone and the codes on paper.
pub(crate) async fn enrol(app: &App, client: &Client) -> (Phone, Vec<String>) {
    let begun = app.call(client, Method::POST, "/api/v1/mfa/totp", None).await;
    begun.is(200, "");
    let phone = Phone::with(&begun.text("/secret"));
    assert!(begun.text("/otpauth_url").starts_with("otpauth://totp/Tienda:zoe%40example%2Ecom?secret="));
    let confirmed = app.post(client, "/api/v1/mfa/totp/confirm", json!({"code": phone.code(app)})).await;
    confirmed.is(200, "");
    let codes = confirmed.json["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    (phone, codes)
}

/// An account with an authenticator app and nobody signed in on another device.
pub(crate) async fn protected(app: &App) -> (Phone, Vec<String>) {
    app.user(EMAIL).await;
    let (client, _) = app.sign_in(EMAIL).await;
    enrol(app, &client).await
}

/// The right password; what is asked next.
pub(crate) async fn ask(app: &App, from: &Client) -> Reply {
    let asked = app.try_sign_in(from, EMAIL, PASSWORD).await;
    asked.is(200, "");
    assert_eq!(asked.json["mfa_required"], true, "{}", asked.json);
    asked
}

pub(crate) async fn answer(app: &App, from: &Client, token: &str, method: &str, code: &str) -> Reply {
    app.post(from, "/api/v1/auth/mfa/verify", json!({"mfa_token": token, "method": method, "code": code})).await
}

async fn send(app: &App, from: &Client, token: &str) -> Reply {
    app.post(from, "/api/v1/auth/mfa/challenge", json!({"mfa_token": token, "method": "email"})).await
}

async fn mailed_code(app: &App) -> String {
    let mails = app.mails(EMAIL).await;
    let subject = &mails.first().expect("a mail").subject;
    subject.split(' ').next().unwrap().to_owned()
}

/// An account whose second factor is its mailbox.
async fn protected_by_mail(app: &App) -> Vec<String> {
    app.user(EMAIL).await;
    let (client, _) = app.sign_in(EMAIL).await;
    let begun = app.call(&client, Method::POST, "/api/v1/mfa/email", None).await;
    begun.is(200, "");
    assert_eq!(begun.json["confirmed"], true, "the address was confirmed before");
    begun.json["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

each_backend! {
    async fn the_password_alone_gives_a_question_and_the_answer_a_session(test: TestDb) {
        let app = App::start(test).await;
        let (phone, codes) = protected(&app).await;
        assert_eq!(codes.len(), 10);
        let asked = ask(&app, &home()).await;
        assert_eq!(asked.json["methods"], json!(["totp", "recovery"]));
        assert!(asked.json.get("access_token").is_none() && asked.json.get("user").is_none());
        assert!(!asked.headers.contains_key(header::SET_COOKIE));
        let entered = answer(&app, &home(), &asked.text("/mfa_token"), "totp", &phone.next_code(&app)).await;
        entered.is(200, "");
        assert!(app.is_signed_in(&home().with_bearer(&entered.text("/access_token"))).await);
        assert!(entered.json.get("recovery_codes").is_none());
        let listed = app.get(&home().with_bearer(&entered.text("/access_token")), "/api/v1/mfa").await;
        assert_eq!((listed.text("/factors/0/kind"), listed.json["recovery_codes"].clone()), ("totp".to_owned(), Value::from(10)));
    }

    async fn asvs_6_3_8_a_wrong_password_says_nothing_of_a_second_factor(test: TestDb) {
        let app = App::start(test).await;
        protected(&app).await;
        app.user("plain@example.com").await;
        let replies = [
            app.try_sign_in(&home(), EMAIL, "not the password").await,
            app.try_sign_in(&home(), "plain@example.com", "not the password").await,
            app.try_sign_in(&home(), "nobody@example.com", "not the password").await,
        ];
        for reply in replies {
            reply.is(401, "identity.wrong_credentials");
        }
    }

    async fn no_code_counts_without_the_token_that_follows_the_password(test: TestDb) {
        let app = App::start(test).await;
        let (phone, codes) = protected(&app).await;
        let code = phone.next_code(&app);
        for token in ["", "made-up", &"x".repeat(43)] {
            answer(&app, &home(), token, "totp", &code).await.is(401, "identity.mfa_over");
            answer(&app, &home(), token, "recovery", &codes[0]).await.is(401, "identity.mfa_over");
            send(&app, &home(), token).await.is(401, "identity.mfa_over");
        }
        // And another person's token takes none of ours.
        app.user("eve@example.com").await;
        let (eve, _) = app.sign_in("eve@example.com").await;
        let begun = app.call(&eve, Method::POST, "/api/v1/mfa/totp", None).await;
        let hers = Phone::with(&begun.text("/secret"));
        app.post(&eve, "/api/v1/mfa/totp/confirm", json!({"code": hers.code(&app)})).await.is(200, "");
        let asked = app.try_sign_in(&home(), "eve@example.com", PASSWORD).await;
        answer(&app, &home(), &asked.text("/mfa_token"), "totp", &phone.code(&app)).await.is(401, "identity.wrong_code");
        answer(&app, &home(), &asked.text("/mfa_token"), "recovery", &codes[0]).await.is(401, "identity.wrong_code");
    }

    async fn asvs_6_5_1_the_code_of_a_step_is_taken_once(test: TestDb) {
        let app = App::start(test).await;
        let (phone, _) = protected(&app).await;
        // The one that confirmed the app is used up as well.
        let asked = ask(&app, &home()).await;
        answer(&app, &home(), &asked.text("/mfa_token"), "totp", &phone.code(&app)).await.is(401, "identity.wrong_code");
        let code = phone.next_code(&app);
        answer(&app, &home(), &asked.text("/mfa_token"), "totp", &code).await.is(200, "");
        // Over the attempt, and in another one.
        answer(&app, &home(), &asked.text("/mfa_token"), "totp", &code).await.is(401, "identity.mfa_over");
        let again = ask(&app, &home()).await;
        answer(&app, &home(), &again.text("/mfa_token"), "totp", &code).await.is(401, "identity.wrong_code");
        // The neighbour before it is older than what was taken.
        answer(&app, &home(), &again.text("/mfa_token"), "totp", &phone.next_code(&app)).await.is(200, "");
    }

    async fn asvs_6_5_1_of_two_that_give_the_same_code_at_once_one_gets_in(test: TestDb) {
        let app = App::start(test).await;
        let (phone, codes) = protected(&app).await;
        for (method, code) in [("totp", phone.next_code(&app)), ("recovery", codes[0].clone())] {
            let attempts = [ask(&app, &home()).await, ask(&app, &home()).await];
            let (first, second) = (attempts[0].text("/mfa_token"), attempts[1].text("/mfa_token"));
            let client = home();
            // Twice on each of two attempts.
            let replies = futures::future::join_all(
                [&first, &first, &second, &second].map(|token| answer(&app, &client, token, method, &code)),
            ).await;
            let entered = replies.iter().filter(|reply| reply.status == 200).count();
            assert_eq!(entered, 1, "{method}: {:?}", replies.iter().map(|reply| (reply.status, reply.code)).collect::<Vec<_>>());
        }
    }

    async fn asvs_6_6_3_five_wrong_answers_end_an_attempt_however_they_come(test: TestDb) {
        let app = App::start(test).await;
        let (phone, codes) = protected(&app).await;
        let asked = ask(&app, &home()).await;
        let (token, wrong, client) = (asked.text("/mfa_token"), phone.other(&app), home());
        // At once, so that whoever looks before counting would look at all of them.
        let replies = futures::future::join_all((0..12).map(|_| answer(&app, &client, &token, "totp", &wrong))).await;
        let looked_at = replies.iter().filter(|reply| reply.code == "identity.wrong_code").count();
        assert!(looked_at <= 5, "{looked_at} were looked at");
        app.pass(Duration::from_secs(60));
        for code in [phone.code(&app), codes[0].clone()] {
            answer(&app, &home(), &token, if code.len() == 6 { "totp" } else { "recovery" }, &code).await.is(401, "identity.mfa_over");
        }
        let fresh = ask(&app, &home()).await;
        answer(&app, &home(), &fresh.text("/mfa_token"), "totp", &phone.code(&app)).await.is(200, "");
    }

    async fn asvs_6_6_3_guessing_over_many_attempts_waits_longer_each_time(test: TestDb) {
        let app = App::start(test).await;
        let (phone, _) = protected(&app).await;
        let attacker = Client::at("198.51.100.66");
        let wait = |reply: &Reply| reply.headers[header::RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap();
        let asked = ask(&app, &attacker).await;
        for _ in 0..5 {
            answer(&app, &attacker, &asked.text("/mfa_token"), "totp", &phone.other(&app)).await.is(401, "identity.wrong_code");
        }
        let mut waits = Vec::new();
        for _ in 0..3 {
            let asked = ask(&app, &attacker).await;
            let refused = answer(&app, &attacker, &asked.text("/mfa_token"), "totp", &phone.code(&app)).await;
            refused.is(429, "identity.too_many_attempts");
            waits.push(wait(&refused));
            app.pass(Duration::from_secs(wait(&refused)));
            answer(&app, &attacker, &asked.text("/mfa_token"), "totp", &phone.other(&app)).await.is(401, "identity.wrong_code");
        }
        assert_eq!(waits, [10, 20, 40]);
        // The owner, at home, is not kept waiting for it.
        let asked = ask(&app, &home()).await;
        answer(&app, &home(), &asked.text("/mfa_token"), "totp", &phone.next_code(&app)).await.is(200, "");
        // And their coming in does not give the attacker fresh guesses.
        let asked = ask(&app, &attacker).await;
        answer(&app, &attacker, &asked.text("/mfa_token"), "totp", &phone.code(&app)).await.is(429, "identity.too_many_attempts");
    }

    async fn whoever_fails_often_after_the_password_is_told_of_to_the_owner(test: TestDb) {
        let app = App::start(test).await;
        let (phone, _) = protected(&app).await;
        for network in 0..4 {
            let attacker = Client::at(&format!("198.51.{network}.1"));
            let asked = ask(&app, &attacker).await;
            for _ in 0..3 {
                answer(&app, &attacker, &asked.text("/mfa_token"), "totp", &phone.other(&app)).await.is(401, "identity.wrong_code");
            }
        }
        let told = app.mails(EMAIL).await.into_iter().filter(|mail| mail.subject.contains("knows your password")).count();
        assert_eq!(told, 1);
    }

    async fn the_limit_counts_by_person_and_by_address(test: TestDb) {
        let app = App::with_built_in_limits(test).await;
        let (phone, _) = protected(&app).await;
        // Over three attempts: one alone would be over after five answers, and what comes then is no longer its owner's.
        let mut tokens = Vec::new();
        for n in 0..3 {
            tokens.push(ask(&app, &Client::at(&format!("203.0.{n}.1"))).await.text("/mfa_token"));
        }
        let replies = futures::future::join_all((0..9).map(|n| {
            let (app, token, wrong) = (&app, &tokens[n % 3], phone.other(&app));
            async move { answer(app, &Client::at(&format!("198.51.{n}.1")), token, "totp", &wrong).await }
        })).await;
        let count = |replies: &[Reply], code: &str| replies.iter().filter(|reply| reply.code == code).count();
        // One of six went to confirming the app. The clock stands still: none comes back.
        assert_eq!((count(&replies, "identity.wrong_code"), count(&replies, "limits.exceeded")), (5, 4));
        let made_up = futures::future::join_all((0..9).map(|_| async {
            answer(&app, &Client::at("192.0.2.9"), "made-up", "totp", "000000").await
        })).await;
        assert_eq!((count(&made_up, "identity.mfa_over"), count(&made_up, "limits.exceeded")), (6, 3));
    }

    async fn asvs_6_6_2_a_mailed_code_answers_the_attempt_it_was_sent_for_and_no_other(test: TestDb) {
        let app = App::start(test).await;
        protected_by_mail(&app).await;
        let (mine, other) = (ask(&app, &home()).await, ask(&app, &home()).await);
        assert_eq!(mine.json["methods"], json!(["email", "recovery"]));
        send(&app, &home(), &mine.text("/mfa_token")).await.is(202, "");
        let code = mailed_code(&app).await;
        assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
        answer(&app, &home(), &other.text("/mfa_token"), "email", &code).await.is(401, "identity.wrong_code");
        answer(&app, &home(), &mine.text("/mfa_token"), "email", &code).await.is(200, "");
        answer(&app, &home(), &mine.text("/mfa_token"), "email", &code).await.is(401, "identity.mfa_over");
    }

    async fn a_new_code_voids_the_old_one_and_does_not_follow_at_once(test: TestDb) {
        let app = App::start(test).await;
        protected_by_mail(&app).await;
        let token = ask(&app, &home()).await.text("/mfa_token");
        send(&app, &home(), &token).await.is(202, "");
        let old = mailed_code(&app).await;
        let soon = send(&app, &home(), &token).await;
        soon.is(429, "identity.code_too_soon");
        assert_eq!(soon.headers[header::RETRY_AFTER], "30");
        app.pass(Duration::from_secs(30));
        send(&app, &home(), &token).await.is(202, "");
        let new = mailed_code(&app).await;
        if old != new {
            answer(&app, &home(), &token, "email", &old).await.is(401, "identity.wrong_code");
        }
        answer(&app, &home(), &token, "email", &new).await.is(200, "");
    }

    async fn asvs_6_5_5_a_mailed_code_is_good_for_ten_minutes(test: TestDb) {
        let app = App::start(test).await;
        protected_by_mail(&app).await;
        let token = ask(&app, &home()).await.text("/mfa_token");
        send(&app, &home(), &token).await.is(202, "");
        let code = mailed_code(&app).await;
        app.pass(Duration::from_secs(600));
        answer(&app, &home(), &token, "email", &code).await.is(401, "identity.mfa_over");
    }

    async fn codes_are_sent_so_often_and_no_more(test: TestDb) {
        let app = App::start(test).await;
        protected_by_mail(&app).await;
        let mut sent = 0;
        for _ in 0..5 {
            let token = ask(&app, &home()).await.text("/mfa_token");
            for _ in 0..6 {
                let reply = send(&app, &home(), &token).await;
                sent += u32::from(reply.status == 202);
                app.pass(Duration::from_secs(31));
            }
        }
        assert_eq!(sent, 15, "five for an attempt, fifteen in an hour");
    }

    async fn a_method_that_is_not_set_up_is_not_taken(test: TestDb) {
        let app = App::start(test).await;
        protected(&app).await;
        let token = ask(&app, &home()).await.text("/mfa_token");
        send(&app, &home(), &token).await.is(422, "identity.factor_unavailable");
        answer(&app, &home(), &token, "email", "000000").await.is(401, "identity.wrong_code");
        let unknown = answer(&app, &home(), &token, "telepathy", "000000").await;
        assert_eq!(unknown.status, 422);
    }

    async fn an_attempt_survives_a_restart_and_is_answered_at_any_replica(test: TestDb) {
        let app = App::start(test).await;
        protected_by_mail(&app).await;
        let token = ask(&app, &home()).await.text("/mfa_token");
        app.replica().await.post(&home(), "/api/v1/auth/mfa/challenge", json!({"mfa_token": token, "method": "email"})).await.is(202, "");
        let code = mailed_code(&app).await;
        let replica = app.replica().await;
        let entered = answer(&replica, &home(), &token, "email", &code).await;
        entered.is(200, "");
        assert!(app.is_signed_in(&home().with_bearer(&entered.text("/access_token"))).await);
    }

    async fn asvs_6_4_3_choosing_a_new_password_keeps_the_second_factor_and_ends_what_was_open(test: TestDb) {
        let app = App::start(test).await;
        let (phone, _) = protected(&app).await;
        let open = ask(&app, &home()).await.text("/mfa_token");
        app.post(&home(), "/auth/forgot-password", json!({"email": EMAIL})).await.is(202, "");
        let token = app.mailed_token(EMAIL).await;
        app.post(&home(), "/auth/reset-password", json!({"token": token, "password": "another long password"})).await.is(204, "");
        answer(&app, &home(), &open, "totp", &phone.next_code(&app)).await.is(401, "identity.mfa_over");
        let asked = app.try_sign_in(&home(), EMAIL, "another long password").await;
        assert_eq!(asked.json["mfa_required"], true);
        answer(&app, &home(), &asked.text("/mfa_token"), "totp", &phone.code(&app)).await.is(200, "");
    }

    async fn asvs_6_5_1_recovery_codes_are_good_once_however_they_are_typed_and_their_use_is_told(test: TestDb) {
        let app = App::start(test).await;
        let (_, codes) = protected(&app).await;
        let typed = codes[3].to_lowercase().replace('-', " ");
        let token = ask(&app, &home()).await.text("/mfa_token");
        let entered = answer(&app, &home(), &token, "recovery", &typed).await;
        entered.is(200, "");
        let told = app.mails(EMAIL).await;
        assert!(told[0].subject.contains("recovery code") && told[0].text.contains("Codes left: 9"), "{}", told[0].text);
        let token = ask(&app, &home()).await.text("/mfa_token");
        answer(&app, &home(), &token, "recovery", &codes[3]).await.is(401, "identity.wrong_code");
        // New ones void the others.
        let client = home().with_bearer(&entered.text("/access_token"));
        let renewed = app.call(&client, Method::POST, "/api/v1/mfa/recovery-codes", None).await;
        renewed.is(200, "");
        answer(&app, &home(), &token, "recovery", &codes[4]).await.is(401, "identity.wrong_code");
        answer(&app, &home(), &token, "recovery", &renewed.text("/recovery_codes/0")).await.is(200, "");
    }

    async fn asvs_6_5_2_nothing_stored_answers_a_question(test: TestDb) {
        let app = App::start(test).await;
        let (phone, codes) = protected(&app).await;
        let token = ask(&app, &home()).await.text("/mfa_token");
        let secret = app.text("SELECT secret FROM factors WHERE kind = $1", "totp").await;
        assert!(secret.starts_with("v1.") && !secret.contains(&phone.0), "sealed: {secret}");
        for code in &codes {
            assert_eq!(app.count("recovery_codes", "code_hash", code).await, 0);
            assert_eq!(app.count("recovery_codes", "code_hash", &code.replace('-', "")).await, 0);
        }
        assert_eq!(app.count("challenges", "token_hash", &token).await, 0);
    }

    async fn attempts_of_one_person_are_bounded(test: TestDb) {
        let app = App::start(test).await;
        let (phone, _) = protected(&app).await;
        let oldest = ask(&app, &home()).await.text("/mfa_token");
        for _ in 0..20 {
            app.pass(Duration::from_millis(10));
            ask(&app, &home()).await;
        }
        assert_eq!(app.count("challenges", "purpose", "sign_in").await, 20);
        answer(&app, &home(), &oldest, "totp", &phone.next_code(&app)).await.is(401, "identity.mfa_over");
    }

    async fn a_disabled_account_gets_no_answer(test: TestDb) {
        let app = App::start(test).await;
        let user = app.user(EMAIL).await;
        let (client, _) = app.sign_in(EMAIL).await;
        let (phone, _) = enrol(&app, &client).await;
        let token = ask(&app, &home()).await.text("/mfa_token");
        app.identity.disable_user(&app.operator(), user.id).await.unwrap();
        answer(&app, &home(), &token, "totp", &phone.next_code(&app)).await.is(401, "identity.mfa_over");
    }
}
