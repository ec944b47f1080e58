//! Rows in bulk from PostgreSQL, in its own binary format: a driver takes longer to hand out rows than many readers to use them.

use futures::TryStreamExt as _;
use sqlx::postgres::PgPoolCopyExt as _;
use tokio::time::timeout;

use crate::{Db, DbError, Dialect, connect::ANSWER};

impl Db {
    /// What `COPY (query) TO STDOUT (FORMAT binary)` sends, at once: ask for a bounded number of rows. The query takes no values, so
    /// build it from numbers and words of the program only. SQLite knows no such statement: that is an error.
    pub async fn copy_out(&self, query: &str) -> Result<Vec<u8>, DbError> {
        if self.dialect() == Dialect::Sqlite {
            return Err(DbError::Setup("COPY is PostgreSQL's".to_owned()));
        }
        let statement = format!("COPY ({query}) TO STDOUT (FORMAT binary)");
        let connection = self.read().source().current();
        let pool = connection.get_postgres_connection_pool();
        let all = async {
            let mut pieces = pool.copy_out_raw(&statement).await?;
            let mut all = Vec::new();
            while let Some(piece) = pieces.try_next().await? {
                all.extend_from_slice(&piece);
            }
            Ok::<_, sqlx::Error>(all)
        };
        match timeout(ANSWER, all).await {
            Ok(all) => Ok(all?),
            Err(_) => Err(DbError::unavailable(format!("no answer within {} s", ANSWER.as_secs()))),
        }
    }
}
