//! Codes by text message, as an owner, a thief of numbers and somebody who pumps messages meet them.

use std::time::Duration;

use baluarte_identity::MfaPolicy;
use baluarte_kernel::{Rate, Secret};
use baluarte_notify::{NotifyConfig, TwilioConfig};
use baluarte_testkit::{FakeTwilio, each_backend};
use http::Method;
use serde_json::json;

use crate::{
    app::{App, Client, PASSWORD, Reply, home},
    factors::{EMAIL, answer, ask, enrol},
};

const PHONE: &str = "+351912345678";
const OTHER: &str = "+351969876543";

async fn begin(app: &App, client: &Client, phone: &str) -> Reply {
    app.post(client, "/api/v1/mfa/sms", json!({"phone": phone})).await
}

async fn confirm(app: &App, client: &Client, code: &str) -> Reply {
    app.post(client, "/api/v1/mfa/sms/confirm", json!({"code": code})).await
}

async fn send(app: &App, token: &str) -> Reply {
    app.post(&home(), "/api/v1/auth/mfa/challenge", json!({"mfa_token": token, "method": "sms"})).await
}

/// The code in the latest message to a number.
async fn texted(app: &App, phone: &str) -> String {
    let messages = app.mails(phone).await;
    let text = &messages.first().expect("a text message").text;
    text.rsplit('#').next().unwrap().to_owned()
}

fn wrong(code: &str) -> &'static str {
    if code == "000000" { "111111" } else { "000000" }
}

/// An account whose second factor is a telephone.
async fn protected_by_phone(app: &App) -> Client {
    app.user(EMAIL).await;
    let (client, _) = app.sign_in(EMAIL).await;
    begin(app, &client, PHONE).await.is(200, "");
    let confirmed = confirm(app, &client, &texted(app, PHONE).await).await;
    confirmed.is(200, "");
    assert_eq!(confirmed.json["recovery_codes"].as_array().map(Vec::len), Some(10));
    client
}

