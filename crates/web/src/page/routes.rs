//! What all pages share: their files, the language switch, the pages about problems.

use axum::{
    Router,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use baluarte_kernel::Locale;
use http::{HeaderValue, header};
use serde::Deserialize;

use super::{Catalogue, Visit, assets, problems};
use crate::{Form, LANGUAGE_COOKIE, ReturnTo, SameOrigin, Site};

/// `/auth/assets/…`, `POST /auth/language`, `/problems/…`.
pub fn page_routes(catalogue: Catalogue) -> Router {
    Router::new()
        .route("/auth/assets/{file}", get(assets::serve))
        .route("/auth/language", post(choose_language))
        .route("/problems/", get(problems::all))
        .route("/problems/{code}", get(problems::one))
        .with_state(catalogue)
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    lang: String,
    #[serde(default)]
    return_to: String,
}

async fn choose_language(_: SameOrigin, visit: Visit, Form(choice): Form<Choice>) -> Response {
    let mut response = Redirect::to(ReturnTo::parse(&choice.return_to).as_ref().map_or("/", ReturnTo::as_str)).into_response();
    if let Some(locale) = Locale::from_tag(&choice.lang) {
        response.headers_mut().append(header::SET_COOKIE, language_cookie(&visit.site, locale));
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `Set-Cookie` that remembers a language for a year.
pub fn language_cookie(site: &Site, locale: Locale) -> HeaderValue {
    let secure = if site.own_origin.starts_with("https:") { "; Secure" } else { "" };
    let cookie = format!("{LANGUAGE_COOKIE}={}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly{secure}", locale.tag());
    // Made of constants, all of them visible ASCII.
    HeaderValue::try_from(cookie).unwrap_or(HeaderValue::from_static(""))
}
