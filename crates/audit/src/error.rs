use baluarte_db::DbError;

/// What the audit log can refuse, in its own words.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("no such entry")]
    EntryNotFound,
    #[error("no such call")]
    CallNotFound,
    #[error(transparent)]
    BadCursor(#[from] baluarte_kernel::BadCursor),
    #[error(transparent)]
    Forbidden(#[from] baluarte_kernel::Forbidden),
    /// Nobody's request is to blame.
    #[error("{0}")]
    Internal(String),
    #[error("audit storage")]
    Storage(#[from] DbError),
}
