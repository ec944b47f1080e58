//! Brings a database up to date: one step after the other, each in a transaction of its own, several replicas at once.

mod postgres;
mod sqlite;

use std::collections::HashMap;

use baluarte_kernel::Clock;
use sha2::{Digest, Sha256};

use crate::{DatabaseConfig, Db, DbError, Dialect, config::Location};

/// One step of a component's schema. Released steps never change.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// `0001_users`: sorts by number.
    pub name: &'static str,
    pub sqlite: &'static str,
    pub postgres: &'static str,
}

impl Migration {
    /// The same statements on both databases (docs/storage.md, the common dialect).
    pub const fn common(name: &'static str, sql: &'static str) -> Self {
        Self { name, sqlite: sql, postgres: sql }
    }
}

/// All steps of one component, in order.
#[derive(Debug, Clone, Copy)]
pub struct Migrations {
    pub component: &'static str,
    pub steps: &'static [Migration],
}

impl Db {
    /// Brings the schema up to date under a lock, on a connection of its own, before any pool opens (a pooled
    /// connection would keep the old schema in mind). Returns the steps applied, `component/name`.
    ///
    /// A SQLite file and its folder are created; one that holds data is first copied to `FILE.before-STEP`, of which
    /// the last three are kept.
    ///
    /// # Errors
    /// [`DbError::Newer`], [`DbError::ChangedMigration`], [`DbError::MigrationFailed`], [`DbError::Setup`] for what the
    /// operator has to mend, [`DbError::Unavailable`] when the database or its lock cannot be had in time.
    pub async fn migrate(config: &DatabaseConfig, clock: &Clock, all: &[Migrations]) -> Result<Vec<String>, DbError> {
        match Location::parse(&config.url)? {
            Location::Sqlite(path) => sqlite::migrate(&path, &Plan::new(Dialect::Sqlite, all), clock, config.backup_before_migrate).await,
            Location::Postgres(options) => {
                let place = config.place();
                postgres::migrate(&options, &place, &Plan::new(Dialect::Postgres, all), clock).await
            }
        }
    }
}

impl Db {
    /// Whether a database that is there is one this program understands; changes nothing. One without our tables is.
    ///
    /// # Errors
    /// [`DbError::Newer`], [`DbError::ChangedMigration`], and whatever keeps the database from answering.
    pub async fn check_version(config: &DatabaseConfig, all: &[Migrations]) -> Result<(), DbError> {
        let (dialect, applied) = match Location::parse(&config.url)? {
            Location::Sqlite(path) => (Dialect::Sqlite, sqlite::applied(&path).await?),
            Location::Postgres(options) => (Dialect::Postgres, postgres::applied(&options, &config.place()).await?),
        };
        Plan::new(dialect, all).next(&applied).map(drop)
    }
}

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    component TEXT NOT NULL, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL, PRIMARY KEY (component, name))";
const LIST: &str = "SELECT component, name, checksum FROM schema_migrations ORDER BY component, name";
const RECORD: &str = "INSERT INTO schema_migrations (component, name, checksum, applied_at) VALUES ($1, $2, $3, $4)";

/// Every step this program knows, in the order of application.
struct Plan(Vec<Step>);

struct Step {
    component: &'static str,
    name: &'static str,
    sql: &'static str,
    checksum: String,
}

/// What `LIST` gives.
type Applied = Vec<(String, String, String)>;

impl Plan {
    fn new(dialect: Dialect, all: &[Migrations]) -> Self {
        let step = |component, step: &Migration| {
            let sql = match dialect {
                Dialect::Sqlite => step.sqlite,
                Dialect::Postgres => step.postgres,
            };
            // A checkout that changes line ends does not change the step.
            let digest = Sha256::digest(sql.replace("\r\n", "\n"));
            let checksum = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            Step { component, name: step.name, sql, checksum }
        };
        Self(all.iter().flat_map(|of| of.steps.iter().map(move |it| step(of.component, it))).collect())
    }

    /// The first step that is missing; refuses a database that this program does not understand.
    fn next(&self, applied: &Applied) -> Result<Option<&Step>, DbError> {
        let known: HashMap<_, _> = self.0.iter().map(|step| ((step.component, step.name), step)).collect();
        let mut done = std::collections::HashSet::new();
        for (component, name, checksum) in applied {
            match known.get(&(component.as_str(), name.as_str())) {
                None => return Err(DbError::Newer(format!("{component}/{name}"))),
                Some(step) if step.checksum != *checksum => return Err(DbError::ChangedMigration(format!("{component}/{name}"))),
                Some(step) => done.insert((step.component, step.name)),
            };
        }
        Ok(self.0.iter().find(|step| !done.contains(&(step.component, step.name))))
    }
}

impl Step {
    fn title(&self) -> String {
        format!("{}/{}", self.component, self.name)
    }

    fn failed(&self, err: DbError) -> DbError {
        match err {
            DbError::Driver(source) | DbError::Unavailable(source) => DbError::MigrationFailed { step: self.title(), source },
            DbError::Unique(what) => {
                DbError::MigrationFailed { step: self.title(), source: crate::Cause::new(format!("already exists: {what}")) }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Migrations = Migrations { component: "shop", steps: &[Migration::common("0001_a", "CREATE TABLE a (x TEXT);\n")] };
    const TWO: Migrations = Migrations {
        component: "shop",
        steps: &[Migration::common("0001_a", "CREATE TABLE a (x TEXT);\r\n"), Migration::common("0002_b", "CREATE TABLE b (x TEXT)")],
    };

    fn applied(all: &[Migrations]) -> Applied {
        let plan = Plan::new(Dialect::Sqlite, all);
        plan.0.iter().map(|step| (step.component.to_owned(), step.name.to_owned(), step.checksum.clone())).collect()
    }

    #[test]
    fn line_ends_do_not_change_a_step_and_the_next_one_follows() {
        let plan = Plan::new(Dialect::Postgres, &[TWO]);
        assert_eq!(plan.next(&applied(&[ONE])).ok().flatten().map(Step::title).as_deref(), Some("shop/0002_b"));
    }

    #[test]
    fn a_step_from_the_future_is_refused_by_name() {
        let plan = Plan::new(Dialect::Sqlite, &[ONE]);
        assert!(matches!(plan.next(&applied(&[TWO])), Err(DbError::Newer(step)) if step == "shop/0002_b"));
    }

    #[test]
    fn an_edited_step_is_refused_by_name() {
        let plan = Plan::new(Dialect::Sqlite, &[ONE]);
        let mut rows = applied(&[ONE]);
        rows[0].2.replace_range(0..1, "z");
        assert!(matches!(plan.next(&rows), Err(DbError::ChangedMigration(step)) if step == "shop/0001_a"));
    }
}
