//! The application behind the own surface: all components' routes in one router, with its documentation.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use baluarte_component::Kit;
use baluarte_web::{Site, openapi};
use http::header;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::{
    components::{self, Product},
    config::Config,
    health::Health,
    stack::{self, Stack},
};

/// The whole own surface with its stack around it.
pub(crate) fn router(kit: &Kit, config: &Config, product: &mut Product, draining: CancellationToken) -> Router {
    let parts = std::mem::take(&mut product.components);
    let mut api = OpenApiRouter::with_openapi(base(config.server.public_url.as_str()));
    let mut pages = baluarte_web::page_routes(components::catalogue());
    let mut checks = Vec::new();
    for component in parts {
        api = api.merge(component.api);
        pages = pages.merge(component.pages);
        checks.extend(component.health);
    }
    let health = Health::new(kit.db.clone(), kit.backplane.clone(), kit.notify.clone(), checks, draining);
    // Only its documentation: the route itself is among the probes.
    let documented = health.documented().into_openapi();
    let (api, mut document) = api.split_for_parts();
    document.merge(documented);
    let routes = api.merge(pages).merge(documentation(document));
    let site = Site::new(&config.web, config.server.public_url.as_str());
    let stack = Stack::new(stack::Inner {
        site,
        clock: kit.clock.clone(),
        authenticator: Arc::clone(&product.authenticator),
        entitlements: Arc::clone(&product.entitlements),
        limits: kit.limits.clone(),
        anonymous_limit: kit.limits.resolve("api"),
        user_limit: kit.limits.resolve("user"),
        session_cookie: if kit.secure_cookies { "__Host-baluarte" } else { "baluarte" },
        time_limit: config.server.request_timeout.get().min(Duration::from_secs(600)),
        body_limit: usize::try_from(config.server.body_limit.get()).unwrap_or(usize::MAX),
        in_flight: Semaphore::new(config.server.max_in_flight as usize),
    });
    stack.around(routes, health.probes())
}

fn base(public_url: &str) -> OpenApi {
    openapi::base("Baluarte", env!("CARGO_PKG_VERSION"), public_url)
}

/// `/openapi.json`, and `/docs`, which needs nothing from anywhere else.
fn documentation(document: OpenApi) -> Router {
    let text: Arc<str> = serde_json::to_string(&document).unwrap_or_default().into();
    Router::new()
        .route("/openapi.json", get(openapi_json))
        .with_state(text)
        .merge(SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json")))
}

async fn openapi_json(State(text): State<Arc<str>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text.to_string())
}
