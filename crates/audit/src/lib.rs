#![doc = include_str!("../README.md")]

mod action;
pub mod actions;
mod anchor;
mod budget;
pub mod calls;
mod checkpoints;
mod config;
mod entry;
mod error;
mod export;
mod http;
mod json;
mod link;
mod record;
mod search;
mod signed;
mod stats;
mod store;
mod upkeep;
mod verify;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use baluarte_db::{Db, Migration, Migrations, Tx};
use baluarte_kernel::{Clock, Ctx, Id, Kind};
use baluarte_outbound::Outbound;
use baluarte_secrets::Secrets;
use tokio::sync::Notify;
use utoipa_axum::router::OpenApiRouter;

use self::budget::Budgets;
pub use self::{
    action::{Action, Severity, Status},
    actions::ACTIONS,
    anchor::{AnchorMail, Mailer},
    calls::{BatchExport, Call, CallExport, CallFilter, CallProof, Calls, CallsConfig, Lane, RecordedCall, Recorder},
    config::{AnchorConfig, AnchorKind, AuditConfig},
    entry::{Detail, Entry, Shown},
    error::AuditError,
    export::{Export, Format},
    http::PROBLEMS,
    search::{AnchorStatus, AuditStatus, Checked, EntryFilter, Recorded, RecordedActor, RecordedResource},
    signed::{Checkpoint, Says},
    verify::{Broken, Verdict, verify},
};

/// The tables of the audit log.
pub const MIGRATIONS: Migrations = Migrations {
    component: "audit",
    steps: &[
        Migration {
            name: "0001_chain",
            sqlite: include_str!("../migrations/0001_chain.sqlite.sql"),
            postgres: include_str!("../migrations/0001_chain.postgres.sql"),
        },
        Migration {
            name: "0002_guards",
            sqlite: include_str!("../migrations/0002_guards.sqlite.sql"),
            postgres: include_str!("../migrations/0002_guards.postgres.sql"),
        },
        Migration {
            name: "0003_calls",
            sqlite: include_str!("../migrations/0003_calls.sqlite.sql"),
            postgres: include_str!("../migrations/0003_calls.postgres.sql"),
        },
    ],
};

enum ChainKind {}
impl Kind for ChainKind {
    const PREFIX: &'static str = "chn";
}

/// The audit log. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    secrets: Secrets,
    clock: Clock,
    config: AuditConfig,
    outbound: Option<Outbound>,
    mailer: Option<Arc<dyn Mailer>>,
    chain: String,
    budgets: Budgets,
    /// There may be something to do in the background.
    wake: Arc<Notify>,
    counts: Arc<Counts>,
}

/// For `/metrics`.
#[derive(Debug, Default)]
struct Counts {
    recorded: AtomicU64,
    left_out: AtomicU64,
    anchor_failures: AtomicU64,
    /// The last check of this replica found that the chain does not hold.
    broken: AtomicBool,
}

/// What the audit log is made of.
pub struct Parts {
    pub db: Db,
    pub secrets: Secrets,
    pub clock: Clock,
    /// For anchors that are webhooks.
    pub outbound: Option<Outbound>,
    /// For anchors that are mailboxes.
    pub mailer: Option<Arc<dyn Mailer>>,
}

impl Parts {
    /// Without a way out: no anchors but files.
    pub fn new(db: &Db, secrets: &Secrets, clock: &Clock) -> Self {
        Self { db: db.clone(), secrets: secrets.clone(), clock: clock.clone(), outbound: None, mailer: None }
    }
}

impl Audit {
    /// Begins the chain where there is none yet, and makes its first key for checkpoints. The tables are there.
    pub async fn start(config: &AuditConfig, parts: Parts) -> Result<Self, AuditError> {
        let Parts { db, secrets, clock, outbound, mailer } = parts;
        let name = Id::<ChainKind>::generate().to_string();
        store::chain::begin_chain(&db, &name, &link::beginning(&name)).await?;
        let chain = store::chain::find_chain(db.read()).await?;
        let chain = chain.ok_or_else(|| AuditError::Internal("the audit log has no chain".to_owned()))?;
        let (budgets, wake, counts) = (Budgets::default(), Arc::new(Notify::new()), Arc::new(Counts::default()));
        let inner = Inner { db, secrets, clock, config: config.clone(), outbound, mailer, chain, budgets, wake, counts };
        let audit = Self { inner: Arc::new(inner) };
        // A later one is made by who signs with it: a command that was given another SECRET_KEY by mistake leaves no key behind.
        if store::signed::list_keys(audit.inner.db.read()).await?.is_empty() {
            audit.signer().await?;
        }
        Ok(audit)
    }

    /// `/api/v1/admin/audit…` and the public keys.
    pub fn routes(&self) -> OpenApiRouter {
        http::routes(self.clone())
    }

    /// Keeps the entry with the transaction: written to the end of the chain directly before its commit. If it cannot be
    /// written the commit fails and the action has not happened; without a commit there is no entry.
    pub fn record(&self, ctx: &Ctx, tx: &Tx, entry: Entry) {
        let counts = Arc::clone(&self.inner.counts);
        tx.before_commit(record::Pending::new(ctx, entry), |tx, pending| {
            let count = pending.len() as u64;
            tx.after_commit(move || {
                counts.recorded.fetch_add(count, Ordering::Relaxed);
            });
            Box::pin(record::append(tx, pending))
        });
    }
}

impl Audit {
    /// For what strangers can cause without end, such as failures to sign in: each replica keeps 120 entries of one action a
    /// minute; the others are counted, and the count becomes an entry. Otherwise like [`Audit::record`].
    pub fn record_bounded(&self, ctx: &Ctx, tx: &Tx, entry: Entry) {
        if self.inner.budgets.take(entry.action, ctx.now()) {
            self.record(ctx, tx, entry);
        } else {
            self.inner.counts.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("chain", &self.inner.chain).finish()
    }
}
