use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use baluarte_kernel::{Findings, Secret};
use sea_orm::sqlx::postgres::PgConnectOptions;
use serde::{Deserialize, Serialize};

use crate::DbError;

/// `[database]`
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// `sqlite:PATH` (embedded; the folder is created), or `postgres://USER:PASSWORD@HOST/NAME`.
    pub url: Secret,
    /// Connections at most: to PostgreSQL in all, on SQLite for reading (there is one more for writing).
    pub connections: u32,
    /// SQLite: copy the file before its schema is changed, beside it; the newest three copies are kept. Of PostgreSQL, take a dump yourself.
    pub backup_before_migrate: bool,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: Secret::new("sqlite:data/baluarte.db"), connections: 8, backup_before_migrate: true }
    }
}

impl DatabaseConfig {
    const CONNECTIONS: std::ops::RangeInclusive<u32> = 1..=500;

    pub fn validate(&self, findings: &mut Findings) {
        if let Err(err) = Location::parse(&self.url) {
            findings.add("database.url", err.to_string());
        }
        if !Self::CONNECTIONS.contains(&self.connections) {
            findings.add("database.connections", format!("found {}, allowed is 1 to 500", self.connections));
        }
    }

    /// The database lives in a file of this machine: there can be one replica only.
    pub fn is_sqlite(&self) -> bool {
        matches!(Location::parse(&self.url), Ok(Location::Sqlite(_)))
    }

    /// Where the database is, without password or parameters: for logs and errors.
    pub fn place(&self) -> String {
        Location::parse(&self.url).map_or_else(|_| "an unreadable database.url".to_owned(), |location| location.to_string())
    }
}

/// A `database.url` that has been understood.
#[derive(Clone)]
pub(crate) enum Location {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

/// Says what is allowed; never quotes the password.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadLocation {
    #[error("found {0}, expected sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME")]
    Scheme(String),
    #[error("sqlite::memory: is refused: every connection would see an empty database of its own; name a file")]
    InMemory,
    #[error("sqlite: takes a path and no parameters; Baluarte sets WAL, timeouts and the rest itself")]
    SqliteParameters,
    #[error("sqlite: needs the path of a file, such as sqlite:data/baluarte.db")]
    NoPath,
    #[error("the PostgreSQL address cannot be read: {0}")]
    Postgres(String),
    #[error("the PostgreSQL address names no database: write postgres://USER:PASSWORD@HOST/NAME")]
    NoDatabase,
}

impl Location {
    pub(crate) fn parse(url: &Secret) -> Result<Self, BadLocation> {
        let text = url.expose().trim();
        let (scheme, rest) = text.split_once(':').ok_or_else(|| {
            let found = if text.is_empty() { "nothing" } else { "text without a scheme" };
            BadLocation::Scheme(found.to_owned())
        })?;
        match scheme {
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                match path {
                    _ if rest.contains(":memory:") => Err(BadLocation::InMemory),
                    _ if path.contains('?') => Err(BadLocation::SqliteParameters),
                    "" | "/" => Err(BadLocation::NoPath),
                    _ => Ok(Self::Sqlite(PathBuf::from(path))),
                }
            }
            "postgres" | "postgresql" => {
                // The parser's error may quote a piece of the address, and that piece may be the password.
                let options = PgConnectOptions::from_str(text).map_err(|_| {
                    let hint = "characters such as @ : / ? # in user or password are written in percent encoding";
                    BadLocation::Postgres(hint.to_owned())
                })?;
                match options.get_database() {
                    Some(name) if !name.is_empty() => Ok(Self::Postgres(Box::new(options))),
                    _ => Err(BadLocation::NoDatabase),
                }
            }
            other => Err(BadLocation::Scheme(format!("{other}:…"))),
        }
    }

    pub(crate) fn is_folder_missing(path: &Path) -> Option<&Path> {
        path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(options) => {
                let name = options.get_database().unwrap_or_default();
                let user = options.get_username();
                match options.get_socket() {
                    Some(socket) => write!(f, "postgres://{user}@{}/{name}", socket.display()),
                    None => write!(f, "postgres://{user}@{}:{}/{name}", options.get_host(), options.get_port()),
                }
            }
        }
    }
}

impl From<BadLocation> for DbError {
    fn from(err: BadLocation) -> Self {
        Self::Setup(format!("database.url: {err}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Result<String, String> {
        Location::parse(&Secret::new(url)).map(|it| it.to_string()).map_err(|err| err.to_string())
    }

    #[test]
    fn both_spellings_of_both_databases_are_understood() {
        assert_eq!(place("sqlite:data/x.db").as_deref(), Ok("sqlite:data/x.db"));
        assert_eq!(place("sqlite://data/x.db").as_deref(), Ok("sqlite:data/x.db"));
        assert_eq!(place("sqlite:///var/x.db").as_deref(), Ok("sqlite:/var/x.db"));
        let shown = Ok("postgres://shop@db.example:5433/prod");
        assert_eq!(place("postgres://shop:pw@db.example:5433/prod").as_deref(), shown);
        assert_eq!(place("postgresql://shop:pw@db.example:5433/prod?sslmode=require").as_deref(), shown);
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason() {
        for (url, reason) in [
            ("", "found nothing"),
            ("mysql://root:pw@x/y", "found mysql:…"),
            ("sqlite::memory:", "refused"),
            ("sqlite:", "needs the path"),
            ("sqlite:x.db?mode=ro", "no parameters"),
            ("postgres://u:pw@host", "names no database"),
            ("postgres://u:p@w:x/y/z@host/db", "cannot be read"),
        ] {
            let err = place(url).expect_err(url);
            assert!(err.contains(reason), "{url}: {err}");
            assert!(!err.contains("pw"), "{err}");
        }
    }

    #[test]
    fn a_password_never_shows() {
        let config = DatabaseConfig { url: Secret::new("postgres://u:hunter2@h/db?password=hunter2"), ..Default::default() };
        assert!(!format!("{config:?} {}", config.place()).contains("hunter2"));
        let mut findings = Findings::default();
        config.validate(&mut findings);
        assert!(findings.is_empty());
    }
}
