//! The recipes of `examples/forward-auth/`, as they are, with the real nginx, Caddy and Traefik.

use std::{fs, process::Command, time::Duration};

use baluarte_testkit::{Baluarte, Client, Port, Program, Upstream};

use crate::{
    bin,
    outside::{PASSWORD, python, repository},
};

/// The recipe with this test's addresses instead of its own.
fn recipe(name: &str, front: u16, baluarte: &Baluarte, app: &Upstream) -> String {
    let text = fs::read_to_string(repository().join("examples/forward-auth").join(name)).expect("the recipe is there");
    text.replace("127.0.0.1:8080", baluarte.base_url.trim_start_matches("http://"))
        .replace("127.0.0.1:9000", &app.address().to_string())
        .replace("listen 80;", &format!("listen 127.0.0.1:{front};"))
        .replace("http://localhost:80 ", &format!("http://127.0.0.1:{front} "))
}

async fn behind(front: impl FnOnce(Port, &Baluarte, &Upstream) -> Program) -> (Baluarte, Upstream, Program) {
    let (port, app) = (Port::reserve(), Upstream::start().await);
    let config = format!("[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\npublic_url = \"{}\"\n", port.url());
    let baluarte = Baluarte::builder(bin()).config(&config).start().await;
    baluarte.create_user("ana@example.com", PASSWORD, "user");
    let front = front(port, &baluarte, &app);
    (baluarte, app, front)
}

async fn lets_in_only_who_has_signed_in(app: &Upstream, front: &Program) {
    let browser = Client::new(&front.url()).as_browser().with_header("remote-user", "root").with_header("remote-groups", "admin");
    let turned_away = browser.get("/orders?page=2").await;
    assert!(matches!(turned_away.status, 302 | 303), "{} {}\n{}", turned_away.status, turned_away.text(), front.logs());
    let sign_in = turned_away.header("location").expect("a redirect says where to").to_owned();
    assert!(sign_in.contains("/auth/login?return_to="), "{sign_in}");
    assert!(app.received().is_empty(), "the app was asked");

    browser.get(&sign_in).await.expect_status(200);
    let api = Client::new(&front.url());
    let answer = api.sign_in_with_cookie("ana@example.com", PASSWORD).await;
    assert!(answer.header("set-cookie").is_some());

    let spoofing = api.at(&front.url()).with_header("remote-user", "root").with_header("remote-groups", "admin");
    spoofing.get("/orders?page=2").await.expect_status(200);
    let seen = app.last();
    assert_eq!((seen.target.as_str(), seen.header("remote-email")), ("/orders?page=2", Some("ana@example.com")), "{seen:?}");
    assert!(seen.header("remote-user").is_some_and(|user| user.starts_with("usr_")), "{seen:?}");
    assert_eq!(seen.header("remote-groups").map(|groups| groups.contains("admin")), Some(false), "{seen:?}");
    assert_eq!(seen.headers.get_all("remote-user").iter().count(), 1, "{seen:?}");
    // A page has many pictures, and the limits of what passes are the front's.
    for _ in 0..300 {
        spoofing.get("/picture").await.expect_status(200);
    }
    spoofing.post_json("/orders", &serde_json::json!({ "product": "mug" })).await.expect_status(200);
    assert_eq!(app.last().body.as_ref(), br#"{"product":"mug"}"#);
}

#[tokio::test]
async fn nginx_asks_before_it_lets_anybody_in() {
    let (_baluarte, app, front) = behind(|port, baluarte, app| {
        Program::start_at(port, |port, folder| {
            let site = recipe("nginx.conf", port, baluarte, app);
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .iter()
                .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.display()))
                .collect();
            let whole = format!(
                "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log; events {{}} http {{ access_log off; {temporary} {site} }}",
                folder.display()
            );
            fs::write(folder.join("nginx.conf"), whole).unwrap();
            let mut nginx = Command::new("nginx");
            nginx.arg("-c").arg(folder.join("nginx.conf")).arg("-p").arg(folder).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
            nginx
        })
    })
    .await;
    lets_in_only_who_has_signed_in(&app, &front).await;
}

#[tokio::test]
async fn caddy_asks_before_it_lets_anybody_in() {
    let (_baluarte, app, front) = behind(|port, baluarte, app| {
        Program::start_at(port, |port, folder| {
            let site = recipe("Caddyfile", port, baluarte, app);
            fs::write(folder.join("Caddyfile"), format!("{{\n\tadmin off\n\tauto_https off\n}}\n{site}")).unwrap();
            let mut caddy = Command::new("caddy");
            caddy.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.join("Caddyfile"));
            caddy.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
            caddy
        })
    })
    .await;
    lets_in_only_who_has_signed_in(&app, &front).await;
}

#[tokio::test]
async fn traefik_asks_before_it_lets_anybody_in() {
    let (_baluarte, app, front) = behind(|port, baluarte, app| {
        Program::start_at(port, |port, folder| {
            let site = recipe("traefik.yml", port, baluarte, app).replace("shop.example.com", "127.0.0.1");
            fs::write(folder.join("routes.yml"), site).unwrap();
            let whole = format!(
                "global: {{ checkNewVersion: false, sendAnonymousUsage: false }}\nentryPoints: {{ web: {{ address: \"127.0.0.1:{port}\" }} }}\n\
                 providers: {{ file: {{ filename: \"{}\", watch: false }} }}\n",
                folder.join("routes.yml").display()
            );
            fs::write(folder.join("traefik.yml"), whole).unwrap();
            let mut traefik = python("traefik");
            traefik.arg(format!("--configFile={}", folder.join("traefik.yml").display())).current_dir(folder);
            traefik
        })
    })
    .await;
    // Traefik listens before it has read its routes, and answers 404 until then.
    tokio::time::timeout(Duration::from_secs(30), async {
        while Client::new(&front.url()).get("/").await.status == 404 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("Traefik has read no routes\n{}", front.logs()));
    lets_in_only_who_has_signed_in(&app, &front).await;
}
