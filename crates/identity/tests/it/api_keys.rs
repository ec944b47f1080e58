//! Keys for programs: made, replaced, revoked, and what they open.

use std::time::Duration;

use baluarte_kernel::{Actor, AuthError, Credential, Ctx, Principal};
use baluarte_testkit::each_backend;
use http::Method;
use serde_json::{Value, json};

use crate::app::{App, Client, PASSWORD, Reply, home};

const ANA: &str = "ana@example.com";
const KEYS: &str = "/api/v1/api-keys";

async fn make(app: &App, client: &Client, body: Value) -> Reply {
    app.post(client, KEYS, body).await
}

/// Somebody signed in, and a program with a key of theirs.
async fn with_key(app: &App, role: &str, scopes: Value) -> (Client, Client, String) {
    app.account(ANA, role).await;
    let (ana, _) = app.sign_in(ANA).await;
    let made = make(app, &ana, json!({"name": "Nightly export", "scopes": scopes})).await;
    made.is(201, "");
    (ana, home().with_bearer(&made.text("/key")), made.text("/id"))
}

async fn recognised(app: &App, key: &Client) -> Result<std::sync::Arc<Principal>, AuthError> {
    app.identity.authenticator().authenticate(Credential::Bearer(key.bearer.clone().unwrap())).await
}

async fn scopes_of(app: &App, key: &Client) -> Vec<String> {
    recognised(app, key).await.unwrap().scopes.clone().unwrap()
}

