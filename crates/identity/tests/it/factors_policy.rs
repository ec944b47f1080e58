//! Second factors as their owner and the operator look after them.

use std::time::Duration;

use baluarte_identity::{Answer, Granted, Method as Way, MfaPolicy, SessionKind, SignIn, SignedIn, Welcome};
use baluarte_kernel::Secret;
use baluarte_testkit::each_backend;
use http::Method;
use serde_json::json;

use crate::{
    app::{App, Client, PASSWORD, home},
    factors::{EMAIL, Phone, answer, ask, enrol, protected},
};

async fn enter(app: &App, phone: &Phone) -> Client {
    let token = ask(app, &home()).await.text("/mfa_token");
    let entered = answer(app, &home(), &token, "totp", &phone.next_code(app)).await;
    entered.is(200, "");
    home().with_bearer(&entered.text("/access_token"))
}

/// A browser that comes back, with or without what it was given.
async fn come_back(app: &App, device: Option<&Secret>) -> Welcome {
    let attempt =
        SignIn { email: EMAIL.to_owned(), password: Secret::new(PASSWORD), session: SessionKind::Cookie, device: device.cloned() };
    app.identity.sign_in(&app.ctx(&home()).await, attempt).await.unwrap()
}

async fn trust(app: &App, phone: &Phone) -> SignedIn {
    let Welcome::SecondStep(step) = come_back(app, None).await else { panic!("no second factor was asked for") };
    let code = Secret::new(phone.next_code(app));
    let answer = Answer { mfa_token: step.mfa_token, method: Way::Totp, code, assertion: None, trust_device: true };
    app.identity.answer(&app.ctx(&home()).await, &answer).await.unwrap()
}

async fn notices(app: &App, words: &str) -> usize {
    app.mails(EMAIL).await.into_iter().filter(|mail| mail.subject.contains(words)).count()
}

