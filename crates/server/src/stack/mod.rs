//! What happens to every request to Baluarte's own surface, outermost first. Each step is one function below.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use baluarte_kernel::{Actor, AuthError, Authenticator, Clock, Credential, CredentialKind, Ctx, Entitlements, RequestMeta, UserId};
use baluarte_limits::{LimitId, Limits, Subject};
use baluarte_telemetry::{AccessNote, Surface};
use baluarte_web::{
    Problem, RenderContext, Site, cookie, cross_origin, locale_of, method_not_allowed, not_found,
    problem::{INTERNAL, UNAVAILABLE, render_response},
};
use futures::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, header, uri::PathAndQuery};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

/// What the steps work with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Stack(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) site: Site,
    pub(crate) clock: Clock,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) entitlements: Arc<dyn Entitlements>,
    pub(crate) limits: Limits,
    pub(crate) anonymous_limit: Option<LimitId>,
    pub(crate) user_limit: Option<LimitId>,
    pub(crate) session_cookie: &'static str,
    pub(crate) time_limit: Duration,
    pub(crate) body_limit: usize,
    pub(crate) in_flight: Semaphore,
}

impl Stack {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Puts the steps around the components' routes. `probes` are asked by machines: they skip everything that needs
    /// the database or counts somebody's requests.
    pub(crate) fn around(&self, routes: Router, probes: Router) -> Router {
        let people = routes
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            // Innermost: how often may this caller ask?
            .layer(from_fn_with_state(self.clone(), limit))
            // A cookie acts only for our own pages.
            .layer(from_fn(guard_cookies))
            // Who is calling? Puts the `Ctx` that handlers take.
            .layer(from_fn_with_state(self.clone(), authenticate));
        probes
            .method_not_allowed_fallback(method_not_allowed)
            .merge(people)
            // The largest body that extractors read; the edge bounds what is streamed.
            .layer(DefaultBodyLimit::max(self.0.body_limit))
            // How long it may take, and how many at once.
            .layer(from_fn_with_state(self.clone(), bound))
            // A panic is one answer with status 500, not a lost connection.
            .layer(from_fn(catch_panic))
            // Every log line beneath names the request.
            .layer(from_fn(span))
            // Tells the access log what only the app knows.
            .layer(from_fn(note))
            // Outermost: a problem becomes JSON, or a page for people.
            .layer(from_fn_with_state(self.clone(), render_problems))
    }
}

async fn render_problems(State(Stack(stack)): State<Stack>, mut request: Request, next: Next) -> Response {
    let site = site_for(&stack.site, &request);
    request.extensions_mut().insert(site.clone());
    let headers = negotiation_headers(request.headers());
    let request_id = request.extensions().get::<RequestMeta>().map_or_else(|| Arc::from(""), |meta| Arc::clone(&meta.request_id));
    let again = request.uri().path_and_query().filter(|_| *request.method() == Method::GET).cloned();
    let response = next.run(request).await;
    render_response(response, &RenderContext::of(&headers, &request_id, &site).at(again.as_ref().map(PathAndQuery::as_str)))
}

/// Our own pages are under the public URL, or under the very host that the browser asked for: a page of another site
/// cannot make it ask for that host under that origin.
fn site_for(site: &Site, request: &Request) -> Site {
    let mut site = site.clone();
    if let Some(meta) = request.extensions().get::<RequestMeta>() {
        let asked = format!("{}://{}", meta.scheme.as_str(), meta.host);
        if request.headers().get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().eq_ignore_ascii_case(asked.as_bytes())) {
            site.own_origin = asked.into();
        }
    }
    site
}

/// What rendering asks about the request, which is gone by then.
fn negotiation_headers(from: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in [header::ACCEPT, header::ACCEPT_LANGUAGE, header::COOKIE] {
        for value in from.get_all(&name) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

async fn note(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| Arc::from(path.as_str()));
    let mut response = next.run(request).await;
    let user_id = response.extensions_mut().remove::<Caller>().map(|Caller(user_id)| user_id);
    response.extensions_mut().insert(AccessNote { surface: Surface::App, route, user_id, ..AccessNote::default() });
    response
}

/// Who called, on the way to the access log.
#[derive(Debug, Clone)]
struct Caller(UserId);

async fn span(request: Request, next: Next) -> Response {
    let request_id = request.extensions().get::<RequestMeta>().map(|meta| Arc::clone(&meta.request_id)).unwrap_or_default();
    let span = tracing::info_span!(target: "server", "request", %request_id, method = %request.method(), path = request.uri().path());
    next.run(request).instrument(span).await
}

async fn catch_panic(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
            tracing::error!(target: "server", panic = text.as_deref().unwrap_or("no text"), "a handler panicked");
            Problem::of(&INTERNAL).into_response()
        }
    }
}

