//! From a valid configuration to a kit: tables up to date, pools open, replicas joined.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context as _, bail};
use baluarte_audit::{AnchorMail, Audit, Mailer};
use baluarte_backplane::Backplane;
use baluarte_component::{Kit, Tasks};
use baluarte_db::{Db, DbError, Tx};
use baluarte_jobs::Jobs;
use baluarte_kernel::{BoxFuture, Clock, Ctx, Secret};
use baluarte_limits::Limits;
use baluarte_notify::{Channel, Message, Notify, Parts};
use baluarte_outbound::{Outbound, Policy};
use baluarte_secrets::Secrets;
use baluarte_telemetry::Metrics;
use tokio::time::Instant;

use crate::{components, config::Config, lifecycle, private};

/// How long a database may take to appear: containers of one installation start together.
pub(crate) const DATABASE_PATIENCE: Duration = Duration::from_secs(30);
const DATABASE_RETRY: Duration = Duration::from_millis(500);

/// Brings the schema up to date; waits for a database that is still starting. Returns the steps applied.
async fn migrate(config: &Config, clock: &Clock, patience: Duration) -> anyhow::Result<Vec<String>> {
    until_reachable(config, patience, || Db::migrate(&config.database, clock, components::MIGRATIONS)).await
}

/// Brings the schema up to date for an operator, and records that.
pub(crate) async fn migrate_alone(config: &Config, patience: Duration) -> anyhow::Result<Vec<String>> {
    let ctx = Ctx::operator(Clock::System);
    let steps = migrate(config, &ctx.clock, patience).await?;
    if !steps.is_empty() {
        let db = Db::open(&config.database).await?;
        let audit = Audit::start(&config.audit, baluarte_audit::Parts::new(&db, &secrets(config)?, &ctx.clock)).await.context("audit")?;
        lifecycle::migrated(&ctx, &db, &audit, &steps).await.context("audit")?;
        db.close().await;
    }
    Ok(steps)
}

/// Everything that components may use, for whoever `ctx` names: what is done to the tables is recorded as theirs.
pub(crate) async fn open(config: &Config, ctx: &Ctx, tasks: Tasks) -> anyhow::Result<Kit> {
    let clock = ctx.clock.clone();
    let steps = migrate(config, &clock, DATABASE_PATIENCE).await?;
    let db = until_reachable(config, DATABASE_PATIENCE, || Db::open(&config.database)).await?;
    let backplane = Backplane::connect(&config.cluster, clock.clone()).await.context("cluster.redis_url")?;
    let secrets = secrets(config)?;
    let limits = Limits::new(&config.limits, backplane.clone(), &secrets.keyed_hash("limits.subject", b""));
    let jobs = Jobs::new(&config.jobs, db.clone(), backplane.clone(), secrets.clone(), clock.clone(), components::subscriptions());
    let outbound = Outbound::new(Policy::default()).context("the client for calls to the outside")?;
    let anchor_mails = Arc::new(AnchorMails::default());
    let parts = baluarte_audit::Parts {
        outbound: Some(outbound.clone()),
        mailer: Some(Arc::clone(&anchor_mails) as Arc<dyn Mailer>),
        ..baluarte_audit::Parts::new(&db, &secrets, &clock)
    };
    let audit = Audit::start(&config.audit, parts).await.context("audit")?;
    lifecycle::migrated(ctx, &db, &audit, &steps).await.context("audit")?;
    let public_url: Arc<str> = Arc::from(config.server.public_url.as_str());
    let parts = Parts {
        db: db.clone(),
        jobs: jobs.clone(),
        audit: audit.clone(),
        secrets: secrets.clone(),
        clock: clock.clone(),
        public_url: Arc::clone(&public_url),
    };
    let notify = Notify::new(&config.notify, parts).context("notify")?;
    // Nobody has filled it before: it was made a few lines above.
    let _ = anchor_mails.0.set(notify.clone());
    Ok(Kit {
        audit,
        jobs,
        notify,
        db,
        backplane,
        outbound,
        secrets,
        limits,
        metrics: Metrics::default(),
        clock,
        tasks,
        public_url,
        brand: Arc::from(config.web.brand.trim()),
        secure_cookies: config.server.secure_cookies(),
    })
}

/// The audit log's checkpoints as mails. Notify records what it does in the audit log, so that one is made first and learns of this
/// one afterwards.
#[derive(Default)]
struct AnchorMails(OnceLock<Notify>);

impl Mailer for AnchorMails {
    fn mail<'a>(&'a self, ctx: &'a Ctx, tx: &'a Tx, mail: AnchorMail) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let Some(notify) = self.0.get().filter(|notify| notify.delivers(Channel::Email)) else {
                return Err("no mail provider is configured".to_owned());
            };
            let message = Message {
                channel: Channel::Email,
                to: mail.to,
                locale: ctx.locale,
                subject: mail.subject,
                text: mail.text,
                html: None,
                kind: "audit.checkpoint",
                // Later ones cover it.
                useful_until: ctx.now().plus(Duration::from_secs(7 * 86_400)),
                about: None,
            };
            notify.send(ctx, tx, message).await.map(drop).map_err(|err| err.to_string())
        })
    }
}

async fn until_reachable<T, F>(config: &Config, patience: Duration, mut attempt: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, DbError>>,
{
    let deadline = Instant::now() + patience;
    let mut told = false;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(DbError::Unavailable(why)) if Instant::now() < deadline => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(target: "db", place = config.database.place(), error = %why, "waiting for the database");
                }
                tokio::time::sleep(DATABASE_RETRY).await;
            }
            Err(err) => {
                let place = config.database.place();
                let err = anyhow::Error::new(err);
                // Most of these errors name the place themselves.
                return Err(if format!("{err:#}").contains(&place) { err } else { err.context(format!("database {place}")) });
            }
        }
    }
}

/// Everything derived from `SECRET_KEY`.
pub(crate) fn secrets(config: &Config) -> anyhow::Result<Secrets> {
    Ok(Secrets::new(&secret_key(config)?, &config.secrets.password_salt))
}

/// The configured key; in development, one that is made up at the first start and kept.
fn secret_key(config: &Config) -> anyhow::Result<Secret> {
    if !config.secrets.secret_key.is_empty() {
        return Ok(config.secrets.secret_key.clone());
    }
    if config.is_production() {
        bail!("production needs SECRET_KEY");
    }
    let path = data_folder(config).join("development-secret-key");
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().len() >= 32 => return Ok(Secret::new(text.trim())),
        Ok(_) => bail!("{} does not hold a key; remove the file, or set SECRET_KEY", path.display()),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
        Err(err) => return Err(err).context(format!("{} cannot be read", path.display())),
    }
    let key = private::random_secret();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))?;
    }
    private::write_private(&path, &key).with_context(|| format!("{} cannot be written", path.display()))?;
    tracing::warn!(target: "server", file = %path.display(), "no SECRET_KEY is set: made one for development and kept it");
    Ok(Secret::new(key))
}

/// Where the database lives when it is a file, else `data`.
fn data_folder(config: &Config) -> PathBuf {
    let place = config.database.place();
    place.strip_prefix("sqlite:").and_then(|file| Path::new(file).parent()).map_or_else(|| PathBuf::from("data"), Path::to_owned)
}
