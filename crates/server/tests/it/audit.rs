//! The audit log of the built binary: checked by itself, and by a stranger in Python.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use baluarte_testkit::{Answer, Baluarte, Output, each_process_backend};
use serde_json::json;

use crate::{
    bin,
    outside::{PASSWORD, repository},
};

const CONFIG: &str = "[identity]\nregistration = \"open\"\nemail_verification = \"off\"\n[limits.api]\nkey = \"ip\"\nrate = \"100000/s\"\nburst = 100000\n\
    [limits.login]\nkey = \"ip\"\nrate = \"100000/s\"\nburst = 100000\n[limits.account]\nkey = \"ip\"\nrate = \"100000/s\"\nburst = 100000\n";

fn text(output: &Output) -> String {
    format!("{}{}", output.stdout, output.stderr)
}

fn succeeded(output: Output) -> String {
    output.expect_code(0).stdout
}

fn write(app: &Baluarte, name: &str, content: &str) -> PathBuf {
    let path = app.site().folder().join(name);
    fs::write(&path, content).expect("written");
    path
}

/// Only what every Python has: nothing of ours, nothing installed.
fn stranger(entries: &Path, signed: &Path, more: &[&str]) -> Output {
    let program = repository().join("examples/audit-verify/verify.py");
    let output = Command::new("python3").arg(program).arg(entries).arg(signed).args(more).output().expect("python3 is there");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

each_process_backend! {
    async fn a_stranger_computes_every_hash_and_signature_again(backend) {
        let app = Baluarte::builder(bin()).backend(backend).config(CONFIG).start().await;
        app.create_user("root@example.com", PASSWORD, "admin");
        let admin = app.sign_in("root@example.com", PASSWORD).await;
        let ana = json!({ "email": "ana@example.com", "password": PASSWORD, "name": "Ana \"ñ\" \u{1F600}" });
        app.client().post_json("/api/v1/auth/register", &ana).await.expect_status(201);
        let ana = app.sign_in("ana@example.com", PASSWORD).await;
        let wrong = json!({ "email": "ana@example.com", "password": "wrong wrong wrong" });
        app.client().post_json("/api/v1/auth/login", &wrong).await.expect_status(401);
        let anchor = write(&app, "anchor.jsonl", &succeeded(app.run(&["audit", "anchor"], "")));
        ana.send(http::Method::DELETE, "/api/v1/users/me", |request| request.json(&json!({ "password": PASSWORD }))).await.expect_status(204);
        // What belonged to her goes from the log too, a moment later.
        let erased = |answer: &Answer| answer.json()["items"].as_array().is_some_and(|all| all.iter().any(|it| it["erased_by"].is_number()));
        app.eventually(&admin, "/api/v1/admin/audit?action=identity.session.begun", erased).await;
        succeeded(app.run(&["audit", "anchor"], ""));

        let verified = succeeded(app.run(&["audit", "verify", "--anchor", anchor.to_str().expect("a path")], ""));
        assert!(verified.ends_with("the chain holds\n") && verified.contains("have had their personal fields erased"), "{verified}");

        let lines = succeeded(app.run(&["audit", "export"], ""));
        assert!(!lines.contains("ana@example.com"), "{lines}");
        let entries = write(&app, "entries.ndjson", &lines);
        let signed = write(&app, "signed.ndjson", &succeeded(app.run(&["audit", "export", "--checkpoints"], "")));
        let kept = anchor.to_str().expect("a path");
        let told = succeeded(stranger(&entries, &signed, &["--anchor", kept]));
        assert!(told.ends_with("it holds\n"), "{told}");

        let streamed = admin.get("/api/v1/admin/audit/export").await.expect_status(200).text();
        assert!(streamed.starts_with(lines.lines().next().expect("a line")), "the API exports the same");

        // Whatever a forger does to the file is noticed.
        for (was, becomes, finds) in [
            ("\"status\":\"failure\"", "\"status\":\"success\"", "was changed"),
            ("root@example.com", "toor@example.com", "has other personal fields"),
        ] {
            let forged = write(&app, "forged.ndjson", &lines.replacen(was, becomes, 1));
            let output = stranger(&forged, &signed, &[]);
            assert!(output.code == 1 && text(&output).contains(finds), "{finds}: {}", text(&output));
        }
        // Taking personal fields out is only believed of an entry about that person, and of a later one.
        let parsed: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let of_nobody = parsed.iter().position(|entry| entry["actor"]["id"].is_null() && !entry["private"].is_null()).expect("an operator's");
        let stripped = |by: i64| {
            let mut forged = parsed.clone();
            (forged[of_nobody]["private"], forged[of_nobody]["erased_by"]) = (json!(null), json!(by));
            forged.iter().map(|entry| format!("{entry}\n")).collect::<String>()
        };
        for by in [1, 2, 5] {
            let output = stranger(&write(&app, "forged.ndjson", &stripped(by)), &signed, &[]);
            assert!(output.code == 1 && text(&output).contains("lost its personal fields"), "{by}: {}", text(&output));
        }
        let all: Vec<_> = lines.lines().collect();
        let without = |gone: usize| all.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, line)| format!("{line}\n")).collect::<String>();
        let output = stranger(&write(&app, "forged.ndjson", &without(2)), &signed, &[]);
        assert!(text(&output).contains("entry 3 is missing"), "{}", text(&output));
        let short: String = all.iter().take(4).map(|line| format!("{line}\n")).collect();
        let output = stranger(&write(&app, "forged.ndjson", &short), &signed, &[]);
        assert!(text(&output).contains("entry 5 is missing: a checkpoint of"), "{}", text(&output));
    }

    async fn a_kill_in_the_middle_leaves_a_chain_that_holds(backend) {
        let mut app = Baluarte::builder(bin()).backend(backend).config(CONFIG).start().await;
        app.create_user("root@example.com", PASSWORD, "admin");
        for round in 0..2 {
            let writers: Vec<_> = (0..6).map(|writer| {
                let client = app.client();
                tokio::spawn(async move {
                    for n in 0..1_000 {
                        let body = json!({ "email": format!("r{round}-{writer}-{n}@example.com"), "password": PASSWORD, "name": "Somebody" });
                        if client.try_send(http::Method::POST, "/api/v1/auth/register", |request| request.json(&body)).await.is_err() {
                            return n;
                        }
                    }
                    1_000
                })
            }).collect();
            let admin = app.sign_in("root@example.com", PASSWORD).await;
            app.eventually(&admin, "/api/v1/admin/audit/status", |answer| answer.json()["seq"].as_i64() > Some(20 * (round + 1))).await;
            app.kill9();
            for writer in writers {
                writer.await.expect("a writer does not panic");
            }
            app.start().await;
        }
        let verified = succeeded(app.run(&["audit", "verify"], ""));
        assert!(verified.ends_with("the chain holds\n"), "{verified}");
        let lines = succeeded(app.run(&["audit", "export"], ""));
        let recorded = lines.lines().filter(|line| line.contains("\"action\":\"identity.user.registered\"")).count();
        let admin = app.sign_in("root@example.com", PASSWORD).await;
        let (mut people, mut cursor) = (0, String::new());
        loop {
            let page = admin.get(&format!("/api/v1/admin/users?role=user&limit=200{cursor}")).await.expect_status(200).json();
            people += page["items"].as_array().map_or(0, Vec::len);
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(recorded, people, "an account has an entry, and an entry an account");
    }
}

