//! A person is forgotten.

use baluarte_db::{
    Db, DbError, placeholders,
    sea_orm::{ConnectionTrait as _, Value},
    sql,
};
use baluarte_kernel::UserId;

use super::{
    ROWS, get,
    upkeep::{BURIED, DONE},
};

/// Deletes jobs that have ended and carry one of these tags. They are looked for while nobody waits for the writer.
pub(crate) async fn delete_ended(db: &Db, tags: &[String; 2]) -> Result<(), DbError> {
    for ended in [DONE, BURIED] {
        let found = format!("SELECT id FROM jobs WHERE {ended} AND (tags LIKE $1 OR tags LIKE $2) LIMIT {ROWS}");
        loop {
            // Tags have no wildcards in them.
            let values = tags.each_ref().map(|tag| Value::from(format!("%,{tag},%")));
            let rows = db.read().query_all_raw(sql(db.read(), &found, values)).await?;
            let ids = rows.iter().map(|row| get::<String>(row, "id").map(Value::from)).collect::<Result<Vec<_>, _>>()?;
            if ids.is_empty() {
                break;
            }
            // Not one that somebody has started again meanwhile.
            let delete = format!("DELETE FROM jobs WHERE {ended} AND id IN ({})", placeholders(1, ids.len()));
            let tx = db.begin().await?;
            tx.execute_raw(sql(&tx, &delete, ids)).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}

/// Nobody asked for these HTTP jobs any more.
pub(crate) async fn disown(db: &Db, user: UserId) -> Result<(), DbError> {
    let tx = db.begin().await?;
    tx.execute_raw(sql(&tx, "UPDATE http_jobs SET owner = NULL WHERE owner = $1", [user.to_string().into()])).await?;
    tx.commit().await
}
