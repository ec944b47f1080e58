use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use baluarte_kernel::BoxFuture;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait, Value,
};
use tokio::time::timeout;

use crate::{
    DatabaseConfig, DbError,
    config::Location,
    connect::{self, ANSWER},
    life::Lives,
    listen::Doorbell,
    source::Source,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

/// The product's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    dialect: Dialect,
    read: Reader,
    write: Source,
    /// How processes on one SQLite file call each other.
    doorbell: Option<Arc<Doorbell>>,
    /// And see who is there.
    lives: Option<Arc<Lives>>,
}

/// Where statements that only read go, outside a transaction. Each answers within seconds or fails.
#[derive(Debug, Clone)]
pub struct Reader(Source);

/// An open writing transaction; dropped without [`Tx::commit`], it rolls back. Each statement answers within seconds or
/// fails. After an error, return: PostgreSQL takes no further statement.
pub struct Tx {
    transaction: DatabaseTransaction,
    before_commit: Mutex<Vec<Box<dyn Last>>>,
    after_commit: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

/// What is still to be done in a transaction, directly before its commit.
trait Last: Any + Send {
    fn run<'a>(self: Box<Self>, tx: &'a Tx) -> BoxFuture<'a, Result<(), DbError>>;
}

struct Gathered<T> {
    items: Vec<T>,
    write: Box<WriteLast<T>>,
}

type WriteLast<T> = dyn for<'a> FnOnce(&'a Tx, Vec<T>) -> BoxFuture<'a, Result<(), DbError>> + Send;

impl<T: Send + 'static> Last for Gathered<T> {
    fn run<'a>(self: Box<Self>, tx: &'a Tx) -> BoxFuture<'a, Result<(), DbError>> {
        (self.write)(tx, self.items)
    }
}

impl Db {
    /// Opens the pools; fails when the database does not answer. Does not migrate.
    pub async fn open(config: &DatabaseConfig) -> Result<Self, DbError> {
        let (mut doorbell, mut lives) = (None, None);
        let (dialect, read, write) = match Location::parse(&config.url)? {
            Location::Sqlite(path) => {
                connect::create_sqlite_file(&path)?;
                let (readers, writer) = connect::sqlite_pools(&path, config.connections);
                (doorbell, lives) = (Some(Arc::new(Doorbell::of(&path))), Some(Arc::new(Lives::of(&path))));
                (Dialect::Sqlite, Source::sqlite(readers), Source::sqlite(writer))
            }
            Location::Postgres(options) => {
                let pool = Source::postgres(*options, config.connections);
                (Dialect::Postgres, pool.clone(), pool)
            }
        };
        let db = Self { dialect, read: Reader(read), write, doorbell, lives };
        // Through the writer, which is who sets SQLite's journal mode.
        db.begin().await?;
        Ok(db)
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

    /// For statements that only read, outside a transaction. SQLite refuses a write here; keep to it on PostgreSQL.
    pub fn read(&self) -> &Reader {
        &self.read
    }

    /// Begins a writing transaction: IMMEDIATE on SQLite (a read-then-write never fails halfway), READ COMMITTED on
    /// PostgreSQL. Keep it short, and never wait for the network inside it: SQLite has this one writer.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        let options = TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() };
        let transaction = self.write.judge(answered(self.write.enter().await?.begin_with_options(options)).await)?;
        Ok(Tx { transaction, before_commit: Mutex::default(), after_commit: Mutex::default() })
    }

    /// Ends a transaction well; the same as [`Tx::commit`].
    pub async fn commit(&self, tx: Tx) -> Result<(), DbError> {
        tx.commit().await
    }

    /// One round trip, bounded to two seconds.
    pub async fn ping(&self) -> Result<(), DbError> {
        // Reads the file on SQLite, where a bare SELECT 1 would not even open it.
        let sql = self.per_dialect("SELECT count(*) FROM sqlite_schema", "SELECT 1");
        match timeout(Duration::from_secs(2), self.read.query_one_raw(sql_text(self.dialect.backend(), sql))).await {
            Ok(answer) => Ok(answer.map(|_| ())?),
            Err(_) => Err(DbError::unavailable("no answer within 2 s")),
        }
    }

    /// PostgreSQL is known to be away: everything is refused at once, and trying again is somebody's work already. For those
    /// who work by the clock and would only complain each time.
    pub fn is_away(&self) -> bool {
        self.write.is_away()
    }

    pub(crate) fn postgres_options(&self) -> Option<PgConnectOptions> {
        self.write.postgres_options().cloned()
    }

    pub(crate) fn doorbell(&self) -> Option<&Arc<Doorbell>> {
        self.doorbell.as_ref()
    }

    pub(crate) fn lives_beside(&self) -> Option<&Lives> {
        self.lives.as_deref()
    }

    /// Waits for open transactions and closes every connection; further use gives `Unavailable`.
    pub async fn close(&self) {
        // Closing twice is harmless on PostgreSQL, where both are the same pool. An error means it is closed already.
        let _ = self.read.0.current().close().await;
        let _ = self.write.current().close().await;
    }
}

impl Dialect {
    pub(crate) const fn backend(self) -> DbBackend {
        match self {
            Self::Sqlite => DbBackend::Sqlite,
            Self::Postgres => DbBackend::Postgres,
        }
    }
}

