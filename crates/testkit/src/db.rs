//! A database of its own for each test, on both engines, gone afterwards.

use std::path::{Path, PathBuf};

use baluarte_db::{
    DatabaseConfig, Db, Dialect, Migrations,
    sea_orm::{ConnectionTrait as _, Database},
};
use baluarte_kernel::{Clock, Secret, Timestamp};

use crate::backend::{PostgresDatabase, postgres_server};

/// Runs a test once on each database: `each_backend! { async fn a_rule(test: TestDb) { … } }` becomes the tests
/// `a_rule::sqlite` and `a_rule::postgres`. Attributes such as `#[should_panic]` go to both.
#[macro_export]
macro_rules! each_backend {
    ($($(#[$attr:meta])* async fn $name:ident($test:ident: TestDb) $body:block)+) => {$(
        mod $name {
            use super::*;

            $(#[$attr])*
            #[test]
            fn sqlite() {
                $crate::run_on($crate::Dialect::Sqlite, test);
            }

            $(#[$attr])*
            #[test]
            fn postgres() {
                $crate::run_on($crate::Dialect::Postgres, test);
            }

            async fn test($test: $crate::TestDb) $body
        }
    )+};
}

/// An empty database that disappears with this value, and a clock that stands still.
#[derive(Debug)]
pub struct TestDb {
    pub config: DatabaseConfig,
    pub clock: Clock,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Sqlite(PathBuf),
    Postgres(PostgresDatabase),
}

/// What `each_backend!` expands to: the test on a multi-threaded runtime of its own, as on the control runtime.
pub fn run_on<F: Future<Output = ()> + Send + 'static>(dialect: Dialect, test: impl FnOnce(TestDb) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let db = TestDb::create(dialect).await;
        // As a task: it runs on the workers, as in production, and drops its database when it panics.
        if let Err(failed) = tokio::spawn(test(db)).await {
            std::panic::resume_unwind(failed.into_panic());
        }
    });
}

impl TestDb {
    /// # Panics
    /// When PostgreSQL is wanted and not there: a test that skips itself protects nothing.
    pub async fn create(dialect: Dialect) -> Self {
        let (place, url) = match dialect {
            Dialect::Sqlite => {
                let folder = std::env::temp_dir().join(format!("baluarte_test_{:016x}", rand::random::<u64>()));
                std::fs::create_dir(&folder).expect("a temporary folder");
                let url = format!("sqlite:{}", folder.join("test.db").display());
                (Place::Sqlite(folder), url)
            }
            Dialect::Postgres => {
                let database = PostgresDatabase::create().await;
                let url = database.url();
                (Place::Postgres(database), url)
            }
        };
        Self {
            config: DatabaseConfig { url: Secret::new(url), connections: 4, ..DatabaseConfig::default() },
            clock: Clock::fixed(Timestamp::from_unix_seconds(1_800_000_000)),
            place,
        }
    }

    /// Migrates and opens pools; call it again for another replica.
    pub async fn open(&self, migrations: &[Migrations]) -> Db {
        Db::migrate(&self.config, &self.clock, migrations).await.expect("the migrations go through");
        Db::open(&self.config).await.expect("the database opens")
    }

    pub fn dialect(&self) -> Dialect {
        match self.place {
            Place::Sqlite(_) => Dialect::Sqlite,
            Place::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Folder of the SQLite file; `None` on PostgreSQL.
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Sqlite(folder) => Some(folder),
            Place::Postgres(_) => None,
        }
    }

    /// PostgreSQL ends every connection to this database and takes no new one, as if it were away, until
    /// [`TestDb::come_back`]. Does nothing on SQLite.
    pub async fn go_away(&self) {
        if let Place::Postgres(database) = &self.place {
            let name = database.name();
            on_server(&format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")).await;
            self.cut().await;
        }
    }

    /// PostgreSQL ends every connection to this database, and takes new ones. Does nothing on SQLite.
    pub async fn cut(&self) {
        if let Place::Postgres(database) = &self.place {
            on_server(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", database.name())).await;
        }
    }

    pub async fn come_back(&self) {
        if let Place::Postgres(database) = &self.place {
            on_server(&format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", database.name())).await;
        }
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        if let Place::Sqlite(folder) = &self.place {
            // What is left in the temporary folder does no harm.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

pub(crate) async fn on_server(sql: &str) {
    let server = Database::connect(postgres_server()).await.expect("PostgreSQL answers");
    server.execute_unprepared(sql).await.expect("PostgreSQL obeys");
    server.close().await.expect("PostgreSQL lets us go");
}
