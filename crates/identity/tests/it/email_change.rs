//! Another address: both mailboxes agree, or nothing changes.

use std::time::Duration;

use baluarte_testkit::each_backend;
use http::Method;
use serde_json::json;

use crate::{
    app::{App, Client, PASSWORD, Reply, home, token_in},
    factors::protected,
    step_up::enter,
};

const OLD: &str = "zoe@example.com";
const NEW: &str = "zoe.new@example.com";
const EMAIL: &str = "/api/v1/users/me/email";

async fn ask(app: &App, client: &Client, email: &str) -> Reply {
    app.post(client, EMAIL, json!({"email": email})).await
}

async fn say(app: &App, word: &str, token: &str) -> Reply {
    app.post(&Client::at("198.51.100.9"), &format!("/api/v1/auth/email/{word}"), json!({"token": token})).await
}

/// The tokens of the latest change: the old mailbox's and the new one's.
async fn tokens(app: &App, new: &str) -> (String, String) {
    (app.mailed_token(OLD).await, app.mailed_token(new).await)
}

async fn address(app: &App, client: &Client) -> String {
    app.get(client, "/api/v1/users/me").await.text("/email")
}

each_backend! {
    async fn an_address_changes_when_both_mailboxes_have_agreed_and_not_before(test: TestDb) {
        let app = App::start(test).await;
        app.user(OLD).await;
        let (client, other) = (app.sign_in_with_cookie(OLD).await, app.sign_in_with_cookie(OLD).await);
        let asked = ask(&app, &client, " ZOE.new@example.com").await;
        asked.is(202, "");
        assert_eq!((asked.text("/email").as_str(), &asked.json["old_confirmed"], &asked.json["new_confirmed"]), (NEW, &json!(false), &json!(false)));
        let (old, new) = tokens(&app, NEW).await;
        assert_eq!(say(&app, "confirm", &new).await.is(200, "").json, json!({"changed": false}));
        say(&app, "confirm", &new).await.is(422, "identity.link_invalid");
        assert_eq!(address(&app, &client).await, OLD);
        let waits = app.get(&client, EMAIL).await;
        assert_eq!((&waits.json["change"]["old_confirmed"], &waits.json["change"]["new_confirmed"]), (&json!(false), &json!(true)));

        assert_eq!(say(&app, "confirm", &old).await.is(200, "").json, json!({"changed": true}));
        assert_eq!(app.get(&client, EMAIL).await.json, json!({"change": null}));
        assert_eq!(address(&app, &client).await, NEW, "the session that asked goes on");
        assert!(!app.is_signed_in(&other).await, "the others have ended");
        for to in [OLD, NEW] {
            let notice = app.mails(to).await.remove(0);
            assert!(notice.subject.contains("was changed") && notice.text.contains("z•••@example.com"), "{}", notice.text);
            assert!(!notice.text.contains(NEW), "the old mailbox does not learn the new address");
        }
        say(&app, "confirm", &old).await.is(422, "identity.link_invalid");
        app.try_sign_in(&home(), OLD, PASSWORD).await.is(401, "identity.wrong_credentials");
        app.try_sign_in(&home(), NEW, PASSWORD).await.is(200, "");
        assert_eq!(app.events().await.last().map(String::as_str), Some("user.email_changed"));
    }

    async fn every_replica_says_the_new_address_at_once(test: TestDb) {
        let app = App::start(test).await;
        let neighbour = app.neighbour().await;
        app.user(OLD).await;
        let browser = app.sign_in_with_cookie(OLD).await;
        let (program, refresh) = app.sign_in(OLD).await;
        // Both remember who that is.
        for replica in [&app, &neighbour] {
            assert_eq!(address(replica, &browser).await, OLD);
            assert!(replica.is_signed_in(&program).await);
        }
        ask(&app, &program, NEW).await.is(202, "");
        let (old, new) = tokens(&app, NEW).await;
        say(&app, "confirm", &old).await.is(200, "");
        say(&app, "confirm", &new).await.is(200, "");
        for replica in [&app, &neighbour] {
            assert!(replica.is_signed_out_within_a_second(&program).await, "the token with the old address is void");
            assert!(replica.is_signed_out_within_a_second(&browser).await);
        }
        let next = neighbour.refresh(&refresh).await;
        next.is(200, "");
        let who = neighbour.ctx(&home().with_bearer(&next.text("/access_token"))).await;
        assert_eq!(who.user().unwrap().email, NEW);
    }

    async fn a_cookie_that_stays_says_the_new_address_to_upstreams(test: TestDb) {
        let app = App::start(test).await;
        app.user(OLD).await;
        let browser = app.sign_in_with_cookie(OLD).await;
        let before = app.ctx(&browser).await.user().unwrap().clone();
        ask(&app, &browser, NEW).await.is(202, "");
        let (old, new) = tokens(&app, NEW).await;
        say(&app, "confirm", &old).await.is(200, "");
        say(&app, "confirm", &new).await.is(200, "");
        assert!(app.identity.authenticator().is_revoked(&before), "whoever remembers it asks again");
        assert_eq!(app.ctx(&browser).await.user().unwrap().email, NEW);
    }

    async fn asvs_7_5_1_asking_takes_a_fresh_proof(test: TestDb) {
        let app = App::start(test).await;
        app.user(OLD).await;
        let (client, _) = app.sign_in(OLD).await;
        app.pass(Duration::from_secs(601));
        ask(&app, &client, NEW).await.is(403, "identity.step_up_required");
        assert!(app.mails(NEW).await.is_empty());
        app.post(&client, "/api/v1/auth/step-up", json!({"password": PASSWORD})).await.is(204, "");
        ask(&app, &client, NEW).await.is(202, "");
        ask(&app, &home(), NEW).await.is(401, "web.sign_in_required");
    }

    async fn asvs_7_5_1_the_password_is_not_proof_enough_where_there_is_a_factor(test: TestDb) {
        let app = App::start(test).await;
        let (phone, _) = protected(&app).await;
        let client = home().with_bearer(&enter(&app, &phone).await.text("/access_token"));
        app.pass(Duration::from_secs(601));
        ask(&app, &client, NEW).await.is(403, "identity.step_up_required");
        app.post(&client, "/api/v1/auth/step-up", json!({"method": "totp", "code": phone.next_code(&app)})).await.is(204, "");
        ask(&app, &client, NEW).await.is(202, "");
    }

    async fn asvs_6_3_8_nobody_learns_whether_the_new_address_has_an_account(test: TestDb) {
        let app = App::start(test).await;
        app.user(OLD).await;
        app.user("ana@example.com").await;
        let (client, _) = app.sign_in(OLD).await;
        let taken = ask(&app, &client, "ana@example.com").await;
        let seen = app.get(&client, EMAIL).await.json;
        let old = app.mailed_token(OLD).await;
        assert_eq!(say(&app, "confirm", &old).await.is(200, "").json, json!({"changed": false}));
        let free = ask(&app, &client, NEW).await;
        for (reply, email) in [(&taken, "ana@example.com"), (&free, NEW)] {
            reply.is(202, "");
            assert_eq!((reply.text("/email").as_str(), &reply.json["new_confirmed"]), (email, &json!(false)));
        }
        assert_eq!(taken.headers.keys().collect::<Vec<_>>(), free.headers.keys().collect::<Vec<_>>());
        assert_eq!(seen["change"]["email"], "ana@example.com");
        // Only the other owner does, and is given no link.
        let mail = app.mails("ana@example.com").await.remove(0);
        assert!(mail.subject.contains("already") && !mail.text.contains("token="), "{}", mail.text);
    }

    async fn this_was_not_me_stops_the_change_and_ends_every_session(test: TestDb) {
        let app = App::start(test).await;
        app.user(OLD).await;
        let thief = app.sign_in_with_cookie(OLD).await;
        ask(&app, &thief, NEW).await.is(202, "");
        let (old, new) = tokens(&app, NEW).await;
        say(&app, "confirm", &new).await.is(200, "");
        say(&app, "refuse", &old).await.is(204, "");
        assert!(!app.is_signed_in(&thief).await);
        say(&app, "refuse", &old).await.is(422, "identity.link_invalid");
        say(&app, "confirm", &old).await.is(422, "identity.link_invalid");
        app.try_sign_in(&home(), OLD, PASSWORD).await.is(200, "");

        // A stranger whose address was entered ends the question, and nobody's session.
        let owner = app.sign_in_with_cookie(OLD).await;
        ask(&app, &owner, NEW).await.is(202, "");
        let (old, new) = tokens(&app, NEW).await;
        say(&app, "refuse", &new).await.is(204, "");
        assert!(app.is_signed_in(&owner).await);
        say(&app, "confirm", &old).await.is(422, "identity.link_invalid");
    }

    async fn links_are_void_after_an_hour_another_question_another_password_or_second_thoughts(test: TestDb) {
        let app = App::start(test).await;
        let user = app.user(OLD).await;
        let (client, _) = app.sign_in(OLD).await;
        let dead = async |tokens: (String, String)| {
            for token in [tokens.0, tokens.1] {
                say(&app, "confirm", &token).await.is(422, "identity.link_invalid");
                say(&app, "refuse", &token).await.is(422, "identity.link_invalid");
            }
        };
        ask(&app, &client, NEW).await.is(202, "");
        let first = tokens(&app, NEW).await;
        ask(&app, &client, NEW).await.is(202, "");
        dead(first).await;

        let second = tokens(&app, NEW).await;
        app.delete(&client, EMAIL, None).await.is(204, "");
        dead(second).await;

        ask(&app, &client, NEW).await.is(202, "");
        let third = tokens(&app, NEW).await;
        let change = json!({"current_password": PASSWORD, "password": "another long password"});
        app.call(&client, Method::PUT, "/api/v1/users/me/password", Some(change)).await.is(204, "");
        assert_eq!(app.get(&client, EMAIL).await.json, json!({"change": null}));
        dead(third).await;

        ask(&app, &client, NEW).await.is(202, "");
        let fourth = tokens(&app, NEW).await;
        app.pass(Duration::from_secs(3_601));
        dead(fourth).await;

        let client = home().with_bearer(&app.try_sign_in(&home(), OLD, "another long password").await.text("/access_token"));
        ask(&app, &client, NEW).await.is(202, "");
        let fifth = tokens(&app, NEW).await;
        app.identity.disable_user(&app.operator(), user.id).await.unwrap();
        dead(fifth).await;
    }

    async fn links_to_choose_a_password_that_wait_in_the_old_mailbox_are_void(test: TestDb) {
        let app = App::start(test).await;
        app.user(OLD).await;
        let (client, _) = app.sign_in(OLD).await;
        app.post(&home(), "/auth/forgot-password", json!({"email": OLD})).await.is(202, "");
        app.settle().await;
        let reset = app.mailed_token(OLD).await;
        ask(&app, &client, NEW).await.is(202, "");
        let (old, new) = tokens(&app, NEW).await;
        say(&app, "confirm", &old).await.is(200, "");
        say(&app, "confirm", &new).await.is(200, "");
        app.post(&home(), "/auth/reset-password", json!({"token": reset, "password": PASSWORD})).await.is(422, "identity.link_invalid");
    }

    async fn of_two_that_confirm_at_once_each_counts_once(test: TestDb) {
        let app = App::start(test).await;
        app.user(OLD).await;
        let (client, _) = app.sign_in(OLD).await;
        ask(&app, &client, NEW).await.is(202, "");
        let (old, new) = tokens(&app, NEW).await;
        let replies = tokio::join!(say(&app, "confirm", &old), say(&app, "confirm", &old), say(&app, "confirm", &new));
        let replies = [replies.0, replies.1, replies.2];
        assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 2);
        assert_eq!(replies.iter().filter(|reply| reply.json == json!({"changed": true})).count(), 1);
        app.try_sign_in(&home(), NEW, PASSWORD).await.is(200, "");
    }

    async fn an_address_that_somebody_registers_meanwhile_is_theirs(test: TestDb) {
        let app = App::start(test).await;
        app.user(OLD).await;
        let (client, _) = app.sign_in(OLD).await;
        ask(&app, &client, NEW).await.is(202, "");
        let (old, new) = tokens(&app, NEW).await;
        app.user(NEW).await;
        say(&app, "confirm", &old).await.is(200, "");
        say(&app, "confirm", &new).await.is(409, "identity.email_taken");
        assert_eq!(address(&app, &client).await, OLD);
    }

    async fn mailboxes_are_not_filled_by_asking_again_and_again(test: TestDb) {
        let app = App::start(test).await;
        app.user(OLD).await;
        let (client, _) = app.sign_in(OLD).await;
        ask(&app, &client, OLD).await.is(422, "identity.same_email");
        assert_eq!(ask(&app, &client, "nobody").await.is(422, "web.invalid_fields").pointers, ["/email"]);
        for _ in 0..5 {
            ask(&app, &client, NEW).await.is(202, "");
        }
        let refused = ask(&app, &client, NEW).await;
        assert!(refused.is(429, "identity.too_many_mails").headers.contains_key("retry-after"));
        assert_eq!((app.mails(OLD).await.len(), app.mails(NEW).await.len()), (5, 5));
        // The latest links go on working.
        let (old, new) = (token_in(&app.mails(OLD).await[0].text), token_in(&app.mails(NEW).await[0].text));
        say(&app, "confirm", &old).await.is(200, "");
        say(&app, "confirm", &new).await.is(200, "");
    }

    async fn nothing_in_the_database_opens_what_waits(test: TestDb) {
        let app = App::start(test).await;
        app.user(OLD).await;
        let (client, _) = app.sign_in(OLD).await;
        ask(&app, &client, NEW).await.is(202, "");
        let (old, new) = tokens(&app, NEW).await;
        for (column, token) in [("old_hash", &old), ("new_hash", &new)] {
            assert_eq!(app.count("email_changes", column, token).await, 0);
        }
    }
}