each_backend! {
    async fn a_text_message_is_known_to_be_somebodys_so_that_it_goes_with_their_account(test: TestDb) {
        let app = App::start(test).await;
        let client = protected_by_phone(&app).await;
        let me = app.get(&client, "/api/v1/users/me").await.text("/id");
        let sent = app.text("SELECT user_id FROM messages WHERE recipient = $1", PHONE).await;
        assert_eq!(sent, me);
    }

    async fn asvs_6_6_1_a_number_is_a_factor_once_a_code_that_was_sent_there_comes_back(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let (client, _) = app.sign_in(EMAIL).await;
        let begun = begin(&app, &client, "+351 912-345-678").await;
        begun.is(200, "");
        assert_eq!(begun.json["confirmed"], false);
        let code = texted(&app, PHONE).await;
        app.try_sign_in(&home(), EMAIL, PASSWORD).await.is(200, "").text("/access_token");
        confirm(&app, &client, wrong(&code)).await.is(422, "identity.bad_code");
        confirm(&app, &client, &code).await.is(200, "");
        confirm(&app, &client, &code).await.is(422, "identity.bad_code");
        let listed = app.get(&client, "/api/v1/mfa").await;
        assert_eq!((listed.text("/factors/0/kind"), listed.text("/factors/0/phone")), ("sms".to_owned(), "+351•••78".to_owned()));

        let token = ask(&app, &home()).await;
        assert_eq!(token.json["methods"], json!(["sms", "recovery"]));
        let token = token.text("/mfa_token");
        app.pass(Duration::from_secs(31));
        send(&app, &token).await.is(202, "");
        let code = texted(&app, PHONE).await;
        // Another attempt's question, another way, and too late: no, no, no.
        let other = ask(&app, &home()).await.text("/mfa_token");
        answer(&app, &home(), &other, "sms", &code).await.is(401, "identity.wrong_code");
        answer(&app, &home(), &token, "email", &code).await.is(401, "identity.wrong_code");
        answer(&app, &home(), &token, "sms", &code).await.is(200, "");
        answer(&app, &home(), &token, "sms", &code).await.is(401, "identity.mfa_over");
    }

    async fn a_number_is_written_in_the_international_form(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let (client, _) = app.sign_in(EMAIL).await;
        for bad in ["912345678", "00351912345678", "+351", "", "zoe"] {
            let refused = begin(&app, &client, bad).await;
            assert_eq!((refused.status, refused.pointers), (422, vec!["/phone".to_owned()]), "{bad}");
        }
        assert_eq!(app.mails(PHONE).await.len(), 0);
    }

    async fn asvs_6_5_1_of_two_that_give_the_texted_code_at_once_one_gets_in(test: TestDb) {
        let app = App::start(test).await;
        protected_by_phone(&app).await;
        app.pass(Duration::from_secs(31));
        let token = ask(&app, &home()).await.text("/mfa_token");
        send(&app, &token).await.is(202, "");
        let (code, client) = (texted(&app, PHONE).await, home());
        let replies = futures::future::join_all((0..4).map(|_| answer(&app, &client, &token, "sms", &code))).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    }

    async fn asvs_6_5_5_a_texted_code_is_good_for_ten_minutes_and_a_new_one_voids_it(test: TestDb) {
        let app = App::start(test).await;
        protected_by_phone(&app).await;
        app.pass(Duration::from_secs(31));
        let token = ask(&app, &home()).await.text("/mfa_token");
        send(&app, &token).await.is(202, "");
        send(&app, &token).await.is(429, "identity.code_too_soon");
        let old = texted(&app, PHONE).await;
        app.pass(Duration::from_secs(31));
        send(&app, &token).await.is(202, "");
        let new = texted(&app, PHONE).await;
        if old != new {
            answer(&app, &home(), &token, "sms", &old).await.is(401, "identity.wrong_code");
        }
        app.pass(Duration::from_secs(600));
        answer(&app, &home(), &token, "sms", &new).await.is(401, "identity.mfa_over");
    }

    async fn five_wrong_codes_end_setting_a_number_up_whatever_number_comes_next(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let (client, _) = app.sign_in(EMAIL).await;
        begin(&app, &client, PHONE).await.is(200, "");
        let code = texted(&app, PHONE).await;
        let guesses = futures::future::join_all((0..9).map(|_| confirm(&app, &client, wrong(&code)))).await;
        assert!(guesses.iter().all(|reply| reply.status == 422 || reply.status == 429));
        app.pass(Duration::from_secs(60));
        confirm(&app, &client, &code).await.is(422, "identity.bad_code");
        begin(&app, &client, OTHER).await.is(429, "identity.code_too_soon");
    }

    async fn a_code_confirms_the_number_it_was_sent_to(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let (client, _) = app.sign_in(EMAIL).await;
        begin(&app, &client, PHONE).await.is(200, "");
        let code = texted(&app, PHONE).await;
        app.pass(Duration::from_secs(31));
        begin(&app, &client, OTHER).await.is(200, "");
        if code != texted(&app, OTHER).await {
            confirm(&app, &client, &code).await.is(422, "identity.bad_code");
        }
        confirm(&app, &client, &texted(&app, OTHER).await).await.is(200, "");
        assert_eq!(app.get(&client, "/api/v1/mfa").await.text("/factors/0/phone"), "+351•••43");
    }

    async fn another_number_takes_the_password_ends_what_was_open_and_is_told(test: TestDb) {
        let app = App::start(test).await;
        let client = protected_by_phone(&app).await;
        let here = home();
        app.pass(Duration::from_secs(31));
        let token = ask(&app, &here).await.text("/mfa_token");
        send(&app, &token).await.is(202, "");
        let entered = answer(&app, &here, &token, "sms", &texted(&app, PHONE).await).await;
        let there = here.clone().with_bearer(&entered.text("/access_token"));
        app.pass(Duration::from_secs(601));
        // A thief who has the old number's SIM and the password, half way in.
        let thief = ask(&app, &here).await.text("/mfa_token");
        send(&app, &thief).await.is(202, "");
        let stolen = texted(&app, PHONE).await;
        begin(&app, &client, OTHER).await.is(403, "identity.reauthentication_needed");
        let body = json!({"phone": OTHER, "password": "not the password"});
        app.post(&client, "/api/v1/mfa/sms", body).await.is(422, "identity.wrong_password");
        begin_with_password(&app, &client, OTHER).await.is(200, "");
        // Until it is confirmed the old one counts.
        assert_eq!(app.get(&client, "/api/v1/mfa").await.text("/factors/0/phone"), "+351•••78");
        confirm(&app, &client, &texted(&app, OTHER).await).await.is(200, "");
        assert_eq!(app.get(&client, "/api/v1/mfa").await.text("/factors/0/phone"), "+351•••43");
        assert!(app.is_signed_in(&client).await && !app.is_signed_in(&there).await);
        answer(&app, &here, &thief, "sms", &stolen).await.is(401, "identity.mfa_over");
        let told = app.mails(EMAIL).await;
        assert!(told[0].subject.contains("another number") && told[0].text.contains("+351•••43") && !told[0].text.contains(OTHER), "{}", told[0].text);
        assert_eq!(app.count("audit_entries", "action", "identity.factor.phone_changed").await, 1);
        begin_with_password(&app, &client, OTHER).await.is(409, "identity.factor_exists");
    }

    async fn a_role_that_demands_a_factor_can_be_served_by_telephone(test: TestDb) {
        let app = App::with(test, |config| { config.mfa.insert("admin".to_owned(), MfaPolicy::Required); }).await;
        app.account(EMAIL, "admin").await;
        let asked = ask(&app, &home()).await;
        assert_eq!(asked.json["enrol"], json!(["totp", "sms", "email"]));
        let token = asked.text("/mfa_token");
        let body = |phone: &str| json!({"mfa_token": token, "method": "sms", "phone": phone});
        assert_eq!(app.post(&home(), "/api/v1/auth/mfa/enrol", body("912")).await.pointers, ["/phone"]);
        app.post(&home(), "/api/v1/auth/mfa/enrol", body(PHONE)).await.is(200, "");
        let code = texted(&app, PHONE).await;
        // The code went to a telephone: it proves nothing about the mailbox.
        answer(&app, &home(), &token, "email", &code).await.is(401, "identity.wrong_code");
        answer(&app, &home(), &token, "sms", &code).await.is(200, "");
        assert_eq!(ask(&app, &home()).await.json["methods"], json!(["sms", "recovery"]));
    }

    async fn the_password_alone_adds_no_number_once_the_owner_has_a_factor(test: TestDb) {
        let app = App::with(test, |config| { config.mfa.insert("admin".to_owned(), MfaPolicy::Required); }).await;
        app.account(EMAIL, "admin").await;
        // Both are asked to set one up; the thief's code waits while the owner finishes.
        let (thief, owner) = (ask(&app, &home()).await.text("/mfa_token"), ask(&app, &home()).await.text("/mfa_token"));
        app.post(&home(), "/api/v1/auth/mfa/enrol", json!({"mfa_token": thief, "method": "sms", "phone": OTHER})).await.is(200, "");
        let code = texted(&app, OTHER).await;
        app.post(&home(), "/api/v1/auth/mfa/enrol", json!({"mfa_token": owner, "method": "sms", "phone": PHONE})).await.is(200, "");
        answer(&app, &home(), &owner, "sms", &texted(&app, PHONE).await).await.is(200, "");
        answer(&app, &home(), &thief, "sms", &code).await.is(401, "identity.mfa_over");
        assert_eq!(app.count("factors", "kind", "sms").await, 1);
    }

    async fn asvs_6_5_2_the_database_names_no_number_of_a_factor(test: TestDb) {
        let app = App::start(test).await;
        protected_by_phone(&app).await;
        let sealed = app.text("SELECT secret FROM factors WHERE kind = $1", "sms").await;
        assert!(sealed.starts_with("v1.") && !sealed.contains("912345678"), "{sealed}");
    }

    async fn a_person_is_sent_so_many_messages_and_no_more_whatever_the_numbers(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let client = app.sign_in_with_cookie(EMAIL).await;
        let mut hours = Vec::new();
        for hour in 0..3 {
            let mut sent = 0;
            for n in 0..7 {
                sent += u32::from(begin_with_password(&app, &client, &format!("+35191{hour}34567{n}")).await.status == 200);
                app.pass(Duration::from_secs(31));
            }
            hours.push(sent);
            app.pass(Duration::from_secs(3_600));
        }
        assert_eq!(hours, [5, 5, 0], "five in an hour, ten in a day");
    }

    async fn a_number_that_is_lost_leaves_the_other_ways(test: TestDb) {
        let app = App::start(test).await;
        let client = protected_by_phone(&app).await;
        let (phone, _) = enrol(&app, &client).await;
        let asked = ask(&app, &home()).await;
        assert_eq!(asked.json["methods"], json!(["totp", "sms", "recovery"]));
        answer(&app, &home(), &asked.text("/mfa_token"), "totp", &phone.next_code(&app)).await.is(200, "");
        app.delete(&client, "/api/v1/mfa/sms", None).await.is(204, "");
        assert_eq!(ask(&app, &home()).await.json["methods"], json!(["totp", "recovery"]));
    }

    async fn pumping_through_many_accounts_stops_at_the_budget(test: TestDb) {
        let twilio = FakeTwilio::start().await;
        let mut notify = by_twilio(&twilio);
        notify.sms_guard.per_block = vec![Rate::per_hour(1_000)];
        notify.sms_guard.total = vec![Rate::per_hour(12)];
        let app = App::with_notify(test, notify).await;
        let mut asked = 0;
        for account in 0..6 {
            let (email, ip) = (format!("pump{account}@example.com"), format!("198.51.{account}.9"));
            app.user(&email).await;
            let signed_in = app.try_sign_in(&Client::at(&ip), &email, PASSWORD).await;
            let client = Client::at(&ip).with_bearer(&signed_in.text("/access_token"));
            // Numbers that follow each other, as whoever rents a range has them.
            for n in 0..6 {
                asked += u32::from(begin(&app, &client, &format!("+35191234{account}{n:03}")).await.status == 200);
                app.pass(Duration::from_secs(31));
            }
        }
        assert_eq!(asked, 30, "five for each person");
        app.kit.jobs.run_due_for_tests(&app.kit.notify.registry()).await.unwrap();
        assert_eq!(twilio.taken().len(), 12, "not one more than the budget");
        // Where none go at all is said at once, and costs nothing.
        app.user(EMAIL).await;
        let (client, _) = app.sign_in(EMAIL).await;
        begin(&app, &client, "+447400123456").await.is(422, "notify.number_refused");
        begin(&app, &client, "+351760123456").await.is(422, "notify.number_refused");
    }

    async fn without_a_provider_nobody_is_offered_text_messages(test: TestDb) {
        let app = App::with_notify(test, NotifyConfig::default()).await;
        app.user(EMAIL).await;
        let (client, _) = app.sign_in(EMAIL).await;
        begin(&app, &client, PHONE).await.is(422, "identity.factor_unavailable");
        app.call(&client, Method::POST, "/api/v1/mfa/email", None).await.is(422, "identity.factor_unavailable");
    }
}

async fn begin_with_password(app: &App, client: &Client, phone: &str) -> Reply {
    app.post(client, "/api/v1/mfa/sms", json!({"phone": phone, "password": PASSWORD})).await
}

fn by_twilio(twilio: &FakeTwilio) -> NotifyConfig {
    let twilio = TwilioConfig {
        account_sid: FakeTwilio::ACCOUNT.into(),
        auth_token: Secret::new(FakeTwilio::TOKEN),
        phone_number: "+351910000000".into(),
        api_base: twilio.url().into(),
        ..TwilioConfig::default()
    };
    NotifyConfig { twilio, ..NotifyConfig::default() }
}
