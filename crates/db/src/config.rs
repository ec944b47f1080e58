use baluarte_kernel::Secret;
use serde::{Deserialize, Serialize};

/// `[database]`
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// `sqlite:PATH` (embedded; the folder is created), or `postgres://USER:PASSWORD@HOST/NAME`.
    pub url: Secret,
    /// Connections at most: to PostgreSQL in all, on SQLite for reading (there is one more for writing).
    pub connections: u32,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: Secret::new("sqlite:data/baluarte.db"), connections: 8 }
    }
}
