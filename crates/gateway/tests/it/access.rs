//! Who gets through, who is told what, and how often identity is asked.

use std::{sync::atomic::Ordering, time::Duration};

use baluarte_kernel::Timestamp;

use crate::harness::*;

const CONFIG: &str = r#"
[gateway.upstreams.shop]
servers = ["http://APP"]
[[gateway.routes]]
path = "/"
upstream = "shop"
limits = []
[[gateway.routes]]
path = "/members"
upstream = "shop"
access = "signed-in"
limits = []
[[gateway.routes]]
path = "/admin"
upstream = "shop"
access = "role:admin"
limits = []
[[gateway.routes]]
path = "/pro"
upstream = "shop"
access = "plan:pro"
limits = []
[[gateway.routes]]
path = "/write"
upstream = "shop"
access = "scope:write"
limits = []
[[gateway.routes]]
path = "/vault"
upstream = "shop"
access = "signed-in"
max_age = "10m"
limits = []
[[gateway.routes]]
path = "/limited"
respond = { body = "hi" }
limits = ["tight"]
[[gateway.routes]]
path = "/everybody"
upstream = "shop"
limits = ["everybody-of"]
[[gateway.routes]]
path = "/mine"
respond = { body = "hi" }
access = "signed-in"
limits = ["mine"]
"#;

const ANA: &str = "authorization: Bearer ana";
const ROOT: &str = "authorization: Bearer root";
const KEY: &str = "authorization: Bearer key";
const COOKIE: &str = "cookie: theme=dark; baluarte=ana; lang=es";

#[test]
fn a_key_speaks_for_its_owner_only_where_it_was_made_to() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        assert!(world.get("/write", &[KEY]).await.text().contains("remote-email: key@example.com"));
        let public = world.get("/", &[KEY]).await.text().to_lowercase();
        assert!(!public.contains("remote-") && !public.contains("baluarte") && !public.contains("authorization"), "{public}");
    });
}

#[test]
fn programs_are_told_what_is_missing() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        for (path, who, status, code) in [
            ("/members", "x: y", 401, "gateway.sign_in_required"),
            ("/members", "authorization: Bearer nobody", 401, "gateway.sign_in_required"),
            ("/admin", "x: y", 401, "gateway.sign_in_required"),
            ("/admin", ANA, 403, "gateway.role_required"),
            ("/pro", ANA, 403, "gateway.plan_required"),
            ("/write", ANA, 403, "gateway.scope_required"),
            ("/members", KEY, 403, "gateway.scope_required"),
            ("/admin", KEY, 403, "gateway.scope_required"),
            ("/elsewhere/../admin", ROOT, 400, "gateway.ambiguous_path"),
            ("//admin", ROOT, 400, "gateway.ambiguous_path"),
        ] {
            let seen = world.get(path, &[who]).await;
            assert_eq!((seen.status, seen.text().as_str()), (status, code), "{path} {who}");
            assert_eq!(seen.header("www-authenticate").is_some(), status == 401 || code == "gateway.scope_required", "{path} {who}");
        }
        for (path, who) in [("/members", ANA), ("/members", COOKIE), ("/admin", ROOT), ("/write", ROOT), ("/write", KEY), ("/", "x: y")] {
            assert_eq!(world.get(path, &[who]).await.status, 200, "{path} {who}");
        }
    });
}

#[test]
fn people_are_sent_to_sign_in_and_back() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        let seen = world.get("/members/list?page=2&q=a%20b", &["accept: text/html", "sec-fetch-mode: navigate"]).await;
        assert_eq!((seen.status, seen.header("location")), (302, Some("/auth/login?return_to=/members/list%3Fpage%3D2%26q%3Da%2520b")));
        assert_eq!(seen.header("cache-control"), Some("no-store"));
        // A page's script wants data, and a form's body cannot come back.
        assert_eq!(world.get("/members", &["accept: text/html", "sec-fetch-mode: cors"]).await.status, 401);
        assert_eq!(world.send("POST", "/members", &["accept: text/html"], "x").await.status, 401);
        // Signed in, but not enough: signing in again would not help.
        assert_eq!(world.get("/admin", &["accept: text/html", ANA]).await.status, 403);
    });
}

