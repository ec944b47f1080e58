use axum::{body::Body, response::Response};
use baluarte_kernel::{Locale, Timestamp};
use baluarte_web::{Catalogue, OutboxMessage, Problem, Site, Visit, WebConfig, asset_url, outbox_html, outbox_page, page_routes};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use tower::ServiceExt;

async fn send(mut request: Request<Body>) -> Response {
    request.extensions_mut().insert(Site::new(&WebConfig::default(), "https://shop.example/"));
    page_routes(Catalogue::new(&[])).oneshot(request).await.unwrap()
}

async fn get(path: &str) -> Response {
    send(Request::get(path).body(Body::empty()).unwrap()).await
}

async fn text(response: Response) -> String {
    String::from_utf8(axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn files_are_kept_for_a_year_under_a_name_that_changes_with_them() {
    for name in ["style.css", "page.js", "docs.js", "icon.svg", "wall.svg"] {
        let response = get(asset_url(name)).await;
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        let etag = response.headers()[header::ETAG].clone();
        let again = send(Request::get(asset_url(name)).header(header::IF_NONE_MATCH, etag).body(Body::empty()).unwrap()).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(text(again).await.is_empty());
    }
    assert!(text(get(asset_url("style.css")).await).await.contains(asset_url("wall.svg")), "the style names the file as it is served");
}

#[tokio::test]
async fn a_file_of_another_version_is_answered_but_not_kept() {
    let other = get("/auth/assets/style.0000000000000000.css").await;
    assert_eq!((other.status(), &other.headers()[header::CACHE_CONTROL]), (StatusCode::OK, &HeaderValue::from_static("no-cache")));
    for path in ["/auth/assets/..%2FCargo.toml", "/auth/assets/style", "/auth/assets/style.css.map", "/auth/assets/none.css"] {
        let response = get(path).await;
        assert_eq!(response.extensions().get::<Problem>().map(|problem| problem.code), Some("web.not_found"), "{path}");
    }
}

async fn choose(body: &'static str, origin: &str) -> Response {
    let request =
        Request::post("/auth/language").header(header::ORIGIN, origin).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn the_language_switch_remembers_and_comes_back() {
    let response = choose("lang=pt&return_to=%2Fauth%2Flogin%3Freturn_to%3D%252Fshop", "https://shop.example").await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()[header::LOCATION], "/auth/login?return_to=%2Fshop");
    assert_eq!(response.headers()[header::SET_COOKIE], "baluarte_lang=pt; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly; Secure");
    let elsewhere = choose("lang=xx&return_to=%2F%2Fevil.example", "https://shop.example").await;
    assert_eq!(elsewhere.headers()[header::LOCATION], "/");
    assert!(!elsewhere.headers().contains_key(header::SET_COOKIE), "a language we do not speak");
    let foreign = choose("lang=pt", "https://evil.example").await;
    assert_eq!(foreign.extensions().get::<Problem>().map(|problem| problem.code), Some("web.cross_origin"));
}

#[tokio::test]
async fn each_code_has_its_page_in_each_language() {
    for (locale, title) in [("en", "Nothing here"), ("es", "Aquí no hay nada"), ("pt", "Não há nada aqui")] {
        let request = Request::get("/problems/web.not_found").header(header::ACCEPT_LANGUAGE, locale);
        let page = text(send(request.body(Body::empty()).unwrap()).await).await;
        assert!(page.contains(title), "{locale}");
        let request = Request::get("/problems/").header(header::ACCEPT_LANGUAGE, locale);
        assert!(text(send(request.body(Body::empty()).unwrap()).await).await.contains(title), "{locale}");
    }
    let unknown = get("/problems/web.%3Cscript%3E").await;
    assert_eq!(unknown.extensions().get::<Problem>().map(|problem| problem.code), Some("web.not_found"));
}

#[tokio::test]
async fn the_outbox_is_data_for_programs_and_a_safe_page_for_people() {
    let message = OutboxMessage {
        id: "1".to_owned(),
        channel: "email".to_owned(),
        to: "zoe@example.com".to_owned(),
        subject: "<script>alert(1)</script>".to_owned(),
        text: "Open https://shop.example/auth/verify-email?token=a&b=1 now".to_owned(),
        html: Some("<p onclick=\"x()\">hi</p>".to_owned()),
        created_at: Timestamp::from_micros(1_763_769_600_000_000),
    };
    let visit = Visit { site: Site::default(), locale: Locale::En, path: "/dev/outbox".to_owned() };
    let data = text(outbox_page(&visit, &HeaderMap::new(), std::slice::from_ref(&message))).await;
    insta::assert_snapshot!(data, @r#"{"items":[{"id":"1","channel":"email","to":"zoe@example.com","subject":"<script>alert(1)</script>","text":"Open https://shop.example/auth/verify-email?token=a&b=1 now","html":"<p onclick=\"x()\">hi</p>","created_at":"2025-11-22T00:00:00Z"}]}"#);
    let browser = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/html"))]);
    let page = text(outbox_page(&visit, &browser, std::slice::from_ref(&message))).await;
    assert!(!page.contains("<script>alert"));
    assert!(page.contains("<a href=\"https://shop.example/auth/verify-email?token=a&#38;b=1\">"), "{page}");
    let html = outbox_html(&message);
    assert!(html.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("sandbox"));
}
