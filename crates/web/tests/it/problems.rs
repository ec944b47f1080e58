use std::{collections::HashSet, time::Duration};

use baluarte_kernel::Locale;
use baluarte_web::{Catalogue, Problem, RenderContext, Site, problem};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use insta::assert_snapshot;

fn json(problem: &Problem) -> String {
    let site = Site::default();
    let cx = RenderContext { request_id: "req-1", locale: Locale::Es, prefers_html: false, path: None, site: &site };
    let (status, headers, body) = problem::render(problem, &cx);
    assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    format!("{} {}", status.as_u16(), std::str::from_utf8(&body).unwrap())
}

#[test]
fn each_shape_of_a_problem_is_written_as_rfc_9457_says() {
    assert_snapshot!(json(&Problem::of(&problem::NOT_FOUND)), @r#"404 {"type":"/problems/web.not_found","code":"web.not_found","title":"Nothing here","status":404,"instance":"req-1"}"#);
    let fields = Problem::of(&problem::INVALID_FIELDS).field("/email", "is required").field("/items/0", "\"<b>\"");
    assert_snapshot!(json(&fields), @r#"422 {"type":"/problems/web.invalid_fields","code":"web.invalid_fields","title":"Some fields are not valid","status":422,"instance":"req-1","errors":[{"pointer":"/email","detail":"is required"},{"pointer":"/items/0","detail":"\"<b>\""}]}"#);
    let mut limited = Problem::of(&problem::UNAVAILABLE).detail("wait").upstream();
    limited.violated_policies = vec!["general".to_owned()];
    assert_snapshot!(json(&limited), @r#"503 {"type":"/problems/web.unavailable","code":"web.unavailable","title":"Not available right now","status":503,"detail":"wait","instance":"req-1","violated-policies":["general"],"upstream":true}"#);
}

#[test]
fn our_own_failures_say_nothing_about_themselves() {
    let err = std::io::Error::other("password=hunter2");
    assert!(!json(&Problem::internal(&err)).contains("hunter2"));
}

#[test]
fn waiting_times_are_whole_seconds_and_never_zero() {
    for (wait, seconds) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (90_500, "91")] {
        let problem = Problem::of(&problem::UNAVAILABLE).retry_after(Duration::from_millis(wait));
        assert_eq!(problem.headers[header::RETRY_AFTER], seconds);
    }
}

#[test]
fn people_get_a_page_in_their_language_with_the_reference_and_without_details() {
    let site = Site::default();
    for (locale, title) in [(Locale::En, "Sign in first"), (Locale::Es, "Inicia sesión primero"), (Locale::Pt, "Entre primeiro")] {
        let cx = RenderContext { request_id: "req-<7>", locale, prefers_html: true, path: None, site: &site };
        let (status, headers, body) = problem::render(&Problem::sign_in_required().detail("token signature mismatch"), &cx);
        let html = std::str::from_utf8(&body).unwrap();
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(headers[header::WWW_AUTHENTICATE], "Bearer");
        assert_eq!(headers[header::CONTENT_LANGUAGE], locale.tag());
        assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
        assert!(html.contains(title) && html.contains("req-&#60;7&#62;") && html.contains("/auth/login"), "{html}");
        assert!(!html.contains("signature"), "details are for programs");
    }
}

#[test]
fn a_problem_on_a_host_of_the_gateway_takes_its_style_from_our_own() {
    let site = Site::default().with_assets_at("https://id.example");
    let cx = RenderContext { request_id: "r", locale: Locale::En, prefers_html: true, path: None, site: &site };
    let (_, headers, body) = problem::render(&Problem::of(&problem::NOT_FOUND), &cx);
    assert!(std::str::from_utf8(&body).unwrap().contains("href=\"https://id.example/auth/assets/style."));
    assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("style-src 'self' https://id.example;"));
}

#[test]
fn whoever_may_not_has_a_way_on_wherever_our_own_pages_are() {
    for (own, at) in [("", ""), ("https://id.example", "https://id.example")] {
        let site = Site::default().with_assets_at(own);
        let cx = RenderContext { request_id: "r", locale: Locale::Pt, prefers_html: true, path: None, site: &site };
        for (problem, place, words) in
            [(Problem::of(&problem::FORBIDDEN), "/auth/account", "A sua conta"), (Problem::sign_in_required(), "/auth/login", "Entrar")]
        {
            let (_, _, body) = problem::render(&problem, &cx);
            let html = std::str::from_utf8(&body).unwrap();
            assert!(html.contains(&format!("href=\"{at}{place}\">{words}</a>")) && html.contains("href=\"/\""), "{html}");
        }
    }
}

#[test]
fn what_inner_layers_set_survives_rendering() {
    let site = Site::default();
    let mut response = axum::response::IntoResponse::into_response(Problem::of(&problem::METHOD_NOT_ALLOWED));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    let cx = RenderContext::of(&HeaderMap::new(), "r", &site);
    let rendered = problem::render_response(response, &cx);
    assert_eq!(rendered.headers()[header::ALLOW], "GET");
    assert!(!rendered.headers().contains_key(header::CONTENT_LENGTH));
}

#[test]
fn every_code_is_named_after_its_component_once_and_explained() {
    let mut seen = HashSet::new();
    for doc in problem::PROBLEMS {
        assert!(doc.code.starts_with("web.") && seen.insert(doc.code), "{}", doc.code);
        assert!(doc.status.is_client_error() || doc.status.is_server_error());
        for text in [doc.title, doc.explanation, doc.remedy] {
            assert!(Locale::ALL.into_iter().all(|locale| !text.get(locale).is_empty()), "{}", doc.code);
        }
    }
    let markdown = Catalogue::new(&[]).markdown();
    assert!(problem::PROBLEMS.iter().all(|doc| markdown.contains(&format!("`{}`", doc.code))));
}
