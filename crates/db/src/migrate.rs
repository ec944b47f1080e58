/// One step of a component's schema. Released steps never change.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// `0001_users`: sorts by number.
    pub name: &'static str,
    pub sqlite: &'static str,
    pub postgres: &'static str,
}

impl Migration {
    /// The same statements on both databases (docs/storage.md, the common dialect).
    pub const fn common(name: &'static str, sql: &'static str) -> Self {
        Self { name, sqlite: sql, postgres: sql }
    }
}

/// All steps of one component, in order.
#[derive(Debug, Clone, Copy)]
pub struct Migrations {
    pub component: &'static str,
    pub steps: &'static [Migration],
}

impl crate::Db {
    /// Brings the schema up to date under a lock, on a single connection of its own. Returns the steps applied, `component/name`.
    pub async fn migrate(
        _config: &crate::DatabaseConfig,
        _clock: &baluarte_kernel::Clock,
        _all: &[Migrations],
    ) -> Result<Vec<String>, crate::DbError> {
        unimplemented!("db")
    }
}