#[test]
fn a_route_may_ask_for_people_who_have_shown_lately_who_they_are() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        world.identity.add("fresh", "user", None, Timestamp::from_unix_seconds(i64::from(u32::MAX)));
        let seen = world.get("/vault", &[ANA]).await;
        assert_eq!((seen.status, seen.text().as_str()), (401, "gateway.step_up_required"));
        assert_eq!(seen.header("www-authenticate"), Some("Bearer error=\"insufficient_user_authentication\", max_age=\"600\""));
        let seen = world.get("/vault/door?n=1", &["accept: text/html", "sec-fetch-mode: navigate", COOKIE]).await;
        assert_eq!((seen.status, seen.header("location")), (302, Some("/auth/confirm?return_to=/vault/door%3Fn%3D1")));
        // A form's body cannot come back, and strangers sign in first.
        assert_eq!(world.send("POST", "/vault", &["accept: text/html", ANA], "x").await.status, 401);
        assert_eq!(world.get("/vault", &["x: y"]).await.text(), "gateway.sign_in_required");
        assert_eq!(world.get("/vault", &["authorization: Bearer fresh"]).await.status, 200);
    });
}

#[test]
fn with_an_own_host_people_sign_in_there() {
    run(|control| async move {
        let world = world_with(control, CONFIG, "id.example").await;
        let seen = world.get("/members", &["accept: text/html"]).await;
        assert_eq!(seen.header("location"), Some("https://id.example/auth/login"));
        assert_eq!(world.own_host, "id.example");
    });
}

#[test]
fn a_credential_is_checked_once_and_bad_ones_are_remembered_too() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        for _ in 0..5 {
            assert_eq!(world.get("/members", &[ANA]).await.status, 200);
            assert_eq!(world.get("/members", &["authorization: Bearer nobody"]).await.status, 401);
        }
        assert_eq!(world.identity.asked.load(Ordering::SeqCst), 2);
        assert_eq!(world.identity.signed.load(Ordering::SeqCst), 1);
        // The same text as a cookie is another credential.
        assert_eq!(world.get("/members", &["cookie: baluarte=nobody"]).await.status, 401);
        assert_eq!(world.identity.asked.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn many_requests_with_one_new_credential_ask_once() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        let headers = [ANA];
        let all = futures::future::join_all((0..20).map(|_| world.get("/members", &headers))).await;
        assert!(all.iter().all(|seen| seen.status == 200));
        assert_eq!(world.identity.asked.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_revoked_credential_stops_at_once_and_others_go_on() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        for who in [ANA, ROOT] {
            assert_eq!(world.get("/members", &[who]).await.status, 200);
        }
        world.identity.revoke("ana");
        assert_eq!(world.get("/members", &[ANA]).await.status, 401);
        assert_eq!(world.get("/members", &[ROOT]).await.status, 200);
        assert_eq!(world.identity.asked.load(Ordering::SeqCst), 3, "root was asked for again");
    });
}

#[test]
fn a_credential_ends_when_it_expires() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        let end = world.clock.now().plus(Duration::from_millis(500));
        world.identity.add("brief", "user", None, end);
        let brief = ["authorization: Bearer brief"];
        assert_eq!(world.get("/members", &brief).await.status, 200);
        world.identity.revoke("brief");
        let asked = world.identity.asked.load(Ordering::SeqCst);
        while world.clock.now() < end {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.get("/members", &brief).await.status, 401);
        assert_eq!(world.identity.asked.load(Ordering::SeqCst), asked + 1);
    });
}

