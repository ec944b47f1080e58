//! The configuration: flags over environment over `.env` over the TOML file over defaults; all findings at once.

mod billing;
mod compact;
mod env;
mod example;
mod file;
mod production;
mod reserved;
mod rules;
mod schema;
mod server;
mod show;
mod sources;
mod tree;
mod values;

use std::{
    fmt,
    path::{Path as FilePath, PathBuf},
};

use baluarte_audit::AuditConfig;
use baluarte_backplane::ClusterConfig;
use baluarte_db::DatabaseConfig;
use baluarte_edge::EdgeConfig;
use baluarte_gateway::GatewayConfig;
use baluarte_identity::IdentityConfig;
use baluarte_jobs::JobsConfig;
use baluarte_kernel::Findings;
use baluarte_limits::LimitsConfig;
use baluarte_notify::NotifyConfig;
use baluarte_telemetry::TelemetryConfig;
use baluarte_web::WebConfig;
use baluarte_webhooks::WebhooksConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use billing::{BillingConfig, PlanConfig};
use compact::Compact;
pub use example::example;
pub use schema::Schema;
pub use server::{SecretsConfig, ServerConfig};
pub use show::{Effective, effective};
pub use tree::{Origin, Tree};
pub use values::{ListenAddr, Network, PublicUrl};

/// Everything that can be configured. Each section belongs to the component of the same name.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `development`, or `production`, which refuses to start insecurely.
    pub environment: Environment,
    /// How the server listens and what it believes.
    pub server: ServerConfig,
    /// What all other keys are derived from.
    pub secrets: SecretsConfig,
    /// Where everything is stored.
    pub database: DatabaseConfig,
    /// What replicas share.
    pub cluster: ClusterConfig,
    /// How HTTP comes in.
    pub edge: EdgeConfig,
    /// Where requests go: upstreams and routes.
    pub gateway: GatewayConfig,
    /// Named rate limits; the built-in ones exist without being listed and can be replaced by name.
    pub limits: LimitsConfig,
    /// Accounts, sessions and passwords.
    pub identity: IdentityConfig,
    /// Work that outlives a request.
    pub jobs: JobsConfig,
    /// What other programs are told.
    pub webhooks: WebhooksConfig,
    /// What happened, in a chain that nobody can quietly change.
    pub audit: AuditConfig,
    /// Messages to people.
    pub notify: NotifyConfig,
    /// Logs.
    pub telemetry: TelemetryConfig,
    /// How pages present themselves.
    pub web: WebConfig,
    /// Plans, so that routes may ask for one.
    pub billing: BillingConfig,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    #[default]
    Development,
    Production,
}

/// Where to look for configuration.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    pub file: PathBuf,
    /// The file was named on the command line: it has to exist.
    pub file_required: bool,
    /// Variables that count less than the process's own.
    pub dotenv: PathBuf,
    pub dotenv_required: bool,
    /// The process's environment.
    pub environment: Vec<(String, String)>,
    /// Flag, key, value: `("--listen", "server.listen", "127.0.0.1:0")`.
    pub flags: Vec<(String, String, String)>,
}

/// A valid configuration and how it came about.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub tree: Tree,
    /// Worth a line in the log: nothing is wrong, something is not used.
    pub notices: Vec<String>,
}

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Where the value was written; absent when nobody wrote one.
    pub origin: Option<Origin>,
    pub key: String,
    pub problem: String,
}

