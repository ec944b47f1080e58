//! The rules that a schema cannot express, over every section that could be read.

use baluarte_gateway::KnownNames;
use baluarte_kernel::Findings;
use baluarte_limits::BUILT_IN_LIMITS;

use super::{Config, Tree, tree::Path};

/// What could be read, and what could not.
pub(super) struct Rules<'a> {
    pub(super) config: &'a Config,
    pub(super) tree: &'a Tree,
    /// Sections that stand in `config` with their defaults, because what is written could not be read.
    pub(super) unread: &'a [String],
}

impl Rules<'_> {
    pub(super) fn check(&self, findings: &mut Findings) {
        let config = self.config;
        // Of what is written, read or not: a name is known also while there is something wrong with what it names.
        let plans = self.names("billing", "plans");
        let upstreams = self.names("gateway", "upstreams");
        let mut limits = self.keys(&Path::keys(["limits"]));
        limits.extend(BUILT_IN_LIMITS);
        limits.sort_unstable();
        limits.dedup();
        let mut check = |section: &str, rules: &dyn Fn(&mut Findings)| {
            if self.is_read(section) {
                rules(findings);
            }
        };
        check("server", &|findings| config.server.validate(findings));
        check("database", &|findings| config.database.validate(findings));
        check("cluster", &|findings| config.cluster.validate(findings));
        check("edge", &|findings| config.edge.validate(findings));
        check("identity", &|findings| config.identity.validate(findings));
        check("jobs", &|findings| config.jobs.validate(&upstreams, findings));
        check("webhooks", &|findings| config.webhooks.validate(findings));
        check("audit", &|findings| config.audit.validate(findings));
        check("notify", &|findings| config.notify.validate(findings));
        check("telemetry", &|findings| config.telemetry.validate(findings));
        check("web", &|findings| config.web.validate(findings));
        check("limits", &|findings| baluarte_limits::validate(&config.limits, findings));
        check("gateway", &|findings| config.gateway.validate(&KnownNames { limits: &limits, plans: &plans }, findings));
        check("billing", &|findings| config.billing.validate(findings));
        if self.is_read("gateway") && self.is_read("limits") {
            for (n, route) in config.gateway.routes.iter().enumerate() {
                baluarte_limits::validate_together(&config.limits, &route.limits, &format!("gateway.routes[{n}].limits"), findings);
            }
        }
        if self.is_read("cluster") && self.is_read("database") && !config.cluster.redis_url.is_empty() && config.database.is_sqlite() {
            findings.add(
                "cluster.redis_url",
                "Redis joins several replicas, and an SQLite file belongs to one: set database.url to PostgreSQL, or leave redis_url empty",
            );
        }
    }

    /// Production's refusals, as far as they do not come from what could not be read.
    pub(super) fn refuse_in_production(&self, secret_files: &[std::path::PathBuf], findings: &mut Findings) {
        let mut refusals = Findings::default();
        super::production::refuse(self.config, secret_files, &mut refusals);
        for refusal in refusals.into_vec() {
            let section = refusal.key.split('.').next().unwrap_or_default();
            // Whether addresses can be verified is known once the mail providers are.
            let depends_on_mail = ["identity.email_verification", "identity.magic_link"].contains(&refusal.key.as_str());
            if self.is_read(section) && (!depends_on_mail || self.is_read("notify")) {
                findings.add(refusal.key, refusal.problem);
            }
        }
    }

    fn is_read(&self, section: &str) -> bool {
        !self.unread.iter().any(|unread| unread == section)
    }

    fn names(&self, section: &str, table: &str) -> Vec<&str> {
        self.keys(&Path::keys([section, table]))
    }

    fn keys(&self, at: &Path) -> Vec<&str> {
        self.tree.get(at).and_then(serde_json::Value::as_object).into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }
}
