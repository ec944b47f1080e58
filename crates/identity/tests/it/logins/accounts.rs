//! What becomes of accounts here.

use std::time::Duration;

use axum::body::Body;
use baluarte_identity::{EmailVerification, IdentityConfig, ProviderFactor, Registration};
use baluarte_testkit::{FakeProvider, each_backend};
use http::Request;
use serde_json::json;

use super::{Browser, WORK, actions, provider, start};
use crate::app::{App, PASSWORD, home};

each_backend! {
    async fn a_stranger_with_a_proven_address_gets_an_account_and_finds_it_again(test: TestDb) {
        start!(test, app, fake);
        let mut browser = Browser::new(&app);
        browser.through(&fake, WORK).await.leads_to("/shop");
        let me = app.get(&browser.client(), "/api/v1/users/me").await;
        me.is(200, "");
        assert_eq!((me.text("/email"), me.text("/name")), ("zoe@example.com".to_owned(), "Zoë Fernández".to_owned()));
        assert_eq!(app.events().await, ["user.registered"]);
        let user = me.text("/id");
        assert_eq!(app.count("users", "id", &user).await, 1);
        // The attempt's cookie has done its work; what stays is the session, and what the browser is known by.
        assert_eq!(browser.jar.len(), 2);
        // The same account the next time, whatever its address has become there.
        fake.person("subject-1", Some("new@example.com"), true);
        let mut elsewhere = Browser::new(&app);
        elsewhere.through(&fake, WORK).await.leads_to("/shop");
        assert_eq!(app.get(&elsewhere.client(), "/api/v1/users/me").await.text("/id"), user);
        let logins = app.get(&elsewhere.client(), "/api/v1/users/me/logins").await.json;
        assert_eq!((&logins["items"][0]["label"], &logins["items"][0]["provider"]), (&json!("new@example.com"), &json!("work")));
        assert_eq!(logins["items"].as_array().unwrap().len(), 1);
    }

    async fn nobody_is_let_in_because_an_address_is_the_same(test: TestDb) {
        start!(test, app, fake);
        app.user("zoe@example.com").await;
        let mut browser = Browser::new(&app);
        browser.through(&fake, WORK).await.leads_to("/auth/connect?why=known");
        assert!(!browser.is_in().await);
        let page = browser.open("/auth/connect?why=known").await;
        page.says(200, "You already have an account here").says(200, "/auth/login?return_to=%2Fauth%2Fconnect");
        // Signs in the usual way, then says yes.
        let fields = [("email", "zoe@example.com"), ("password", PASSWORD), ("return_to", "/auth/connect")];
        browser.press("/auth/login", &fields).await.leads_to("/auth/connect");
        browser.open("/auth/connect").await.says(200, "It will sign in to the account zoe@example.com here");
        assert_eq!(app.count("logins", "provider", "work").await, 0, "looking connects nothing");
        browser.press("/auth/connect", &[]).await.leads_to("/shop");
        assert_eq!(app.count("logins", "provider", "work").await, 1);
        let mail = &app.mails("zoe@example.com").await[0];
        assert!(mail.text.contains("zoe@example.com at work now signs in"), "{}", mail.text);
        // From now on it signs in by itself.
        let mut next = Browser::new(&app);
        next.through(&fake, WORK).await.leads_to("/shop");
        assert!(next.is_in().await);
        let done = actions(&app).await;
        for action in ["identity.login.connected", "identity.login.used", "identity.session.begun"] {
            assert!(done.iter().any(|done| done == action), "{action} in {done:?}");
        }
    }

    async fn an_address_that_nobody_vouches_for_makes_no_account_and_tells_nothing(test: TestDb) {
        start!(test, app, fake);
        app.user("zoe@example.com").await;
        let mut pages = Vec::new();
        for email in [Some("zoe@example.com"), Some("nobody@example.com"), None] {
            fake.person("subject-2", email, false);
            let mut browser = Browser::new(&app);
            browser.through(&fake, WORK).await.leads_to("/auth/connect?why=unknown");
            let page = browser.open("/auth/connect?why=unknown").await;
            page.says(200, "does not vouch for an e-mail address");
            pages.push(page.html.replace(email.unwrap_or("subject-2"), "…"));
        }
        assert!(pages.iter().all(|page| page == &pages[0]), "whether there is an account makes no difference");
        assert_eq!(app.count("users", "email", "nobody@example.com").await, 0);
    }

    async fn whether_strangers_get_an_account_is_the_operators_choice(test: TestDb) {
        start!(test, app, fake, |config| config.registration = Registration::Closed);
        Browser::new(&app).through(&fake, WORK).await.says(403, "Nobody can register here");
        let app = app.restarted(|config| config.registration = Registration::Invite).await;
        Browser::new(&app).through(&fake, WORK).await.says(403, "You need an invitation");
        assert_eq!(app.count("users", "email", "zoe@example.com").await, 0);
        // Whoever has one gets in.
        app.user("zoe@example.com").await;
        let mut zoe = Browser::of(&app, "zoe@example.com").await;
        zoe.through(&fake, "/auth/with/work?for=connect").await.leads_to("/auth/connect");
        zoe.press("/auth/connect", &[]).await.leads_to("/auth/account/logins?done=connected");
        Browser::new(&app).through(&fake, WORK).await.leads_to("/shop");
    }

    async fn connecting_takes_a_fresh_proof_the_same_session_and_a_yes(test: TestDb) {
        start!(test, app, fake);
        app.user("ana@example.com").await;
        app.user("bea@example.com").await;
        let mut ana = Browser::of(&app, "ana@example.com").await;
        let back = ana.visit(&fake, "/auth/with/work?for=connect").await;
        // Another session cannot end it.
        let mut bea = Browser::of(&app, "bea@example.com").await;
        bea.jar.extend(ana.jar.iter().filter(|(name, _)| name != "__Host-baluarte").cloned());
        bea.open(&back).await.says(410, "Begin again");
        ana.through(&fake, "/auth/with/work?for=connect").await.leads_to("/auth/connect");
        // Nor can somebody else's session connect what waits.
        let mut bea = Browser::of(&app, "bea@example.com").await;
        bea.jar.extend(ana.jar.iter().filter(|(name, _)| name != "__Host-baluarte").cloned());
        bea.press("/auth/connect", &[]).await.says(410, "nothing to connect");
        app.pass(Duration::from_secs(601));
        ana.press("/auth/connect", &[]).await.leads_to("/auth/confirm?return_to=%2Fauth%2Fconnect");
        ana.open("/auth/with/work?for=connect").await.leads_to("/auth/confirm?return_to=%2Fauth%2Faccount%2Flogins");
        ana.press("/auth/confirm", &[("password", PASSWORD), ("return_to", "/auth/connect")]).await.leads_to("/auth/connect");
        ana.press("/auth/connect", &[]).await.leads_to("/auth/account/logins?done=connected");
        // What is somebody's is nobody else's.
        let mut bea = Browser::of(&app, "bea@example.com").await;
        bea.through(&fake, "/auth/with/work?for=connect").await.leads_to("/auth/connect");
        bea.press("/auth/connect", &[]).await.says(409, "connected already");
        // A page of another site cannot press the button, nor send anybody there.
        let request = Request::post("/auth/connect").header("sec-fetch-site", "cross-site").body(Body::empty()).unwrap();
        assert_eq!(bea.send(request).await.code, "web.cross_origin");
        let request = Request::get("/auth/with/work?return_to=%2Fshop").header("sec-fetch-site", "cross-site").body(Body::empty()).unwrap();
        Browser::new(&app).send(request).await.leads_to("/auth/login?return_to=%2Fshop");
    }

    async fn peoples_own_second_factor_is_asked_for_unless_the_operator_says_otherwise(test: TestDb) {
        start!(test, app, fake);
        let mut zoe = Browser::new(&app);
        zoe.through(&fake, WORK).await.leads_to("/shop");
        app.post(&zoe.client(), "/api/v1/mfa/email", json!({})).await.is(200, "");
        let mut next = Browser::new(&app);
        next.through(&fake, WORK).await.leads_to("/auth/login/step?return_to=%2Fshop");
        assert!(!next.is_in().await);
        // The provider says that it has asked; that counts where it was configured so.
        fake.claims(json!({ "amr": ["pwd", "mfa"] }));
        Browser::new(&app).through(&fake, WORK).await.leads_to("/auth/login/step?return_to=%2Fshop");
        let told = app.restarted(|config| config.providers.get_mut("work").unwrap().second_factor = ProviderFactor::Told).await;
        Browser::new(&told).through(&fake, WORK).await.leads_to("/shop");
        fake.claims(json!({ "amr": ["pwd"] }));
        Browser::new(&told).through(&fake, WORK).await.leads_to("/auth/login/step?return_to=%2Fshop");
        let always = app.restarted(|config| config.providers.get_mut("work").unwrap().second_factor = ProviderFactor::Always).await;
        Browser::new(&always).through(&fake, WORK).await.leads_to("/shop");
    }

    async fn a_role_that_demands_a_factor_demands_it_here_too(test: TestDb) {
        start!(test, app, fake, |config| {
            config.mfa.insert("user".to_owned(), baluarte_identity::MfaPolicy::Required);
        });
        let mut zoe = Browser::new(&app);
        let shown = zoe.through(&fake, WORK).await;
        assert!(shown.place.starts_with("/auth/login/enrol"), "{}", shown.place);
        assert!(!zoe.is_in().await);
    }

    async fn whoever_may_not_sign_in_may_not_this_way_either(test: TestDb) {
        start!(test, app, fake, |config| config.email_verification = EmailVerification::Required);
        let mut zoe = Browser::new(&app);
        zoe.through(&fake, WORK).await.leads_to("/shop");
        let id = app.get(&zoe.client(), "/api/v1/users/me").await.text("/id").parse().unwrap();
        app.identity.disable_user(&app.operator(), id).await.unwrap();
        let mut next = Browser::new(&app);
        next.through(&fake, WORK).await.says(403, "disabled");
        assert!(!next.is_in().await);
    }

    async fn an_account_without_a_password_keeps_its_last_way_in(test: TestDb) {
        start!(test, app, fake);
        let mut zoe = Browser::new(&app);
        zoe.through(&fake, WORK).await.leads_to("/shop");
        let page = zoe.open("/auth/account/logins").await;
        page.says(200, "You have no password here").says(200, "zoe@example.com");
        zoe.open("/auth/account").await.says(200, "Send me a link to choose one");
        let id = app.get(&zoe.client(), "/api/v1/users/me/logins").await.text("/items/0/id");
        zoe.press("/auth/account/logins/remove", &[("id", &id)]).await.says(409, "Choose a password first");
        app.delete(&zoe.client(), &format!("/api/v1/users/me/logins/{id}"), None).await.is(409, "identity.last_way_in");
        assert_eq!(app.count("logins", "id", &id).await, 1);
        // A password by mail, and it may go.
        zoe.press("/auth/forgot-password", &[("email", "zoe@example.com")]).await.leads_to("/auth/check-mail?for=reset");
        let token = app.mailed_token("zoe@example.com").await;
        zoe.press("/auth/reset-password", &[("token", &token), ("password", PASSWORD)]).await.leads_to("/auth/login?done=reset");
        assert_eq!(app.count("logins", "id", &id).await, 1, "the address was proven: what was connected stays");
        let mut zoe = Browser::of(&app, "zoe@example.com").await;
        let other = Browser::of(&app, "zoe@example.com").await;
        app.pass(Duration::from_secs(601));
        let remove = format!("/auth/account/logins/remove?id={id}");
        let again = zoe.press("/auth/account/logins/remove", &[("id", &id)]).await;
        assert!(again.place.starts_with("/auth/confirm?return_to="), "{}", again.place);
        app.delete(&zoe.client(), &format!("/api/v1/users/me/logins/{id}"), None).await.is(403, "identity.reauthentication_needed");
        zoe.press("/auth/confirm", &[("password", PASSWORD), ("return_to", &remove)]).await.leads_to(&remove);
        zoe.open(&remove).await.says(200, "Disconnect work?");
        zoe.press("/auth/account/logins/remove", &[("id", &id)]).await.leads_to("/auth/account/logins?done=disconnected");
        assert!(actions(&app).await.iter().any(|action| action == "identity.login.disconnected"));
        assert!(app.mails("zoe@example.com").await[0].text.contains("no longer signs in"));
        assert!(zoe.is_in().await && !other.is_in().await, "other sessions end");
        Browser::new(&app).through(&fake, WORK).await.leads_to("/auth/connect?why=known");
    }

    async fn nobody_disconnects_what_is_somebody_elses(test: TestDb) {
        start!(test, app, fake);
        let mut zoe = Browser::new(&app);
        zoe.through(&fake, WORK).await.leads_to("/shop");
        let id = app.get(&zoe.client(), "/api/v1/users/me/logins").await.text("/items/0/id");
        app.user("ana@example.com").await;
        let ana = Browser::of(&app, "ana@example.com").await;
        app.delete(&ana.client(), &format!("/api/v1/users/me/logins/{id}"), None).await.is(404, "identity.login_not_found");
        assert_eq!(app.count("logins", "id", &id).await, 1);
    }

    async fn whoever_has_no_password_shows_who_they_are_where_they_sign_in(test: TestDb) {
        start!(test, app, fake);
        let mut zoe = Browser::new(&app);
        zoe.through(&fake, WORK).await.leads_to("/shop");
        app.pass(Duration::from_secs(601));
        zoe.press("/auth/account/delete", &[]).await.leads_to("/auth/confirm?return_to=%2Fauth%2Faccount%2Fdelete");
        let how = app.get(&zoe.client(), "/api/v1/auth/step-up").await.json;
        assert_eq!((&how["methods"], &how["providers"]), (&json!([]), &json!(["work"])));
        let page = zoe.open("/auth/confirm?return_to=%2Fauth%2Faccount%2Fdelete").await;
        page.says(200, "/auth/with/work?for=confirm&#38;return_to=%2Fauth%2Faccount%2Fdelete");
        let confirm = "/auth/with/work?for=confirm&return_to=%2Fauth%2Faccount%2Fdelete";
        // Somebody else's account there shows nothing, and neither does one that was not asked again.
        fake.person("somebody else", Some("eve@example.com"), true);
        zoe.through(&fake, confirm).await.says(403, "not the account that you are connected with");
        fake.person("subject-1", Some("zoe@example.com"), true);
        fake.claims(json!({ "auth_time": app.clock.now().unix_seconds() - 3_600 }));
        zoe.through(&fake, confirm).await.says(502, "did not say who you are");
        fake.claims(json!({}));
        zoe.press("/auth/account/delete", &[]).await.leads_to("/auth/confirm?return_to=%2Fauth%2Faccount%2Fdelete");
        zoe.through(&fake, confirm).await.leads_to("/auth/account/delete");
        zoe.open("/auth/account/delete").await.says(200, "Delete my account for good");
        zoe.press("/auth/account/delete", &[]).await.leads_to("/auth/login?done=deleted");
        // With the account goes what was connected.
        assert_eq!(app.count("logins", "provider", "work").await, 0);
        assert_eq!(app.count("users", "email", "zoe@example.com").await, 0);
    }

    async fn whoever_claimed_an_address_first_does_not_stay_in_when_its_owner_comes(test: TestDb) {
        start!(test, app, fake);
        // Somebody registers an address that is not theirs and connects an account of their own.
        app.post(&home(), "/api/v1/auth/register", json!({ "email": "victim@example.com", "password": PASSWORD, "name": "Eve" })).await.is(201, "");
        let mut eve = Browser::of(&app, "victim@example.com").await;
        eve.through(&fake, "/auth/with/work?for=connect").await.leads_to("/auth/connect");
        eve.press("/auth/connect", &[]).await.leads_to("/auth/account/logins?done=connected");
        // Its owner chooses a password by mail.
        app.post(&home(), "/auth/forgot-password", json!({ "email": "victim@example.com" })).await;
        let mails = app.mails("victim@example.com").await;
        let reset = mails.iter().find(|mail| mail.text.contains("reset-password")).unwrap();
        let token = crate::app::token_in(&reset.text);
        app.post(&home(), "/auth/reset-password", json!({ "token": token, "password": "another long password" })).await.is(204, "");
        assert!(!eve.is_in().await);
        let mut again = Browser::new(&app);
        again.through(&fake, WORK).await.leads_to("/shop");
        assert_ne!(app.get(&again.client(), "/api/v1/users/me").await.text("/email"), "victim@example.com");
    }
}
