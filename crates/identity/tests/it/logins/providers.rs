//! A provider that tells the truth, and one that does not.

use std::time::Duration;

use baluarte_identity::{IdentityConfig, ProviderKind};
use baluarte_testkit::{FakeProvider, Mishap, Signing, each_backend};
use serde_json::{Value, json};

use super::{Browser, Shown, WORK, actions, provider, start};
use crate::app::{App, PUBLIC_URL};

each_backend! {
    async fn every_algorithm_that_is_taken_is_taken(test: TestDb) {
        start!(test, app, fake);
        for signing in [Signing::Rs256, Signing::Es256, Signing::EdDsa] {
            fake.sign_with(signing);
            // Keys are remembered for an hour, and this one may be new.
            app.pass(Duration::from_secs(31));
            Browser::new(&app).through(&fake, WORK).await.leads_to("/shop");
        }
    }

    async fn nothing_but_the_truth_signs_anybody_in(test: TestDb) {
        start!(test, app, fake);
        let now = app.clock.now().unix_seconds();
        let lies = [
            json!({ "iss": "https://evil.example" }),
            json!({ "iss": format!("{}/", fake.url()) }),
            json!({ "aud": "somebody else" }),
            json!({ "aud": [FakeProvider::CLIENT, "somebody else"] }),
            json!({ "aud": [] }),
            json!({ "azp": "somebody else" }),
            json!({ "exp": now - 121 }),
            json!({ "exp": null }),
            json!({ "iat": now + 121 }),
            json!({ "iat": now - 601 }),
            json!({ "iat": null }),
            json!({ "nbf": now + 121 }),
            json!({ "nonce": "of another attempt" }),
            json!({ "nonce": null }),
            json!({ "sub": "" }),
            json!({ "sub": "x".repeat(256) }),
            json!({ "sub": "subject\n1" }),
            json!({ "sub": 1 }),
            json!({ "sub": null }),
        ];
        for lie in lies {
            fake.claims(lie.clone());
            let mut browser = Browser::new(&app);
            let shown = browser.through(&fake, WORK).await;
            shown.says(502, "did not say who you are");
            assert!(shown.html.contains("/auth/with/work?return_to=%2Fshop"), "{lie}: nothing is lost");
            assert!(!browser.is_in().await, "{lie}");
        }
        fake.claims(json!({}));
        for signing in [Signing::None, Signing::Hs256WithSecret, Signing::Hs256WithPublicKey, Signing::Forged] {
            fake.sign_with(signing);
            let mut browser = Browser::new(&app);
            browser.through(&fake, WORK).await.says(502, "did not say who you are");
            assert!(!browser.is_in().await, "{signing:?}");
        }
        fake.sign_with(Signing::Es256);
        // Announced is another one.
        fake.configuration(json!({ "id_token_signing_alg_values_supported": ["RS256"] }));
        app.pass(Duration::from_secs(3_601));
        Browser::new(&app).through(&fake, WORK).await.says(502, "did not say who you are");
        assert_eq!(app.count("users", "email", "zoe@example.com").await, 0);
    }

    async fn an_answer_is_taken_once_in_the_browser_that_asked_and_in_time(test: TestDb) {
        start!(test, app, fake);
        let mut browser = Browser::new(&app);
        let back = browser.visit(&fake, WORK).await;
        // Nobody else's browser ends it, and neither does another attempt of this one.
        Browser::new(&app).open(&back).await.says(410, "Begin again");
        let other = browser.clone().visit(&fake, "/auth/with/work").await;
        let swapped = format!("{}&state={}", back.split("&state=").next().unwrap(), other.split("&state=").nth(1).unwrap().split('&').next().unwrap());
        browser.clone().open(&swapped).await.says(410, "Begin again");
        let copy = browser.clone();
        browser.open(&back).await.leads_to("/shop");
        // Pressed back, or copied.
        browser.open(&back).await.says(410, "Begin again");
        copy.clone().open(&back).await.says(410, "Begin again");
        let late = Browser::new(&app).visit(&fake, WORK).await;
        let mut slow = Browser::new(&app);
        let back = slow.visit(&fake, WORK).await;
        app.pass(Duration::from_secs(901));
        slow.open(&back).await.says(410, "Begin again");
        slow.open(&late).await.says(410, "Begin again");
        for nonsense in ["/auth/callback/work", "/auth/callback/work?state=x&code=y", "/auth/callback/work?state=0&error=access_denied"] {
            browser.open(nonsense).await.says(410, "Begin again");
        }
        assert_eq!(browser.open("/auth/callback/nobody?state=0x").await.code, "identity.provider_not_found");
    }

    async fn several_tabs_are_several_attempts_and_a_bounded_number(test: TestDb) {
        start!(test, app, fake);
        let mut browser = Browser::new(&app);
        let first = browser.visit(&fake, "/auth/with/work?return_to=%2Ffirst").await;
        let second = browser.visit(&fake, "/auth/with/work?return_to=%2Fsecond").await;
        assert_eq!(browser.jar.len(), 2);
        browser.clone().open(&first).await.leads_to("/first");
        browser.clone().open(&second).await.leads_to("/second");
        for _ in 0..10 {
            browser.visit(&fake, WORK).await;
        }
        assert_eq!(browser.jar.len(), 4);
    }

    async fn any_replica_takes_in_whom_another_sent_away(test: TestDb) {
        start!(test, app, fake);
        let other = app.replica().await;
        let mut browser = Browser::new(&app);
        let back = browser.visit(&fake, WORK).await;
        let mut there = browser.at(&other);
        there.open(&back).await.leads_to("/shop");
        // And it is over for all of them.
        browser.open(&back).await.says(410, "Begin again");
    }

    async fn an_answer_comes_from_the_one_that_was_asked(test: TestDb) {
        let fake = FakeProvider::start(test.clock.clone()).await;
        let evil = FakeProvider::start(test.clock.clone()).await;
        let app = App::with(test, |config| {
            provider(config, "work", ProviderKind::Oidc, &fake);
            provider(config, "evil", ProviderKind::Oidc, &evil);
        })
        .await;
        // RFC 9207: announced, so it has to be there and right.
        for iss in ["", "https://evil.example", evil.url()] {
            fake.answers(&[("iss", iss)]);
            let mut browser = Browser::new(&app);
            browser.through(&fake, WORK).await.says(502, "did not say who you are");
            assert!(!browser.is_in().await);
        }
        assert_eq!(fake.asked("/token"), 0, "the code was told to nobody");
        fake.answers(&[]);
        // A code of one provider brought to the place of another.
        let mut browser = Browser::new(&app);
        let back = browser.visit(&fake, WORK).await;
        browser.open(&back.replace("/callback/work", "/callback/evil")).await.says(410, "Begin again");
        assert_eq!(evil.asked("/token"), 0);
        // Neither is one provider's subject another's.
        Browser::new(&app).through(&fake, WORK).await.leads_to("/shop");
        let mut stranger = Browser::new(&app);
        stranger.through(&evil, "/auth/with/evil").await.leads_to("/auth/connect?why=known");
        assert!(!stranger.is_in().await);
    }

    async fn a_code_goes_with_its_proof_and_the_secret_where_the_provider_wants_it(test: TestDb) {
        start!(test, app, fake);
        Browser::new(&app).through(&fake, WORK).await.leads_to("/shop");
        let (header, form) = fake.introduced();
        let names: Vec<_> = form.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["grant_type", "code", "redirect_uri", "code_verifier"]);
        assert!(header.is_some_and(|header| header.starts_with("Basic ")));
        assert_eq!(form[2].1, format!("{PUBLIC_URL}/auth/callback/work"));
        fake.configuration(json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] }));
        app.pass(Duration::from_secs(3_601));
        Browser::new(&app).through(&fake, WORK).await.leads_to("/shop");
        let (header, form) = fake.introduced();
        assert!(header.is_none() && form.iter().any(|(name, value)| name == "client_secret" && value == FakeProvider::SECRET));
    }

    async fn a_provider_that_fails_is_named_and_nothing_is_lost(test: TestDb) {
        start!(test, app, fake);
        let away = |shown: &Shown| {
            shown.says(502, "work does not answer").says(502, "/auth/with/work?return_to=%2Fshop").says(502, "/auth/login?return_to=%2Fshop");
        };
        fake.mishap("/.well-known/openid-configuration", Mishap::status(503));
        away(&Browser::new(&app).open(WORK).await);
        // Those who come in the next moments are told at once.
        away(&Browser::new(&app).open(WORK).await);
        assert_eq!(fake.asked("/.well-known/openid-configuration"), 1);
        app.pass(Duration::from_secs(5));
        for (path, mishap) in [
            ("/token", Mishap::status(500)),
            ("/token", Mishap::DropBeforeAccept),
            ("/jwks", Mishap::status(503)),
        ] {
            fake.mishap(path, mishap);
            away(&Browser::new(&app).through(&fake, WORK).await);
            app.pass(Duration::from_secs(5));
        }
        let long = json!({ "id_token": "x".repeat(300_000) });
        for (path, mishap) in [
            ("/token", Mishap::status(404)),
            ("/token", Mishap::Status(200, Vec::new(), json!({}))),
            ("/token", Mishap::Status(200, Vec::new(), json!([]))),
            ("/token", Mishap::Status(200, Vec::new(), json!({ "id_token": "a.b.c" }))),
            ("/token", Mishap::Status(200, Vec::new(), long)),
            ("/token", Mishap::Status(400, Vec::new(), json!({ "error": "invalid_grant" }))),
            ("/token", Mishap::Status(302, vec![("location", "https://evil.example/".to_owned())], json!({}))),
            ("/jwks", Mishap::Status(200, Vec::new(), json!({ "keys": 1 }))),
        ] {
            app.pass(Duration::from_secs(3_601));
            fake.mishap(path, mishap.clone());
            let mut browser = Browser::new(&app);
            let shown = browser.through(&fake, WORK).await;
            // Keys that were read before are still good.
            if path == "/jwks" {
                continue;
            }
            shown.says(502, "did not say who you are").says(502, "/auth/with/work?return_to=%2Fshop");
            assert!(!browser.is_in().await, "{mishap:?}");
        }
        assert!(actions(&app).await.iter().any(|action| action == "identity.login.failed"));
    }

    async fn what_the_person_or_the_provider_refuses_is_said_as_it_is(test: TestDb) {
        start!(test, app, fake);
        for (error, status, words) in [
            ("access_denied", 403, "work did not let you in"),
            ("login_required", 403, "wants to hear from you first"),
            ("consent_required", 403, "wants to hear from you first"),
            ("temporarily_unavailable", 502, "does not answer"),
            ("<script>alert(1)</script>", 403, "did not let you in"),
        ] {
            fake.answers(&[("code", ""), ("error", error), ("error_description", "<b>never shown</b>")]);
            let mut browser = Browser::new(&app);
            let shown = browser.through(&fake, WORK).await;
            shown.says(status, words).says(status, "/auth/with/work?return_to=%2Fshop");
            assert!(!shown.html.contains("never shown") && !shown.html.contains("<script>alert"), "{error}");
            assert!(!browser.is_in().await);
        }
        fake.answers(&[("code", "")]);
        Browser::new(&app).through(&fake, WORK).await.says(502, "did not say who you are");
        assert_eq!(fake.asked("/token"), 0);
    }

    async fn a_new_key_is_found_and_an_unknown_one_is_not_looked_for_all_day(test: TestDb) {
        start!(test, app, fake);
        Browser::new(&app).through(&fake, WORK).await.leads_to("/shop");
        assert_eq!(fake.asked("/jwks"), 1);
        fake.replace_keys();
        // Just read: not again so soon, whoever asks.
        for _ in 0..5 {
            Browser::new(&app).through(&fake, WORK).await.says(502, "did not say who you are");
        }
        assert_eq!(fake.asked("/jwks"), 1);
        app.pass(Duration::from_secs(31));
        Browser::new(&app).through(&fake, WORK).await.leads_to("/shop");
        assert_eq!((fake.asked("/jwks"), fake.asked("/.well-known/openid-configuration")), (2, 1));
    }

    async fn what_a_token_does_not_say_userinfo_says_about_the_same_person(test: TestDb) {
        start!(test, app, fake);
        fake.claims(json!({ "email": null, "email_verified": null, "name": null }));
        fake.userinfo(json!({ "sub": "somebody else" }));
        Browser::new(&app).through(&fake, WORK).await.says(502, "did not say who you are");
        fake.userinfo(json!({}));
        Browser::new(&app).through(&fake, WORK).await.leads_to("/shop");
        assert_eq!(app.count("users", "email", "zoe@example.com").await, 1);
    }

    async fn github_is_asked_in_its_own_way_and_only_a_proven_first_address_counts(test: TestDb) {
        let fake = FakeProvider::start(test.clock.clone()).await;
        let app = App::with(test, |config| provider(config, "github", ProviderKind::Github, &fake)).await;
        let start = "/auth/with/github?return_to=%2Fshop";
        fake.person("zoe", Some("zoe@example.com"), false);
        Browser::new(&app).through(&fake, start).await.leads_to("/auth/connect?why=unknown");
        assert_eq!(app.count("users", "email", "old@example.com").await, 0, "nor another one that is proven");
        fake.person("zoe", Some("zoe@example.com"), true);
        let mut zoe = Browser::new(&app);
        zoe.through(&fake, start).await.leads_to("/shop");
        let logins = app.get(&zoe.client(), "/api/v1/users/me/logins").await;
        assert_eq!((logins.text("/items/0/label"), logins.text("/items/0/title")), ("zoe-f".to_owned(), "GitHub".to_owned()));
        // The number is the person; the name they gave themselves is not.
        fake.userinfo(json!({ "id": 7, "login": "zoe-f" }));
        fake.person("eve", Some("eve@example.com"), true);
        let mut eve = Browser::new(&app);
        eve.through(&fake, start).await.leads_to("/shop");
        assert_eq!(app.get(&eve.client(), "/api/v1/users/me").await.text("/email"), "eve@example.com");
        for (path, mishap) in [
            ("/api/v3/user", Mishap::status(401)),
            ("/api/v3/user", Mishap::Status(200, Vec::new(), json!({ "login": "zoe-f" }))),
            ("/api/v3/user/emails", Mishap::status(403)),
            ("/login/oauth/access_token", Mishap::Status(200, Vec::new(), json!({ "error": "bad_verification_code" }))),
        ] {
            fake.mishap(path, mishap);
            Browser::new(&app).through(&fake, start).await.says(502, "GitHub did not say who you are");
        }
    }

    async fn an_address_at_microsoft_is_proven_when_the_domains_owner_has_proven_it(test: TestDb) {
        let fake = FakeProvider::start(test.clock.clone()).await;
        let app = App::with(test, |config| provider(config, "ms", ProviderKind::Microsoft, &fake)).await;
        let start = "/auth/with/ms?return_to=%2Fshop";
        let directory = "72f988bf-86f1-41af-91ab-2d7cd011db47";
        let says = |more: Value| {
            let mut claims = json!({ "tid": directory, "iss": format!("{}/{directory}/v2.0", fake.url()) });
            claims.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
            fake.claims(claims);
        };
        // No `iss` with the browser, as Microsoft does.
        fake.answers(&[("iss", "")]);
        fake.configuration(json!({ "authorization_response_iss_parameter_supported": null }));
        // Whoever has a directory writes what they like into `email`, and even claims that it was verified.
        for more in [json!({}), json!({ "xms_edov": false }), json!({ "xms_edov": "0" })] {
            says(more);
            Browser::new(&app).through(&fake, start).await.leads_to("/auth/connect?why=unknown");
        }
        // The directory that the token names is the one that issued it.
        for lie in [json!({ "tid": null }), json!({ "tid": "00000000-86f1-41af-91ab-2d7cd011db47" }), json!({ "tid": "../evil" }), json!({ "iss": fake.url() })] {
            says(lie);
            Browser::new(&app).through(&fake, start).await.says(502, "Microsoft did not say who you are");
        }
        says(json!({ "xms_edov": true }));
        Browser::new(&app).through(&fake, start).await.leads_to("/shop");
        assert_eq!(app.count("users", "email", "zoe@example.com").await, 1);
    }

    async fn a_provider_reaches_no_private_address_unless_the_operator_said_so(test: TestDb) {
        let fake = FakeProvider::start(test.clock.clone()).await;
        let inside = FakeProvider::start(test.clock.clone()).await;
        let app = App::with(test, |config| {
            provider(config, "work", ProviderKind::Oidc, &fake);
            provider(config, "strict", ProviderKind::Oidc, &fake);
            config.providers.get_mut("strict").unwrap().allow_private = false;
        })
        .await;
        Browser::new(&app).open("/auth/with/strict").await.says(502, "strict does not answer");
        assert_eq!(fake.asked("/.well-known/openid-configuration"), 0);
        // Nor does one that may send us elsewhere in there.
        let elsewhere = inside.url().replace("127.0.0.1", "localhost");
        fake.configuration(json!({ "token_endpoint": format!("{elsewhere}/token") }));
        Browser::new(&app).through(&fake, WORK).await.says(502, "work does not answer");
        assert_eq!(inside.asked("/token"), 0);
    }
}