#[test]
fn while_nobody_can_tell_known_people_pass_and_others_are_told_to_come_back() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        assert_eq!(world.get("/members", &[ANA]).await.status, 200);
        world.identity.away.store(true, Ordering::SeqCst);
        assert_eq!(world.get("/members", &[ANA]).await.status, 200);
        let seen = world.get("/members", &[ROOT]).await;
        assert_eq!((seen.status, seen.text().as_str()), (503, "web.unavailable"));
        assert!(seen.header("retry-after").is_some());
        assert_eq!(world.get("/", &[ROOT]).await.status, 200, "public routes go on");
        let asked = world.identity.asked.load(Ordering::SeqCst);
        assert_eq!(world.get("/members", &[ROOT]).await.status, 503);
        assert_eq!(world.identity.asked.load(Ordering::SeqCst), asked, "it fails fast");
        world.identity.away.store(false, Ordering::SeqCst);
        while world.get("/members", &[ROOT]).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn another_site_cannot_act_with_the_cookie() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        let post = async |path: &str, headers: &[&str]| world.send("POST", path, headers, "x").await;
        for from_elsewhere in ["sec-fetch-site: cross-site", "origin: https://evil.example", "x: silence"] {
            let seen = post("/members", &[COOKIE, from_elsewhere]).await;
            assert_eq!((seen.status, seen.text().as_str()), (403, "web.cross_origin"), "{from_elsewhere}");
            let seen = post("/", &[COOKIE, from_elsewhere]).await;
            assert!(
                seen.status == 200 && !seen.text().contains("remote-user"),
                "on a public route the session does not count: {from_elsewhere}"
            );
        }
        for from_here in ["sec-fetch-site: same-origin", "origin: http://shop.example"] {
            assert_eq!(post("/members", &[COOKIE, from_here]).await.status, 200, "{from_here}");
        }
        assert_eq!(post("/members", &[ANA, "sec-fetch-site: cross-site"]).await.status, 200, "a token is no cookie");
        let upgrade = ["connection: upgrade", "upgrade: websocket", COOKIE, "origin: https://evil.example"];
        assert_eq!(world.get("/members/ws", &upgrade).await.status, 403);
    });
}

#[test]
fn guessing_tokens_soon_asks_nobody() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        assert_eq!(world.get("/members", &[ANA]).await.status, 200);
        let mut refused = 0;
        for n in 0..100 {
            let seen = world.get("/members", &[&format!("authorization: Bearer guess-{n}")]).await;
            refused += usize::from(seen.status == 429 && seen.header("retry-after").is_some());
        }
        assert!(refused >= 40 && world.identity.asked.load(Ordering::SeqCst) <= 61, "{refused} refused");
        assert_eq!(world.get("/members", &[ANA]).await.status, 200, "known people behind the same address go on");
    });
}

#[test]
fn a_token_in_the_address_is_no_credential() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        for path in ["/members?access_token=ana", "/members?token=ana", "/members?baluarte=ana"] {
            assert_eq!(world.get(path, &[]).await.status, 401, "{path}");
        }
    });
}

#[test]
fn limits_of_the_route_count_and_say_so() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        for _ in 0..2 {
            let seen = world.get("/limited", &[]).await;
            assert!(seen.status == 200 && seen.header("ratelimit").is_some() && seen.header("ratelimit-policy").is_some(), "{seen:?}");
        }
        let seen = world.get("/limited", &[]).await;
        assert_eq!((seen.status, seen.text().as_str()), (429, "limits.exceeded"));
        assert!(seen.header("retry-after").is_some() && seen.header("ratelimit").is_some(), "{seen:?}");
        // Counted by user: one's use is not another's.
        for (who, status) in [(ANA, 200), (ANA, 200), (ANA, 200), (ANA, 429), (ROOT, 200)] {
            assert_eq!(world.get("/mine", &[who]).await.status, status, "{who}");
        }
        // Counted by plan: one's use is everybody's on that plan, and nobody's without one.
        for (who, status) in [(ANA, 200), (ROOT, 200), (ANA, 200), (ROOT, 429), (ANA, 429), ("x: nobody", 200)] {
            assert_eq!(world.get("/everybody", &[who]).await.status, status, "{who}");
        }
    });
}
