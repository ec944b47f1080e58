//! What happens to the server itself is in its audit log: starts, stops, kills, new configurations, new tables.

use baluarte_audit::Checkpoint;
use baluarte_testkit::{Answer, Baluarte, Client, Exit, each_process_backend};
use rustix::process::Signal;
use serde_json::Value;

use crate::{bin, outside::PASSWORD, shutdown::config_file};

const ROOT: &str = "root@example.com";
const ROUTE: &str = "[[gateway.routes]]\npath = \"/hello\"\nrespond = { status = 200, body = \"one\" }\nlimits = []\n";

fn items(answer: &Answer) -> Vec<Value> {
    answer.json()["items"].as_array().cloned().unwrap_or_default()
}

/// Entries of this action, the oldest first, once there are so many.
async fn told(app: &Baluarte, admin: &Client, action: &str, count: usize) -> Vec<Value> {
    let path = format!("/api/v1/admin/audit?action={action}");
    let mut found = items(&app.eventually(admin, &path, |answer| items(answer).len() >= count).await);
    found.reverse();
    assert_eq!(found.len(), count, "{found:?}");
    assert!(found.iter().all(|it| it["actor"]["kind"] == "system"), "{found:?}");
    found
}

each_process_backend! {
    async fn a_start_a_stop_and_a_kill_are_told_apart(backend) {
        let mut app = Baluarte::builder(bin()).backend(backend).start().await;
        app.create_user(ROOT, PASSWORD, "admin");
        assert_eq!(app.stop().await, Exit::Code(0));
        app.start().await;
        let admin = app.sign_in(ROOT, PASSWORD).await;
        let started = told(&app, &admin, "server.process.started", 2).await;
        let stopped = told(&app, &admin, "server.process.stopped", 1).await;
        assert!(started.iter().all(|it| it["details"]["after_unclean_stop"] == false), "{started:?}");
        assert_eq!(stopped[0]["resource"]["id"], started[0]["resource"]["id"], "the one that began is the one that stopped");
        assert_eq!((&stopped[0]["details"]["signal"], &stopped[0]["details"]["finished"]), (&"SIGTERM".into(), &true.into()));
        assert_eq!(stopped[0]["details"]["roles"], "web,worker");

        app.kill9();
        app.start().await;
        let started = told(&app, &admin, "server.process.started", 3).await;
        let lost = told(&app, &admin, "server.process.lost", 1).await;
        assert_eq!(started[2]["details"]["after_unclean_stop"], true, "{started:?}");
        assert_eq!(lost[0]["resource"]["id"], started[1]["resource"]["id"], "the one that was killed is named");
        assert_eq!((&lost[0]["status"], &lost[0]["severity"]), (&"failure".into(), &"warning".into()));
        told(&app, &admin, "server.process.stopped", 1).await;

        let beside = app.replica().await;
        let started = told(&beside, &admin, "server.process.started", 4).await;
        assert_eq!(started[3]["details"]["after_unclean_stop"], false, "one that still runs is not taken for killed: {started:?}");
        let verified = app.run(&["audit", "verify"], "").expect_code(0).stdout;
        assert!(verified.ends_with("the chain holds\n"), "{verified}");
    }

    async fn a_new_configuration_is_told_of_by_its_keys_and_never_by_its_values(backend) {
        let secret = "[jobs.endpoints.shop]\nurl = \"https://shop.example\"\nsecrets = [\"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\"]\n";
        let app = Baluarte::builder(bin()).backend(backend).config(&format!("{ROUTE}{secret}")).start().await;
        app.create_user(ROOT, PASSWORD, "admin");
        let admin = app.sign_in(ROOT, PASSWORD).await;
        let file = config_file(&app);
        let text = std::fs::read_to_string(&file).expect("the harness wrote it");
        let changed = text.replace("\"one\"", "\"two\"").replace("whsec_C2FV", "whsec_D2FV") + "\n[limits.hello]\nrate = \"1/h\"\n";
        std::fs::write(&file, &changed).expect("our own file");
        app.signal(Signal::HUP);
        let reloaded = told(&app, &admin, "server.configuration.reloaded", 1).await;
        let details = &reloaded[0]["details"];
        let keys: Vec<_> = details["keys"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert_eq!(keys, ["gateway.routes[0].respond.body", "jobs.endpoints.shop.secrets", "limits.hello.rate"], "{details}");
        assert_eq!((&details["changed"], &details["waiting_for_restart"]), (&3.into(), &serde_json::json!(["jobs"])), "{details}");
        assert!(!reloaded[0].to_string().contains("2FV"), "{reloaded:?}");

        std::fs::write(&file, changed + "\n[serverr]\nx = \"hunter2\"\n").expect("our own file");
        app.signal(Signal::HUP);
        let refused = told(&app, &admin, "server.configuration.refused", 1).await;
        assert_eq!((&refused[0]["status"], &refused[0]["details"]["keys"][0]), (&"failure".into(), &"serverr".into()), "{refused:?}");
        assert!(!refused[0].to_string().contains("hunter2"), "{refused:?}");
        told(&app, &admin, "server.configuration.reloaded", 1).await;
    }

    async fn new_tables_are_told_of_with_who_made_them(backend) {
        let by_hand = Baluarte::builder(bin()).backend(backend).prepare().await;
        by_hand.run(&["migrate"], "").expect_code(0);
        by_hand.run(&["migrate"], "").expect_code(0);
        let entries = by_hand.run(&["audit", "export"], "").expect_code(0).stdout;
        let told: Vec<Value> = entries.lines().map(|line| serde_json::from_str(line).expect("JSON"))
            .filter(|entry: &Value| entry["action"] == "server.schema.migrated").collect();
        assert_eq!(told.len(), 1, "{entries}");
        assert_eq!(told[0]["actor"]["kind"], "operator");
        assert_eq!(told[0]["details"]["steps"][0], "audit/0001_chain");

        let app = Baluarte::builder(bin()).backend(backend).start().await;
        let entries = app.run(&["audit", "export"], "").expect_code(0).stdout;
        let mut told = entries.lines().filter(|line| line.contains("\"action\":\"server.schema.migrated\""));
        assert!(told.next().is_some_and(|line| line.contains("\"kind\":\"system\"")) && told.next().is_none(), "{entries}");
    }
}

#[tokio::test]
async fn a_checkpoint_arrives_by_mail_and_the_check_takes_it() {
    let config = "[audit.anchors.mailbox]\nkind = \"email\"\nto = \"vault@example.com\"\n";
    let app = Baluarte::builder(bin()).config(config).start().await;
    app.run(&["audit", "anchor"], "").expect_code(0);
    let mail = app.mail_to("vault@example.com").await;
    let text = mail["text"].as_str().expect("a text");
    let line = text.lines().find(|line| line.starts_with('{')).expect("the checkpoint");
    Checkpoint::from_line(line).expect("signed");
    let file = app.site().folder().join("anchor.jsonl");
    std::fs::write(&file, line).expect("written");
    let verified = app.run(&["audit", "verify", "--anchor", file.to_str().expect("a path")], "").expect_code(0).stdout;
    assert!(verified.contains(" 1 anchors") && verified.ends_with("the chain holds\n"), "{verified}");
}
