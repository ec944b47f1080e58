use baluarte_kernel::{AuthError, Credential};
use baluarte_testkit::each_backend;
use serde_json::json;

use crate::app::{App, PASSWORD, home};

each_backend! {
    async fn asvs_7_4_1_every_replica_obeys_a_sign_out_within_a_second_even_without_hints(test: TestDb) {
        let app = App::start(test).await;
        let (deaf, neighbour) = (app.replica().await, app.neighbour().await);
        app.user("zoe@example.com").await;
        let (program, _) = app.sign_in("zoe@example.com").await;
        let browser = app.sign_in_with_cookie("zoe@example.com").await;
        for replica in [&deaf, &neighbour] {
            assert!(replica.is_signed_in(&program).await && replica.is_signed_in(&browser).await);
        }
        let before = deaf.identity.authenticator().revocations();
        for client in [&program, &browser] {
            app.post(client, "/api/v1/auth/logout", json!({})).await.is(204, "");
            assert!(!app.is_signed_in(client).await, "here at once");
            for replica in [&neighbour, &deaf] {
                assert!(replica.is_signed_out_within_a_second(client).await);
            }
        }
        assert!(deaf.identity.authenticator().revocations() > before, "so that caches look again");
    }

    async fn a_principal_kept_by_a_cache_is_known_as_revoked(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (client, _) = app.sign_in("zoe@example.com").await;
        let port = app.identity.authenticator();
        let kept = port.authenticate(Credential::Bearer(client.bearer.clone().unwrap())).await.unwrap();
        let before = port.revocations();
        assert!(!port.is_revoked(&kept));
        app.post(&client, "/api/v1/auth/logout", json!({})).await.is(204, "");
        assert!(port.revocations() > before && port.is_revoked(&kept));
        assert_eq!(port.authenticate(Credential::Bearer(client.bearer.unwrap())).await, Err(AuthError::Revoked));
    }

    async fn a_restarted_replica_still_knows_what_was_revoked(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (client, _) = app.sign_in("zoe@example.com").await;
        app.post(&client, "/api/v1/auth/logout", json!({})).await.is(204, "");
        assert!(!app.replica().await.is_signed_in(&client).await);
    }

    async fn asvs_8_3_2_another_role_voids_tokens_at_once_and_sessions_go_on_with_it(test: TestDb) {
        let app = App::start(test).await;
        let replica = app.replica().await;
        let user = app.user("zoe@example.com").await;
        let (program, refresh) = app.sign_in("zoe@example.com").await;
        let browser = app.sign_in_with_cookie("zoe@example.com").await;
        assert!(replica.is_signed_in(&program).await && replica.is_signed_in(&browser).await);
        app.identity.set_role(&app.operator(), user.id, "staff".parse().unwrap()).await.unwrap();
        assert!(!app.is_signed_in(&program).await);
        assert!(replica.is_signed_out_within_a_second(&program).await);
        let pair = app.refresh(&refresh).await;
        for (replica, client) in [(&app, &home().with_bearer(&pair.text("/access_token"))), (&replica, &browser)] {
            let ctx = replica.ctx(client).await;
            assert_eq!(ctx.user().unwrap().role, "staff");
        }
    }

    async fn asvs_7_4_2_a_disabled_account_is_out_everywhere_until_enabled_again(test: TestDb) {
        let app = App::start(test).await;
        let replica = app.replica().await;
        let user = app.user("zoe@example.com").await;
        let (program, refresh) = app.sign_in("zoe@example.com").await;
        let browser = app.sign_in_with_cookie("zoe@example.com").await;
        assert!(replica.is_signed_in(&browser).await);
        app.identity.disable_user(&app.operator(), user.id).await.unwrap();
        for client in [&program, &browser] {
            assert!(!app.is_signed_in(client).await);
            assert!(replica.is_signed_out_within_a_second(client).await);
        }
        app.refresh(&refresh).await.is(401, "identity.refresh_invalid");
        app.try_sign_in(&home(), "zoe@example.com", PASSWORD).await.is(403, "identity.account_disabled");
        app.try_sign_in(&home(), "zoe@example.com", "not the password").await.is(401, "identity.wrong_credentials");
        app.identity.enable_user(&app.operator(), user.id).await.unwrap();
        assert!(!app.is_signed_in(&program).await, "old credentials stay void");
        let (again, _) = app.sign_in("zoe@example.com").await;
        assert!(app.is_signed_in(&again).await);
    }

    async fn signing_out_the_other_devices_keeps_this_one(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (here, refresh) = app.sign_in("zoe@example.com").await;
        let (there, _) = app.sign_in("zoe@example.com").await;
        let browser = app.sign_in_with_cookie("zoe@example.com").await;
        app.identity.revoke_other_sessions(&app.ctx(&here).await).await.unwrap();
        assert!(app.is_signed_in(&here).await && !app.is_signed_in(&there).await && !app.is_signed_in(&browser).await);
        app.refresh(&refresh).await.is(200, "");
    }
}
