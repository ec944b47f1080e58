//! Two apps that nobody here wrote, behind the built binary: httpbin with gunicorn, and datasette.

use std::{fs, path::Path, process::Command};

use baluarte_testkit::{Baluarte, Client, Program};
use http::Method;
use serde_json::{Value, json};

use crate::{
    bin,
    outside::{PASSWORD, python},
};

const CONFIG: &str = r#"
[gateway.upstreams.httpbin]
servers = ["HTTPBIN"]
[gateway.upstreams.datasette]
servers = ["DATASETTE"]

[[gateway.routes]]
path = "/"
upstream = "datasette"
access = "public"
limits = []
[[gateway.routes]]
path = "/bin"
strip_prefix = true
upstream = "httpbin"
access = "signed-in"
limits = []
[[gateway.routes]]
path = "/bin/anything/admin"
strip_prefix = false
rewrite = "/anything/admin"
upstream = "httpbin"
access = "role:admin"
limits = []
"#;

struct Apps {
    baluarte: Baluarte,
    httpbin: Program,
    datasette: Program,
}

async fn start() -> Apps {
    let httpbin = Program::start(|port, folder| {
        let mut gunicorn = python("gunicorn");
        gunicorn.args(["--bind", &format!("127.0.0.1:{port}"), "--workers", "1", "--threads", "8", "httpbin:app"]).current_dir(folder);
        gunicorn
    });
    let datasette = Program::start(|port, folder| {
        let database = a_database(folder);
        let mut datasette = python("datasette");
        datasette.arg("serve").arg(database).args(["--host", "127.0.0.1", "--port", &port.to_string(), "--setting", "max_csv_mb", "0"]);
        datasette
    });
    let config = CONFIG.replace("HTTPBIN", &httpbin.url()).replace("DATASETTE", &datasette.url());
    let baluarte = Baluarte::builder(bin()).config(&config).start().await;
    baluarte.create_user("ana@example.com", PASSWORD, "user");
    Apps { baluarte, httpbin, datasette }
}

/// Large enough that its export does not fit into any buffer on the way.
fn a_database(folder: &Path) -> std::path::PathBuf {
    let file = folder.join("shop.db");
    let script = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1])\n\
        db.execute('create table products (id integer primary key, name text, note text)')\n\
        db.executemany('insert into products values (?, ?, ?)', ((i, f'product {i}', 'ñ€ \"quoted\", ' * 8) for i in range(20000)))\n\
        db.commit()\n";
    let status = python("python").args(["-c", script]).arg(&file).status().expect("the Python environment works");
    assert!(status.success());
    file
}

#[tokio::test]
async fn httpbin_sees_who_is_calling_and_no_credential() {
    let apps = start().await;
    let ana =
        apps.baluarte.sign_in("ana@example.com", PASSWORD).await.with_header("remote-user", "root").with_header("remote-groups", "admin");
    let seen = ana.get("/bin/headers?show_env=1").await.expect_status(200).json()["headers"].clone();
    assert_eq!(seen["Remote-Email"], "ana@example.com", "{seen}");
    assert!(seen["Remote-User"].as_str().is_some_and(|user| user.starts_with("usr_")), "{seen}");
    assert_eq!(seen["Remote-Groups"].as_str().map(|groups| groups.contains("admin")), Some(false), "{seen}");
    assert_eq!(seen["X-Baluarte-Identity"].as_str().map(|token| token.split('.').count()), Some(3), "{seen}");
    assert_eq!(seen.get("Authorization"), None, "{seen}");
    assert!(seen["X-Request-Id"].is_string() && seen["X-Forwarded-For"] == "127.0.0.1", "{seen}");

    let answer = ana.get("/bin/cookies/set?flavour=oat").await;
    assert_eq!((answer.status, answer.header("set-cookie")), (302, Some("flavour=oat; Path=/")));
}

#[tokio::test]
async fn httpbin_is_open_only_to_whom_the_route_says() {
    let apps = start().await;
    let nobody = apps.baluarte.client();
    nobody.get("/bin/headers").await.expect_status(401);
    let browser = apps.baluarte.client().as_browser();
    let answer = browser.get("/bin/headers").await;
    assert!(matches!(answer.status, 302 | 303), "{}", answer.status);
    assert!(
        answer.header("location").is_some_and(|to| to.contains("/auth/login?return_to=/bin/headers")),
        "{:?}",
        answer.header("location")
    );

    let ana = apps.baluarte.sign_in_with_cookie("ana@example.com", PASSWORD).await;
    ana.get("/bin/headers").await.expect_status(200);
    ana.get("/bin/anything/admin").await.expect_status(403);
    apps.baluarte.create_user("root@example.com", PASSWORD, "admin");
    let root = apps.baluarte.sign_in("root@example.com", PASSWORD).await;
    root.get("/bin/anything/admin").await.expect_status(200);
}

