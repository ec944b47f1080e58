//! Where connections come from.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use sea_orm::{
    DatabaseConnection, DbErr,
    sqlx::{SqlitePool, postgres::PgConnectOptions},
};

use crate::{connect, presence::Presence};

/// A pool. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Source {
    Sqlite(DatabaseConnection),
    Postgres(Arc<Renewed>),
}

/// A pool that is replaced when connections are stuck in it, so that an outage of the network ends for us when it ends.
pub(crate) struct Renewed {
    options: PgConnectOptions,
    connections: u32,
    pool: ArcSwap<Pool>,
    presence: Arc<Presence>,
}

struct Pool {
    connection: DatabaseConnection,
    stuck: Arc<AtomicBool>,
}

impl Source {
    pub(crate) fn sqlite(pool: SqlitePool) -> Self {
        Self::Sqlite(pool.into())
    }

    pub(crate) fn postgres(options: PgConnectOptions, connections: u32) -> Self {
        let pool = ArcSwap::from_pointee(Pool::new(&options, connections));
        let presence = Presence::new(&options);
        Self::Postgres(Arc::new(Renewed { options, connections, pool, presence }))
    }

    /// How to reach PostgreSQL; `None` on SQLite.
    pub(crate) fn postgres_options(&self) -> Option<&PgConnectOptions> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(renewed) => Some(&renewed.options),
        }
    }

    /// The pool of the moment, also when nobody is there.
    pub(crate) fn current(&self) -> DatabaseConnection {
        match self {
            Self::Sqlite(connection) => connection.clone(),
            Self::Postgres(renewed) => renewed.current(),
        }
    }

    /// The pool of the moment; an error at once while the server is known to be away.
    pub(crate) async fn enter(&self) -> Result<DatabaseConnection, DbErr> {
        if let Self::Postgres(renewed) = self {
            renewed.presence.enter().await?;
        }
        Ok(self.current())
    }

    /// To be told how it went.
    pub(crate) fn judge<T>(&self, answer: Result<T, DbErr>) -> Result<T, DbErr> {
        match self {
            Self::Sqlite(_) => answer,
            Self::Postgres(renewed) => renewed.presence.judge(answer),
        }
    }

    pub(crate) fn is_away(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(renewed) => renewed.presence.is_away(),
        }
    }
}

impl Renewed {
    fn current(&self) -> DatabaseConnection {
        let pool = self.pool.load();
        if !pool.stuck.load(Ordering::Relaxed) {
            return pool.connection.clone();
        }
        // What is in use in the old pool is finished there; what idles is closed by its own maintenance.
        let previous = self.pool.compare_and_swap(&*pool, Arc::new(Pool::new(&self.options, self.connections)));
        if Arc::ptr_eq(&previous, &pool) {
            tracing::warn!(target: "db", "PostgreSQL stopped answering on open connections; starting over with new ones");
        }
        self.pool.load().connection.clone()
    }
}

impl Pool {
    fn new(options: &PgConnectOptions, connections: u32) -> Self {
        let stuck = Arc::new(AtomicBool::new(false));
        Self { connection: connect::postgres_pool(options, connections, Arc::clone(&stuck)).into(), stuck }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        })
    }
}
