//! One installation: a folder, a database, a secret key. One or several processes run on it.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sea_orm::{ConnectionTrait as _, Database, Statement};
use toml::{Table, Value};

use crate::{
    Backend, Builder,
    backend::{PostgresDatabase, RedisPrefix, redis_server},
    gate,
    ports::Port,
};

/// A folder under the temporary one, removed with this value.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn create() -> Self {
        let path = std::env::temp_dir().join(format!("baluarte-test-{:016x}", rand::random::<u64>()));
        std::fs::create_dir_all(&path).expect("the folder for temporary files is writable");
        Self(path)
    }
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Panics with everything the command said unless it ended with this code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }
}

/// An installation: what replicas share. Removed, database and all, with the last of its processes.
#[derive(Debug)]
pub struct Site {
    pub(crate) bin: PathBuf,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) args: Vec<String>,
    pub(crate) public_url: String,
    config: Table,
    // Dropped in this order: the database before the folder it may live in.
    postgres: Option<PostgresDatabase>,
    _redis: Option<RedisPrefix>,
    folder: Folder,
}

/// What tells one replica from another.
#[derive(Debug)]
pub(crate) struct Addresses {
    pub(crate) listen: Port,
    pub(crate) metrics: Port,
}

impl Addresses {
    pub(crate) fn reserve() -> Self {
        Self { listen: Port::reserve(), metrics: Port::reserve() }
    }
}

impl Site {
    pub(crate) async fn create(wanted: Builder, first: &Addresses) -> Self {
        let folder = Folder::create();
        let public_url = format!("http://127.0.0.1:{}", first.listen.number());
        let (mut postgres, mut redis) = (None, None);
        let mut config = match wanted.backend {
            Backend::Sqlite => table(&format!("[database]\nurl = \"sqlite:{}\"", folder.path().join("baluarte.db").display())),
            Backend::PostgresRedis => {
                let database = postgres.insert(PostgresDatabase::create().await);
                let prefix = redis.insert(RedisPrefix::new());
                let url = wanted.database_gate.map_or_else(|| database.url(), |gate| gate::through(gate, &database.url()));
                table(&format!(
                    "[database]\nurl = \"{}\"\n[cluster]\nredis_url = \"{}\"\nredis_prefix = \"{}\"",
                    url,
                    prefix.url(),
                    prefix.prefix()
                ))
            }
        };
        merge(&mut config, table(&format!("[server]\npublic_url = \"{public_url}\"")));
        merge(&mut config, table(&wanted.config));
        let site = Self { bin: wanted.bin, env: wanted.env, args: wanted.args, public_url, config, postgres, _redis: redis, folder };
        std::fs::write(site.folder.path().join("baluarte.toml"), site.config_for(first)).expect("our own folder is writable");
        site
    }

    /// The installation's folder, which is also the working folder of its processes.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the data is, for a look at it from outside.
    pub fn database_url(&self) -> String {
        self.config["database"]["url"].as_str().unwrap_or_default().to_owned()
    }

    /// A command at the command line, with the installation's configuration and environment.
    pub fn run(&self, args: &[&str], stdin: &str) -> Output {
        let mut child = self
            .command("baluarte.toml")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built by the test run");
        // A command that does not read its input may be gone before it is written: not the test's business.
        child.stdin.take().map(|mut pipe| pipe.write_all(stdin.as_bytes()));
        let output = child.wait_with_output().expect("our own child can be waited for");
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Writes the configuration of one replica; returns the file's name.
    pub(crate) fn write_config(&self, addresses: &Addresses) -> String {
        let name = format!("baluarte-{}.toml", addresses.listen.number());
        std::fs::write(self.folder.path().join(&name), self.config_for(addresses)).expect("our own folder is writable");
        name
    }

    /// The binary with a clean environment: nothing of the developer's shell leaks into a test.
    pub(crate) fn command(&self, config: &str) -> Command {
        let mut command = Command::new(&self.bin);
        command.current_dir(self.folder.path()).env_clear();
        for name in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"] {
            let value = crate::backend::test_setting(name, "");
            if !value.is_empty() {
                command.env(name, value);
            }
        }
        command.env("HOME", self.folder.path()).env("SECRET_KEY", SECRET_KEY).envs(self.env.iter().cloned());
        command.arg("--config").arg(config);
        command
    }

    fn config_for(&self, addresses: &Addresses) -> String {
        let mut config = self.config.clone();
        let server = format!(
            "[server]\nlisten = \"127.0.0.1:{}\"\nmetrics_listen = \"127.0.0.1:{}\"",
            addresses.listen.number(),
            addresses.metrics.number()
        );
        merge(&mut config, table(&server));
        toml::to_string(&config).expect("a parsed table can be written")
    }
}

impl Site {
    /// Every text in every table, a table's name before its own: to see what is stored, and that something is not.
    pub async fn stored_texts(&self) -> Vec<(String, String)> {
        let url = match &self.postgres {
            Some(database) => database.url(),
            None => format!("sqlite:{}?mode=ro", self.folder().join("baluarte.db").display()),
        };
        let connection = Database::connect(url).await.expect("the installation's database answers");
        let tables = if self.postgres.is_some() {
            "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"
        } else {
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        };
        let query = |text: String| connection.query_all_raw(Statement::from_string(connection.get_database_backend(), text));
        let mut texts = Vec::new();
        for table in query(tables.to_owned()).await.expect("the database lists its tables") {
            let table: String = table.try_get("", "name").expect("a table has a name");
            for row in query(format!("SELECT * FROM {table}")).await.expect("a table can be read") {
                for column in row.column_names() {
                    let bytes = || row.try_get::<Vec<u8>>("", &column).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                    if let Ok(text) = row.try_get::<String>("", &column).or_else(|_| bytes()) {
                        texts.push((table.clone(), text));
                    }
                }
            }
        }
        connection.close().await.ok();
        texts
    }
}

/// The address of the Redis that the installation's configuration names by default; put a [`Gate`](crate::Gate) in front of it.
impl Site {
    pub fn test_redis_url() -> String {
        redis_server()
    }
}

/// Long enough for production's rule; the same on every start, so that sessions survive a restart.
const SECRET_KEY: &str = "for tests only: 3f9c1e7a5b2d8046e1c7f0a94d6b83255e0fa17c";

fn table(text: &str) -> Table {
    text.parse().unwrap_or_else(|err| panic!("the test's configuration is not TOML: {err}\n{text}"))
}

/// `over` wins; tables are merged key by key.
fn merge(into: &mut Table, over: Table) {
    for (key, value) in over {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(value)) => merge(inner, value),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tests_configuration_wins_key_by_key() {
        let mut config = table("[server]\nlisten = \"a\"\n[database]\nurl = \"b\"");
        merge(&mut config, table("[server]\nown_host = \"c\"\n[database]\nurl = \"d\""));
        assert_eq!(config, table("[server]\nlisten = \"a\"\nown_host = \"c\"\n[database]\nurl = \"d\""));
    }
}