#[tokio::test]
async fn a_log_that_was_tampered_with_fails_the_check_and_the_first_broken_entry_is_named() {
    let app = Baluarte::builder(bin()).config(CONFIG).start().await;
    for n in 0..4 {
        app.create_user(&format!("u{n}@example.com"), PASSWORD, "user");
    }
    let anchor = app.site().folder().join("anchor.jsonl");
    let file = anchor.to_str().expect("a path");
    assert!(succeeded(app.run(&["audit", "anchor", "--file", file], "")).contains("is anchored in"));
    let script = "import sqlite3,sys\ndb=sqlite3.connect(sys.argv[1])\n[db.execute('DROP TRIGGER '+r[0]) for r in db.execute(\"select name from sqlite_schema where type='trigger' and name like 'audit%'\").fetchall()]\ndb.executescript(sys.argv[2])\ndb.commit()";
    let database = app.site().folder().join("baluarte.db");
    let tamper = |statement: &str| {
        assert!(Command::new("python3").args(["-c", script]).arg(&database).arg(statement).status().expect("python3 is there").success())
    };
    tamper("UPDATE audit_entries SET details = '{\"role\":\"admin\"}' WHERE seq = 4");
    let output = app.run(&["audit", "verify"], "");
    assert_eq!(output.code, 1, "{}", text(&output));
    assert!(text(&output).contains("the audit log does not hold: entry 4 (aud_"), "{}", text(&output));
    // The newest are gone, and everything in the database agrees.
    tamper(
        "DELETE FROM audit_checkpoints; DELETE FROM audit_entries WHERE seq > 3; UPDATE audit_head SET seq = 3, hash = (SELECT hash FROM audit_entries WHERE seq = 3)",
    );
    assert!(succeeded(app.run(&["audit", "verify"], "")).ends_with("the chain holds\n"));
    let output = app.run(&["audit", "verify", "--anchor", file], "");
    assert!(output.code == 1 && text(&output).contains("entry 4 is missing: a checkpoint of"), "{}", text(&output));
}
