//! How a connection to either database is set up; every number that bounds waiting stands here.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sea_orm::sqlx::{
    self, Connection as _, Executor as _, PgConnection, PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{DbError, config::Location};

/// How long a caller waits for a connection to come free, or for a new one.
pub(crate) const ACQUIRE: Duration = Duration::from_secs(3);
/// How long a caller waits for the answer to one statement. Longer than what the server allows a statement, so that
/// only a dead network reaches it.
pub(crate) const ANSWER: Duration = Duration::from_secs(6);
/// How long a check of a connection may take before the connection counts as dead.
const PROBE: Duration = Duration::from_secs(1);
/// A connection that was used a moment ago is not probed again.
const TRUSTED: Duration = Duration::from_millis(500);
/// Connections that nobody used for so long are closed: memory at rest.
const IDLE: Duration = Duration::from_secs(120);

/// Sent once on each new connection rather than as a start-up option, which poolers such as PgBouncer refuse.
const POSTGRES_SESSION: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
     SET statement_timeout = '5s'; SET lock_timeout = '3s'; SET idle_in_transaction_session_timeout = '15s'";

/// Creates the folder and an empty file for the owner only; SQLite gives its side files the same permissions.
pub(crate) fn create_sqlite_file(path: &Path) -> Result<(), DbError> {
    let failed = |what: &Path, err: &std::io::Error| DbError::Setup(format!("{} cannot be created: {err}", what.display()));
    if let Some(folder) = Location::is_folder_missing(path) {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(folder).map_err(|err| failed(folder, &err))?;
    }
    let mut file = fs::OpenOptions::new();
    file.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    match file.open(path) {
        Ok(_) => Ok(()),
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(err) => Err(failed(path, &err)),
    }
}

fn sqlite(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(ACQUIRE)
        .foreign_keys(true)
        // What is acknowledged survives a power cut; group commit makes up for the cost.
        .synchronous(SqliteSynchronous::Full)
        .pragma("mmap_size", "0")
        .pragma("temp_store", "memory")
        .statement_cache_capacity(64)
}

/// The one connection that writes. SQLite has one writer; waiting for it in our queue is fairer than in SQLite's.
pub(crate) fn sqlite_writer(path: &Path) -> SqliteConnectOptions {
    sqlite(path)
        .journal_mode(SqliteJournalMode::Wal)
        // Negative: KiB. Filled only as far as pages are used.
        .pragma("cache_size", "-4096")
        // The write-ahead log shrinks back to this after a burst.
        .pragma("journal_size_limit", "16777216")
}

pub(crate) fn sqlite_pools(path: &Path, readers: u32) -> (SqlitePool, SqlitePool) {
    let reader = sqlite(path).pragma("query_only", "on").pragma("cache_size", "-1024");
    let pool = || SqlitePoolOptions::new().acquire_timeout(ACQUIRE).max_lifetime(None).test_before_acquire(false);
    let readers = pool().max_connections(readers).idle_timeout(IDLE).connect_lazy_with(reader);
    let writer = pool().max_connections(1).idle_timeout(None).connect_lazy_with(sqlite_writer(path));
    (readers, writer)
}

/// Also for the connection that migrates, outside the pool: statements take the time they need there.
pub(crate) fn postgres(options: &PgConnectOptions) -> PgConnectOptions {
    options.clone().application_name("baluarte")
}

/// A pool that finds out about dead connections by itself: a network that swallows packets answers nothing, not even
/// that it is gone, so every check has a time limit of its own.
///
/// `stuck` is set when a connection did not answer on its way back into the pool. Its place is lost until the kernel
/// gives the socket up, which takes a quarter of an hour: closing a TLS connection waits for the peer's farewell.
pub(crate) fn postgres_pool(options: &PgConnectOptions, connections: u32, stuck: Arc<AtomicBool>) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(IDLE)
        .max_lifetime(Duration::from_secs(30 * 60))
        .test_before_acquire(false)
        .after_connect(|conn, _| Box::pin(async move { conn.execute(POSTGRES_SESSION).await.map(|_| ()) }))
        .before_acquire(|conn, meta| if meta.idle_for < TRUSTED { Box::pin(std::future::ready(Ok(true))) } else { Box::pin(probe(conn)) })
        // Also flushes the rollback of a transaction that was dropped.
        .after_release(move |conn, _| {
            let stuck = Arc::clone(&stuck);
            Box::pin(async move {
                let answer = probe(conn).await;
                if matches!(&answer, Err(sqlx::Error::Io(err)) if err.kind() == std::io::ErrorKind::TimedOut) {
                    stuck.store(true, Ordering::Relaxed);
                }
                answer
            })
        })
        .connect_lazy_with(postgres(options))
}

/// An error makes the pool drop the connection instead of using it.
async fn probe(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(PROBE, conn.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}
