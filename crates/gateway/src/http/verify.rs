//! `GET /auth/verify`: the answer to a proxy that asks "may this request pass?" (nginx `auth_request`, Caddy `forward_auth`,
//! Traefik `ForwardAuth`).

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use baluarte_kernel::{AuthError, Credential, Period, Principal, RequestMeta, Scheme};
use baluarte_web::Problem;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts as Head};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Gateway,
    access::{Access, Denied, is_fresh},
    problems, sign_in,
};

/// Asked by another proxy for each request that it gets: what it lets through, and how often, is that proxy's to limit.
pub const VERIFY: &str = "/auth/verify";

pub(crate) fn router(gateway: Gateway) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(verify)).with_state(gateway)
}

/// The request that the other proxy asks about.
struct Original {
    method: Method,
    scheme: Scheme,
    host: String,
    /// Path and query.
    target: String,
    /// nginx turns everything but 2xx, 401 and 403 into an error, so it is never redirected.
    may_redirect: bool,
}

/// May this request pass?
///
/// For a proxy in front of an app: `nginx` (`auth_request`), Caddy (`forward_auth`), Traefik (`ForwardAuth`). The proxy must be listed in
/// `server.trusted_proxies` for its `X-Forwarded-*` or `X-Original-*` to count. `access` asks for more than a session: `role:admin`,
/// `plan:pro`, `scope:read`.
#[utoipa::path(
    get,
    path = "/auth/verify",
    tag = "gateway",
    params(
        ("access" = Option<String>, Query, description = "`signed-in` (the default), `role:NAME`, `plan:NAME` or `scope:NAME`"),
        ("max_age" = Option<String>, Query, description = "How long ago they may have shown who they are: `10m`"),
    ),
    responses(
        (status = 200, description = "It may. `Remote-User`, `Remote-Email`, `Remote-Groups` and `X-Baluarte-Identity` say who it is."),
        (status = 302, description = "A person without a session, or with one that is not fresh enough: to the page where they sign in or confirm."),
        (status = 401, description = "A program without a valid credential. `Location` names the sign-in page."),
        (status = 403, description = "Not with this role, plan or scope, or a request made by another site."),
        (status = 503, description = "Nobody can tell right now."),
    )
)]
async fn verify(State(gateway): State<Gateway>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    match decide(&gateway, &head).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn decide(gateway: &Gateway, request: &Head) -> Result<Response, Problem> {
    let parts = &gateway.0.parts;
    let headers = &request.headers;
    let (access, max_age) = (rule(&request.uri)?, max_age(&request.uri)?);
    let original = Original::of(request);
    match identify(gateway, headers, &original).await? {
        Some(principal) => {
            let plan = parts.entitlements.plan_of(principal.user_id);
            access.allows(Some((&principal, &plan)), &*parts.entitlements).map_err(sign_in::refusal)?;
            if !access.names(&principal) {
                return Ok(StatusCode::OK.into_response());
            }
            if let Err(stale) = is_fresh(&principal, max_age, parts.clock.now()) {
                return elsewhere(sign_in::CONFIRM, stale, gateway, headers, &original);
            }
            let identity = parts.authenticator.upstream_identity(&principal, "forward-auth", &plan.name);
            let mut response = StatusCode::OK.into_response();
            let said = response.headers_mut();
            set(said, "remote-user", &principal.user_id.to_string());
            set(said, "remote-email", &principal.email);
            set(said, "remote-groups", &format!("{},{}", principal.role, plan.name));
            set(said, "x-baluarte-identity", &identity.token);
            said.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok(response)
        }
        None if access == Access::Public => Ok(StatusCode::OK.into_response()),
        None => elsewhere(sign_in::LOGIN, Denied::NotSignedIn, gateway, headers, &original),
    }
}

/// People are sent to `place` and come back; programs are told where it is.
fn elsewhere(place: &'static str, why: Denied, gateway: &Gateway, headers: &HeaderMap, original: &Original) -> Result<Response, Problem> {
    let address = sign_in::address(place, &gateway.0.parts, &original.host, &original.target);
    let address = HeaderValue::from_str(&address).unwrap_or(HeaderValue::from_static(place));
    if original.may_redirect && sign_in::is_navigation(headers, &original.method) {
        let headers = [(header::LOCATION, address), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        return Ok((StatusCode::FOUND, headers).into_response());
    }
    Err(sign_in::refusal(why).header(header::LOCATION, address))
}

/// `?max_age=10m`
fn max_age(uri: &Uri) -> Result<Option<Duration>, Problem> {
    let given = uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("max_age="));
    let parsed = given.map(str::parse::<Period>).transpose();
    parsed.map(|period| period.map(Period::get)).map_err(|err| Problem::of(&problems::BAD_ACCESS).detail(format!("max_age: {err}")))
}

/// `?access=role:admin`
fn rule(uri: &Uri) -> Result<Access, Problem> {
    let given = uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("access="));
    let Some(given) = given else { return Ok(Access::SignedIn) };
    let text = percent_encoding::percent_decode_str(given).decode_utf8_lossy();
    text.parse().map_err(|err: crate::access::BadAccess| Problem::of(&problems::BAD_ACCESS).detail(err.to_string()))
}

async fn identify(gateway: &Gateway, headers: &HeaderMap, original: &Original) -> Result<Option<Arc<Principal>>, Problem> {
    let parts = &gateway.0.parts;
    if let Some(token) = sign_in::bearer(headers) {
        match parts.authenticator.authenticate(Credential::Bearer(token.to_owned())).await {
            Ok(principal) => return Ok(Some(principal)),
            Err(AuthError::Unavailable) => return Err(sign_in::unavailable()),
            Err(AuthError::Invalid | AuthError::Revoked) => {}
        }
    }
    let Some(session) = sign_in::session(headers, parts.session_cookie) else { return Ok(None) };
    sign_in::cookie_may_act(headers, &original.method, original.scheme.as_str(), &original.host)?;
    match parts.authenticator.authenticate(Credential::SessionCookie(session.to_owned())).await {
        Ok(principal) => Ok(Some(principal)),
        Err(AuthError::Unavailable) => Err(sign_in::unavailable()),
        Err(AuthError::Invalid | AuthError::Revoked) => Ok(None),
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

impl Original {
    /// From a trusted proxy: what it says. From anybody else: the request itself, so that nobody learns more than they could ask for.
    fn of(request: &Head) -> Self {
        let headers = &request.headers;
        let meta = request.extensions.get::<RequestMeta>();
        let mut original = Self {
            method: request.method.clone(),
            scheme: meta.map_or(Scheme::Http, |meta| meta.scheme),
            host: meta.map_or_else(String::new, |meta| meta.host.to_string()),
            target: "/".to_owned(),
            may_redirect: !headers.contains_key("x-original-url"),
        };
        if meta.is_none_or(|meta| meta.trusted_peer.is_none()) {
            return original;
        }
        let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).filter(|text| !text.is_empty());
        if let Some(method) = said("x-forwarded-method").or_else(|| said("x-original-method")).and_then(|method| method.parse().ok()) {
            original.method = method;
        }
        if let Some(url) = said("x-original-url").and_then(|url| url.parse::<Uri>().ok()) {
            if url.scheme_str() == Some("https") {
                original.scheme = Scheme::Https;
            }
            if let Some(host) = url.authority() {
                original.host = host.as_str().to_ascii_lowercase();
            }
            original.target = url.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        }
        if let Some(target) = said("x-forwarded-uri") {
            original.target = target.to_owned();
            original.may_redirect = true;
        }
        original
    }
}
