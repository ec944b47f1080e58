//! The gateway's calls in the audit log of the built binary.

use std::{fs, process::Command};

use baluarte_testkit::{Answer, Backend, Baluarte, Client, Gate, Upstream, each_process_backend};
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use crate::{
    bin,
    outside::{PASSWORD, repository},
    shutdown::config_file,
};

const ROOT: &str = "root@example.com";

fn config(upstream: &Upstream, more: &str) -> String {
    let route = |path: &str, rest: &str| {
        format!("[[gateway.routes]]\nname = \"{path}\"\npath = \"/{path}\"\nstrip_prefix = true\nupstream = \"app\"\nlimits = []\n{rest}\n")
    };
    let routes = [
        route("all", "audit = \"all\""),
        route("members", "audit = \"all\"\naccess = \"signed-in\""),
        route("staff", "audit = \"all\"\naccess = \"role:staff\""),
        route("usual", ""),
        route("never", "audit = \"none\""),
        route("tight", "audit = \"all\"").replace("limits = []", "limits = [\"tight\"]"),
    ];
    format!(
        "[gateway.upstreams.app]\nservers = [\"{}\"]\n[limits.tight]\nkey = \"ip\"\nrate = \"1/h\"\nburst = 1\n\
         [limits.api]\nkey = \"ip\"\nrate = \"100000/s\"\nburst = 100000\n[limits.login]\nkey = \"ip\"\nrate = \"100000/s\"\nburst = 100000\n{}{more}",
        upstream.url(),
        routes.concat()
    )
}

const QUICK: &str = "[audit.calls]\nevery = \"20ms\"\n";

async fn start(backend: Backend, upstream: &Upstream, more: &str) -> (Baluarte, Client) {
    let app = Baluarte::builder(bin()).backend(backend).config(&config(upstream, more)).start().await;
    app.create_user(ROOT, PASSWORD, "admin");
    let admin = app.sign_in(ROOT, PASSWORD).await;
    (app, admin)
}

fn items(answer: &Answer) -> Vec<Value> {
    answer.json()["items"].as_array().cloned().unwrap_or_default()
}

/// The recorded calls, the oldest first, once there are so many.
async fn recorded(app: &Baluarte, admin: &Client, query: &str, count: usize) -> Vec<Value> {
    let path = format!("/api/v1/admin/audit/calls?limit=200{query}");
    let answer = app.eventually(admin, &path, |answer| items(answer).len() >= count).await;
    let mut items = items(&answer);
    items.reverse();
    assert_eq!(items.len(), count, "{items:#?}");
    items
}

fn verified(app: &Baluarte) -> String {
    app.run(&["audit", "verify"], "").expect_code(0).stdout
}

