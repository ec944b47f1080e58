use std::time::Duration;

use baluarte_identity::Identity;
use baluarte_kernel::Credential;
use baluarte_testkit::each_backend;
use http::header;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::Value;

use crate::app::{App, PUBLIC_URL, home};

const DAY: Duration = Duration::from_secs(86_400);

async fn keys(app: &App) -> JwkSet {
    let reply = app.get(&home(), "/.well-known/jwks.json").await;
    reply.is(200, "");
    assert_eq!(reply.headers[header::CACHE_CONTROL], "public, max-age=300");
    assert!(!reply.json.to_string().contains("\"d\""), "no private part");
    serde_json::from_value(reply.json).unwrap()
}

fn kid(token: &str) -> String {
    decode_header(token).unwrap().kid.unwrap()
}

/// As an upstream does it, with nothing but the published keys. The clock stands in the future, so only `exp` is ours.
fn verify(set: &JwkSet, token: &str, audience: &str) -> Option<Value> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[PUBLIC_URL]);
    let key = DecodingKey::from_jwk(set.find(&kid(token))?).unwrap();
    decode::<Value>(token, &key, &validation).ok().map(|data| data.claims)
}

each_backend! {
    async fn an_access_token_says_what_upstreams_need_and_verifies_with_the_published_keys(test: TestDb) {
        let app = App::start(test).await;
        let user = app.user("zoe@example.com").await;
        let (client, _) = app.sign_in("zoe@example.com").await;
        let token = client.bearer.unwrap();
        let header = decode_header(&token).unwrap();
        assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::EdDSA, Some("at+jwt")));
        let claims = verify(&keys(&app).await, &token, PUBLIC_URL).unwrap();
        assert_eq!(claims["sub"], user.id.to_string());
        assert_eq!((&claims["email"], &claims["name"], &claims["role"]), (&"zoe@example.com".into(), &"zoe".into(), &"user".into()));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
        assert!(claims["sid"].as_str().unwrap().starts_with("ses_") && claims["jti"].is_string());
    }

    async fn asvs_9_2_1_an_access_token_lives_for_fifteen_minutes(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (client, _) = app.sign_in("zoe@example.com").await;
        app.pass(Duration::from_secs(899));
        assert!(app.is_signed_in(&client).await);
        app.pass(Duration::from_secs(1));
        assert!(!app.is_signed_in(&client).await);
    }

    async fn a_token_that_was_recalled_is_the_very_one_that_was_verified(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (client, _) = app.sign_in("zoe@example.com").await;
        for _ in 0..2 {
            assert!(app.is_signed_in(&client).await);
        }
        let token = client.bearer.unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        assert!(!app.is_signed_in(&home().with_bearer(&format!("{signed}.{other}{}", &signature[1..]))).await);
        assert!(!app.is_signed_in(&home().with_bearer(&token[..token.len() - 1])).await);
    }

    async fn an_upstream_identity_is_for_one_upstream_and_opens_no_door_of_ours(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let browser = app.sign_in_with_cookie("zoe@example.com").await;
        let port = app.identity.authenticator();
        let who = port.authenticate(Credential::SessionCookie(browser.cookie.unwrap())).await.unwrap();
        let identity = port.upstream_identity(&who, "shop", "free");
        assert!(!app.is_signed_in(&home().with_bearer(&identity.token)).await);
        let set = keys(&app).await;
        let claims = verify(&set, &identity.token, "shop").unwrap();
        assert_eq!((&claims["email"], &claims["plan"], &claims["role"]), (&"zoe@example.com".into(), &"free".into(), &"user".into()));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
        assert!(verify(&set, &identity.token, "other").is_none());
        assert_eq!(identity.renew_at, app.clock.now().plus(Duration::from_secs(50)));
    }

    async fn keys_are_replaced_without_anybody_noticing(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let first = keys(&app).await.keys;
        assert_eq!(first.len(), 1);

        // A day ahead the next one is published, and not used.
        app.pass(29 * DAY);
        app.identity.rotate_keys().await.unwrap();
        let (early, _) = app.sign_in("zoe@example.com").await;
        assert_eq!(keys(&app).await.keys.len(), 2);
        assert_eq!(Some(kid(early.bearer.as_ref().unwrap())), first[0].common.key_id);

        app.pass(DAY - Duration::from_secs(60));
        let (last_of_old, _) = app.sign_in("zoe@example.com").await;
        app.pass(Duration::from_secs(60));
        app.identity.rotate_keys().await.unwrap();
        let (first_of_new, _) = app.sign_in("zoe@example.com").await;
        assert_ne!(kid(last_of_old.bearer.as_ref().unwrap()), kid(first_of_new.bearer.as_ref().unwrap()));
        assert!(app.is_signed_in(&last_of_old).await && app.is_signed_in(&first_of_new).await);

        // And the old one goes when nothing it signed is good any more.
        app.pass(Duration::from_secs(900 + 60 + 300));
        app.identity.rotate_keys().await.unwrap();
        let left = keys(&app).await.keys;
        assert_eq!(left.len(), 1);
        assert_ne!(left[0].common.key_id, first[0].common.key_id);
    }

    async fn replicas_that_start_or_rotate_together_end_with_the_same_keys(test: TestDb) {
        let app = App::start(test).await;
        let (one, two) = tokio::join!(app.replica(), app.replica());
        assert_eq!(keys(&one).await, keys(&two).await);
        app.pass(29 * DAY);
        let rotate = |replica: &Identity| { let replica = replica.clone(); async move { replica.rotate_keys().await } };
        let (a, b) = tokio::join!(rotate(&one.identity), rotate(&two.identity));
        a.and(b).unwrap();
        one.identity.rotate_keys().await.unwrap();
        two.identity.rotate_keys().await.unwrap();
        assert_eq!(keys(&one).await.keys.len(), 2);
        assert_eq!(keys(&one).await, keys(&two).await);
        // Also a replica that has not looked since takes the other's tokens.
        app.user("zoe@example.com").await;
        app.pass(2 * DAY);
        let (client, _) = one.sign_in("zoe@example.com").await;
        assert!(app.is_signed_in(&client).await);
    }

    async fn private_keys_are_not_stored_in_clear(test: TestDb) {
        let app = App::start(test).await;
        let kid = keys(&app).await.keys[0].common.key_id.clone().unwrap();
        let stored = app.text("SELECT private_key FROM signing_keys WHERE kid = $1", &kid).await;
        assert!(stored.starts_with("v1.") && app.kit.secrets.open("identity.signing_key", &stored).is_ok());
    }
}
