use std::{collections::HashSet, time::Duration};

use baluarte_testkit::each_backend;

use crate::app::{App, home};

each_backend! {
    async fn a_refresh_gives_the_next_pair(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (_, first) = app.sign_in("zoe@example.com").await;
        app.pass(Duration::from_secs(600));
        let reply = app.refresh(&first).await;
        reply.is(200, "");
        assert_ne!(reply.text("/refresh_token"), first);
        assert_eq!(reply.json["expires_in"], 900);
        assert!(app.is_signed_in(&home().with_bearer(&reply.text("/access_token"))).await);
        app.refresh(&reply.text("/refresh_token")).await.is(200, "");
    }

    async fn the_previous_token_gets_the_same_child_for_ten_seconds(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (_, first) = app.sign_in("zoe@example.com").await;
        let child = app.refresh(&first).await;
        app.pass(Duration::from_secs(10));
        let again = app.refresh(&first).await;
        again.is(200, "");
        assert_eq!(again.text("/refresh_token"), child.text("/refresh_token"));
        assert_eq!(again.text("/access_token"), child.text("/access_token"));
        assert_eq!(again.json["expires_in"], 890);
        app.refresh(&child.text("/refresh_token")).await.is(200, "");
    }

    async fn rfc_9700_4_14_an_older_token_ends_the_whole_family(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (client, first) = app.sign_in("zoe@example.com").await;
        let (other, other_refresh) = app.sign_in("zoe@example.com").await;
        let child = app.refresh(&first).await;
        app.pass(Duration::from_millis(10_001));
        app.refresh(&first).await.is(401, "identity.refresh_reused");
        app.refresh(&child.text("/refresh_token")).await.is(401, "identity.refresh_invalid");
        assert!(!app.is_signed_in(&client).await);
        assert!(!app.is_signed_in(&home().with_bearer(&child.text("/access_token"))).await, "nor what was given out last");
        assert!(app.is_signed_in(&other).await, "another device is another family");
        app.refresh(&other_refresh).await.is(200, "");
    }

    async fn the_grandparent_is_reuse_even_at_once(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (_, first) = app.sign_in("zoe@example.com").await;
        let child = app.refresh(&first).await.text("/refresh_token");
        app.refresh(&child).await.is(200, "");
        app.refresh(&first).await.is(401, "identity.refresh_reused");
    }

    async fn fifty_refreshes_at_once_get_one_child(test: TestDb) {
        let app = App::start(test).await;
        let replica = app.replica().await;
        app.user("zoe@example.com").await;
        let (_, first) = app.sign_in("zoe@example.com").await;
        let calls = (0..50).map(|n| if n % 2 == 0 { app.refresh(&first) } else { replica.refresh(&first) });
        let replies = futures::future::join_all(calls).await;
        let pairs: HashSet<_> = replies.iter().map(|it| (it.is(200, "").text("/refresh_token"), it.text("/access_token"))).collect();
        assert_eq!(pairs.len(), 1);
        let (child, _) = pairs.into_iter().next().unwrap();
        app.refresh(&child).await.is(200, "");
    }

    async fn asvs_7_3_1_and_7_3_2_a_session_ends_when_unused_and_in_the_end_anyway(test: TestDb) {
        const DAY: Duration = Duration::from_secs(86_400);
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (_, idle) = app.sign_in("zoe@example.com").await;
        let (_, mut busy) = app.sign_in("zoe@example.com").await;
        app.pass(29 * DAY);
        busy = app.refresh(&busy).await.text("/refresh_token");
        app.pass(DAY);
        app.refresh(&idle).await.is(401, "identity.refresh_invalid");
        for _ in 0..2 {
            app.pass(28 * DAY);
            busy = app.refresh(&busy).await.text("/refresh_token");
        }
        app.pass(4 * DAY);
        app.refresh(&busy).await.is(401, "identity.refresh_invalid");
    }

    async fn what_is_not_a_refresh_token_of_ours_is_refused_and_ends_nothing(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (client, first) = app.sign_in("zoe@example.com").await;
        let access = client.bearer.clone().unwrap();
        let mut forged = first.clone().into_bytes();
        let last = forged.len() - 5;
        forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        for bad in ["", "blr_", "nonsense", &access, &forged, &first.to_uppercase()] {
            app.refresh(bad).await.is(401, "identity.refresh_invalid");
        }
        app.refresh(&first).await.is(200, "");
    }

    async fn after_signing_out_there_is_nothing_to_refresh(test: TestDb) {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let (client, refresh) = app.sign_in("zoe@example.com").await;
        app.post(&client, "/api/v1/auth/logout", serde_json::json!({})).await.is(204, "");
        app.refresh(&refresh).await.is(401, "identity.refresh_invalid");
        app.get(&client, "/api/v1/users/me").await.is(401, "web.sign_in_required");
    }
}
