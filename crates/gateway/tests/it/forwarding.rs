//! What the app gets to see, and what becomes of its failures.

use std::cell::RefCell;

use baluarte_kernel::Scheme;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::*;

const CONFIG: &str = r#"
[gateway.upstreams.shop]
servers = ["http://APP"]
[gateway.upstreams.gone]
servers = ["http://127.0.0.1:1"]
[[gateway.routes]]
name = "everything"
upstream = "shop"
limits = []
[[gateway.routes]]
path = "/v1"
upstream = "shop"
strip_prefix = true
rewrite = "/api/v2"
forward_credentials = true
limits = []
[[gateway.routes]]
path = "/gone"
upstream = "gone"
limits = []
[[gateway.routes]]
path = "/small"
upstream = "shop"
body_limit = "4"
limits = []
[[gateway.routes]]
path = "/read"
upstream = "shop"
methods = ["GET"]
limits = []
[[gateway.routes]]
path = "/teapot"
respond = { status = 418, body = "short and stout", content_type = "text/plain" }
limits = []
[[gateway.routes]]
scheme = "http"
host = "secure.example"
redirect = "https://{host}{path}{query}"
limits = []
"#;

#[test]
fn the_app_learns_who_it_is_and_nobody_can_pretend() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        let forged = [
            "remote-user: root",
            "Remote_User: root",
            "REMOTE-EMAIL: root",
            "Remote-Groups: admin",
            "X-Baluarte-Identity: x",
            "x_baluarte_identity: x",
            "X-Baluarte-Anything: x",
        ];
        let anonymous = world.get("/", &forged).await.text().to_lowercase();
        assert!(!anonymous.contains("remote") && !anonymous.contains("baluarte") && !anonymous.contains("root"), "{anonymous}");

        let ana = world.identity.add("ana", "user", None, world.clock.now().plus(std::time::Duration::from_secs(60)));
        let known = world.get("/", &[&forged[..], &["authorization: Bearer ana"]].concat()).await.text();
        assert!(known.contains(&format!("remote-user: {}\r\n", ana.user_id)), "{known}");
        for line in [
            "remote-email: ana@example.com\r\n",
            "remote-groups: user,free\r\n",
            "x-baluarte-identity: signed-0-ana-shop-free\r\n",
            "x-request-id: req-1\r\n",
        ] {
            assert!(known.contains(line), "{line} in {known}");
        }
        assert_eq!(known.matches("remote-user").count(), 1);
        assert!(!known.contains("root"), "{known}");
    });
}

#[test]
fn a_header_cannot_change_the_method_where_routes_name_methods() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        let forged = ["X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE"];
        assert!(!world.get("/read", &forged).await.text().contains("DELETE"));
        assert!(world.get("/", &forged).await.text().contains("DELETE"), "elsewhere it is the app's own business");
    });
}

#[test]
fn our_credentials_stay_and_the_apps_own_go_on() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        let seen = world.get("/", &["authorization: Bearer ana", "cookie: theme=dark; baluarte=ana; lang=es"]).await.text();
        assert!(
            !seen.contains("authorization") && !seen.contains("baluarte=") && seen.contains("cookie: theme=dark; lang=es\r\n"),
            "{seen}"
        );
        for own in ["authorization: Bearer of-the-app", "authorization: Basic YTpi"] {
            assert!(world.get("/", &[own]).await.text().contains(own), "{own}");
        }
        let seen = world.get("/v1/x", &["authorization: Bearer ana", "cookie: baluarte=ana"]).await.text();
        assert!(seen.contains("authorization: Bearer ana") && seen.contains("cookie: baluarte=ana"), "{seen}");
        // The app's own token beside our session: each goes its way.
        let seen = world.get("/", &["authorization: Bearer of-the-app", "cookie: baluarte=ana"]).await.text();
        assert!(
            seen.contains("authorization: Bearer of-the-app") && seen.contains("remote-email: ana@example.com") && !seen.contains("cookie"),
            "{seen}"
        );
    });
}