each_backend! {
    async fn a_key_is_shown_once_and_only_its_hash_is_kept(test: TestDb) {
        let app = App::start(test).await;
        app.user(ANA).await;
        let (ana, _) = app.sign_in(ANA).await;
        let made = make(&app, &ana, json!({"name": "Nightly export", "scopes": ["profile", "app", "app"]})).await;
        made.is(201, "");
        assert_eq!(made.headers["cache-control"], "no-store");
        let key = made.text("/key");
        assert_eq!((made.text("/name"), made.json["scopes"].clone()), ("Nightly export".to_owned(), json!(["app", "profile"])));
        let list = app.get(&ana, KEYS).await;
        assert_eq!(list.json["items"].as_array().map(Vec::len), Some(1));
        assert_eq!((list.text("/items/0/hint"), list.json["items"][0]["last_used_at"].clone()), (key[..8].to_owned(), Value::Null));
        assert!(!list.json.to_string().contains(&key));
        let stored = app.text("SELECT key_hash || name || hint || scopes FROM api_keys WHERE id = $1", &made.text("/id")).await;
        assert!(!stored.contains(&key) && stored.len() > 64);
        assert_eq!(app.count("audit_entries", "action", "identity.api_key.created").await, 1);
        let mail = &app.mails(ANA).await[0];
        assert!(mail.text.contains("Nightly export") && mail.text.contains("app, profile") && !mail.text.contains(&key), "{}", mail.text);
    }

    async fn a_key_does_what_its_scopes_name_and_nothing_about_the_account(test: TestDb) {
        let app = App::start(test).await;
        let (_, key, id) = with_key(&app, "admin", json!(["profile", "jobs"])).await;
        let me = app.get(&key, "/api/v1/users/me").await;
        assert_eq!(me.text("/email"), ANA);
        let rotate = format!("{KEYS}/{id}/rotate");
        let one = format!("{KEYS}/{id}");
        for (method, path, body) in [
            (Method::GET, KEYS, None),
            (Method::POST, KEYS, Some(json!({"name": "x", "scopes": ["profile"]}))),
            (Method::POST, &rotate, Some(json!({}))),
            (Method::DELETE, &one, None),
            (Method::PATCH, "/api/v1/users/me", Some(json!({"name": "Mallory"}))),
            (Method::DELETE, "/api/v1/users/me", Some(json!({"password": PASSWORD}))),
            (Method::GET, "/api/v1/users", None),
            (Method::PUT, "/api/v1/users/me/password", Some(json!({"current_password": PASSWORD, "new_password": "another long password"}))),
            (Method::GET, "/api/v1/sessions", None),
            (Method::GET, "/api/v1/mfa", None),
            (Method::POST, "/api/v1/mfa/totp", Some(json!({}))),
            (Method::POST, "/api/v1/mfa/email", None),
            (Method::GET, "/api/v1/mfa/passkeys", None),
            (Method::POST, "/api/v1/mfa/recovery-codes", None),
            (Method::GET, "/api/v1/mfa/trusted-devices", None),
            (Method::GET, "/api/v1/auth/step-up", None),
            (Method::POST, "/api/v1/auth/step-up", Some(json!({"password": PASSWORD}))),
            (Method::POST, "/api/v1/auth/logout", None),
            (Method::GET, "/api/v1/admin/users", None),
        ] {
            let refused = app.call(&key, method.clone(), path, body).await;
            assert_eq!((refused.status, refused.code), (403, "web.key_refused"), "{method} {path}");
        }
        // Nor through the pages, where whoever is not signed in is sent to sign in.
        for (path, form) in [("/auth/account/password", "current_password=x&new_password=y"), ("/auth/account/sessions/end-others", "")] {
            let answer = app.form_as(&key, path, form).await;
            assert!(answer.code == "web.key_refused" || answer.headers["location"] == "/auth/login?return_to=%2Fauth%2Faccount", "{path}");
        }
    }

    async fn a_key_without_the_scope_is_told_which(test: TestDb) {
        let app = App::start(test).await;
        let (_, key, _) = with_key(&app, "user", json!(["app"])).await;
        app.get(&key, "/api/v1/users/me").await.is(403, "web.forbidden");
        assert!(app.ctx(&key).await.require_scope("jobs").is_err());
    }

    async fn making_and_rotating_take_a_fresh_proof_of_who_it_is(test: TestDb) {
        let app = App::start(test).await;
        let (ana, _, id) = with_key(&app, "user", json!(["app"])).await;
        app.pass(Duration::from_secs(700));
        make(&app, &ana, json!({"name": "x", "scopes": ["app"]})).await.is(403, "identity.step_up_required");
        app.post(&ana, &format!("{KEYS}/{id}/rotate"), json!({})).await.is(403, "identity.step_up_required");
        app.post(&ana, "/api/v1/auth/step-up", json!({"password": PASSWORD})).await.is(204, "");
        make(&app, &ana, json!({"name": "x", "scopes": ["app"]})).await.is(201, "");
        // Taking power away never takes more than being signed in.
        let (ana, _) = app.sign_in(ANA).await;
        app.pass(Duration::from_secs(700));
        app.delete(&ana, &format!("{KEYS}/{id}"), None).await.is(204, "");
    }

    async fn a_rotated_key_goes_on_beside_its_successor_and_ends(test: TestDb) {
        let app = App::start(test).await;
        let (ana, old, id) = with_key(&app, "user", json!(["app", "profile"])).await;
        let rotate = format!("{KEYS}/{id}/rotate");
        app.post(&ana, &rotate, json!({"overlap": "30s"})).await.is(422, "web.invalid_fields");
        app.post(&ana, &rotate, json!({"overlap": "31d"})).await.is(422, "web.invalid_fields");
        assert!(recognised(&app, &old).await.is_ok());
        let made = app.post(&ana, &rotate, json!({"overlap": "5m"})).await;
        made.is(201, "");
        let new = home().with_bearer(&made.text("/key"));
        assert_eq!(scopes_of(&app, &new).await, ["app", "profile"]);
        assert!(recognised(&app, &old).await.is_ok());
        app.post(&ana, &rotate, json!({"overlap": "5m"})).await.is(409, "identity.api_key_replaced");
        app.pass(Duration::from_secs(299));
        assert!(recognised(&app, &old).await.is_ok());
        app.pass(Duration::from_secs(1));
        assert_eq!(recognised(&app, &old).await.err(), Some(AuthError::Invalid));
        assert!(recognised(&app, &new).await.is_ok());
        let list = app.get(&ana, KEYS).await;
        assert_eq!(list.json["items"][1]["replaced_by"], made.json["id"]);
        // Without an overlap it ends at once.
        let last = app.post(&ana, &format!("{KEYS}/{}/rotate", made.text("/id")), json!({})).await;
        last.is(201, "");
        assert!(recognised(&app, &new).await.is_err());
        assert!(recognised(&app, &home().with_bearer(&last.text("/key"))).await.is_ok());
        assert_eq!(app.count("audit_entries", "action", "identity.api_key.rotated").await, 2);
    }

    async fn a_revoked_key_is_refused_on_every_replica_within_a_second(test: TestDb) {
        let app = App::start(test).await;
        let (ana, key, id) = with_key(&app, "user", json!(["app"])).await;
        let (replica, neighbour) = (app.replica().await, app.neighbour().await);
        for each in [&app, &replica, &neighbour] {
            assert!(each.is_signed_in(&key).await);
        }
        app.delete(&ana, &format!("{KEYS}/{id}"), None).await.is(204, "");
        assert!(recognised(&app, &key).await.is_err());
        for each in [&replica, &neighbour] {
            assert!(each.is_signed_out_within_a_second(&key).await);
        }
        app.delete(&ana, &format!("{KEYS}/{id}"), None).await.is(404, "identity.api_key_not_found");
        assert_eq!(app.count("audit_entries", "action", "identity.api_key.revoked").await, 1);
    }

    async fn asvs_8_2_2_nobody_touches_the_keys_of_others(test: TestDb) {
        let app = App::start(test).await;
        let (_, key, id) = with_key(&app, "user", json!(["app"])).await;
        app.user("bob@example.com").await;
        let (bob, _) = app.sign_in("bob@example.com").await;
        app.delete(&bob, &format!("{KEYS}/{id}"), None).await.is(404, "identity.api_key_not_found");
        app.post(&bob, &format!("{KEYS}/{id}/rotate"), json!({})).await.is(404, "identity.api_key_not_found");
        assert_eq!(app.get(&bob, KEYS).await.json["items"], json!([]));
        assert!(recognised(&app, &key).await.is_ok());
    }

    async fn keys_end_with_the_account_and_do_not_come_back(test: TestDb) {
        let app = App::start(test).await;
        let user = app.user(ANA).await;
        let (ana, _) = app.sign_in(ANA).await;
        let made = make(&app, &ana, json!({"name": "x", "scopes": ["app"]})).await;
        let key = home().with_bearer(&made.text("/key"));
        let replica = app.replica().await;
        assert!(replica.is_signed_in(&key).await);
        app.identity.disable_user(&app.operator(), user.id).await.unwrap();
        assert!(recognised(&app, &key).await.is_err());
        assert!(replica.is_signed_out_within_a_second(&key).await);
        app.identity.enable_user(&app.operator(), user.id).await.unwrap();
        assert!(recognised(&app, &key).await.is_err(), "somebody else may have made it");

        let (ana, _) = app.sign_in(ANA).await;
        let key = home().with_bearer(&make(&app, &ana, json!({"name": "x", "scopes": ["app"]})).await.text("/key"));
        assert!(recognised(&app, &key).await.is_ok());
        app.identity.delete_user(&app.operator(), user.id).await.unwrap();
        assert!(recognised(&app, &key).await.is_err());
        assert_eq!(app.count("api_keys", "user_id", &user.id.to_string()).await, 0);
    }

    async fn what_only_administrators_may_give_goes_with_the_role(test: TestDb) {
        let app = App::start(test).await;
        app.account("root@example.com", "owner").await;
        let user = app.account(ANA, "owner").await;
        let (ana, _) = app.sign_in(ANA).await;
        let made = make(&app, &ana, json!({"name": "x", "scopes": ["jobs", "monitor", "app"]})).await;
        let key = home().with_bearer(&made.text("/key"));
        assert!(app.ctx(&key).await.require_scope("jobs").is_ok());
        app.identity.set_role(&app.operator(), user.id, "user".parse().unwrap()).await.unwrap();
        assert_eq!(scopes_of(&app, &key).await, ["app"]);
        assert!(app.ctx(&key).await.require_scope("jobs").is_err());
    }

    async fn scopes_are_a_closed_list(test: TestDb) {
        let app = App::with(test, |config| config.api_key_scopes = vec!["export".to_owned()]).await;
        app.user(ANA).await;
        let (ana, _) = app.sign_in(ANA).await;
        for scopes in [json!([]), json!(["everything"]), json!(["jobs"]), json!(["orders"]), json!(["app", "monitor"])] {
            let refused = make(&app, &ana, json!({"name": "x", "scopes": scopes})).await;
            assert_eq!((refused.status, refused.pointers), (422, vec!["/scopes".to_owned()]), "{scopes}");
        }
        app.identity.set_route_scopes(vec!["orders".to_owned()]);
        assert_eq!(app.get(&ana, KEYS).await.json["scopes"], json!(["profile", "app", "orders", "export"]));
        make(&app, &ana, json!({"name": "x", "scopes": ["orders", "export"]})).await.is(201, "");
        make(&app, &ana, json!({"name": "x\ny", "scopes": ["orders"]})).await.is(422, "web.invalid_fields");
    }

    async fn a_key_ends_when_it_was_to_end(test: TestDb) {
        let app = App::start(test).await;
        app.user(ANA).await;
        let (ana, _) = app.sign_in(ANA).await;
        let at = |seconds| app.clock.now().plus(Duration::from_secs(seconds)).to_string();
        for wrong in [at(0), at(366 * 86_400)] {
            make(&app, &ana, json!({"name": "x", "scopes": ["app"], "expires_at": wrong})).await.is(422, "web.invalid_fields");
        }
        let made = make(&app, &ana, json!({"name": "x", "scopes": ["app"], "expires_at": at(90)})).await;
        let key = home().with_bearer(&made.text("/key"));
        assert!(recognised(&app, &key).await.is_ok());
        app.pass(Duration::from_secs(89));
        assert!(recognised(&app, &key).await.is_ok());
        app.pass(Duration::from_secs(1));
        assert_eq!(recognised(&app, &key).await.err(), Some(AuthError::Invalid));
    }

    async fn one_person_has_so_many_keys_at_most(test: TestDb) {
        let app = App::start(test).await;
        app.user(ANA).await;
        let (ana, _) = app.sign_in(ANA).await;
        let mut last = Value::Null;
        for _ in 0..25 {
            let made = make(&app, &ana, json!({"name": "x", "scopes": ["app"]})).await;
            made.is(201, "");
            last = made.json["id"].clone();
        }
        make(&app, &ana, json!({"name": "x", "scopes": ["app"]})).await.is(409, "identity.too_many_api_keys");
        // One can be replaced all the same; those that still work beside their successors are counted, too.
        for turn in 0..26 {
            let made = app.post(&ana, &format!("{KEYS}/{}/rotate", last.as_str().unwrap()), json!({"overlap": "1h"})).await;
            if turn == 25 {
                made.is(409, "identity.too_many_api_keys");
            } else {
                made.is(201, "");
                last = made.json["id"].clone();
            }
        }
    }

    async fn a_key_in_use_is_looked_up_once_a_minute_and_its_last_use_is_written_in_the_background(test: TestDb) {
        let app = App::start(test).await;
        let (_, key, id) = with_key(&app, "user", json!(["app"])).await;
        assert!(recognised(&app, &key).await.is_ok());
        // Gone behind our back: whoever does not look does not see it.
        let tx = app.db().begin().await.unwrap();
        app.execute(&tx, "UPDATE api_keys SET expires_at = 0 WHERE id = $1", &id).await;
        tx.commit().await.unwrap();
        for _ in 0..1_000 {
            assert!(recognised(&app, &key).await.is_ok(), "it was looked up again");
        }
        app.pass(Duration::from_secs(60));
        assert!(recognised(&app, &key).await.is_err());
        app.kit.tasks.stop().await;
        assert_ne!(app.text("SELECT CASE WHEN last_used_at IS NULL THEN '' ELSE 'used' END FROM api_keys WHERE id = $1", &id).await, "");
    }

    async fn a_typing_error_is_refused_without_the_database_and_an_outage_is_said(test: TestDb) {
        let app = App::start(test).await;
        let (_, key, _) = with_key(&app, "user", json!(["app"])).await;
        assert!(recognised(&app, &key).await.is_ok());
        let other = app.replica().await;
        other.db().close().await;
        let text = key.bearer.clone().unwrap();
        let typo = home().with_bearer(&format!("{}{}", &text[..49], if text.ends_with('a') { "b" } else { "a" }));
        assert_eq!(recognised(&other, &typo).await.err(), Some(AuthError::Invalid));
        assert_eq!(recognised(&other, &key).await.err(), Some(AuthError::Unavailable));
        assert!(other.identity.authenticator().is_own(&text) && other.identity.authenticator().is_own(typo.bearer.as_ref().unwrap()));
    }

    async fn the_app_is_told_whose_key_it_is_and_what_it_may(test: TestDb) {
        let app = App::start(test).await;
        let (_, key, id) = with_key(&app, "user", json!(["app", "profile"])).await;
        let Ctx { actor: Actor::User(principal), .. } = app.ctx(&key).await else { panic!("not recognised") };
        let said = app.identity.authenticator().upstream_identity(&principal, "shop", "free").token;
        let claims = said.split('.').nth(1).unwrap();
        let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((claims["key"].clone(), claims["scope"].clone(), claims["sid"].clone()), (json!(id), json!("app profile"), Value::Null));
        assert_eq!(claims["sub"], json!(principal.user_id));
    }
}
