/// What a statement can come back with, in the words of either database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("no such row")]
    NotFound,
    /// A unique constraint refused the row; names the constraint or column as the database gave it.
    #[error("already exists: {0}")]
    Unique(String),
    #[error("stored value of {0} cannot be read")]
    Corrupt(&'static str),
    /// Away, starting, or so busy that no connection came free in time: try again later.
    #[error("the database is not reachable")]
    Unavailable(#[source] sea_orm::DbErr),
    /// The database was migrated by a newer Baluarte than this one.
    #[error("the database is newer than this program: it has migration {0}; install the newer version again")]
    Newer(String),
    #[error("database")]
    Driver(#[source] sea_orm::DbErr),
}

impl From<sea_orm::DbErr> for DbError {
    fn from(err: sea_orm::DbErr) -> Self {
        Self::Driver(err)
    }
}