async fn bound(State(Stack(stack)): State<Stack>, request: Request, next: Next) -> Response {
    let Ok(_place) = stack.in_flight.try_acquire() else {
        return Problem::of(&UNAVAILABLE)
            .detail("too many requests are being worked on")
            .retry_after(Duration::from_secs(1))
            .into_response();
    };
    match tokio::time::timeout(stack.time_limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!(target: "server", limit_ms = stack.time_limit.as_millis(), "a request took too long and was given up");
            Problem::of(&UNAVAILABLE).detail("the request took too long").retry_after(Duration::from_secs(5)).into_response()
        }
    }
}

async fn authenticate(State(Stack(stack)): State<Stack>, mut request: Request, next: Next) -> Response {
    let mut actor = Actor::Anonymous;
    let mut rejected = false;
    if let Some(credential) = credential(request.headers(), stack.session_cookie) {
        let bearer = matches!(credential, Credential::Bearer(_));
        match stack.authenticator.authenticate(credential).await {
            Ok(principal) => actor = Actor::User(principal),
            // A stale cookie must not keep anybody from the sign-in page, nor a stale token from being refreshed.
            Err(AuthError::Invalid | AuthError::Revoked) => rejected = bearer,
            Err(AuthError::Unavailable) => return Problem::of(&UNAVAILABLE).retry_after(Duration::from_secs(5)).into_response(),
        }
    }
    let user = match &actor {
        Actor::User(principal) => Some(principal.user_id),
        Actor::Anonymous | Actor::Operator | Actor::System => None,
    };
    let ctx = Ctx {
        clock: stack.clock.clone(),
        actor,
        locale: locale_of(request.headers()),
        request: request.extensions().get::<RequestMeta>().cloned(),
        user_agent: request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(|text| clip(text, 500).into()),
    };
    request.extensions_mut().insert(ctx);
    let mut response = next.run(request).await;
    if let Some(user) = user {
        response.extensions_mut().insert(Caller(user));
    }
    if rejected
        && let Some(problem) = response.extensions_mut().get_mut::<Problem>()
        && problem.status == http::StatusCode::UNAUTHORIZED
    {
        // RFC 6750: the client learns that its token was looked at, and refreshes it.
        problem.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
    }
    response
}

/// The header goes before the cookie: a program that sends both means the token.
fn credential(headers: &HeaderMap, session_cookie: &str) -> Option<Credential> {
    if let Some(value) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok())
        && let Some((scheme, token)) = value.split_once(' ')
        && scheme.eq_ignore_ascii_case("bearer")
    {
        return Some(Credential::Bearer(token.trim().to_owned()));
    }
    cookie(headers, session_cookie).map(|value| Credential::SessionCookie(value.to_owned()))
}

async fn guard_cookies(request: Request, next: Next) -> Response {
    let by_cookie = request
        .extensions()
        .get::<Ctx>()
        .is_some_and(|ctx| matches!(&ctx.actor, Actor::User(principal) if principal.credential == CredentialKind::SessionCookie));
    let own_origin = request.extensions().get::<Site>().map_or("", |site| &site.own_origin);
    if by_cookie && let Err(problem) = cross_origin(request.headers(), request.method(), own_origin) {
        return problem.into_response();
    }
    next.run(request).await
}

async fn limit(State(Stack(stack)): State<Stack>, request: Request, next: Next) -> Response {
    let Some((ctx, ip)) = request.extensions().get::<Ctx>().and_then(|ctx| Some((ctx, ctx.client_ip()?))) else {
        return next.run(request).await;
    };
    let path = request.uri().path();
    let plan;
    let key = ctx.principal().and_then(|principal| principal.key_id).map(|id| id.to_string());
    let mut subject = Subject { api_key: key.as_deref(), ..Subject::anonymous(ip) };
    let wanted = match &ctx.actor {
        // Counted once for each picture of somebody's page, it would shut them out of everything.
        _ if path == baluarte_gateway::VERIFY => None,
        Actor::User(principal) => {
            plan = stack.entitlements.plan_of(principal.user_id);
            subject = Subject { user: Some(principal.user_id), plan: &plan.name, user_rate: plan.rate, ..subject };
            stack.user_limit
        }
        // Providers report many messages from few addresses, and prove who they are.
        _ if path.starts_with(baluarte_notify::CALLBACKS) => None,
        _ if path.starts_with("/api/v1/") => stack.anonymous_limit,
        _ => None,
    };
    let Some(limit) = wanted.filter(|_| *request.method() != Method::OPTIONS) else { return next.run(request).await };
    match stack.limits.check(&[limit], &subject).await.into_result() {
        Ok(fields) => {
            let mut response = next.run(request).await;
            // A limit of the endpoint itself, such as `login`, tells more than the general one.
            if !response.headers().contains_key("ratelimit") {
                fields.write(response.headers_mut());
            }
            response
        }
        Err(problem) => problem.into_response(),
    }
}

/// At most so many bytes, cut between characters.
fn clip(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests;