impl Reader {
    pub(crate) fn source(&self) -> &Source {
        &self.0
    }
}

impl Tx {
    /// Durable when it returns. After [`DbError::Unavailable`] nobody knows whether it was committed.
    ///
    /// Does what was left for last first ([`Tx::before_commit`]); when that fails, nothing happened.
    pub async fn commit(self) -> Result<(), DbError> {
        while let Some(last) = self.take_last() {
            if let Err(err) = last.run(&self).await {
                // The error that matters is the first one.
                let _ = self.rollback().await;
                return Err(err);
            }
        }
        answered(self.transaction.commit()).await?;
        let hints = self.after_commit.into_inner().unwrap_or_else(PoisonError::into_inner);
        hints.into_iter().for_each(|hint| hint());
        Ok(())
    }

    /// Takes everything back. Dropping does the same, a moment later.
    pub async fn rollback(self) -> Result<(), DbError> {
        Ok(answered(self.transaction.rollback()).await?)
    }

    /// Leaves `item` for the last moment: `write` gets all items of its type at once, in order, inside the transaction and
    /// directly before the commit, which fails if it fails. Of several `write` for one type the first one counts.
    ///
    /// For rows that every transaction has to lock, such as the end of a chain: taken last and held only for the
    /// commit, such a lock keeps others waiting shortly and can be part of no deadlock.
    pub fn before_commit<T: Send + 'static>(
        &self,
        item: T,
        write: impl for<'a> FnOnce(&'a Tx, Vec<T>) -> BoxFuture<'a, Result<(), DbError>> + Send + 'static,
    ) {
        let mut waiting = self.before_commit.lock().unwrap_or_else(PoisonError::into_inner);
        for last in waiting.iter_mut() {
            let last: &mut dyn Any = last.as_mut();
            if let Some(gathered) = last.downcast_mut::<Gathered<T>>() {
                gathered.items.push(item);
                return;
            }
        }
        waiting.push(Box::new(Gathered { items: vec![item], write: Box::new(write) }));
    }

    fn take_last(&self) -> Option<Box<dyn Last>> {
        let mut waiting = self.before_commit.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() { None } else { Some(waiting.remove(0)) }
    }

    /// Runs `hint` once the commit has succeeded, and never otherwise: to wake whoever waits for what was written. It
    /// is a hint, since the process may die in between.
    pub fn after_commit(&self, hint: impl FnOnce() + Send + 'static) {
        self.after_commit.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hint));
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx")
    }
}

/// A statement written as SQL in the common dialect, with `$1 …` for its values.
pub fn sql(conn: &impl ConnectionTrait, text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(conn.get_database_backend(), text, values)
}

/// The inside of `IN (…)`: `$3, $4` for `first` 3 and `count` 2; `NULL`, which matches nothing, for an empty list.
///
/// Databases bound the number of values in a statement (SQLite 32 766): ask for long lists in pieces.
pub fn placeholders(first: usize, count: usize) -> String {
    if count == 0 {
        return "NULL".to_owned();
    }
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

fn sql_text(backend: DbBackend, text: &str) -> Statement {
    Statement::from_string(backend, text)
}

/// A dead network answers nothing at all: waiting has an end even where the driver has none.
async fn answered<T>(work: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
    match timeout(ANSWER, work).await {
        Ok(answer) => answer,
        Err(_) => Err(DbErr::Conn(RuntimeErr::Internal(format!("no answer within {} s", ANSWER.as_secs())))),
    }
}

macro_rules! bounded_connection {
    ($type:ty, $self:ident => $conn:expr, $judge:expr) => {
        #[async_trait::async_trait]
        impl ConnectionTrait for $type {
            fn get_database_backend(&$self) -> DbBackend {
                $self.backend()
            }
            async fn execute_raw(&$self, stmt: Statement) -> Result<ExecResult, DbErr> {
                let answer = answered($conn.execute_raw(stmt)).await;
                ($judge)(answer)
            }
            async fn execute_unprepared(&$self, sql: &str) -> Result<ExecResult, DbErr> {
                let answer = answered($conn.execute_unprepared(sql)).await;
                ($judge)(answer)
            }
            async fn query_one_raw(&$self, stmt: Statement) -> Result<Option<QueryResult>, DbErr> {
                let answer = answered($conn.query_one_raw(stmt)).await;
                ($judge)(answer)
            }
            async fn query_all_raw(&$self, stmt: Statement) -> Result<Vec<QueryResult>, DbErr> {
                let answer = answered($conn.query_all_raw(stmt)).await;
                ($judge)(answer)
            }
        }
    };
}
bounded_connection!(Reader, self => self.0.enter().await?, |answer| self.0.judge(answer));
bounded_connection!(Tx, self => self.transaction, std::convert::identity);

impl Reader {
    fn backend(&self) -> DbBackend {
        self.0.current().get_database_backend()
    }
}

impl Tx {
    fn backend(&self) -> DbBackend {
        self.transaction.get_database_backend()
    }
}

#[cfg(test)]
mod tests {
    use super::placeholders;

    #[test]
    fn a_list_becomes_numbered_parameters() {
        assert_eq!(placeholders(3, 2), "$3, $4");
        assert_eq!(placeholders(1, 0), "NULL");
    }
}
