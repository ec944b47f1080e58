//! The table of contents of the product: what it consists of, and what each part is made of.

use std::sync::Arc;

use anyhow::Context as _;
use baluarte_audit::Calls;
use baluarte_component::{Component, Kit};
use baluarte_db::Migrations;
use baluarte_gateway::Gateway;
use baluarte_identity::Identity;
use baluarte_jobs::{Operator, Registry, Subscription};
use baluarte_kernel::{Authenticator, Entitlements, FreeForAll, Locale, Timestamp};
use baluarte_notify::Message;
use baluarte_web::{Catalogue, ProblemDoc};

use crate::{config::Config, deep, lifecycle, outgoing};

/// The tables of all components. Applied in this order, before anything is built.
pub(crate) const MIGRATIONS: &[Migrations] = &[
    baluarte_audit::MIGRATIONS,
    baluarte_jobs::MIGRATIONS,
    baluarte_webhooks::MIGRATIONS,
    baluarte_notify::MIGRATIONS,
    baluarte_identity::MIGRATIONS,
    lifecycle::MIGRATIONS,
];

/// Which events become which jobs, of all components.
pub(crate) fn subscriptions() -> impl Iterator<Item = Subscription> {
    const LISTS: &[&[Subscription]] = &[baluarte_webhooks::SUBSCRIPTIONS, baluarte_notify::SUBSCRIPTIONS, &[baluarte_jobs::SUBSCRIPTION]];
    LISTS.iter().copied().flatten().copied()
}

/// Every problem code of the product.
pub(crate) fn catalogue() -> Catalogue {
    const LISTS: &[&[&ProblemDoc]] = &[
        baluarte_identity::PROBLEMS,
        baluarte_gateway::problems::PROBLEMS,
        baluarte_edge::problems::PROBLEMS,
        baluarte_limits::PROBLEMS,
        baluarte_audit::PROBLEMS,
        baluarte_jobs::PROBLEMS,
        baluarte_jobs::http_job::PROBLEMS,
        baluarte_webhooks::PROBLEMS,
        baluarte_notify::PROBLEMS,
    ];
    Catalogue::new(LISTS)
}

/// What the product consists of.
pub(crate) struct Product {
    /// Who does the jobs of all components.
    pub(crate) registry: Registry,
    pub(crate) components: Vec<Component>,
    pub(crate) gateway: Gateway,
    pub(crate) identity: Identity,
    /// What the gateway records for the audit log.
    pub(crate) calls: Calls,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) entitlements: Arc<dyn Entitlements>,
}

/// Builds every component. The tables are there.
pub(crate) async fn build(kit: &Kit, config: &Config) -> anyhow::Result<Product> {
    let entitlements = entitlements(config);
    let identity = identity(kit, config).await?;
    let authenticator = identity.authenticator();
    let calls = Calls::new(&config.audit.calls);
    let parts = baluarte_gateway::Parts::from_kit(
        kit,
        calls.clone(),
        &config.server.own_host,
        Arc::clone(&authenticator),
        Arc::clone(&entitlements),
    );
    let gateway = Gateway::new(&config.gateway, parts).context("gateway")?;
    identity.set_route_scopes(config.gateway.scopes());
    let [http_jobs, webhooks] = outgoing::components(kit, config)?;
    // It knows no components, being below them.
    let jobs = kit.audit.periodic().into_iter().fold(Registry::default(), Registry::periodic);
    let audit = Component { api: kit.audit.routes(), jobs, ..Component::named("audit") };
    let server = Component { api: deep::routes(kit, &config.notify.operator_email), ..Component::named("server") };
    let mut components = vec![server, notify(kit), identity.component(), gateway.component(), http_jobs, webhooks, audit];
    let registry = components.iter_mut().map(|component| std::mem::take(&mut component.jobs)).fold(Registry::default(), Registry::merge);
    // Last, because the operator's view of the queue is about everybody's jobs.
    let operator = Operator::new(kit.jobs.clone(), kit.audit.clone(), registry.clone());
    components.push(Component { api: operator.routes(), ..Component::named("jobs") });
    Ok(Product { registry, components, gateway, identity, calls, authenticator, entitlements })
}

/// Notify lies beneath the floor of components.
fn notify(kit: &Kit) -> Component {
    Component { api: baluarte_notify::routes(kit.notify.clone()), jobs: kit.notify.registry(), ..Component::named("notify") }
}

/// Every message of the product, with made-up values: to look at.
pub(crate) fn samples(public_url: &str, brand: &str, locale: Locale, now: Timestamp) -> Vec<Message> {
    baluarte_identity::samples(public_url, brand, locale, now)
}

/// Identity alone, for the operator's commands.
pub(crate) async fn identity(kit: &Kit, config: &Config) -> anyhow::Result<Identity> {
    Identity::start(kit, &config.identity, entitlements(config)).await.context("identity")
}

/// Until billing exists everybody is on the plan `free`.
fn entitlements(config: &Config) -> Arc<dyn Entitlements> {
    Arc::new(FreeForAll::new(config.billing.ranks()))
}
