//! What calls other programs: HTTP jobs and webhooks, wired from configuration.

use anyhow::Context as _;
use baluarte_component::{Component, Kit};
use baluarte_jobs::http_job::{Courier, Endpoints, HttpJobs, Parts};
use baluarte_secrets::Secrets;
use baluarte_webhooks::Webhooks;

use crate::config::Config;

/// Whom jobs and webhooks may call, and with which secrets they sign.
pub(crate) fn endpoints(secrets: Secrets, config: &Config) -> Endpoints {
    let upstreams = config.gateway.upstreams.iter().map(|(name, upstream)| (name.clone(), upstream.servers.clone())).collect();
    Endpoints::new(&config.jobs.endpoints, &upstreams, secrets)
}

/// Both, as components. Call it on the control runtime.
pub(crate) fn components(kit: &Kit, config: &Config) -> anyhow::Result<[Component; 2]> {
    // The rest of the workers is for everybody else.
    let at_once = (config.jobs.concurrency as usize * 2 / 3).max(1);
    let courier = Courier::new(config.jobs.allow_private_targets, at_once, kit.clock.clone(), kit.metrics.clone())
        .context("the client that calls receivers")?;
    let http = HttpJobs::new(Parts {
        jobs: kit.jobs.clone(),
        db: kit.db.clone(),
        audit: kit.audit.clone(),
        endpoints: endpoints(kit.secrets.clone(), config),
        courier,
        schedules: config.jobs.schedules.clone(),
    });
    let webhooks = Webhooks::new(baluarte_webhooks::Parts {
        config: config.webhooks.clone(),
        db: kit.db.clone(),
        audit: kit.audit.clone(),
        jobs: kit.jobs.clone(),
        http: http.clone(),
        secrets: kit.secrets.clone(),
        metrics: kit.metrics.clone(),
    });
    Ok([
        Component {
            jobs: http.registry().context("jobs.schedules")?.merge(kit.jobs.registry()),
            api: http.routes(),
            ..Component::named("jobs")
        },
        Component { jobs: webhooks.registry(), api: webhooks.routes(), ..Component::named("webhooks") },
    ])
}
