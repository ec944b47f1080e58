//! PostgreSQL goes away; SQLite is a file and does not.

use std::time::Duration;

use baluarte_kernel::{AuthError, Credential};
use baluarte_testkit::{Dialect, TestDb, run_on};

use crate::app::App;

#[test]
fn a_session_seen_lately_outlives_the_database_for_an_access_tokens_life() {
    run_on(Dialect::Postgres, |test: TestDb| async move {
        let app = App::start(test).await;
        app.user("zoe@example.com").await;
        let known = app.sign_in_with_cookie("zoe@example.com").await;
        let unknown = app.sign_in_with_cookie("zoe@example.com").await;
        let (program, refresh) = app.sign_in("zoe@example.com").await;
        assert!(app.is_signed_in(&known).await);

        app.test.go_away().await;
        app.pass(Duration::from_secs(14 * 60));
        assert!(app.is_signed_in(&known).await, "it was seen a moment before");
        assert!(app.is_signed_in(&program).await, "a token needs no database");
        let port = app.identity.authenticator();
        let credential = Credential::SessionCookie(unknown.cookie.clone().unwrap());
        assert_eq!(port.authenticate(credential).await, Err(AuthError::Unavailable));
        app.refresh(&refresh).await.is(503, "web.unavailable");
        app.pass(Duration::from_secs(60));
        assert!(!app.is_signed_in(&known).await, "but not for ever");

        app.test.come_back().await;
        // The pool notices by itself; how soon is not ours to say.
        for _ in 0..100 {
            app.pass(Duration::from_secs(3));
            if app.is_signed_in(&known).await && app.is_signed_in(&unknown).await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(app.is_signed_in(&known).await && app.is_signed_in(&unknown).await);
        app.refresh(&refresh).await.is(200, "");
    });
}