each_backend! {
    async fn asvs_7_4_3_a_factor_ends_the_sessions_that_began_without_it(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let ((here, _), (there, refresh)) = (app.sign_in(EMAIL).await, app.sign_in(EMAIL).await);
        enrol(&app, &here).await;
        assert!(app.is_signed_in(&here).await && !app.is_signed_in(&there).await);
        app.refresh(&refresh).await.is(401, "identity.refresh_invalid");
        assert_eq!(notices(&app, "Two-step sign-in is on").await, 1);
        assert_eq!(app.count("audit_entries", "action", "identity.factor.added").await, 1);
    }

    async fn a_code_that_is_wrong_puts_nothing_in_force(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let (client, _) = app.sign_in(EMAIL).await;
        let phone = Phone::with(&app.call(&client, Method::POST, "/api/v1/mfa/totp", None).await.text("/secret"));
        app.post(&client, "/api/v1/mfa/totp/confirm", json!({"code": phone.other(&app)})).await.is(422, "identity.bad_code");
        app.try_sign_in(&home(), EMAIL, PASSWORD).await.is(200, "");
        // Another secret voids the first.
        let second = Phone::with(&app.call(&client, Method::POST, "/api/v1/mfa/totp", None).await.text("/secret"));
        app.post(&client, "/api/v1/mfa/totp/confirm", json!({"code": phone.code(&app)})).await.is(422, "identity.bad_code");
        app.post(&client, "/api/v1/mfa/totp/confirm", json!({"code": second.code(&app)})).await.is(200, "");
        app.call(&client, Method::POST, "/api/v1/mfa/totp", None).await.is(409, "identity.factor_exists");
    }

    async fn asvs_7_5_1_factors_change_only_for_somebody_who_has_just_shown_who_they_are(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let client = app.sign_in_with_cookie(EMAIL).await;
        app.pass(Duration::from_secs(601));
        for path in ["/api/v1/mfa/totp", "/api/v1/mfa/email"] {
            app.call(&client, Method::POST, path, None).await.is(403, "identity.reauthentication_needed");
            app.post(&client, path, json!({"password": "not the password"})).await.is(422, "identity.wrong_password");
        }
        let begun = app.post(&client, "/api/v1/mfa/totp", json!({"password": PASSWORD})).await;
        let phone = Phone::with(&begun.text("/secret"));
        let codes = app.post(&client, "/api/v1/mfa/totp/confirm", json!({"code": phone.code(&app)})).await;
        app.pass(Duration::from_secs(601));
        // Signing in by password alone is long ago, and so is the factor.
        app.delete(&client, "/api/v1/mfa/totp", None).await.is(403, "identity.reauthentication_needed");
        app.call(&client, Method::POST, "/api/v1/mfa/recovery-codes", None).await.is(403, "identity.reauthentication_needed");
        app.post(&client, "/api/v1/mfa/recovery-codes", json!({"code": phone.other(&app)})).await.is(422, "identity.bad_code");
        app.delete(&client, "/api/v1/mfa/totp", Some(json!({"code": codes.text("/recovery_codes/0")}))).await.is(204, "");
        app.try_sign_in(&home(), EMAIL, PASSWORD).await.is(200, "");
    }

    async fn a_factor_that_is_removed_takes_codes_sessions_and_trust_with_it(test: TestDb) {
        let app = App::start(test).await;
        let (phone, codes) = protected(&app).await;
        let device = trust(&app, &phone).await.device.unwrap().value;
        let (here, there) = (enter(&app, &phone).await, enter(&app, &phone).await);
        app.delete(&here, "/api/v1/mfa/email", None).await.is(404, "identity.factor_not_found");
        app.delete(&here, "/api/v1/mfa/totp", Some(json!({"password": PASSWORD}))).await.is(204, "");
        assert!(app.is_signed_in(&here).await && !app.is_signed_in(&there).await);
        assert_eq!(notices(&app, "second step was removed").await, 1);
        for table in ["recovery_codes", "trusted_devices", "factors"] {
            let user = app.text("SELECT id FROM users WHERE email = $1", EMAIL).await;
            assert_eq!(app.count(table, "user_id", &user).await, 0, "{table}");
        }
        enrol(&app, &here).await;
        assert!(matches!(come_back(&app, Some(&device)).await, Welcome::SecondStep(_)), "trust does not come back with another factor");
        let token = ask(&app, &home()).await.text("/mfa_token");
        answer(&app, &home(), &token, "recovery", &codes[0]).await.is(401, "identity.wrong_code");
    }

    async fn a_trusted_device_is_asked_for_the_password_only_until_somebody_forgets_it(test: TestDb) {
        let app = App::start(test).await;
        let (phone, _) = protected(&app).await;
        let trusting = trust(&app, &phone).await;
        let device = trusting.device.expect("a cookie").value;
        let Granted::Cookie(session) = trusting.granted else { panic!("a cookie was asked for") };
        let client = home().with_cookie(session.value.expose());
        assert!(matches!(come_back(&app, Some(&device)).await, Welcome::In(_)));
        assert!(matches!(come_back(&app, Some(&Secret::new("made-up"))).await, Welcome::SecondStep(_)));
        // Another's browser is not ours.
        app.user("eve@example.com").await;
        let (eve, _) = app.sign_in("eve@example.com").await;
        let listed = app.get(&client, "/api/v1/mfa/trusted-devices").await;
        let path = format!("/api/v1/mfa/trusted-devices/{}", listed.text("/items/0/id"));
        app.delete(&eve, &path, None).await.is(404, "identity.trusted_device_not_found");
        app.delete(&client, &path, None).await.is(204, "");
        assert!(matches!(come_back(&app, Some(&device)).await, Welcome::SecondStep(_)));
    }

    async fn trust_ends_after_thirty_days_and_with_a_new_password(test: TestDb) {
        let app = App::start(test).await;
        let (phone, _) = protected(&app).await;
        let device = trust(&app, &phone).await.device.unwrap().value;
        app.pass(Duration::from_secs(29 * 86_400));
        assert!(matches!(come_back(&app, Some(&device)).await, Welcome::In(_)));
        app.pass(Duration::from_secs(86_400));
        assert!(matches!(come_back(&app, Some(&device)).await, Welcome::SecondStep(_)), "using it does not prolong it");
        let device = trust(&app, &phone).await.device.unwrap().value;
        let client = enter(&app, &phone).await;
        let change = json!({"current_password": PASSWORD, "password": "another long password"});
        app.call(&client, Method::PUT, "/api/v1/users/me/password", Some(change)).await.is(204, "");
        let attempt = SignIn {
            email: EMAIL.to_owned(),
            password: Secret::new("another long password"),
            session: SessionKind::Cookie,
            device: Some(device),
        };
        assert!(matches!(app.identity.sign_in(&app.ctx(&home()).await, attempt).await.unwrap(), Welcome::SecondStep(_)));
    }

    async fn a_trusted_device_is_not_fresh_enough_to_change_factors(test: TestDb) {
        let app = App::start(test).await;
        let (phone, _) = protected(&app).await;
        let device = trust(&app, &phone).await.device.unwrap().value;
        app.pass(Duration::from_secs(3_600));
        let Welcome::In(signed_in) = come_back(&app, Some(&device)).await else { panic!("it is trusted") };
        let Granted::Cookie(session) = signed_in.granted else { panic!("a cookie was asked for") };
        let client = home().with_cookie(session.value.expose());
        app.delete(&client, "/api/v1/mfa/totp", None).await.is(403, "identity.reauthentication_needed");
    }

    async fn asvs_6_3_3_a_role_that_demands_a_factor_gets_no_session_before_it_is_set_up(test: TestDb) {
        let app = App::with(test, |config| { config.mfa.insert("admin".to_owned(), MfaPolicy::Required); }).await;
        app.account(EMAIL, "admin").await;
        let asked = ask(&app, &home()).await;
        assert_eq!((asked.json["methods"].clone(), asked.json["enrol"].clone()), (json!([]), json!(["totp", "sms", "email"])));
        let token = asked.text("/mfa_token");
        // Nothing to answer with yet, and nothing to guess.
        answer(&app, &home(), &token, "recovery", "0000-0000-0000").await.is(401, "identity.wrong_code");
        let begun = app.post(&home(), "/api/v1/auth/mfa/enrol", json!({"mfa_token": token, "method": "totp"})).await;
        begun.is(200, "");
        let phone = Phone::with(&begun.text("/secret"));
        let entered = answer(&app, &home(), &token, "totp", &phone.code(&app)).await;
        entered.is(200, "");
        assert_eq!(entered.json["recovery_codes"].as_array().map(Vec::len), Some(10));
        let client = home().with_bearer(&entered.text("/access_token"));
        assert!(app.is_signed_in(&client).await);
        app.delete(&client, "/api/v1/mfa/totp", None).await.is(409, "identity.factor_required");
        let token = ask(&app, &home()).await.text("/mfa_token");
        app.post(&home(), "/api/v1/auth/mfa/enrol", json!({"mfa_token": token, "method": "totp"})).await.is(409, "identity.factor_exists");
    }

    async fn a_role_that_demands_a_factor_can_be_served_by_mail(test: TestDb) {
        let app = App::with(test, |config| { config.mfa.insert("admin".to_owned(), MfaPolicy::Required); }).await;
        app.account(EMAIL, "admin").await;
        let token = ask(&app, &home()).await.text("/mfa_token");
        let sent = app.post(&home(), "/api/v1/auth/mfa/enrol", json!({"mfa_token": token, "method": "email"})).await;
        sent.is(200, "");
        let code = app.mails(EMAIL).await[0].subject.split(' ').next().unwrap().to_owned();
        answer(&app, &home(), &token, "email", &code).await.is(200, "");
        assert_eq!(ask(&app, &home()).await.json["methods"], json!(["email", "recovery"]));
    }

    async fn whoever_comes_into_such_a_role_signs_in_again(test: TestDb) {
        let app = App::with(test, |config| { config.mfa.insert("admin".to_owned(), MfaPolicy::Required); }).await;
        let user = app.user(EMAIL).await;
        let (_, refresh) = app.sign_in(EMAIL).await;
        let browser = app.sign_in_with_cookie(EMAIL).await;
        app.identity.set_role(&app.operator(), user.id, "admin".parse().unwrap()).await.unwrap();
        assert!(!app.is_signed_in(&browser).await, "a session without a factor is none for an administrator");
        app.refresh(&refresh).await.is(401, "identity.refresh_invalid");
    }

    async fn switched_off_means_that_nobody_sets_one_up_and_nobody_loses_one(test: TestDb) {
        let app = App::start(test).await;
        let (phone, _) = protected(&app).await;
        let off = app.restarted(|config| { config.mfa.insert("user".to_owned(), MfaPolicy::Off); }).await;
        let client = enter(&off, &phone).await;
        off.call(&client, Method::POST, "/api/v1/mfa/email", None).await.is(403, "identity.factors_off");
        off.delete(&client, "/api/v1/mfa/totp", None).await.is(204, "");
        off.call(&client, Method::POST, "/api/v1/mfa/totp", None).await.is(403, "identity.factors_off");
    }

    async fn an_address_that_nobody_confirmed_becomes_a_factor_with_a_code(test: TestDb) {
        let app = App::start(test).await;
        let registered = app.post(&home(), "/api/v1/auth/register", json!({"email": EMAIL, "password": PASSWORD, "name": "Zoë"})).await;
        registered.is(201, "");
        let (client, _) = app.sign_in(EMAIL).await;
        let begun = app.call(&client, Method::POST, "/api/v1/mfa/email", None).await;
        assert_eq!(begun.json["confirmed"], false);
        let code = app.mails(EMAIL).await[0].subject.split(' ').next().unwrap().to_owned();
        let wrong = if code == "000000" { "111111" } else { "000000" };
        app.post(&client, "/api/v1/mfa/email/confirm", json!({"code": wrong})).await.is(422, "identity.bad_code");
        let confirmed = app.post(&client, "/api/v1/mfa/email/confirm", json!({"code": code})).await;
        confirmed.is(200, "");
        assert_eq!(app.count("audit_entries", "action", "identity.factor.added").await, 1);
        assert_eq!(confirmed.json["recovery_codes"].as_array().map(Vec::len), Some(10));
        assert_eq!(ask(&app, &home()).await.json["methods"], json!(["email", "recovery"]));
    }

    async fn the_operator_lets_somebody_in_who_has_lost_everything(test: TestDb) {
        let app = App::start(test).await;
        let (phone, _) = protected(&app).await;
        let client = enter(&app, &phone).await;
        let user = app.identity.find_me(&app.ctx(&client).await).await.unwrap();
        app.identity.reset_factors(&app.ctx(&client).await, user.id).await.expect_err("only an administrator may");
        app.identity.reset_factors(&app.operator(), user.id).await.unwrap();
        assert!(!app.is_signed_in(&client).await);
        app.try_sign_in(&home(), EMAIL, PASSWORD).await.is(200, "");
        assert_eq!(app.count("audit_entries", "action", "identity.factor.reset").await, 1);
        assert_eq!(notices(&app, "second step was removed").await, 1);
    }
}
