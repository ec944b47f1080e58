use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::DefaultBodyLimit,
    response::Response,
    routing::{get, post},
};
use baluarte_kernel::{Actor, Clock, CredentialKind, Ctx, Principal, Timestamp, UserId};
use baluarte_web::{Admin, BodyTrouble, Caller, Form, Json, Path, Problem, Query, SignedIn, method_not_allowed, not_found};
use http::{Request, StatusCode, header};
use tower::ServiceExt;

#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "only read into")]
struct Wish {
    name: String,
    count: u8,
}

fn router() -> Router {
    Router::new()
        .route("/json", post(async |_: Json<Wish>| ()).layer(DefaultBodyLimit::max(64)))
        .route("/form", post(async |_: Form<Wish>| ()))
        .route("/query", get(async |_: Query<Wish>| ()))
        .route("/users/{id}", get(async |_: Path<UserId>| ()))
        .route("/anybody", get(async |_: Caller| ()))
        .route("/somebody", get(async |_: SignedIn| ()))
        .route("/admin", get(async |_: Admin| ()))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
}

async fn send(request: Request<Body>) -> Response {
    router().oneshot(request).await.unwrap()
}

async fn post_body(path: &str, kind: Option<&str>, body: impl Into<Body>) -> Result<(), (StatusCode, Problem)> {
    let mut request = Request::post(path);
    if let Some(kind) = kind {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    refused(send(request.body(body.into()).unwrap()).await)
}

async fn fetch(path: &str, ctx: Option<Ctx>) -> Result<(), (StatusCode, Problem)> {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    request.extensions_mut().extend(
        ctx.map(|ctx| {
            let mut extensions = http::Extensions::new();
            extensions.insert(ctx);
            extensions
        })
        .unwrap_or_default(),
    );
    refused(send(request).await)
}

fn refused(response: Response) -> Result<(), (StatusCode, Problem)> {
    match response.extensions().get::<Problem>() {
        None if response.status().is_success() => Ok(()),
        None => panic!("{} without a problem", response.status()),
        Some(problem) => Err((response.status(), problem.clone())),
    }
}

fn code(result: Result<(), (StatusCode, Problem)>) -> (u16, &'static str) {
    result.map_or_else(|(status, problem)| (status.as_u16(), problem.code), |()| (200, ""))
}

fn user(role: &str) -> Ctx {
    let now = Timestamp::from_micros(1);
    let principal = Principal {
        user_id: UserId::generate(),
        email: "z@example.com".to_owned(),
        name: "Z".to_owned(),
        role: role.to_owned(),
        session_id: None,
        key_id: None,
        epoch: 0,
        scopes: None,
        credential: CredentialKind::AccessToken,
        issued_at: now,
        proven_at: now,
        expires_at: now,
    };
    Ctx { actor: Actor::User(Arc::new(principal)), ..Ctx::system(Clock::fixed(now)) }
}

#[tokio::test]
async fn bodies_are_refused_for_what_is_wrong_with_them() {
    let json = Some("application/json; charset=utf-8");
    assert_eq!(code(post_body("/json", json, r#"{"name":"a","count":1}"#).await), (200, ""));
    assert_eq!(code(post_body("/json", Some("application/vnd.x+json"), r#"{"name":"a","count":1}"#).await), (200, ""));
    assert_eq!(code(post_body("/json", json, "{").await), (400, "web.malformed_json"));
    assert_eq!(code(post_body("/json", json, r#"{"name":"a","count":256}"#).await), (422, "web.invalid_fields"));
    assert_eq!(code(post_body("/json", Some("text/plain"), "{}").await), (415, "web.unsupported_media_type"));
    assert_eq!(code(post_body("/json", None, "{}").await), (415, "web.unsupported_media_type"));
    assert_eq!(code(post_body("/json", json, vec![b' '; 65]).await), (413, "web.body_too_large"));
    let form = Some("application/x-www-form-urlencoded");
    assert_eq!(code(post_body("/form", form, "name=a&count=1").await), (200, ""));
    assert_eq!(code(post_body("/form", form, "name=a").await), (422, "web.invalid_fields"));
    assert_eq!(code(post_body("/form", json, "{}").await), (415, "web.unsupported_media_type"));
}

#[tokio::test]
async fn a_body_that_the_edge_gave_up_on_says_why() {
    for (trouble, expected) in [(BodyTrouble::TooSlow, (408, "web.body_too_slow")), (BodyTrouble::TooLarge, (413, "web.body_too_large"))] {
        let body = Body::from_stream(futures::stream::iter([Err::<bytes::Bytes, _>(trouble)]));
        assert_eq!(code(post_body("/json", Some("application/json"), body).await), expected);
    }
    let cut = Body::from_stream(futures::stream::iter([Err::<bytes::Bytes, _>(std::io::Error::other("gone"))]));
    assert_eq!(code(post_body("/json", Some("application/json"), cut).await), (400, "web.malformed_body"));
}

#[tokio::test]
async fn addresses_that_do_not_fit_are_named_or_not_found() {
    assert_eq!(code(fetch("/query?name=a&count=1", None).await), (200, ""));
    let (_, problem) = fetch("/query?name=a&count=many", None).await.unwrap_err();
    assert_eq!((problem.code, problem.errors[0].pointer.as_str()), ("web.invalid_fields", "count"));
    assert_eq!(code(fetch(&format!("/users/{}", UserId::generate()), None).await), (200, ""));
    assert_eq!(code(fetch("/users/42", None).await), (404, "web.not_found"));
    assert_eq!(code(fetch("/nowhere", None).await), (404, "web.not_found"));
}

#[tokio::test]
async fn another_method_gets_405_and_the_list_of_those_that_work() {
    let response = send(Request::delete("/query").body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()[header::ALLOW], "GET,HEAD");
    assert_eq!(code(refused(response)), (405, "web.method_not_allowed"));
}

#[tokio::test]
async fn callers_are_let_in_by_who_they_are() {
    let nobody = || Some(Ctx { actor: Actor::Anonymous, ..Ctx::system(Clock::System) });
    assert_eq!(code(fetch("/anybody", nobody()).await), (200, ""));
    assert_eq!(code(fetch("/anybody", None).await), (500, "web.internal"));
    let (status, problem) = fetch("/somebody", nobody()).await.unwrap_err();
    assert_eq!((status.as_u16(), problem.code), (401, "web.sign_in_required"));
    assert_eq!(problem.headers[header::WWW_AUTHENTICATE], "Bearer");
    assert_eq!(code(fetch("/somebody", Some(user("user"))).await), (200, ""));
    assert_eq!(code(fetch("/admin", nobody()).await), (401, "web.sign_in_required"));
    assert_eq!(code(fetch("/admin", Some(user("user"))).await), (403, "web.forbidden"));
    assert_eq!(code(fetch("/admin", Some(user("admin"))).await), (200, ""));
}
