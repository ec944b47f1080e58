//! `GET /auth/verify`, as nginx, Caddy and Traefik ask it.

use axum::body::Body;
use baluarte_kernel::{RequestMeta, Scheme};
use baluarte_web::Problem;
use http::{Request, Response};
use tower::ServiceExt as _;

use crate::harness::*;

async fn ask(world: &World, uri: &str, headers: &[(&str, &str)], trusted: bool) -> Response<Body> {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let meta = RequestMeta {
        request_id: "req-1".into(),
        client_ip: "192.0.2.1".parse().unwrap(),
        trusted_peer: trusted.then(|| "127.0.0.1".parse().unwrap()),
        scheme: Scheme::Https,
        host: "shop.example".into(),
    };
    let request = request.extension(meta).body(Body::empty()).unwrap();
    let (router, _) = world.gateway.component().api.split_for_parts();
    router.oneshot(request).await.unwrap()
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name).or_else(|| response.extensions().get::<Problem>()?.headers.get(name)).map(|value| value.to_str().unwrap())
}

const TOKEN: (&str, &str) = ("authorization", "Bearer ana");
const COOKIE: (&str, &str) = ("cookie", "baluarte=ana");
const BROWSER: (&str, &str) = ("accept", "text/html");

#[test]
fn it_says_who_somebody_is() {
    run(|control| async move {
        let world = world(control, "[gateway]").await;
        for credential in [TOKEN, COOKIE] {
            let answer = ask(&world, "/auth/verify", &[credential], true).await;
            assert_eq!(answer.status(), 200);
            assert_eq!((header(&answer, "remote-email"), header(&answer, "remote-groups")), (Some("ana@example.com"), Some("user,free")));
            assert!(header(&answer, "remote-user").is_some() && header(&answer, "x-baluarte-identity").is_some());
        }
        assert_eq!(ask(&world, "/auth/verify?access=role:admin", &[TOKEN], true).await.status(), 403);
        assert_eq!(ask(&world, "/auth/verify?access=role%3Aadmin", &[("authorization", "Bearer root")], true).await.status(), 200);
        assert_eq!(ask(&world, "/auth/verify?access=everybody", &[TOKEN], true).await.status(), 400);
    });
}

#[test]
fn strangers_are_sent_to_sign_in_where_the_proxy_can_pass_that_on() {
    run(|control| async move {
        let world = world(control, "[gateway]").await;
        let caddy = [BROWSER, ("x-forwarded-method", "GET"), ("x-forwarded-uri", "/private?x=1")];
        let answer = ask(&world, "/auth/verify", &caddy, true).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "location")), (302, Some("/auth/login?return_to=/private%3Fx%3D1")));
        let nginx = [BROWSER, ("x-original-url", "https://shop.example/private")];
        let answer = ask(&world, "/auth/verify", &nginx, true).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "location")), (401, Some("/auth/login?return_to=/private")));
        // nginx makes an error of a redirect, whether or not anybody has told us to believe it.
        assert_eq!(ask(&world, "/auth/verify", &nginx, false).await.status(), 401);
        let program = [("x-forwarded-uri", "/private")];
        assert_eq!(ask(&world, "/auth/verify", &program, true).await.status(), 401);
    });
}

#[test]
fn a_request_made_by_another_site_is_refused_by_its_original_method() {
    run(|control| async move {
        let world = world(control, "[gateway]").await;
        let post = [COOKIE, ("x-forwarded-method", "POST"), ("sec-fetch-site", "cross-site")];
        assert_eq!(ask(&world, "/auth/verify", &post, true).await.status(), 403);
        let post = [COOKIE, ("x-forwarded-method", "POST"), ("sec-fetch-site", "same-origin")];
        assert_eq!(ask(&world, "/auth/verify", &post, true).await.status(), 200);
    });
}

#[test]
fn only_a_trusted_proxy_says_what_was_asked_for() {
    run(|control| async move {
        let world = world(control, "[gateway]").await;
        let forged = [BROWSER, ("x-forwarded-method", "POST"), ("x-forwarded-uri", "/elsewhere")];
        let answer = ask(&world, "/auth/verify", &forged, false).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "location")), (302, Some("/auth/login?return_to=/")));
    });
}
