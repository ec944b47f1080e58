//! Start and end: signals, ports, databases that are away.

use std::{net::TcpListener, path::Path};

use baluarte_testkit::{Answer, Backend, Baluarte, Exit};
use rustix::process::Signal;

use crate::{bin, outside::PASSWORD};

const ROUTE: &str = "[[gateway.routes]]\npath = \"/hello\"\nrespond = { status = 200, body = \"one\" }\nlimits = []\n";

#[tokio::test]
async fn sigterm_and_sigint_end_the_server_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut app = Baluarte::builder(bin()).start().await;
        app.signal(signal);
        assert_eq!(app.wait().await, Exit::Code(0), "{}", app.logs());
        assert!(app.logs().contains("stopping") && app.logs().contains("stopped"), "{}", app.logs());
    }
}

#[tokio::test]
async fn sighup_takes_new_routes_and_refuses_an_invalid_configuration() {
    let app = Baluarte::builder(bin()).config(ROUTE).start().await;
    let client = app.client();
    assert_eq!(client.get("/hello").await.expect_status(200).text(), "one");
    let file = config_file(&app);
    let text = std::fs::read_to_string(&file).expect("the harness wrote it");

    std::fs::write(&file, text.replace("\"one\"", "\"two\"")).expect("our own file");
    app.signal(Signal::HUP);
    app.wait_for_log("configuration reloaded").await;
    assert_eq!(client.get("/hello").await.expect_status(200).text(), "two");

    std::fs::write(&file, text.replace("\"one\"", "\"three\"") + "\n[serverr]\nx = 1\n").expect("our own file");
    app.signal(Signal::HUP);
    app.wait_for_log("the running one stays").await;
    assert!(app.logs().contains("serverr"), "{}", app.logs());
    assert_eq!(client.get("/hello").await.expect_status(200).text(), "two");
}

#[tokio::test]
async fn sighup_takes_new_limits_and_names_what_waits_for_a_restart() {
    let counted = ROUTE.replace("limits = []", "limits = [\"hello\"]") + "[limits.hello]\nrate = \"1/h\"\n";
    let app = Baluarte::builder(bin()).config(&counted).start().await;
    let client = app.client();
    client.get("/hello").await.expect_status(200);
    client.get("/hello").await.expect_status(429);
    let file = config_file(&app);
    let text = std::fs::read_to_string(&file).expect("the harness wrote it");

    let changed = text.replace("\"1/h\"", "\"3600/h\"") + "\n[identity]\nregistration = \"closed\"\n[chat]\nrate = \"1/s\"\n";
    std::fs::write(&file, &changed).expect("our own file");
    app.signal(Signal::HUP);
    app.wait_for_log("configuration reloaded").await;
    let told = app.logs();
    let line = told.lines().find(|line| line.contains("configuration reloaded")).expect("it was waited for");
    assert!(line.contains("identity") && !line.contains("gateway,"), "{line}");
    assert!(told.contains("[chat]: not in this version"), "{told}");
    let answer = client.get("/hello").await;
    assert!(answer.headers["ratelimit-policy"].to_str().is_ok_and(|policy| policy.contains("q=3600")), "{answer:?}");

    std::fs::write(&file, changed.replace("\"3600/h\"", "\"often\"")).expect("our own file");
    app.signal(Signal::HUP);
    app.wait_for_log("the running one stays").await;
    assert!(app.logs().contains("limits.hello.rate"), "{}", app.logs());
    let answer = client.get("/hello").await;
    assert!(answer.headers["ratelimit-policy"].to_str().is_ok_and(|policy| policy.contains("q=3600")), "{answer:?}");
}

#[tokio::test]
async fn sighup_takes_the_log_level() {
    let app = Baluarte::builder(bin()).config("[telemetry]\nlog_level = \"warn\"\n").start().await;
    assert!(!app.logs().contains("ready"), "{}", app.logs());
    let file = config_file(&app);
    let text = std::fs::read_to_string(&file).expect("the harness wrote it");
    std::fs::write(&file, text.replace("\"warn\"", "\"info\"")).expect("our own file");
    app.signal(Signal::HUP);
    app.wait_for_log("configuration reloaded").await;
}

