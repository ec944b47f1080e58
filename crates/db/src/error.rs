use std::fmt;

use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{self, postgres::PgDatabaseError},
};

/// What a statement can come back with, in the words of either database.
///
/// No text in it ever holds a bound value: neither `Display` nor `Debug`, so an error may be logged as it is.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("no such row")]
    NotFound,
    /// A unique constraint refused the row; names it as the database does: `users.email` (SQLite), `users_email_key`
    /// (PostgreSQL). [`DbError::is_unique`] asks for both.
    #[error("already exists: {0}")]
    Unique(String),
    #[error("stored value of {0} cannot be read")]
    Corrupt(&'static str),
    /// Away, starting, or so busy that no connection or lock came free in time: try again later. Nothing was changed,
    /// unless the commit itself was under way: then nobody can tell, and the work must bear being done again.
    #[error("the database is not reachable")]
    Unavailable(#[source] Cause),
    /// The database was migrated by a newer Baluarte than this one.
    #[error("the database is newer than this program: it has migration {0}; install the newer version again")]
    Newer(String),
    /// A migration that was applied has since been edited; released steps never change.
    #[error("migration {0} is not the one that was applied to this database; the program is damaged or was changed")]
    ChangedMigration(String),
    /// A migration did not go through; its transaction was rolled back and the database is as it was before it.
    #[error("migration {step} failed")]
    MigrationFailed { step: String, source: Cause },
    /// Something that the operator has to mend before a start, in one sentence.
    #[error("{0}")]
    Setup(String),
    #[error("database")]
    Driver(#[source] Cause),
}

/// What the driver said, without the values that were bound.
#[derive(Debug, Clone)]
pub struct Cause {
    /// SQLSTATE, or SQLite's extended result code.
    code: Option<String>,
    text: String,
}

impl Cause {
    pub fn new(text: impl Into<String>) -> Self {
        Self { code: None, text: text.into() }
    }

    /// SQLSTATE, or SQLite's extended result code.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

impl Cause {
    /// PostgreSQL chose this transaction to lose against another one; the same work alone has every chance.
    pub(crate) fn is_lost_race(&self) -> bool {
        matches!(self.code(), Some("40001" | "40P01"))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{} ({code})", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl std::error::Error for Cause {}

impl DbError {
    /// For places that give up waiting themselves.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable(Cause::new(why))
    }

    /// Is it the unique constraint over exactly these columns (the primary key included), on either database?
    ///
    /// Relies on PostgreSQL's own names for constraints written into `CREATE TABLE` (`table_column_key`, `table_pkey`)
    /// and on unique indexes being called `table_column` (docs/storage.md).
    pub fn is_unique(&self, table: &str, columns: &[&str]) -> bool {
        let Self::Unique(found) = self else { return false };
        let sqlite = columns.iter().map(|column| format!("{table}.{column}")).collect::<Vec<_>>().join(", ");
        let joined = format!("{table}_{}", columns.join("_"));
        *found == sqlite || *found == joined || *found == format!("{joined}_key") || *found == format!("{table}_pkey")
    }

    fn driver(text: impl Into<String>) -> Self {
        Self::Driver(Cause::new(text))
    }
}

impl From<DbErr> for DbError {
    fn from(err: DbErr) -> Self {
        match err {
            DbErr::ConnectionAcquire(err) => Self::unavailable(err.to_string()),
            // Whatever keeps us from connecting, a retry is the caller's only way out.
            DbErr::Conn(RuntimeErr::SqlxError(err)) => match Self::from_sqlx(&err) {
                Self::Driver(cause) => Self::Unavailable(cause),
                other => other,
            },
            DbErr::Conn(other) => Self::unavailable(other.to_string()),
            DbErr::Exec(RuntimeErr::SqlxError(err)) | DbErr::Query(RuntimeErr::SqlxError(err)) => Self::from_sqlx(&err),
            DbErr::RecordNotFound(_) | DbErr::RecordNotUpdated => Self::NotFound,
            DbErr::RecordNotInserted => Self::Unique("none of the rows was inserted".to_owned()),
            // These quote the value that did not fit.
            DbErr::Type(_) | DbErr::TryIntoErr { .. } => Self::driver("a stored value is not of the type expected"),
            DbErr::Json(_) => Self::driver("a stored JSON value cannot be read"),
            other => Self::driver(other.to_string()),
        }
    }
}

impl From<sqlx::Error> for DbError {
    fn from(err: sqlx::Error) -> Self {
        Self::from_sqlx(&err)
    }
}

impl DbError {
    fn from_sqlx(err: &sqlx::Error) -> Self {
        use sqlx::Error as E;
        match err {
            E::RowNotFound => Self::NotFound,
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::BeginFailed => {
                Self::unavailable(err.to_string())
            }
            E::Database(refusal) => match refusal.try_downcast_ref::<PgDatabaseError>() {
                Some(refusal) => Self::from_postgres(refusal),
                None => Self::from_sqlite(&refusal.code().unwrap_or_default(), refusal.message()),
            },
            // The source quotes what it could not decode; the column is enough.
            E::ColumnDecode { index, .. } => Self::driver(format!("column {index} cannot be decoded")),
            E::Decode(_) => Self::driver("a value cannot be decoded"),
            E::Encode(_) => Self::driver("a value cannot be encoded"),
            other => Self::driver(other.to_string()),
        }
    }

    fn from_postgres(refusal: &PgDatabaseError) -> Self {
        let code = refusal.code();
        // Class 22 quotes the value: invalid input syntax for type bigint: "…".
        let text = if code.starts_with("22") { "a value was refused" } else { refusal.message() };
        let cause = Cause { code: Some(code.to_owned()), text: text.to_owned() };
        match code {
            "23505" => Self::Unique(refusal.constraint().unwrap_or("unknown constraint").to_owned()),
            // Deadlock or lost race, lock or statement timeout, going down or starting up, a failover's read-only phase.
            "40001" | "40P01" | "55P03" | "57014" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25006" => Self::Unavailable(cause),
            _ if code.starts_with("08") || code.starts_with("53") => Self::Unavailable(cause),
            _ => Self::Driver(cause),
        }
    }

    fn from_sqlite(code: &str, message: &str) -> Self {
        let cause = Cause { code: Some(code.to_owned()), text: message.to_owned() };
        match code.parse::<u32>() {
            // SQLITE_CONSTRAINT_PRIMARYKEY, _UNIQUE, _ROWID
            Ok(1555 | 2067 | 2579) => {
                let named = message.rsplit_once(": ").map_or(message, |(_, named)| named);
                // An index over an expression is named instead of its columns: index 'users_email'.
                Self::Unique(named.strip_prefix("index '").and_then(|rest| rest.strip_suffix('\'')).unwrap_or(named).to_owned())
            }
            // The low byte is the class: busy, locked, I/O error, full, cannot open, lock protocol.
            Ok(code) if matches!(code & 0xff, 5 | 6 | 10 | 13 | 14 | 15) => Self::Unavailable(cause),
            _ => Self::Driver(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unique_constraint_is_recognised_by_table_and_columns_on_both_databases() {
        for named in ["members.room, members.user_id", "members_room_user_id_key", "members_room_user_id", "members_pkey"] {
            assert!(DbError::Unique(named.to_owned()).is_unique("members", &["room", "user_id"]), "{named}");
        }
        assert!(!DbError::Unique("members.user_id".to_owned()).is_unique("members", &["room", "user_id"]));
        assert!(!DbError::NotFound.is_unique("members", &["room"]));
    }

    #[test]
    fn a_busy_or_full_sqlite_is_unavailable_and_a_bad_statement_is_not() {
        for code in ["5", "261", "517", "6", "10", "778", "13", "14"] {
            assert!(matches!(DbError::from_sqlite(code, "x"), DbError::Unavailable(_)), "{code}");
        }
        for code in ["1", "275", "787", "11", ""] {
            assert!(matches!(DbError::from_sqlite(code, "x"), DbError::Driver(_)), "{code}");
        }
    }

    #[test]
    fn losing_the_connection_is_unavailable_whatever_the_driver_calls_it() {
        let refused = || sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into());
        for err in [
            DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout),
            DbErr::Conn(RuntimeErr::Internal("x".to_owned())),
            DbErr::Conn(RuntimeErr::SqlxError(refused().into())),
            DbErr::Query(RuntimeErr::SqlxError(refused().into())),
            DbErr::Exec(RuntimeErr::SqlxError(sqlx::Error::PoolClosed.into())),
        ] {
            assert!(matches!(DbError::from(err), DbError::Unavailable(_)));
        }
    }
}
