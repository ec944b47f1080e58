#![doc = include_str!("../README.md")]

mod action;
mod entry;
mod json;
mod link;
mod record;
mod store;

use std::fmt;

use baluarte_db::{Db, DbError, Migration, Migrations, Tx};
use baluarte_kernel::{Ctx, Id, Kind};

pub use self::{
    action::{Action, Severity, Status},
    entry::{Detail, Entry, Shown},
};

/// The tables of the audit log.
pub const MIGRATIONS: Migrations = Migrations {
    component: "audit",
    steps: &[Migration {
        name: "0001_chain",
        sqlite: include_str!("../migrations/0001_chain.sqlite.sql"),
        postgres: include_str!("../migrations/0001_chain.postgres.sql"),
    }],
};

enum ChainKind {}
impl Kind for ChainKind {
    const PREFIX: &'static str = "chn";
}

/// The audit log. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    chain: std::sync::Arc<str>,
}

impl Audit {
    /// Begins the chain where there is none yet. The tables are there.
    pub async fn start(db: &Db) -> Result<Self, DbError> {
        let name = Id::<ChainKind>::generate().to_string();
        store::chain::begin_chain(db, &name, &link::beginning(&name)).await?;
        let chain = store::chain::find_chain(db).await?.ok_or(DbError::NotFound)?;
        Ok(Self { chain: chain.into() })
    }

    /// Keeps the entry with the transaction: written to the end of the chain directly before its commit. If it cannot be
    /// written the commit fails and the action has not happened; without a commit there is no entry.
    pub fn record(&self, ctx: &Ctx, tx: &Tx, entry: Entry) {
        tx.before_commit(record::Pending::new(ctx, entry), |tx, pending| Box::pin(record::append(tx, pending)));
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("chain", &self.chain).finish()
    }
}