#[tokio::test]
async fn what_httpbin_sends_and_gets_is_not_touched() {
    let apps = start().await;
    let ana = apps.baluarte.sign_in("ana@example.com", PASSWORD).await;
    let direct = Client::new(&apps.httpbin.url());
    for path in ["/bytes/100000?seed=7", "/stream-bytes/100000?seed=7&chunk_size=777", "/image/png", "/encoding/utf8", "/range/5000"] {
        let (through, straight) = (ana.get(&format!("/bin{path}")).await, direct.get(path).await);
        assert_eq!((through.status, &through.body), (straight.status, &straight.body), "{path}");
        for header in ["content-type", "content-length", "content-encoding", "etag", "accept-ranges"] {
            assert_eq!(through.header(header), straight.header(header), "{path} {header}");
        }
    }
    let fresh = ana.send(Method::GET, "/bin/etag/tulip", |request| request.header("if-none-match", "\"tulip\"")).await.expect_status(304);
    assert_eq!((fresh.header("etag"), fresh.body.len()), (Some("tulip"), 0));
    let zipped = ana.send(Method::GET, "/bin/gzip", |request| request.header("accept-encoding", "gzip")).await;
    assert_eq!((zipped.header("content-encoding"), &zipped.body[..2]), (Some("gzip"), [0x1f, 0x8b].as_slice()));
    for status in [204, 304, 404, 418, 503] {
        ana.get(&format!("/bin/status/{status}")).await.expect_status(status);
    }
    assert_eq!(ana.get("/bin/stream/20").await.text().lines().count(), 20);

    let text = "ñ".repeat(200_000);
    let echo = ana.send(Method::PUT, "/bin/put", |request| request.body(text.clone())).await.expect_status(200).json();
    assert_eq!(echo["data"], Value::String(text));
    let echo = ana.post_json("/bin/post?a=1&a=2", &json!({ "deep": [1, 2.5, null] })).await.json();
    assert_eq!((&echo["json"], &echo["args"]), (&json!({ "deep": [1, 2.5, null] }), &json!({ "a": ["1", "2"] })));
}

#[tokio::test]
async fn a_dripping_answer_arrives_drop_by_drop() {
    let apps = start().await;
    let ana = apps.baluarte.sign_in("ana@example.com", PASSWORD).await;
    let mut answer = ana.stream("/bin/drip?numbytes=5&duration=1&delay=0").await.expect("it answers");
    let mut drops = Vec::new();
    while let Some(chunk) = answer.chunk().await.expect("the answer goes on") {
        drops.push(chunk.len());
    }
    assert_eq!(drops.iter().sum::<usize>(), 5);
    assert!(drops.len() > 1, "all five bytes came at once: somebody collected them");
}

#[tokio::test]
async fn datasettes_streamed_export_is_the_same_to_the_byte() {
    let apps = start().await;
    let path = "/shop/products.csv?_stream=on&_size=max";
    let through = apps.baluarte.client().get(path).await.expect_status(200);
    let straight = Client::new(&apps.datasette.url()).get(path).await.expect_status(200);
    assert!(straight.body.len() > 2_000_000, "the export is {} bytes", straight.body.len());
    assert!(through.body == straight.body, "{} bytes through, {} straight", through.body.len(), straight.body.len());
    assert_eq!(through.header("content-type"), straight.header("content-type"));
}

#[tokio::test]
async fn datasettes_pages_and_static_files_keep_their_caching() {
    let apps = start().await;
    let (visitor, direct) = (apps.baluarte.client(), Client::new(&apps.datasette.url()));
    let page = visitor.get("/").await.expect_status(200).text();
    let start = page.find("/-/static/app.css").expect("datasette's page names its style sheet");
    let style: String = page[start..].chars().take_while(|c| *c != '"').collect();
    for path in [style.as_str(), "/shop.json", "/shop/products", "/nowhere"] {
        let (through, straight) = (visitor.get(path).await, direct.get(path).await);
        assert_eq!(through.status, straight.status, "{path}");
        for header in ["content-type", "content-length", "etag", "cache-control", "last-modified", "vary", "referrer-policy"] {
            let ours = straight.header(header).is_none() && header == "referrer-policy";
            assert!(ours || through.header(header) == straight.header(header), "{path} {header}: {:?}", through.header(header));
        }
    }
    let etag = visitor.get(&style).await.header("etag").map(str::to_owned);
    if let Some(etag) = etag {
        let again = visitor.send(Method::GET, &style, |request| request.header("if-none-match", &etag)).await;
        assert_eq!(again.status, direct.send(Method::GET, &style, |request| request.header("if-none-match", &etag)).await.status);
    }
    let home = visitor.send(Method::HEAD, "/", |request| request).await.expect_status(200);
    assert!(home.body.is_empty());
}

/// The tests above are worth something only while the apps are the real ones.
#[test]
fn the_pinned_apps_are_installed() {
    let pinned = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/requirements.txt")).unwrap();
    assert!(pinned.contains("httpbin==") && pinned.contains("datasette=="));
    let version = Command::new(python("datasette").get_program()).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let number = version.trim().rsplit(' ').next().unwrap();
    assert!(pinned.contains(&format!("datasette=={number}")), "{version}");
}
