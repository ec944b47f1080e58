//! Accounts by invitation.

use std::time::Duration;

use baluarte_identity::{EmailVerification, Registration};
use baluarte_testkit::{TestDb, each_backend};
use serde_json::{Value, json};

use crate::app::{App, Client, PASSWORD, Reply, home};

const INVITATIONS: &str = "/api/v1/admin/invitations";
const ACCEPT: &str = "/api/v1/auth/invitation";
const ZOE: &str = "zoe@example.com";

async fn by_invitation(test: TestDb) -> (App, Client) {
    let app = App::with(test, |config| config.registration = Registration::Invite).await;
    app.account("root@example.com", "admin").await;
    let (admin, _) = app.sign_in("root@example.com").await;
    (app, admin)
}

/// The token of a new invitation.
async fn invite(app: &App, admin: &Client, body: Value) -> String {
    let reply = app.post(admin, INVITATIONS, body).await;
    let url = reply.is(201, "").text("/url");
    url.strip_prefix("https://shop.example/auth/invitation?token=").expect("a link").to_owned()
}

async fn accept(app: &App, token: &str, email: Option<&str>) -> Reply {
    app.post(&home(), ACCEPT, json!({"token": token, "name": "Zoë", "password": PASSWORD, "email": email})).await
}

each_backend! {
    async fn whoever_reads_the_invitation_gets_the_account_it_is_for(test: TestDb) {
        let (app, admin) = by_invitation(test).await;
        let token = invite(&app, &admin, json!({"email": " ZOE@example.com", "role": "staff", "locale": "es"})).await;
        assert_eq!(app.mailed_token(ZOE).await, token);
        assert!(app.mails(ZOE).await[0].subject.contains("invitación"));
        let accepted = accept(&app, &token, Some("other@example.com")).await;
        accepted.is(201, "");
        assert_eq!((accepted.text("/user/email"), accepted.text("/user/role")), (ZOE.to_owned(), "staff".to_owned()));
        assert_ne!(app.text("SELECT CAST(email_verified_at AS TEXT) FROM users WHERE email = $1", ZOE).await, "");
        app.try_sign_in(&home(), ZOE, PASSWORD).await.is(200, "");
        accept(&app, &token, None).await.is(422, "identity.link_invalid");
        let listed = app.get(&admin, INVITATIONS).await;
        assert_eq!((&listed.json["items"][0]["state"], &listed.json["items"][0]["email"]), (&json!("used"), &json!(ZOE)));
        assert_eq!(app.events().await.last().map(String::as_str), Some("user.registered"));
    }

    async fn of_two_that_accept_at_once_one_wins(test: TestDb) {
        let (app, admin) = by_invitation(test).await;
        let token = invite(&app, &admin, json!({})).await;
        let (one, two) = tokio::join!(accept(&app, &token, Some("a@example.com")), accept(&app, &token, Some("b@example.com")));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 422]);
        assert_eq!(app.count("users", "name", "Zoë").await, 1);
    }

    async fn a_link_without_an_address_makes_as_many_accounts_as_it_says(test: TestDb) {
        let (app, admin) = by_invitation(test).await;
        let token = invite(&app, &admin, json!({"max_uses": 2})).await;
        assert_eq!(accept(&app, &token, None).await.is(422, "web.invalid_fields").pointers, ["/email"]);
        accept(&app, &token, Some("a@example.com")).await.is(201, "");
        // Refusals use nothing up.
        accept(&app, &token, Some("a@example.com")).await.is(409, "identity.email_taken");
        app.post(&home(), ACCEPT, json!({"token": token, "name": "B", "password": "short", "email": "b@example.com"}))
            .await
            .is(422, "identity.bad_password");
        accept(&app, &token, Some("b@example.com")).await.is(201, "");
        accept(&app, &token, Some("c@example.com")).await.is(422, "identity.link_invalid");
    }

    async fn an_invitation_ends_by_itself_by_another_one_or_by_being_taken_back(test: TestDb) {
        let (app, admin) = by_invitation(test).await;
        let first = invite(&app, &admin, json!({"email": ZOE})).await;
        let second = invite(&app, &admin, json!({"email": ZOE})).await;
        accept(&app, &first, None).await.is(422, "identity.link_invalid");
        let id = app.get(&admin, INVITATIONS).await.text("/items/0/id");
        app.delete(&admin, &format!("{INVITATIONS}/{id}"), None).await.is(204, "");
        app.delete(&admin, &format!("{INVITATIONS}/{id}"), None).await.is(404, "identity.invitation_not_found");
        accept(&app, &second, None).await.is(422, "identity.link_invalid");
        let third = invite(&app, &admin, json!({"email": ZOE})).await;
        app.pass(Duration::from_secs(7 * 86_400 + 1));
        accept(&app, &third, None).await.is(422, "identity.link_invalid");
    }

    async fn only_administrators_invite_and_within_bounds(test: TestDb) {
        let (app, admin) = by_invitation(test).await;
        app.user("ana@example.com").await;
        let (ana, _) = app.sign_in("ana@example.com").await;
        for (client, status) in [(&ana, 403), (&home(), 401)] {
            assert_eq!(app.post(client, INVITATIONS, json!({"email": ZOE})).await.status, status);
            assert_eq!(app.get(client, INVITATIONS).await.status, status);
        }
        app.post(&admin, INVITATIONS, json!({"email": "ana@example.com"})).await.is(409, "identity.email_taken");
        app.post(&admin, INVITATIONS, json!({"role": "admin"})).await.is(422, "identity.invitation_needs_email");
        let wrong = json!({"email": ZOE, "max_uses": 2, "role": "No!", "expires_at": "2001-01-01T00:00:00Z"});
        assert_eq!(app.post(&admin, INVITATIONS, wrong).await.is(422, "web.invalid_fields").pointers, ["/role", "/max_uses", "/expires_at"]);
        assert!(app.mails(ZOE).await.is_empty());
    }

    async fn where_nobody_may_register_no_invitation_works(test: TestDb) {
        let (app, admin) = by_invitation(test).await;
        let token = invite(&app, &admin, json!({"email": ZOE})).await;
        app.post(&home(), "/api/v1/auth/register", json!({"email": ZOE, "password": PASSWORD, "name": "Zoë"}))
            .await
            .is(403, "identity.invitation_needed");
        let closed = app.restarted(|config| config.registration = Registration::Closed).await;
        accept(&closed, &token, None).await.is(403, "identity.registration_closed");
        accept(&closed, "made-up", None).await.is(403, "identity.registration_closed");
        closed.post(&admin, INVITATIONS, json!({"email": ZOE})).await.is(403, "identity.registration_closed");
    }

    async fn asvs_6_3_8_an_open_link_tells_nobody_whether_an_address_has_an_account(test: TestDb) {
        let (app, admin) = by_invitation(test).await;
        let app = app.restarted(|config| config.email_verification = EmailVerification::Required).await;
        app.user("known@example.com").await;
        let token = invite(&app, &admin, json!({"max_uses": 5, "role": "staff"})).await;
        for email in ["known@example.com", "fresh@example.com"] {
            accept(&app, &token, Some(email)).await.is(202, "");
        }
        assert!(app.mails("known@example.com").await[0].subject.contains("already"));
        let confirm = app.mailed_token("fresh@example.com").await;
        app.try_sign_in(&home(), "fresh@example.com", PASSWORD).await.is(403, "identity.email_not_verified");
        app.post(&home(), "/api/v1/auth/verify-email", json!({"token": confirm})).await.is(204, "");
        let entered = app.try_sign_in(&home(), "fresh@example.com", PASSWORD).await;
        assert_eq!(entered.is(200, "").text("/user/role"), "staff");
        assert_eq!(app.count("users", "role", "staff").await, 1);
    }

    async fn an_invitation_goes_with_the_account_it_made(test: TestDb) {
        let (app, admin) = by_invitation(test).await;
        let token = invite(&app, &admin, json!({"email": ZOE})).await;
        accept(&app, &token, None).await.is(201, "");
        assert_eq!(app.count("invitations", "email", ZOE).await, 1);
        let (zoe, _) = app.sign_in(ZOE).await;
        let me = app.get(&zoe, "/api/v1/users/me").await.text("/id");
        assert_eq!(app.count("messages", "user_id", &me).await, 1, "the mail is hers already");
        app.delete(&zoe, "/api/v1/users/me", Some(json!({"password": PASSWORD}))).await.is(204, "");
        assert_eq!(app.count("invitations", "email", ZOE).await, 0);
    }

    async fn nothing_in_the_database_accepts_an_invitation(test: TestDb) {
        let (app, admin) = by_invitation(test).await;
        let token = invite(&app, &admin, json!({})).await;
        assert_eq!(app.count("invitations", "token_hash", &token).await, 0);
    }
}
