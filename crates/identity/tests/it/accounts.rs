use std::time::Duration;

use baluarte_db::{sea_orm::ConnectionTrait as _, sql};
use baluarte_identity::{EmailVerification, Registration};
use baluarte_testkit::{TestDb, each_backend};
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, PUBLIC_URL, home, token_in};

const REGISTER: &str = "/api/v1/auth/register";
const VERIFY: &str = "/api/v1/auth/verify-email";

fn zoe() -> Value {
    json!({"email": "zoe@example.com", "password": PASSWORD, "name": "Zoë"})
}

async fn with_verification(test: TestDb) -> App {
    App::with(test, |config| config.email_verification = EmailVerification::Required).await
}

each_backend! {
    async fn registering_makes_an_account_that_can_sign_in(test: TestDb) {
        let app = App::start(test).await;
        let reply = app.post(&home(), REGISTER, zoe()).await;
        reply.is(201, "");
        let user = &reply.json["user"];
        assert_eq!(user.as_object().unwrap().keys().collect::<Vec<_>>(), ["created_at", "email", "id", "name", "plan", "role"]);
        assert_eq!((&user["email"], &user["name"], &user["role"], &user["plan"]), (&json!("zoe@example.com"), &json!("Zoë"), &json!("user"), &json!("free")));
        assert!(user["id"].as_str().unwrap().starts_with("usr_"));
        app.sign_in("zoe@example.com").await;
    }

    async fn an_address_has_one_account_whatever_its_spelling(test: TestDb) {
        let app = App::start(test).await;
        app.post(&home(), REGISTER, zoe()).await.is(201, "");
        let again = json!({"email": " ZOE@Example.com ", "password": PASSWORD, "name": "Other"});
        assert_eq!(app.post(&home(), REGISTER, again).await.is(409, "identity.email_taken").pointers, ["/email"]);
        app.try_sign_in(&home(), "ZOE@EXAMPLE.COM", PASSWORD).await.is(200, "");
    }

    async fn of_two_that_register_an_address_at_once_one_gets_it(test: TestDb) {
        let app = App::start(test).await;
        let client = home();
        let (one, two) = tokio::join!(app.post(&client, REGISTER, zoe()), app.post(&client, REGISTER, zoe()));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
    }

    async fn everything_wrong_with_a_registration_is_told(test: TestDb) {
        let app = App::start(test).await;
        let wrong = app.post(&home(), REGISTER, json!({"email": "nobody", "password": PASSWORD, "name": " "})).await;
        assert_eq!(wrong.is(422, "web.invalid_fields").pointers, ["/email", "/name"]);
        for password in ["short", "password123", "zoe@example.com"] {
            let body = json!({"email": "zoe@example.com", "password": password, "name": "Zoë"});
            assert_eq!(app.post(&home(), REGISTER, body).await.is(422, "identity.bad_password").pointers, ["/password"]);
        }
        assert_eq!(app.post(&home(), REGISTER, json!({"email": "a@b.c"})).await.status, 422);
    }

    async fn where_nobody_may_register_nobody_does(test: TestDb) {
        let app = App::with(test, |config| config.registration = Registration::Closed).await;
        app.post(&home(), REGISTER, zoe()).await.is(403, "identity.registration_closed");
        let app = app.restarted(|config| config.registration = Registration::Invite).await;
        app.post(&home(), REGISTER, zoe()).await.is(403, "identity.invitation_needed");
        assert_eq!(app.count("users", "email", "zoe@example.com").await, 0);
    }

    async fn asvs_6_3_8_registering_does_not_tell_whether_an_address_has_an_account(test: TestDb) {
        let app = with_verification(test).await;
        app.user("known@example.com").await;
        let known = app.post(&home(), REGISTER, json!({"email": "known@example.com", "password": PASSWORD, "name": "Eve"})).await;
        let fresh = app.post(&home(), REGISTER, json!({"email": "fresh@example.com", "password": PASSWORD, "name": "Eve"})).await;
        for reply in [&known, &fresh] {
            reply.is(202, "");
            assert_eq!(reply.json, Value::Null);
        }
        assert_eq!(known.headers.keys().collect::<Vec<_>>(), fresh.headers.keys().collect::<Vec<_>>());
        // Only the mailbox knows.
        assert!(app.mails("known@example.com").await[0].subject.contains("already"));
        assert!(app.mails("fresh@example.com").await[0].text.contains("/auth/verify-email?token="));
        app.sign_in("known@example.com").await;
    }

    async fn a_registration_that_a_crash_interrupted_is_taken_up(test: TestDb) {
        let app = with_verification(test).await;
        let tx = app.db().begin().await.unwrap();
        let values = ["reg_0192f0c1d2e37000a1b2c3d4e5f60718", "zoe@example.com", "Zoë", "$argon2id$", "es"].map(Into::into);
        let statement = "INSERT INTO registrations (id, email, name, password_hash, locale, created_at) VALUES ($1, $2, $3, $4, $5, 0)";
        tx.execute_raw(sql(&tx, statement, values)).await.unwrap();
        tx.commit().await.unwrap();
        let restarted = app.replica().await;
        while restarted.count("registrations", "email", "zoe@example.com").await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(restarted.mails("zoe@example.com").await[0].subject.starts_with("Confirma"));
    }

    async fn an_address_is_confirmed_once_and_then_its_owner_signs_in(test: TestDb) {
        let app = with_verification(test).await;
        app.post(&home(), REGISTER, zoe()).await.is(202, "");
        app.settle().await;
        app.try_sign_in(&home(), "zoe@example.com", PASSWORD).await.is(403, "identity.email_not_verified");
        app.try_sign_in(&home(), "zoe@example.com", "not the password").await.is(401, "identity.wrong_credentials");
        let mail = &app.mails("zoe@example.com").await[0];
        assert!(mail.text.contains(&format!("{PUBLIC_URL}/auth/verify-email?token=")), "not the Host of the request");
        let token = json!({"token": token_in(&mail.text)});
        app.post(&home(), VERIFY, token.clone()).await.is(204, "");
        app.post(&home(), VERIFY, token).await.is(422, "identity.link_invalid");
        app.sign_in("zoe@example.com").await;
    }

    async fn a_confirmation_expires_and_can_be_sent_again(test: TestDb) {
        let app = with_verification(test).await;
        app.post(&home(), REGISTER, zoe()).await.is(202, "");
        let token = app.mailed_token("zoe@example.com").await;
        app.pass(Duration::from_secs(86_400));
        app.post(&home(), VERIFY, json!({"token": token})).await.is(422, "identity.link_invalid");
        for email in ["zoe@example.com", "nobody@example.com", "not an address"] {
            app.post(&home(), "/api/v1/auth/verify-email/resend", json!({"email": email})).await.is(202, "");
        }
        let token = app.mailed_token("zoe@example.com").await;
        app.post(&home(), VERIFY, json!({"token": token})).await.is(204, "");
        app.sign_in("zoe@example.com").await;
    }

    async fn no_mail_to_the_owner_of_an_address_brings_a_strangers_password(test: TestDb) {
        let app = with_verification(test).await;
        let of_eve = |address: &str| json!({"email": address, "password": "the password of Eve", "name": "Eve"});
        let of_owner = |address: &str| json!({"email": address, "password": "the password of Zoe", "name": "Zoë"});
        for (address, eve_is_first) in [("first@example.com", true), ("second@example.com", false)] {
            let mut registrations = [of_eve(address), of_owner(address)];
            if !eve_is_first {
                registrations.reverse();
            }
            for registration in registrations {
                app.post(&home(), REGISTER, registration).await.is(202, "");
                app.settle().await;
                app.pass(Duration::from_secs(1));
            }
            app.post(&home(), "/api/v1/auth/verify-email/resend", json!({"email": address})).await.is(202, "");
            // Whichever mail the owner trusts, the first one included: nothing that it confirms makes Eve's password valid.
            let mails = app.mails(address).await;
            assert_eq!(mails.len(), 3);
            for mail in &mails {
                app.post(&home(), VERIFY, json!({"token": token_in(&mail.text)})).await.is(422, "identity.link_invalid");
            }
            app.try_sign_in(&home(), address, "the password of Eve").await.is(401, "identity.wrong_credentials");
            // The newest lets its reader choose a password, and that proves the address.
            let token = token_in(&mails[0].text);
            app.post(&home(), "/auth/reset-password", json!({"token": token, "password": PASSWORD})).await.is(204, "");
            app.try_sign_in(&home(), address, "the password of Eve").await.is(401, "identity.wrong_credentials");
            app.sign_in(address).await;
        }
    }

    async fn an_account_in_use_keeps_its_password_when_its_address_is_registered_again(test: TestDb) {
        let app = App::start(test).await;
        app.post(&home(), REGISTER, zoe()).await.is(201, "");
        app.sign_in("zoe@example.com").await;
        let app = app.restarted(|config| config.email_verification = EmailVerification::Required).await;
        let eve = json!({"email": "zoe@example.com", "password": "the password of Eve", "name": "Eve"});
        app.post(&home(), REGISTER, eve).await.is(202, "");
        let token = app.mailed_token("zoe@example.com").await;
        app.post(&home(), VERIFY, json!({"token": token})).await.is(204, "");
        app.try_sign_in(&home(), "zoe@example.com", "the password of Eve").await.is(401, "identity.wrong_credentials");
        app.sign_in("zoe@example.com").await;
    }

    async fn strangers_cannot_fill_somebodys_mailbox(test: TestDb) {
        let app = with_verification(test).await;
        for _ in 0..8 {
            app.post(&home(), REGISTER, zoe()).await.is(202, "");
        }
        assert_eq!(app.mails("zoe@example.com").await.len(), 5);
        app.pass(Duration::from_secs(3_601));
        app.post(&home(), REGISTER, zoe()).await.is(202, "");
        assert_eq!(app.mails("zoe@example.com").await.len(), 6);
    }

    async fn people_change_their_name_and_language(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (client, _) = app.sign_in("zoe@example.com").await;
        let reply = app.patch(&client, "/api/v1/users/me", json!({"name": " Zoë Ñandú ", "locale": "es"})).await;
        reply.is(200, "");
        assert_eq!(app.get(&client, "/api/v1/users/me").await.text("/name"), "Zoë Ñandú");
        assert_eq!(app.patch(&client, "/api/v1/users/me", json!({"name": "a\nb"})).await.is(422, "web.invalid_fields").pointers, ["/name"]);
        app.patch(&client, "/api/v1/users/me", json!({"locale": "tlh"})).await.is(422, "web.invalid_fields");
        app.post(&home(), "/auth/forgot-password", json!({"email": "zoe@example.com"})).await.is(202, "");
        assert!(app.mails("zoe@example.com").await[0].subject.starts_with("Elige"), "mails come in the language chosen");
    }

    async fn deleting_an_account_asks_for_the_password_and_leaves_nothing(test: TestDb) {
        let app = App::start(test).await;
        let (zoe, other) = (app.user("zoe@example.com").await, app.user("other@example.com").await);
        let (client, refresh) = app.sign_in("zoe@example.com").await;
        let (survivor, _) = app.sign_in("other@example.com").await;
        app.post(&home(), "/auth/forgot-password", json!({"email": "zoe@example.com"})).await.is(202, "");
        app.mails("zoe@example.com").await;
        app.delete(&client, "/api/v1/users/me", Some(json!({"password": "not the password"}))).await.is(422, "identity.wrong_password");
        app.delete(&client, "/api/v1/users/me", Some(json!({"password": PASSWORD}))).await.is(204, "");
        for (table, column) in [("users", "id"), ("sessions", "user_id"), ("links", "user_id"), ("sign_in_places", "user_id")] {
            assert_eq!(app.count(table, column, &zoe.id.to_string()).await, 0, "{table}");
        }
        assert!(!app.is_signed_in(&client).await);
        app.refresh(&refresh).await.is(401, "identity.refresh_invalid");
        app.try_sign_in(&home(), "zoe@example.com", PASSWORD).await.is(401, "identity.wrong_credentials");
        assert_eq!(app.count("users", "id", &other.id.to_string()).await, 1);
        assert!(app.is_signed_in(&survivor).await);
    }

    async fn people_find_each_other_by_name_and_see_no_addresses(test: TestDb) {
        let app = App::start(test).await;
        app.user("reader@example.com").await;
        let (client, _) = app.sign_in("reader@example.com").await;
        for (number, name) in ["Ana Lucía Ñandú", "Analía", "Bruno Anaya", "Mariana", "100% Ana_Z"].into_iter().enumerate() {
            let body = json!({"email": format!("p{number}@example.com"), "password": PASSWORD, "name": name});
            app.post(&home(), REGISTER, body).await.is(201, "");
        }
        let names = |reply: &crate::app::Reply| -> Vec<String> {
            reply.json["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
        };
        let found = app.get(&client, "/api/v1/users?query=ANA").await;
        assert_eq!(names(&found).len(), 4, "{:?}", names(&found));
        assert!(!found.json.to_string().contains("example.com"));
        assert_eq!(found.json["items"][0].as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "name"]);
        assert_eq!(names(&app.get(&client, "/api/v1/users?query=%C3%B1and").await), ["Ana Lucía Ñandú"]);
        assert_eq!(names(&app.get(&client, "/api/v1/users?query=100%25").await), ["100% Ana_Z"]);
        assert_eq!(names(&app.get(&client, "/api/v1/users?query=Ana_").await), ["100% Ana_Z"]);

        // In pages, without gaps or doubles.
        let (mut seen, mut path) = (Vec::new(), "/api/v1/users?query=ana&limit=1".to_owned());
        loop {
            let page = app.get(&client, &path).await;
            seen.extend(names(&page));
            let Some(cursor) = page.json["next_cursor"].as_str() else { break };
            path = format!("/api/v1/users?query=ana&limit=1&cursor={cursor}");
        }
        assert_eq!(seen, names(&found));
        app.get(&home(), "/api/v1/users?query=ana").await.is(401, "web.sign_in_required");
    }
}