/// The file that this replica was started with.
pub(crate) fn config_file(app: &Baluarte) -> std::path::PathBuf {
    let port = app.base_url.rsplit(':').next().unwrap_or_default();
    app.site().folder().join(format!("baluarte-{port}.toml"))
}

#[tokio::test]
async fn a_port_in_use_is_one_sentence_and_exit_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let app = Baluarte::builder(bin()).prepare().await;
    let ran = app.run(&["serve", "--listen", &address], "").expect_code(1);
    assert!(ran.stderr.contains(&format!("cannot listen on {address}")), "{}", ran.stderr);
    assert_eq!(ran.stderr.trim().lines().count(), 1, "{}", ran.stderr);
}

#[tokio::test]
async fn a_start_that_fails_leaves_no_worker_that_others_would_miss() {
    let app = Baluarte::builder(bin()).start().await;
    app.create_user("ada@example.com", PASSWORD, "admin");
    let admin = app.sign_in("ada@example.com", PASSWORD).await;
    let workers = |answer: &Answer| answer.json()["items"].as_array().map(Vec::len).unwrap_or_default();
    app.eventually(&admin, "/api/v1/admin/workers", |answer| workers(answer) == 1).await;
    let address = app.url("").trim_start_matches("http://").to_owned();
    for _ in 0..3 {
        app.run(&["serve", "--listen", &address], "").expect_code(1);
    }
    assert_eq!(workers(&admin.get("/api/v1/admin/workers").await), 1);
}

#[tokio::test]
async fn a_taken_metrics_port_is_one_sentence_and_exit_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let app = Baluarte::builder(bin()).prepare().await;
    let ran = app.run(&["serve", "--set", &format!("server.metrics_listen={address}")], "").expect_code(1);
    assert!(ran.stderr.contains(&format!("cannot listen on {address} for metrics")), "{}", ran.stderr);
}

#[tokio::test]
async fn a_restart_keeps_accounts_and_an_existing_database_is_not_migrated_again() {
    let mut app = Baluarte::builder(bin()).start().await;
    app.create_user("ana@example.com", "correct horse battery staple", "user");
    app.restart().await;
    app.sign_in("ana@example.com", "correct horse battery staple").await.get("/api/v1/users/me").await.expect_status(200);
    let migrated = app.run(&["migrate"], "").expect_code(0);
    assert!(migrated.stdout.contains("up to date"), "{}", migrated.stdout);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_in_one_sentence() {
    let app = Baluarte::builder(bin()).backend(Backend::Sqlite).prepare().await;
    app.run(&["migrate"], "").expect_code(0);
    let file = app.site().folder().join("baluarte.db");
    pretend_newer(&file);
    let ran = app.run(&["serve"], "").expect_code(1);
    assert!(ran.stderr.contains("newer"), "{}", ran.stderr);
    assert_eq!(ran.stderr.trim().lines().count(), 1, "{}", ran.stderr);
    let checked = app.run(&["check", "--live"], "").expect_code(1);
    assert!(checked.stdout.contains("FAIL  database") && checked.stdout.contains("newer"), "{}", checked.stdout);
}

/// Records a migration that this version does not know.
fn pretend_newer(file: &Path) {
    let script = "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); d.execute(\"INSERT INTO schema_migrations VALUES ('identity','9999_later','x',0)\"); d.commit()";
    let status = std::process::Command::new("python3").arg("-c").arg(script).arg(file).status().expect("python3 runs");
    assert!(status.success());
}

#[tokio::test]
async fn the_worker_role_serves_no_http() {
    let mut app = Baluarte::builder(bin()).arg("--roles").arg("worker").prepare().await;
    app.spawn();
    app.wait_for_log("ready, without HTTP").await;
    assert!(app.client().try_get("/healthz").await.is_err());
    assert_eq!(app.stop().await, Exit::Code(0));
}

#[tokio::test]
async fn in_development_a_key_is_made_once_and_kept_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut app = Baluarte::builder(bin()).env("SECRET_KEY", "").start().await;
    let file = app.site().folder().join("development-secret-key");
    let key = std::fs::read_to_string(&file).expect("it was made");
    assert_eq!(std::fs::metadata(&file).expect("it was made").permissions().mode() & 0o777, 0o600);
    app.restart().await;
    assert_eq!(std::fs::read_to_string(&file).expect("it is kept"), key);
    assert!(!app.logs().contains(key.trim()), "a key in the log");
}
