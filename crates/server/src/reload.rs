//! A new configuration for a server that runs: what can change is taken over, the rest is named, and the audit log is told.

use std::sync::Arc;

use baluarte_telemetry::Telemetry;

use crate::{
    config::{self, Config, Inputs, Loaded},
    serve::Running,
};

/// How a secret shows in a configuration that is written out.
const REDACTED: &str = "[redacted]";

/// Takes over what can change while running. An invalid configuration is refused, and the running one stays.
/// `started`: the one that everything else still goes by.
pub(crate) fn reload(inputs: &Inputs, started: &Loaded, current: &Arc<Loaded>, running: &Running, telemetry: &Telemetry) -> Arc<Loaded> {
    let loaded = match config::load(inputs) {
        Ok(loaded) => loaded,
        Err(invalid) => {
            let keys = invalid.0.iter().map(|trouble| trouble.key.clone()).collect();
            running.kit.tasks.spawn(running.life.clone().refused(keys));
            for trouble in &invalid.0 {
                let origin = trouble.origin.as_ref().map(ToString::to_string).unwrap_or_default();
                tracing::error!(target: "server", setting = trouble.key, origin, problem = trouble.problem, "the new configuration is not valid");
            }
            tracing::error!(target: "server", problems = invalid.0.len(), "the new configuration is refused; the running one stays");
            return Arc::clone(current);
        }
    };
    // Limits first: the routes name them.
    running.kit.limits.reload(&loaded.config.limits);
    if let Err(err) = running.gateway.reload(&loaded.config.gateway) {
        running.kit.limits.reload(&current.config.limits);
        running.kit.tasks.spawn(running.life.clone().refused(vec!["gateway".to_owned()]));
        tracing::error!(target: "server", error = %err, "the new routes are refused; the running ones stay");
        return Arc::clone(current);
    }
    running.identity.set_route_scopes(loaded.config.gateway.scopes());
    if let Err(err) = telemetry.set_level(&loaded.config.telemetry.log_level) {
        tracing::error!(target: "server", error = %err, "the log level stays as it was");
    }
    for notice in &loaded.notices {
        tracing::warn!(target: "server", "{notice}");
    }
    let waiting = needs_restart(started, &loaded);
    if waiting.is_empty() {
        tracing::info!(target: "server", "configuration reloaded: routes, limits and log level are new, nothing waits for a restart");
    } else {
        tracing::info!(
            target: "server", waiting = waiting.join(", "),
            "configuration reloaded: routes, limits and log level are new, what is under `waiting` needs a restart"
        );
    }
    let keys = current.tree.changed(&loaded.tree).iter().map(ToString::to_string).collect();
    running.kit.tasks.spawn(running.life.clone().reloaded(keys, waiting));
    Arc::new(loaded)
}

/// The sections that changed and that are read only at the start.
fn needs_restart(old: &Loaded, new: &Loaded) -> Vec<String> {
    let at_start = |config: &Config| {
        let mut sections = serde_json::to_value(config).ok()?.as_object()?.clone();
        sections.retain(|name, _| !["gateway", "limits"].contains(&name.as_str()));
        sections.get_mut("telemetry")?.as_object_mut()?.remove("log_level");
        Some(sections)
    };
    let (Some(before), Some(after)) = (at_start(&old.config), at_start(&new.config)) else { return Vec::new() };
    // A secret looks the same whatever it is; what was written differs.
    let written = old.tree.changed(&new.tree);
    let holds_changed_secret = |name: &str| {
        let mut inside = written.iter().filter(|path| path.section() == Some(name));
        inside.any(|path| path.find(&after).is_some_and(|value| value.to_string().contains(REDACTED)))
    };
    let differs = |name: &str, value: &serde_json::Value| before.get(name) != Some(value) || holds_changed_secret(name);
    after.iter().filter(|(name, value)| differs(name, value)).map(|(name, _)| name.clone()).collect()
}