#[test]
fn our_tokens_stay_whether_or_not_they_are_good_and_however_they_are_written() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        let past = world.clock.now();
        world.identity.add("expired", "user", None, past);
        for ours in [
            &["authorization: Bearer expired"][..],
            &["authorization: Bearer blt_unknown"],
            &["authorization: Bearer\tana"],
            &["authorization: Token ana"],
            &["authorization: Basic YTpi, Bearer ana"],
            &["authorization: Bearer of-the-app", "authorization: Bearer ana"],
            &["authorization: Bearer ana", "authorization: Bearer root"],
        ] {
            let seen = world.get("/", ours).await.text();
            let token = ["expired", "blt_", "ana\r", "root\r"].iter().find(|token| seen.contains(*token));
            assert!(token.is_none(), "{ours:?} gave {seen}");
        }
        let seen = world.get("/", &["authorization: Basic YTpi", "authorization: Bearer ana"]).await.text();
        assert!(seen.contains("authorization: Basic YTpi\r\n") && seen.contains("remote-email: ana@example.com"), "{seen}");
        assert!(!seen.contains("Bearer"), "{seen}");

        // Nor while this client's tokens are not looked at, because it has sent too many that were none.
        for guess in 0..200 {
            world.get("/", &[&format!("authorization: Bearer guess-{guess}")]).await;
        }
        let valid = world.identity.add("eva", "user", None, past.plus(std::time::Duration::from_secs(60)));
        let seen = world.get("/", &["authorization: Bearer eva"]).await.text();
        assert!(!seen.contains(&valid.email), "it was looked at: {seen}");
        assert!(!seen.contains("eva"), "{seen}");
    });
}

#[test]
fn the_path_is_forwarded_as_it_came_or_as_the_route_says() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        for (path, target) in [
            ("/a%20b//c?d=%2F&e", "/a%20b//c?d=%2F&e"),
            ("/v1/x%2Fy?z", "/api/v2/x%2Fy?z"),
            ("/v1", "/api/v2"),
            ("/%761/x", "/api/v2/x"),
            ("/v11", "/v11"),
        ] {
            let seen = world.get(path, &[]).await.text();
            assert!(seen.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{path} became {seen}");
        }
        let seen = world.get("/", &["host: shop.example:8443"]).await.text();
        assert!(seen.contains("host: shop.example:8443\r\n") && seen.contains("x-forwarded-host: shop.example:8443\r\n"), "{seen}");
    });
}

#[test]
fn failures_of_the_app_are_named_as_such() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        let seen = world.get("/gone", &[]).await;
        assert_eq!((seen.status, seen.text().as_str()), (502, "gateway.upstream_unreachable upstream"));
        let seen = world.send("POST", "/small", &[], "12345").await;
        assert_eq!((seen.status, seen.text().as_str()), (413, "web.body_too_large"));
        assert!(world.send("POST", "/small", &[], "1234").await.text().ends_with("1234"));
        let seen = world.send("POST", "/read", &[], "x").await;
        assert_eq!((seen.status, seen.header("allow")), (405, Some("GET, HEAD")));
    });
}

#[test]
fn fixed_answers_and_redirects_need_no_app() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        let seen = world.get("/teapot", &[]).await;
        assert_eq!((seen.status, seen.text().as_str(), seen.header("content-type")), (418, "short and stout", Some("text/plain")));
        let seen = world.get("/a/b?c=d", &["host: secure.example:8080"]).await;
        assert_eq!((seen.status, seen.header("location")), (308, Some("https://secure.example/a/b?c=d")));
        world.scheme.set(Scheme::Https);
        assert_eq!(world.get("/a", &["host: secure.example"]).await.header("x-app"), Some("yes"));
    });
}

#[test]
fn websockets_pass() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        let mut client = TcpStream::connect(world.addr).await.unwrap();
        client.write_all(b"GET /ws HTTP/1.1\r\nhost: shop.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n").await.unwrap();
        assert!(read_head(&mut client).await.unwrap().starts_with("HTTP/1.1 101"));
        client.write_all(b"ping").await.unwrap();
        let mut pong = [0; 4];
        client.read_exact(&mut pong).await.unwrap();
        assert_eq!(&pong, b"ping");
    });
}

#[test]
fn the_access_log_learns_route_user_and_time() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        world.get("/", &["authorization: Bearer ana"]).await;
        let notes: &RefCell<_> = &world.notes;
        let notes = notes.borrow();
        assert_eq!(notes[0].route.as_deref(), Some("everything"));
        assert!(notes[0].user_id.is_some() && notes[0].upstream.is_some());
    });
}

#[test]
fn a_reload_changes_routes_for_the_next_request_and_a_bad_one_changes_nothing() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        assert_eq!(world.get("/teapot", &[]).await.status, 418);
        let bad = parse("[[gateway.routes]]\nupstream = \"nobody\"");
        assert!(world.gateway.reload(&bad).is_err());
        assert_eq!(world.get("/teapot", &[]).await.status, 418);
        let good = parse("[[gateway.routes]]\npath = \"/new\"\nrespond = { body = \"new\" }\nlimits = []");
        world.gateway.reload(&good).unwrap();
        assert_eq!(world.get("/teapot", &[]).await.text(), "gateway.no_route");
        assert_eq!(world.get("/new", &[]).await.text(), "new");
    });
}
