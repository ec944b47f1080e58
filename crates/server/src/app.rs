//! The application behind the own surface: all components' routes in one router, with its documentation.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use baluarte_component::{Check, Component, Kit, Tasks};
use baluarte_kernel::{Clock, Ctx, Secret};
use baluarte_web::{Site, openapi};
use http::header;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    components::{self, Product},
    config::Config,
    health::{self, Health},
    outbox,
    private::TemporaryFolder,
    stack::{self, Stack},
    start,
};

/// The whole own surface with its stack around it.
pub(crate) fn router(kit: &Kit, config: &Config, product: &mut Product, draining: CancellationToken) -> Router {
    let Parts { routes, document, checks } = assemble(std::mem::take(&mut product.components), config.server.public_url.as_str());
    let health = Health::new(kit.db.clone(), kit.backplane.clone(), kit.notify.clone(), checks, draining);
    let mut routes = routes.merge(documentation(&document));
    if config.notify.dev_outbox == Some(true) {
        routes = routes.merge(outbox::routes(kit));
    }
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

/// What the components' parts make together.
struct Parts {
    routes: Router,
    document: OpenApi,
    checks: Vec<Check>,
}

fn assemble(components: Vec<Component>, public_url: &str) -> Parts {
    let mut api = OpenApiRouter::with_openapi(openapi::base("Baluarte", env!("CARGO_PKG_VERSION"), public_url));
    let mut pages = baluarte_web::page_routes(components::catalogue());
    let mut checks = Vec::new();
    for component in components {
        api = api.merge(component.api);
        pages = pages.merge(component.pages);
        checks.extend(component.health);
    }
    let (api, mut document) = api.split_for_parts();
    // Only the documentation: the route itself is among the probes.
    document.merge(health::documentation());
    openapi::complete(&mut document, &TAGS);
    Parts { routes: api.merge(pages), document, checks }
}

/// What the operations are grouped by: the component that answers.
const TAGS: [(&str, &str); 7] = [
    ("server", "Is it there, and is everything it needs there?"),
    ("identity", "Accounts, sessions, second factors, API keys, and who is calling."),
    ("gateway", "What the gateway decides, asked by another proxy."),
    ("jobs", "Work that outlives a request: calls to other programs, schedules, the queue."),
    ("notify", "Messages to people, and what their providers report."),
    ("webhooks", "What other programs are told, and what became of it."),
    ("audit", "What happened, in a chain that nobody can quietly change."),
];

/// The document of this version, whatever its configuration: built from a product on a database that nobody needs.
pub(crate) async fn document() -> anyhow::Result<OpenApi> {
    let folder = TemporaryFolder::create("openapi")?;
    let mut config = Config::default();
    config.database.url = Secret::new(format!("sqlite:{}", folder.path().join("openapi.db").display()));
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let kit = start::open(&config, &Ctx::system(Clock::System), tasks.clone()).await?;
    let product = components::build(&kit, &config).await?;
    let document = assemble(product.components, "/").document;
    tasks.stop().await;
    kit.db.close().await;
    Ok(document)
}

/// `/openapi.json`, and `/docs`, which needs nothing from anywhere else, in words for people and for language models.
fn documentation(document: &OpenApi) -> Router {
    let text: Arc<str> = serde_json::to_string(document).unwrap_or_default().into();
    let reference = baluarte_web::docs_routes(Arc::clone(&text));
    Router::new()
        .route("/openapi.json", get(openapi_json))
        .route("/docs/llms.txt", get(|| async { LLMS }))
        // Where language models look for it. Ours only on a host of our own: elsewhere it is the app's.
        .route("/llms.txt", get(|| async { LLMS }))
        .with_state(text)
        .merge(reference)
}

async fn openapi_json(State(text): State<Arc<str>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text.to_string())
}

/// The form that llmstxt.org describes: what is here, and where to read on.
const LLMS: &str = "# Baluarte

> Accounts, sign-in, access rules, rate limits and identity headers in front of an app.

- JSON over HTTP. Errors are RFC 9457 problems: switch on `code`, never on text.
- Authenticate with `Authorization: Bearer <access token>`, from `POST /api/v1/auth/login`; refresh with `POST /api/v1/auth/refresh`.
- Lists are pages: `?limit=&cursor=`, answered with `items` and `next_cursor`. Times are RFC 3339 in UTC.
- A 429 says in `Retry-After` when to come back; `RateLimit` says what is left.

## Reference

- [OpenAPI 3.1](/openapi.json): every operation, its parameters and answers
- [Reference for people](/docs)
- [Problem codes](/problems/): what each means and what to do
";
