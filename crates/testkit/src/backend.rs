//! What an installation keeps its data in.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use sea_orm::{ConnectionTrait, Database};

/// Every process test runs on both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// One process on a SQLite file.
    Sqlite,
    /// A PostgreSQL database of its own and a Redis prefix of its own; fit for several replicas.
    PostgresRedis,
}

/// Writes one test for each [`Backend`]: `name::sqlite` and `name::postgres_and_redis`.
///
/// ```text
/// each_process_backend! {
///     async fn a_session_survives_a_restart(backend) { … }
/// }
/// ```
#[macro_export]
macro_rules! each_process_backend {
    ($($(#[$attribute:meta])* async fn $name:ident($backend:ident) $body:block)+) => {$(
        mod $name {
            use super::*;
            $(#[$attribute])*
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                run($crate::Backend::Sqlite).await;
            }
            $(#[$attribute])*
            #[tokio::test(flavor = "multi_thread")]
            async fn postgres_and_redis() {
                run($crate::Backend::PostgresRedis).await;
            }
            async fn run($backend: $crate::Backend) $body
        }
    )+};
}

/// A setting of the test run itself, with what a developer's machine usually has.
#[expect(
    clippy::disallowed_methods,
    reason = "the address of the test services is an argument of the test run, not configuration of the product"
)]
pub(crate) fn test_setting(name: &str, default: &str) -> String {
    std::env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

pub(crate) fn postgres_server() -> String {
    test_setting("TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres")
}

pub(crate) fn redis_server() -> String {
    test_setting("TEST_REDIS_URL", "redis://127.0.0.1:6379")
}

/// Most servers sort text by the rules of a language, where `~` comes before letters; a test server that sorts bytes, as
/// SQLite does, would hide what depends on it.
const AS_OFTEN_FOUND: &str = "TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'";

/// A database on the test server, dropped with this value.
#[derive(Debug)]
pub(crate) struct PostgresDatabase {
    server: String,
    name: String,
}

impl PostgresDatabase {
    pub(crate) async fn create() -> Self {
        let server = postgres_server();
        let name = format!("baluarte_test_{:016x}", rand::random::<u64>());
        let connection = Database::connect(&server).await.unwrap_or_else(|err| {
            panic!("this test needs PostgreSQL at TEST_DATABASE_URL ({server}): {err}; `cargo xtask test` starts one")
        });
        connection
            .execute_unprepared(&format!("CREATE DATABASE {name} {AS_OFTEN_FOUND}"))
            .await
            .expect("the test server lets us create a database");
        connection.close().await.ok();
        Self { server, name }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `postgres://…/NAME`
    pub(crate) fn url(&self) -> String {
        let (before, _) = self.server.rsplit_once('/').expect("a database URL has a path");
        format!("{before}/{}", self.name)
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A thread with a runtime of its own: Drop may run inside a test's runtime, which must not be blocked on.
        let done = std::thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                if let Ok(connection) = Database::connect(&server).await {
                    connection.execute_unprepared(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.ok();
                    connection.close().await.ok();
                }
            });
        });
        done.join().ok();
    }
}

/// Key names under a prefix on the test server, removed with this value.
#[derive(Debug)]
pub(crate) struct RedisPrefix {
    server: String,
    prefix: String,
}

impl RedisPrefix {
    pub(crate) fn new() -> Self {
        Self { server: redis_server(), prefix: format!("baluarte-test-{:016x}:", rand::random::<u64>()) }
    }
    pub(crate) fn url(&self) -> &str {
        &self.server
    }
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// Deletes every key with the given beginning.
const DELETE_PREFIX: &str =
    "local keys = redis.call('KEYS', ARGV[1] .. '*'); for _, key in ipairs(keys) do redis.call('DEL', key) end; return #keys";

impl Drop for RedisPrefix {
    fn drop(&mut self) {
        let address = self.server.trim_start_matches("redis://").split('/').next().unwrap_or_default().to_owned();
        let Ok(mut connection) = TcpStream::connect(&address) else { return };
        connection.set_read_timeout(Some(Duration::from_secs(2))).ok();
        let words = ["EVAL", DELETE_PREFIX, "0", &self.prefix];
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        if connection.write_all(command.as_bytes()).is_ok() {
            // The answer is awaited, not needed: `:N\r\n`.
            connection.read_exact(&mut [0; 4]).ok();
        }
    }
}
