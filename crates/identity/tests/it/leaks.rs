//! No secret where others read.

use std::{
    io::Write,
    sync::{Mutex, OnceLock, PoisonError},
};

use baluarte_testkit::{Dialect, TestDb, run_on};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::app::{App, PASSWORD, home};

/// Everything this binary logs, whichever test says it.
#[derive(Clone, Copy)]
struct Log;

fn lines() -> &'static Mutex<Vec<u8>> {
    static LINES: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();
    LINES.get_or_init(Mutex::default)
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        lines().lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(line);
        Ok(line.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        *self
    }
}

#[test]
fn no_log_line_and_no_header_ever_holds_a_secret() {
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(Log).init();
    run_on(Dialect::Sqlite, |test: TestDb| async move {
        let app = App::start(test).await;
        app.post(&home(), "/api/v1/auth/register", json!({"email": "zoe@example.com", "password": PASSWORD, "name": "Zoë"}))
            .await
            .is(201, "");
        let wrong = "a wrong and secret password";
        app.try_sign_in(&home(), "zoe@example.com", wrong).await.is(401, "identity.wrong_credentials");
        let signed_in = app.try_sign_in(&home(), "zoe@example.com", PASSWORD).await;
        let refreshed = app.refresh(&signed_in.text("/refresh_token")).await;
        let browser = app.sign_in_with_cookie("zoe@example.com").await;
        app.post(&home(), "/auth/forgot-password", json!({"email": "zoe@example.com"})).await.is(202, "");
        let link = app.mailed_token("zoe@example.com").await;
        let reset = app.post(&home(), "/auth/reset-password", json!({"token": link, "password": "another secret password"})).await;
        let out = app.post(&home().with_bearer(&refreshed.text("/access_token")), "/api/v1/auth/logout", json!({})).await;

        let log = String::from_utf8_lossy(&lines().lock().unwrap()).into_owned();
        assert!(log.contains("signed in"), "something was logged");
        let signature = |token: String| token.rsplit('.').next().unwrap().to_owned();
        let secrets = [
            PASSWORD.to_owned(),
            wrong.to_owned(),
            "another secret password".to_owned(),
            signature(signed_in.text("/access_token")),
            signature(refreshed.text("/access_token")),
            signed_in.text("/refresh_token"),
            refreshed.text("/refresh_token"),
            browser.cookie.unwrap(),
            link,
        ];
        for secret in &secrets {
            assert!(!log.contains(secret.as_str()), "{}", log.lines().find(|line| line.contains(secret.as_str())).unwrap_or_default());
            for reply in [&signed_in, &refreshed, &reset, &out] {
                assert!(!format!("{:?}", reply.headers).contains(secret.as_str()));
            }
        }
    });
}
