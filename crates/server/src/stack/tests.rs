use std::net::{IpAddr, Ipv4Addr};

use axum::{body::Body, routing::get};
use baluarte_backplane::Backplane;
use baluarte_kernel::{BoxFuture, FreeForAll, Principal, Scheme, Timestamp, UpstreamIdentity};
use baluarte_limits::LimitsConfig;
use baluarte_web::{SignedIn, WebConfig};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

/// `good` signs in, `away` meets a database that is away, everything else is not valid.
struct Gatekeeper;

impl Authenticator for Gatekeeper {
    fn authenticate(&self, credential: Credential) -> BoxFuture<'_, Result<Arc<Principal>, AuthError>> {
        let (text, kind) = match credential {
            Credential::Bearer(text) => (text, CredentialKind::AccessToken),
            Credential::SessionCookie(text) => (text, CredentialKind::SessionCookie),
        };
        Box::pin(async move {
            match text.as_str() {
                "good" => Ok(Arc::new(Principal {
                    user_id: UserId::generate(),
                    email: "ana@example.com".to_owned(),
                    name: "Ana".to_owned(),
                    role: "user".to_owned(),
                    session_id: None,
                    key_id: None,
                    scopes: None,
                    credential: kind,
                    issued_at: Timestamp::default(),
                    proven_at: Timestamp::default(),
                    expires_at: Timestamp::default(),
                    epoch: 0,
                })),
                "away" => Err(AuthError::Unavailable),
                _ => Err(AuthError::Invalid),
            }
        })
    }
    fn revocations(&self) -> u64 {
        0
    }
    fn is_revoked(&self, _: &Principal) -> bool {
        false
    }
    fn is_own(&self, _: &str) -> bool {
        unreachable!("only the gateway asks")
    }
    fn upstream_identity(&self, _: &Principal, _: &str, _: &str) -> UpstreamIdentity {
        unreachable!("only the gateway asks for one")
    }
}

