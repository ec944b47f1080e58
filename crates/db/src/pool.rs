use baluarte_kernel::Clock;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction};

use crate::{DatabaseConfig, DbError, Migrations};

/// An open transaction; dropped without `commit`, it rolls back.
pub type Tx = DatabaseTransaction;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

/// The product's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    dialect: Dialect,
    read: DatabaseConnection,
    write: DatabaseConnection,
}

impl Db {
    /// Opens the pools. Does not migrate; a missing SQLite file and its folder are created.
    pub async fn open(_config: &DatabaseConfig, _clock: Clock) -> Result<Self, DbError> {
        unimplemented!("db")
    }

    /// Brings the schema up to date under a lock, on a single connection of its own. Returns the steps applied, `component/name`.
    pub async fn migrate(_config: &DatabaseConfig, _clock: &Clock, _all: &[Migrations]) -> Result<Vec<String>, DbError> {
        unimplemented!("db")
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Chooses a statement where the databases part; say why at the call.
    pub fn per_dialect<T>(&self, sqlite: T, postgres: T) -> T {
        match self.dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        }
    }

    /// For statements that only read, outside a transaction.
    pub fn read(&self) -> &(impl ConnectionTrait + use<>) {
        &self.read
    }

    /// Begins a writing transaction: IMMEDIATE on SQLite (a read-then-write never fails halfway), READ COMMITTED on PostgreSQL.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        let _ = &self.write;
        unimplemented!("db")
    }

    /// Ends a transaction well. Durable when it returns.
    pub async fn commit(&self, _tx: Tx) -> Result<(), DbError> {
        unimplemented!("db")
    }

    /// One round trip, bounded to two seconds.
    pub async fn ping(&self) -> Result<(), DbError> {
        unimplemented!("db")
    }

    pub async fn close(&self) {}
}