/// Why a configuration is not valid: everything at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(pub Vec<Trouble>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let things = if self.0.len() == 1 { "one problem".to_owned() } else { format!("{} problems", self.0.len()) };
        writeln!(f, "the configuration has {things}:")?;
        for trouble in &self.0 {
            match &trouble.origin {
                Some(origin) => writeln!(f, "  {origin}: {}: {}", trouble.key, trouble.problem)?,
                None => writeln!(f, "  {}: {}", trouble.key, trouble.problem)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// Reads all layers and checks them. Production's refusals count as problems.
pub fn load(inputs: &Inputs) -> Result<Loaded, Invalid> {
    let schema = Schema::of::<Config>();
    let mut layers = Layers {
        tree: Tree::new(),
        troubles: Vec::new(),
        report: env::Report::default(),
        secret_files: Vec::new(),
        variables: inputs.environment.clone(),
        unread: Vec::new(),
    };
    layers.read_file(inputs);
    layers.read_dotenv(&schema, inputs);
    let process = env::Layer { variables: inputs.environment.clone(), origin: |name| Origin::Env { name: name.to_owned() } };
    env::read(&mut layers.tree, &schema, &process, &mut layers.report);
    for (flag, key, value) in &inputs.flags {
        env::set_flag(&mut layers.tree, &schema, flag, key, value, &mut layers.report);
    }
    layers.read_sources(&schema, &inputs.file);
    layers.finish(&schema)
}

struct Layers {
    tree: Tree,
    troubles: Vec<Trouble>,
    report: env::Report,
    /// Files that hold secrets when they were read.
    secret_files: Vec<PathBuf>,
    /// What `env:NAME` may name; the process's own come first.
    variables: Vec<(String, String)>,
    /// Sections that could not be read.
    unread: Vec<String>,
}

impl Layers {
    /// `line`: none where the whole file is meant.
    fn trouble(&mut self, path: &FilePath, line: Option<usize>, problem: String) {
        let path = path.to_owned();
        let origin = line.map_or(Origin::WholeFile { path: path.clone() }, |line| Origin::File { path, line });
        self.troubles.push(Trouble { origin: Some(origin), key: "the file".to_owned(), problem });
    }

    fn read_file(&mut self, inputs: &Inputs) {
        match std::fs::read_to_string(&inputs.file) {
            Ok(text) => {
                if let Err((line, problem)) = file::read(&mut self.tree, &inputs.file, &text) {
                    self.trouble(&inputs.file, Some(line), format!("not valid TOML: {problem}"));
                }
            }
            Err(err) if err.kind() == std::io::ErrorKind::NotFound && !inputs.file_required => {}
            Err(err) => self.trouble(&inputs.file, None, format!("cannot be read: {err}")),
        }
    }

    fn read_dotenv(&mut self, schema: &Schema, inputs: &Inputs) {
        let text = match std::fs::read_to_string(&inputs.dotenv) {
            Ok(text) => text,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound && !inputs.dotenv_required => return,
            Err(err) => return self.trouble(&inputs.dotenv, None, format!("cannot be read: {err}")),
        };
        self.secret_files.push(inputs.dotenv.clone());
        match env::parse_dotenv(&text) {
            Ok(variables) => {
                self.variables.extend(variables.iter().cloned());
                // A variable of the process replaces the one in the file, `NAME` and `NAME_FILE` alike.
                let base = |name: &str| name.strip_suffix("_FILE").unwrap_or(name).to_owned();
                let replaced = |name: &str| inputs.environment.iter().any(|(held, _)| base(held) == base(name));
                let variables = variables.into_iter().filter(|(name, _)| !replaced(name)).collect();
                let layer = env::Layer { variables, origin: |name| Origin::DotEnv { name: name.to_owned() } };
                env::read(&mut self.tree, schema, &layer, &mut self.report);
            }
            Err((line, problem)) => self.trouble(&inputs.dotenv, Some(line), problem),
        }
    }

    /// After all layers, so that only what is in force is looked up.
    fn read_sources(&mut self, schema: &Schema, file: &FilePath) {
        let folder = file.parent().unwrap_or_else(|| FilePath::new(""));
        let variables = &self.variables;
        let variable = |name: &str| variables.iter().find(|(held, _)| held == name).map(|(_, value)| value.clone());
        let read = sources::read(&mut self.tree, schema, folder, variable);
        self.report.value_files.extend(read.files);
        for (at, problem) in read.troubles {
            let key = at.to_string();
            self.troubles.push(Trouble { origin: self.tree.origin(&key).cloned(), key, problem });
            self.tree.remove(&at);
        }
    }

    fn finish(mut self, schema: &Schema) -> Result<Loaded, Invalid> {
        for trouble in std::mem::take(&mut self.report.troubles) {
            self.troubles.push(Trouble { origin: Some(trouble.origin), key: trouble.key, problem: trouble.problem });
        }
        let reserved = reserved::take_out(&mut self.tree);
        for mismatch in schema.check(self.tree.root()) {
            let key = mismatch.at.to_string();
            self.troubles.push(Trouble { origin: self.tree.origin(&key).cloned(), key, problem: mismatch.problem });
            // Out with it, so that the sections can be read and checked as far as they are right.
            self.tree.remove(&mismatch.at);
        }
        let config = self.sections();
        let mut notices: Vec<String> = Vec::new();
        for found in reserved {
            if config.environment == Environment::Production {
                let problem = "not in this version; nothing of it takes effect, and production does not pretend: remove it".to_owned();
                self.troubles.push(Trouble { origin: found.origin, key: found.key, problem });
            } else {
                notices.push(found.notice());
            }
        }
        self.check_rules(&config, schema);
        if !self.troubles.is_empty() {
            return Err(Invalid(self.troubles));
        }
        notices.extend(self.report.unused.iter().map(|name| format!("{name} is set, and this version has no use for it")));
        Ok(Loaded { config, tree: self.tree, notices })
    }

    fn check_rules(&mut self, config: &Config, schema: &Schema) {
        let mut findings = Findings::default();
        if config.environment == Environment::Production {
            self.secret_files.extend(std::mem::take(&mut self.report.value_files));
            self.add_config_file_if_it_holds_secrets(schema);
        }
        let rules = rules::Rules { config, tree: &self.tree, unread: &self.unread };
        rules.check(&mut findings);
        if config.environment == Environment::Production {
            rules.refuse_in_production(&self.secret_files, &mut findings);
        }
        let read = Compact::of(self.tree.root(), &tree::Path::default());
        let known: Vec<String> = self.troubles.iter().map(|trouble| trouble.key.clone()).collect();
        for finding in findings.into_vec() {
            let key = read.place(&finding.key);
            // A list is only short, and a value only missing, because something was taken out of it.
            if known.iter().any(|known| known.strip_prefix(&key).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))) {
                continue;
            }
            let origin = self.tree.origin(&key).cloned();
            self.troubles.push(Trouble { origin, key, problem: finding.problem });
        }
    }

    /// Reads every section on its own, so that one that cannot be read does not hide the others.
    fn sections(&mut self) -> Config {
        let mut config = Config {
            environment: self.section("environment"),
            server: self.section("server"),
            secrets: self.section("secrets"),
            database: self.section("database"),
            cluster: self.section("cluster"),
            edge: self.section("edge"),
            gateway: self.section("gateway"),
            limits: self.section("limits"),
            identity: self.section("identity"),
            jobs: self.section("jobs"),
            webhooks: self.section("webhooks"),
            audit: self.section("audit"),
            notify: self.section("notify"),
            telemetry: self.section("telemetry"),
            web: self.section("web"),
            billing: self.section("billing"),
        };
        if !self.has("server", "public_url") {
            config.server.public_url = public_url_of(config.server.listen);
        }
        let outbox = config.keeps_messages_to_itself();
        config.notify.dev_outbox.get_or_insert(outbox);
        config
    }

    /// An address without user and password gives nobody anything.
    fn gives_access(&self, key: &str) -> bool {
        let value = self.tree.get(&tree::Path::keys(key.split('.'))).and_then(serde_json::Value::as_str).unwrap_or_default();
        let address = value.contains("://") || value.starts_with("sqlite:");
        !value.is_empty() && (!address || value.contains('@'))
    }

    fn has(&self, section: &str, key: &str) -> bool {
        self.tree.root().get(section).is_some_and(|section| section.get(key).is_some())
    }

    /// Entries of lists that cannot be read are left out, one after the other, so that they do not hide the rest of the section.
    fn section<T: DeserializeOwned + Default>(&mut self, name: &str) -> T {
        let at = tree::Path::keys([name]);
        loop {
            let Some(value) = self.tree.root().get(name) else { return T::default() };
            let compact = Compact::of(value, &at);
            let err = match serde_path_to_error::deserialize(compact.value.clone()) {
                Ok(section) => return section,
                Err(err) => err,
            };
            let inner = err.path().to_string();
            let key = compact.place(&if inner == "." { name.to_owned() } else { format!("{name}.{inner}") });
            // What was taken out, or was missing, has been reported already.
            if !self.troubles.iter().any(|known| known.key.starts_with(&key)) {
                let origin = self.tree.origin(&key).cloned();
                self.troubles.push(Trouble { origin, key, problem: err.inner().to_string() });
            }
            let entry = compact.path(&at, err.path()).entry();
            if !entry.is_some_and(|entry| self.tree.remove(&entry)) {
                self.unread.push(name.to_owned());
                return T::default();
            }
        }
    }

    fn add_config_file_if_it_holds_secrets(&mut self, schema: &Schema) {
        let secret_keys = schema.secrets();
        let file = self.tree.origins().find_map(|(key, origin)| match origin {
            Origin::File { path, .. } if secret_keys.iter().any(|secret| secret == key) && self.gives_access(key) => Some(path.clone()),
            _ => None,
        });
        self.secret_files.extend(file);
    }
}

impl Config {
    /// On a developer's own machine, without a mail provider, messages are read in the outbox unless somebody says otherwise.
    /// Whatever others could reach has to ask for that: the messages hold links that give access.
    fn keeps_messages_to_itself(&self) -> bool {
        let alone = self.server.listen.0.ip().is_loopback() && self.server.public_url.is_loopback();
        !self.is_production() && alone && !self.notify.sends_mail()
    }

    pub fn is_production(&self) -> bool {
        self.environment == Environment::Production
    }
}

/// Where people on the same machine reach a server that listens there.
fn public_url_of(listen: ListenAddr) -> PublicUrl {
    let addr = listen.0;
    let host = if addr.ip().is_unspecified() { "127.0.0.1".to_owned() } else { addr.ip().to_string() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    format!("http://{host}:{}", addr.port()).parse().unwrap_or_else(|_| ServerConfig::default().public_url)
}

/// The environment of this process.
pub fn process_environment() -> Vec<(String, String)> {
    // Names and values that are not text are nothing that we could mean.
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}