each_process_backend! {
    async fn every_call_is_recorded_however_it_ended_and_by_whom(backend) {
        let upstream = Upstream::start().await;
        let (app, admin) = start(backend, &upstream, QUICK).await;
        app.create_user("ana@example.com", PASSWORD, "user");
        let (nobody, ana) = (app.client(), app.sign_in("ana@example.com", PASSWORD).await);
        nobody.send(Method::POST, "/all/buy?card=4111", |request| {
            request.header("user-agent", "tester/1").header("x-request-id", "mine-1").body("abc")
        }).await.expect_status(200);
        nobody.get("/all/status/404").await.expect_status(404);
        nobody.get("/members/x").await.expect_status(401);
        ana.get("/members/bytes/1000").await.expect_status(200);
        ana.get("/staff").await.expect_status(403);
        nobody.get("/tight").await.expect_status(200);
        nobody.get("/tight").await.expect_status(429);

        let calls = recorded(&app, &admin, "", 7).await;
        let seen: Vec<_> = calls.iter().map(|call| (call["route"].as_str().expect("as it was written"), call["status"].as_u64().expect("as it was written"))).collect();
        assert_eq!(seen, [("all", 200), ("all", 404), ("members", 401), ("members", 200), ("staff", 403), ("tight", 200), ("tight", 429)]);
        let bought = &calls[0];
        for (name, value) in [
            ("method", json!("POST")), ("path", json!("/all/buy")), ("upstream", json!("app")), ("ip", json!("127.0.0.1")), ("user_agent", json!("tester/1")),
            ("user_id", json!(null)), ("credential", json!(null)), ("aborted", json!(false)), ("request_id", json!("mine-1")),
        ] {
            assert_eq!(bought[name], value, "{name}: {bought}");
        }
        assert!(!calls.iter().any(|call| call.to_string().contains("4111")), "no query is recorded");
        let me = ana.get("/api/v1/users/me").await.expect_status(200).json()["id"].clone();
        for call in &calls[3..5] {
            assert_eq!((&call["user_id"], &call["credential"]), (&me, &json!("access_token")), "{call}");
            assert!(call["session_id"].as_str().is_some_and(|id| id.starts_with("ses_")), "{call}");
        }
        assert_eq!((&calls[2]["user_id"], &calls[3]["bytes"]), (&json!(null), &json!(1000)));

        let me = me.as_str().expect("an identifier");
        recorded(&app, &admin, &format!("&user={me}"), 2).await;
        recorded(&app, &admin, "&status=4xx", 4).await;
        recorded(&app, &admin, "&status=429", 1).await;
        recorded(&app, &admin, "&route=members&method=get", 2).await;
        recorded(&app, &admin, "&to=2020-01-01T00:00:00Z", 0).await;
        admin.get("/api/v1/admin/audit/calls?status=9xx").await.expect_problem(422, "web.invalid_fields");
        ana.get("/api/v1/admin/audit/calls").await.expect_status(403);
        assert!(verified(&app).contains("\n7 recorded calls, "), "{}", verified(&app));
    }

    async fn only_what_may_change_something_is_recorded_unless_the_route_says_otherwise(backend) {
        let upstream = Upstream::start().await;
        let (app, admin) = start(backend, &upstream, QUICK).await;
        let client = app.client();
        for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "MKCOL"] {
            let method: Method = method.parse().expect("as it was written");
            client.send(method.clone(), "/usual", |request| request).await;
            client.send(method, "/never", |request| request).await;
        }
        client.get("/all/last").await.expect_status(200);
        let calls = recorded(&app, &admin, "", 6).await;
        let methods: Vec<_> = calls.iter().map(|call| call["method"].as_str().expect("as it was written")).collect();
        assert_eq!(methods, ["POST", "PUT", "PATCH", "DELETE", "MKCOL", "GET"]);
        assert!(calls[..5].iter().all(|call| call["route"] == "usual"), "{calls:?}");

        let file = config_file(&app);
        let text = fs::read_to_string(&file).expect("as it was written");
        fs::write(&file, text.replace("\"none\"", "\"all\"")).expect("as it was written");
        app.signal(Signal::HUP);
        app.wait_for_log("configuration reloaded").await;
        client.get("/never").await;
        recorded(&app, &admin, "&route=never", 1).await;
    }

    async fn what_was_recorded_is_written_before_the_server_stops_and_there_after_a_restart(backend) {
        let upstream = Upstream::start().await;
        let (mut app, admin) = start(backend, &upstream, "[audit.calls]\nevery = \"60s\"\n").await;
        let client = app.client();
        for n in 0..20 {
            client.get(&format!("/all/{n}")).await.expect_status(200);
        }
        recorded(&app, &admin, "", 0).await;
        app.restart().await;
        let admin = app.sign_in(ROOT, PASSWORD).await;
        let calls = recorded(&app, &admin, "", 20).await;
        let paths: Vec<_> = calls.iter().map(|call| call["path"].as_str().expect("as it was written").to_owned()).collect();
        assert_eq!(paths, (0..20).map(|n| format!("/all/{n}")).collect::<Vec<_>>());
        let exported = app.run(&["audit", "export", "--calls"], "").expect_code(0).stdout;
        assert_eq!(exported.lines().map(|line| serde_json::from_str::<Value>(line).expect("as it was written")).collect::<Vec<_>>(), calls);
        let streamed = admin.get("/api/v1/admin/audit/calls/export").await.expect_status(200).text();
        assert_eq!(streamed, exported);
    }

    async fn a_client_that_leaves_before_the_answer_leaves_a_record(backend) {
        let app_that_waits = TcpListener::bind("127.0.0.1:0").await.expect("as it was written");
        let address = app_that_waits.local_addr().expect("as it was written");
        let upstream = Upstream::start().await;
        let more = format!("[gateway.upstreams.slow]\nservers = [\"http://{address}\"]\n[[gateway.routes]]\nname = \"slow\"\npath = \"/slow\"\nupstream = \"slow\"\nlimits = []\n{QUICK}");
        let (app, admin) = start(backend, &upstream, &more).await;
        let host = app.url("/").replace("http://", "").replace('/', "");
        let mut client = TcpStream::connect(&host).await.expect("as it was written");
        client.write_all(format!("DELETE /slow/everything HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await.expect("as it was written");
        let (_reached, _) = app_that_waits.accept().await.expect("as it was written");
        drop(client);
        let calls = recorded(&app, &admin, "", 1).await;
        assert_eq!((&calls[0]["status"], &calls[0]["aborted"], &calls[0]["path"]), (&json!(499), &json!(true), &json!("/slow/everything")));
    }

    async fn a_stranger_checks_one_call_against_the_chain(backend) {
        let upstream = Upstream::start().await;
        let (app, admin) = start(backend, &upstream, QUICK).await;
        for n in 0..9 {
            admin.get(&format!("/members/{n}?x=y")).await.expect_status(200);
        }
        let calls = recorded(&app, &admin, "", 9).await;
        let file = |name: &str, content: String| {
            let path = app.site().folder().join(name);
            fs::write(&path, content).expect("as it was written");
            path
        };
        let id = calls[4]["id"].as_str().expect("as it was written");
        let proof = app.run(&["audit", "proof", id], "").expect_code(0).stdout;
        let told = admin.get(&format!("/api/v1/admin/audit/calls/{id}/proof")).await.expect_status(200).json();
        assert_eq!(serde_json::from_str::<Value>(&proof).expect("as it was written"), told);
        app.run(&["audit", "anchor"], "").expect_code(0);
        let entries = file("entries.ndjson", app.run(&["audit", "export"], "").expect_code(0).stdout);
        let signed = file("signed.ndjson", app.run(&["audit", "export", "--checkpoints"], "").expect_code(0).stdout);
        let stranger = |proof: String| {
            let proof = file("proof.json", proof);
            let program = repository().join("examples/audit-verify/verify.py");
            let output = Command::new("python3").arg(program).args([&entries, &signed]).arg("--call").arg(proof).output().expect("python3 is there");
            (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
        };
        let (code, said) = stranger(proof.clone());
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("the call {id} is in the chain")), "{said}");
        for (was, becomes) in [("/members/4", "/members/5"), ("127.0.0.1", "127.0.0.2"), ("\"status\": 200", "\"status\": 204"), ("\"index\": ", "\"index\": 1"), ("\"record\": \"01", "\"record\": \"0100")] {
            let forged = proof.replacen(was, becomes, 1);
            assert_ne!(forged, proof, "{was}");
            let (code, said) = stranger(forged);
            assert_eq!(code, Some(1), "{was}: {said}");
        }
        let batches = app.run(&["audit", "export", "--batches"], "").expect_code(0).stdout;
        let stranger = |content: String| {
            let batches = file("batches.ndjson", content);
            let program = repository().join("examples/audit-verify/verify.py");
            let output = Command::new("python3").arg(program).args([&entries, &signed]).arg("--batches").arg(batches).output().expect("python3 is there");
            (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
        };
        let (code, said) = stranger(batches.clone());
        assert!(code == Some(0) && said.contains("9 recorded calls are what their entries tell of"), "{said}");
        let first: Value = serde_json::from_str(batches.lines().next().expect("a batch")).expect("JSON");
        let forged = |change: fn(&mut Value)| {
            let mut forged = first.clone();
            change(&mut forged);
            batches.replacen(batches.lines().next().expect("a batch"), &forged.to_string(), 1)
        };
        for (content, finds) in [
            (batches.lines().skip(1).map(|line| format!("{line}\n")).collect(), "are missing"),
            (forged(|it| it["records"] = it["private"].clone()), "whose records were changed"),
            (forged(|it| it["private"] = it["records"].clone()), "addresses or user agents were changed"),
            (forged(|it| it["private"] = Value::Null), "lost their addresses"),
            (forged(|it| it["records"].as_array_mut().expect("a list").truncate(0)), "and there are 0"),
            (forged(|it| it["batch"] = "cal_00000000000070008000000000000000".into()), "no entry tells of the recorded calls cal_0"),
        ] {
            let (code, said) = stranger(content);
            assert!(code == Some(1) && said.contains(finds), "{finds}: {said}");
        }
        admin.get("/api/v1/admin/audit/calls/cal_nothing.1/proof").await.expect_problem(404, "audit.call_not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_record_into_one_chain() {
    let upstream = Upstream::start().await;
    let (first, admin) = start(Backend::PostgresRedis, &upstream, QUICK).await;
    let second = first.replica().await;
    let (here, there) = (first.client(), second.client());
    for n in 0..10 {
        here.get(&format!("/all/here/{n}")).await.expect_status(200);
        there.get(&format!("/all/there/{n}")).await.expect_status(200);
    }
    let calls = recorded(&first, &admin, "", 20).await;
    for place in ["/here/", "/there/"] {
        assert_eq!(calls.iter().filter(|call| call["path"].as_str().expect("as it was written").contains(place)).count(), 10);
    }
    assert!(verified(&first).contains("\n20 recorded calls, "), "{}", verified(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_while_the_database_is_away_and_are_written_when_it_is_back() {
    let upstream = Upstream::start().await;
    let gate = Gate::to_postgres().await;
    let config = config(&upstream, QUICK);
    let app = Baluarte::builder(bin()).backend(Backend::PostgresRedis).database_through(&gate).config(&config).start().await;
    app.create_user(ROOT, PASSWORD, "admin");
    let client = app.client();
    gate.close();
    for n in 0..10 {
        client.get(&format!("/all/{n}")).await.expect_status(200);
    }
    app.wait_for_log("recorded calls cannot be written").await;
    for n in 10..20 {
        client.get(&format!("/all/{n}")).await.expect_status(200);
    }
    gate.reopen().await;
    app.wait_for_log("recorded calls are written again").await;
    let admin = app.sign_in(ROOT, PASSWORD).await;
    recorded(&app, &admin, "", 20).await;
    assert_eq!(app.logs().matches("recorded calls cannot be written").count(), 1, "told once");
    assert!(verified(&app).contains("\n20 recorded calls, "), "{}", verified(&app));
}
