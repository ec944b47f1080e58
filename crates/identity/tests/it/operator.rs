use std::time::Duration;

use baluarte_identity::{AccountState, Act, FactorFilter, FactorKind, IdentityError, UserFilter};
use baluarte_testkit::each_backend;
use serde_json::{Value, json};

use crate::app::{App, Client, PASSWORD, home, token_in};

const USERS: &str = "/api/v1/admin/users";

async fn as_role(app: &App, role: &str) -> Client {
    let email = format!("{role}@example.com");
    app.account(&email, role).await;
    app.sign_in(&email).await.0
}

async fn found(app: &App, filter: UserFilter) -> Vec<String> {
    let page = app.identity.list_users(&app.operator(), &filter, &Default::default()).await.unwrap();
    page.items.iter().map(|user| user.email.to_string()).collect()
}

each_backend! {
    async fn asvs_8_2_1_each_role_may_what_its_post_says_and_nothing_above(test: TestDb) {
        let app = App::start(test).await;
        let user = app.user("zoe@example.com").await;
        let one = format!("{USERS}/{}", user.id);
        for (role, looks, helps, rules) in [("read-only", true, false, false), ("support", true, true, false), ("admin", true, true, true), ("owner", true, true, true), ("user", false, false, false)] {
            let who = as_role(&app, role).await;
            let expect = |may: bool, ok: u16| if may { (ok, "") } else { (403, "web.forbidden") };
            for path in [USERS.to_owned(), one.clone(), format!("{one}/details")] {
                let (status, code) = expect(looks, 200);
                app.get(&who, &path).await.is(status, code);
            }
            let (status, code) = expect(helps, 204);
            app.delete(&who, &format!("{one}/sessions"), None).await.is(status, code);
            app.post(&who, &format!("{one}/unblock"), json!({})).await.is(status, code);
            let (status, code) = expect(helps, 200);
            app.post(&who, &format!("{one}/require-reset"), json!({"reason": "left a note on the screen"})).await.is(status, code);
            let (status, code) = expect(rules, 200);
            app.patch(&who, &one, json!({"role": "staff"})).await.is(status, code);
            app.patch(&who, &one, json!({"role": "user", "disabled": true})).await.is(status, code);
            app.patch(&who, &one, json!({"disabled": false})).await.is(status, code);
            let (status, code) = expect(rules, 201);
            app.post(&who, USERS, json!({"email": format!("new.{role}@example.com"), "name": "New"})).await.is(status, code);
            // Nobody has such a factor: whoever may is told so.
            let (status, code) = if rules { (404, "identity.factor_not_found") } else { (403, "web.forbidden") };
            app.post(&who, &format!("{one}/remove-factor"), json!({"kind": "totp", "reason": "seen in person"})).await.is(status, code);
        }
    }

    async fn nobody_acts_above_their_own_role_or_gives_one_that_is(test: TestDb) {
        let app = App::start(test).await;
        let owner = app.account("boss@example.com", "owner").await;
        let other = app.account("deputy@example.com", "admin").await;
        let user = app.user("zoe@example.com").await;
        let (admin, support) = (as_role(&app, "admin").await, as_role(&app, "support").await);
        app.patch(&admin, &format!("{USERS}/{}", user.id), json!({"role": "owner"})).await.is(403, "identity.outranked");
        app.post(&admin, USERS, json!({"email": "x@example.com", "name": "X", "role": "owner"})).await.is(403, "identity.outranked");
        for act in ["require-reset", "unblock"] {
            app.post(&support, &format!("{USERS}/{}/{act}", other.id), json!({})).await.is(403, "identity.outranked");
            app.post(&admin, &format!("{USERS}/{}/{act}", owner.id), json!({})).await.is(403, "identity.outranked");
        }
        app.delete(&support, &format!("{USERS}/{}/sessions", other.id), None).await.is(403, "identity.outranked");
        app.delete(&admin, &format!("{USERS}/{}", owner.id), None).await.is(403, "identity.outranked");
        app.patch(&admin, &format!("{USERS}/{}", owner.id), json!({"role": "user"})).await.is(403, "identity.outranked");
        // Raising oneself is giving a role like any other.
        let me = app.identity.find_me(&app.ctx(&admin).await).await.unwrap();
        app.patch(&admin, &format!("{USERS}/{}", me.id), json!({"role": "owner"})).await.is(403, "identity.outranked");
        app.patch(&admin, &format!("{USERS}/{}", other.id), json!({"role": "support"})).await.is(200, "");
    }

    async fn an_owner_may_all_that_an_administrator_may(test: TestDb) {
        let app = App::start(test).await;
        let owner = as_role(&app, "owner").await;
        assert!(app.ctx(&owner).await.require_admin().is_ok());
        assert!(app.ctx(&owner).await.user().unwrap().has_role("admin"));
        let user = app.user("zoe@example.com").await;
        app.patch(&owner, &format!("{USERS}/{}", user.id), json!({"role": "owner"})).await.is(200, "");
    }

    async fn the_last_owner_stays_even_when_two_remove_each_other_at_once(test: TestDb) {
        let app = App::start(test).await;
        let one = app.account("one@example.com", "owner").await;
        app.account("root@example.com", "admin").await;
        let (client, _) = app.sign_in("one@example.com").await;
        let path = format!("{USERS}/{}", one.id);
        app.patch(&client, &path, json!({"role": "admin"})).await.is(409, "identity.last_owner");
        app.patch(&client, &path, json!({"disabled": true})).await.is(409, "identity.last_owner");
        app.delete(&client, &path, None).await.is(409, "identity.last_owner");
        app.delete(&client, "/api/v1/users/me", Some(json!({"password": PASSWORD}))).await.is(409, "identity.last_owner");
        let (replica, operator) = (app.replica().await, app.operator());
        for act in [Act::SetRole("admin".parse().unwrap()), Act::Disable] {
            let two = app.account(&format!("{}@example.com", act.as_str()), "owner").await;
            let first = app.identity.act(&operator, one.id, act.clone(), None);
            let (a, b) = tokio::join!(first, replica.identity.act(&operator, two.id, act.clone(), None));
            assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1, "{a:?} {b:?}");
            let refused = if a.is_ok() { b } else { a };
            assert!(matches!(refused, Err(IdentityError::LastOwner)), "{refused:?}");
            // As it was, for the next round.
            let owner = "owner".parse().unwrap();
            app.identity.set_role(&operator, one.id, owner).await.unwrap();
            app.identity.enable_user(&operator, one.id).await.unwrap();
            app.identity.set_role(&operator, two.id, "user".parse().unwrap()).await.unwrap();
        }
    }

    async fn asvs_6_4_6_whoever_helps_starts_a_reset_and_never_sets_a_password(test: TestDb) {
        let app = App::start(test).await;
        let support = as_role(&app, "support").await;
        let user = app.user("zoe@example.com").await;
        let (program, refresh) = app.sign_in("zoe@example.com").await;
        let browser = app.sign_in_with_cookie("zoe@example.com").await;
        app.post(&home(), "/auth/forgot-password", json!({"email": "zoe@example.com"})).await.is(202, "");
        let earlier = app.mailed_token("zoe@example.com").await;
        let path = format!("{USERS}/{}", user.id);
        let done = app.post(&support, &format!("{path}/require-reset"), json!({"reason": "a phishing page had it"})).await;
        done.is(200, "");
        assert!(done.json["reset_required_at"].is_string());
        assert!(!app.is_signed_in(&program).await && !app.is_signed_in(&browser).await);
        app.refresh(&refresh).await.is(401, "identity.refresh_invalid");
        // Only whoever knows the old password is told.
        app.try_sign_in(&home(), "zoe@example.com", PASSWORD).await.is(403, "identity.password_reset_required");
        app.try_sign_in(&home(), "zoe@example.com", "not the password").await.is(401, "identity.wrong_credentials");
        let mail = app.mails("zoe@example.com").await.remove(0);
        assert!(mail.subject.contains("new password"), "{}", mail.subject);
        app.post(&home(), "/auth/reset-password", json!({"token": earlier, "password": "another long password"})).await.is(422, "identity.link_invalid");
        let token = token_in(&mail.text);
        app.post(&home(), "/auth/reset-password", json!({"token": token, "password": "another long password"})).await.is(204, "");
        app.try_sign_in(&home(), "zoe@example.com", "another long password").await.is(200, "");
        assert_eq!(app.get(&support, &path).await.json["reset_required_at"], Value::Null);
    }

    async fn a_sign_in_under_way_does_not_outlive_a_required_reset(test: TestDb) {
        let app = App::start(test).await;
        let user = app.user("zoe@example.com").await;
        let (at, operator) = (home(), app.operator());
        let attempt = app.try_sign_in(&at, "zoe@example.com", PASSWORD);
        let (reply, _) = tokio::join!(attempt, async { app.identity.act(&operator, user.id, Act::RequireReset, None).await.unwrap() });
        assert!([401, 403].contains(&reply.status), "{} {}", reply.status, reply.code);
        assert_eq!(app.count("sessions", "user_id", &user.id.to_string()).await, 0);
    }

    async fn asvs_7_5_1_sensitive_acts_ask_who_acts_to_show_it_again(test: TestDb) {
        let app = App::start(test).await;
        let admin = as_role(&app, "admin").await;
        let user = app.user("zoe@example.com").await;
        let path = format!("{USERS}/{}", user.id);
        app.pass(Duration::from_secs(601));
        app.patch(&admin, &path, json!({"role": "staff"})).await.is(403, "identity.step_up_required");
        app.patch(&admin, &path, json!({"disabled": true})).await.is(403, "identity.step_up_required");
        app.post(&admin, &format!("{path}/require-reset"), json!({})).await.is(403, "identity.step_up_required");
        app.post(&admin, &format!("{path}/remove-factor"), json!({"reason": "seen in person"})).await.is(403, "identity.step_up_required");
        app.post(&admin, USERS, json!({"email": "x@example.com", "name": "X"})).await.is(403, "identity.step_up_required");
        app.delete(&admin, &path, None).await.is(403, "identity.step_up_required");
        // What only protects somebody, at once, does not wait.
        app.delete(&admin, &format!("{path}/sessions"), None).await.is(204, "");
        app.post(&admin, "/api/v1/auth/step-up", json!({"password": PASSWORD})).await.is(204, "");
        app.patch(&admin, &path, json!({"role": "staff"})).await.is(200, "");
    }

    async fn asvs_6_4_4_a_lost_factor_is_taken_away_with_a_reason_and_its_owner_is_told(test: TestDb) {
        let app = App::start(test).await;
        let admin = as_role(&app, "admin").await;
        let user = app.user("zoe@example.com").await;
        let (client, _) = app.sign_in("zoe@example.com").await;
        app.post(&client, "/api/v1/mfa/email", json!({})).await.is(200, "");
        let path = format!("{USERS}/{}/remove-factor", user.id);
        app.post(&admin, &path, json!({"kind": "email", "reason": " "})).await.is(422, "web.invalid_fields");
        app.post(&admin, &path, json!({"kind": "email"})).await.is(422, "web.invalid_fields");
        app.post(&admin, &path, json!({"kind": "pigeon", "reason": "x"})).await.is(422, "web.invalid_fields");
        app.post(&admin, &path, json!({"kind": "email", "reason": "showed her passport in the shop"})).await.is(200, "");
        assert!(app.mails("zoe@example.com").await[0].text.contains("said to be lost"));
        assert_eq!(app.count("recovery_codes", "user_id", &user.id.to_string()).await, 0);
        app.try_sign_in(&home(), "zoe@example.com", PASSWORD).await.is(200, "");
        let entries = app.get(&admin, &format!("{USERS}/{}/details", user.id)).await;
        let entries = entries.json["audit"].as_array().unwrap();
        assert!(entries.iter().any(|entry| entry["action"] == "identity.factor.taken" && entry["actor_name"] == "admin@example.com"), "{entries:?}");
    }

    async fn every_act_is_recorded_with_who_whom_and_why(test: TestDb) {
        let app = App::start(test).await;
        let admin = as_role(&app, "admin").await;
        let user = app.user("zoe@example.com").await;
        app.patch(&admin, &format!("{USERS}/{}", user.id), json!({"role": "staff", "reason": "joined the shop"})).await.is(200, "");
        let operator = app.operator();
        let filter = baluarte_audit::EntryFilter { action: Some("identity.user.role_changed".to_owned()), ..Default::default() };
        let found = app.kit.audit.list_entries(&operator, &filter, &Default::default()).await.unwrap();
        let entry = serde_json::to_value(&found.items[0]).unwrap();
        assert_eq!(entry["resource"]["id"], user.id.to_string());
        assert_eq!(entry["actor"]["name"], "admin@example.com");
        assert!(entry.to_string().contains("joined the shop"), "{entry}");
        app.patch(&admin, &format!("{USERS}/{}", user.id), json!({"role": "user", "reason": "a\nb"})).await.is(422, "web.invalid_fields");
    }

    async fn accounts_are_sifted_by_state_factor_and_plan(test: TestDb) {
        let app = App::start(test).await;
        let (ana, bruno) = (app.user("ana@example.com").await, app.user("bruno@example.com").await);
        app.user("carla@example.com").await;
        app.identity.disable_user(&app.operator(), ana.id).await.unwrap();
        app.identity.act(&app.operator(), bruno.id, Act::RequireReset, None).await.unwrap();
        let (carla, _) = app.sign_in("carla@example.com").await;
        app.post(&carla, "/api/v1/mfa/email", json!({})).await.is(200, "");
        let state = |state| UserFilter { state: Some(state), ..UserFilter::default() };
        let factor = |factor| UserFilter { factor: Some(factor), ..UserFilter::default() };
        let plan = |plan: &str| UserFilter { plan: Some(plan.to_owned()), ..UserFilter::default() };
        assert_eq!(found(&app, state(AccountState::Disabled)).await, ["ana@example.com"]);
        assert_eq!(found(&app, state(AccountState::ResetRequired)).await, ["bruno@example.com"]);
        assert_eq!(found(&app, state(AccountState::Active)).await, ["carla@example.com"]);
        assert_eq!(found(&app, state(AccountState::Unverified)).await, [] as [&str; 0]);
        assert_eq!(found(&app, factor(FactorFilter::Any)).await, ["carla@example.com"]);
        assert_eq!(found(&app, factor(FactorFilter::Kind(FactorKind::Email))).await, ["carla@example.com"]);
        assert_eq!(found(&app, factor(FactorFilter::Kind(FactorKind::Totp))).await, [] as [&str; 0]);
        assert_eq!(found(&app, factor(FactorFilter::None)).await, ["bruno@example.com", "ana@example.com"]);
        assert_eq!(found(&app, plan("free")).await.len(), 3);
        assert_eq!(found(&app, plan("pro")).await, [] as [&str; 0]);
        let reader = as_role(&app, "read-only").await;
        let wrong = app.get(&reader, &format!("{USERS}?state=x&factor=y")).await;
        assert_eq!(wrong.is(422, "web.invalid_fields").pointers, ["state", "factor"]);
        assert_eq!(app.get(&reader, &format!("{USERS}?state=disabled")).await.json["items"][0]["email"], "ana@example.com");
    }

    async fn whoever_looks_sees_devices_attempts_messages_and_entries(test: TestDb) {
        let app = App::start(test).await;
        let reader = as_role(&app, "read-only").await;
        let user = app.user("zoe@example.com").await;
        app.sign_in("zoe@example.com").await;
        for n in 0..21 {
            app.try_sign_in(&Client::at(&format!("198.51.{n}.1")), "zoe@example.com", "not the password").await;
        }
        app.post(&home(), "/auth/forgot-password", json!({"email": "zoe@example.com"})).await.is(202, "");
        app.settle().await;
        let seen = app.get(&reader, &format!("{USERS}/{}/details", user.id)).await;
        seen.is(200, "");
        assert_eq!(seen.json["sessions"].as_array().unwrap().len(), 1);
        assert_eq!((&seen.json["throttles"][0]["failures"], seen.json["throttles"][0]["blocked_until"].is_string()), (&json!(20), true));
        assert_eq!(seen.json["messages"][0]["kind"], "identity.reset_password");
        assert!(!seen.json["messages"].to_string().contains("zoe@example.com"), "where it went is mostly hidden");
        let actions: Vec<_> = seen.json["audit"].as_array().unwrap().iter().map(|it| it["action"].as_str().unwrap()).collect();
        assert!(actions.contains(&"identity.session.failed") && actions.contains(&"identity.session.begun"), "{actions:?}");
        assert!(!seen.json.to_string().contains("?token="));
        // Support clears the count, and the owner comes in from anywhere.
        let support = as_role(&app, "support").await;
        app.try_sign_in(&Client::at("192.0.2.1"), "zoe@example.com", PASSWORD).await.is(429, "identity.too_many_attempts");
        app.post(&support, &format!("{USERS}/{}/unblock", user.id), json!({})).await.is(204, "");
        app.try_sign_in(&Client::at("192.0.2.1"), "zoe@example.com", PASSWORD).await.is(200, "");
    }
}
