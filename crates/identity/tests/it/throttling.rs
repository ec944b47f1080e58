use std::time::Duration;

use baluarte_testkit::each_backend;
use http::header;
use serde_json::json;

use crate::app::{App, Client, PASSWORD, home};

const ATTACKER: &str = "198.51.100.66";

async fn fail(app: &App, from: &str, email: &str, times: usize) {
    for _ in 0..times {
        app.try_sign_in(&Client::at(from), email, "not the password").await.is(401, "identity.wrong_credentials");
    }
}

fn retry_after(reply: &crate::app::Reply) -> u64 {
    reply.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap()
}

each_backend! {
    async fn asvs_6_3_1_failures_slow_down_whoever_makes_them_whether_or_not_there_is_an_account(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        for email in ["zoe@example.com", "nobody@example.com", "not an address"] {
            fail(&app, ATTACKER, email, 5).await;
            let reply = app.try_sign_in(&Client::at(ATTACKER), email, PASSWORD).await;
            reply.is(429, "identity.too_many_attempts");
            assert_eq!(retry_after(&reply), 10, "{email}");
            // The neighbour is the same attacker.
            app.try_sign_in(&Client::at("198.51.100.67"), email, PASSWORD).await.is(429, "identity.too_many_attempts");
        }
        app.pass(Duration::from_secs(10));
        fail(&app, ATTACKER, "zoe@example.com", 1).await;
        let reply = app.try_sign_in(&Client::at(ATTACKER), "zoe@example.com", PASSWORD).await;
        assert_eq!(retry_after(&reply), 20, "it grows");
        app.pass(Duration::from_secs(20));
        app.try_sign_in(&Client::at(ATTACKER), "zoe@example.com", PASSWORD).await.is(200, "");
        fail(&app, ATTACKER, "zoe@example.com", 5).await;
    }

    async fn throttling_survives_a_restart_and_is_shared_by_replicas(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        fail(&app, ATTACKER, "zoe@example.com", 5).await;
        let replica = app.replica().await;
        replica.try_sign_in(&Client::at(ATTACKER), "zoe@example.com", PASSWORD).await.is(429, "identity.too_many_attempts");
    }

    async fn an_attacker_elsewhere_does_not_lock_the_owner_out(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        app.sign_in("zoe@example.com").await;
        // From many networks, so that only the account as a whole is counted.
        for n in 0..25 {
            app.try_sign_in(&Client::at(&format!("198.51.{n}.1")), "zoe@example.com", "not the password").await;
        }
        let stranger = app.try_sign_in(&Client::at("192.0.2.1"), "zoe@example.com", PASSWORD).await;
        stranger.is(429, "identity.too_many_attempts");
        assert!(retry_after(&stranger) <= 300, "and not for long");
        app.try_sign_in(&home(), "zoe@example.com", PASSWORD).await.is(200, "");
    }

    async fn the_owner_gets_in_from_a_new_place_with_a_link_from_the_mailbox(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        for n in 0..25 {
            app.try_sign_in(&Client::at(&format!("198.51.{n}.1")), "zoe@example.com", "not the password").await;
        }
        let away = Client::at("192.0.2.1");
        app.try_sign_in(&away, "zoe@example.com", PASSWORD).await.is(429, "identity.too_many_attempts");
        app.post(&away, "/auth/forgot-password", json!({"email": "zoe@example.com"})).await.is(202, "");
        let token = app.mailed_token("zoe@example.com").await;
        app.post(&away, "/auth/reset-password", json!({"token": token, "password": "another long password"})).await.is(204, "");
        app.try_sign_in(&away, "zoe@example.com", "another long password").await.is(200, "");
    }

    async fn guessing_at_once_gives_no_more_guesses(test: TestDb) {
        let app = App::with(test, |config| config.password_threads = 2).await;
        app.user("zoe@example.com").await;
        let attacker = Client::at(ATTACKER);
        let attempts = (0..40).map(|_| app.try_sign_in(&attacker, "zoe@example.com", "not the password"));
        let replies = futures::future::join_all(attempts).await;
        let heard = replies.iter().filter(|reply| reply.status == 401).count();
        // Five free ones, and one more for each thread that was already at it.
        assert!((5..=6).contains(&heard), "{heard}");
        assert!(replies.iter().all(|reply| [401, 429].contains(&reply.status)));
    }

    async fn confirming_a_password_counts_like_signing_in(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (client, _) = app.sign_in("zoe@example.com").await;
        for _ in 0..5 {
            app.delete(&client, "/api/v1/users/me", Some(json!({"password": "not the password"}))).await.is(422, "identity.wrong_password");
        }
        app.delete(&client, "/api/v1/users/me", Some(json!({"password": PASSWORD}))).await.is(429, "identity.too_many_attempts");
    }
}