fn app(in_flight: usize, time_limit: Duration) -> Router {
    let limits = Limits::new(&LimitsConfig::default(), Backplane::local(Clock::System), &[0; 32]);
    let stack = Stack::new(Inner {
        site: Site::new(&WebConfig::default(), "http://shop.example"),
        clock: Clock::System,
        authenticator: Arc::new(Gatekeeper),
        entitlements: Arc::new(FreeForAll::new(Vec::new())),
        anonymous_limit: limits.resolve("api"),
        user_limit: limits.resolve("user"),
        limits,
        session_cookie: "baluarte",
        time_limit,
        body_limit: 1_024,
        in_flight: Semaphore::new(in_flight),
    });
    let routes = Router::new()
        .route("/api/v1/open", get(|| async { "open" }).post(|| async { "done" }))
        .route("/api/v1/mine", get(|_: SignedIn| async { "mine" }))
        .route("/auth/panic", get(|| async { panic!("on purpose") as &str }))
        .route("/auth/never", get(std::future::pending::<&str>));
    stack.around(routes, Router::new().route("/health", get(|| async { "well" })))
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

async fn ask(app: &Router, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let meta = RequestMeta {
        request_id: "req-1".into(),
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        trusted_peer: None,
        scheme: Scheme::Http,
        host: "127.0.0.1:8080".into(),
    };
    let response = app.clone().oneshot(request.extension(meta).body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

fn usual() -> Router {
    app(8, Duration::from_secs(60))
}

#[tokio::test]
async fn a_panic_is_one_answer_that_says_nothing_about_it() {
    let answer = ask(&usual(), Method::GET, "/auth/panic", &[]).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.text.contains("\"web.internal\"") && !answer.text.contains("on purpose"), "{}", answer.text);
    assert!(answer.text.contains("\"instance\":\"req-1\""), "{}", answer.text);
}

#[tokio::test]
async fn more_requests_than_allowed_at_once_are_told_to_come_back() {
    let answer = ask(&app(0, Duration::from_secs(60)), Method::GET, "/api/v1/open", &[]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let answer = ask(&app(8, Duration::from_millis(20)), Method::GET, "/auth/never", &[]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_cookie_acts_only_for_our_own_pages() {
    let app = usual();
    let cookie = ("cookie", "baluarte=good");
    for foreign in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("x-nothing", "said")] {
        let answer = ask(&app, Method::POST, "/api/v1/open", &[cookie, foreign]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{foreign:?}");
        assert!(answer.text.contains("web.cross_origin"));
    }
    for own in [("sec-fetch-site", "same-origin"), ("origin", "http://shop.example"), ("origin", "http://127.0.0.1:8080")] {
        assert_eq!(ask(&app, Method::POST, "/api/v1/open", &[cookie, own]).await.status, StatusCode::OK, "{own:?}");
    }
    // Reading is harmless, and a token is not something that browsers add by themselves.
    assert_eq!(ask(&app, Method::GET, "/api/v1/open", &[cookie, ("sec-fetch-site", "cross-site")]).await.status, StatusCode::OK);
    let token = ("authorization", "Bearer good");
    assert_eq!(ask(&app, Method::POST, "/api/v1/open", &[token, ("origin", "https://evil.example")]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_stale_credential_is_nobody_and_a_stale_token_is_told_so() {
    let app = usual();
    assert_eq!(ask(&app, Method::GET, "/api/v1/open", &[("cookie", "baluarte=stale")]).await.status, StatusCode::OK);
    assert_eq!(ask(&app, Method::GET, "/api/v1/open", &[("authorization", "Bearer stale")]).await.status, StatusCode::OK);
    let refused = ask(&app, Method::GET, "/api/v1/mine", &[("authorization", "bearer stale")]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers["www-authenticate"], "Bearer error=\"invalid_token\"");
    assert_eq!(ask(&app, Method::GET, "/api/v1/mine", &[]).await.headers["www-authenticate"], "Bearer");
    assert_eq!(ask(&app, Method::GET, "/api/v1/mine", &[("authorization", "Bearer good")]).await.text, "mine");
}

#[tokio::test]
async fn a_database_that_is_away_is_503_for_whoever_has_a_credential_and_nothing_to_probes() {
    let app = usual();
    let away = ("authorization", "Bearer away");
    let answer = ask(&app, Method::GET, "/api/v1/open", &[away]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(ask(&app, Method::GET, "/health", &[away]).await.status, StatusCode::OK);
    assert_eq!(ask(&app, Method::GET, "/api/v1/open", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn anonymous_callers_share_a_limit_and_signed_in_ones_have_their_own() {
    let app = usual();
    let mut last = StatusCode::OK;
    for _ in 0..40 {
        let answer = ask(&app, Method::GET, "/api/v1/open", &[]).await;
        assert!(answer.headers.contains_key("ratelimit"));
        last = answer.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask(&app, Method::GET, "/api/v1/open", &[("authorization", "Bearer good")]).await.status, StatusCode::OK);
    // Pages are not the API; probes are nobody's.
    assert_eq!(ask(&app, Method::GET, "/auth/nothing", &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask(&app, Method::GET, "/health", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_path_is_404_and_an_unknown_method_405_with_allow() {
    let app = usual();
    assert_eq!(ask(&app, Method::GET, "/api/v1/else", &[]).await.status, StatusCode::NOT_FOUND);
    let answer = ask(&app, Method::DELETE, "/api/v1/open", &[]).await;
    assert_eq!((answer.status, answer.headers.contains_key("allow")), (StatusCode::METHOD_NOT_ALLOWED, true));
    let answer = ask(&app, Method::POST, "/health", &[]).await;
    assert_eq!((answer.status, answer.headers.contains_key("allow")), (StatusCode::METHOD_NOT_ALLOWED, true));
}
