//! Everything db promises, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod batch;
mod life;
mod listen;
mod migrate;
mod outage;
mod pool;

use baluarte_db::{Db, DbError, Migration, Migrations, Tx, sea_orm::ConnectionTrait as _, sql};

const NOTES: Migrations = Migrations {
    component: "notes",
    steps: &[Migration::common(
        "0001_notes",
        "CREATE TABLE notes (id BIGINT PRIMARY KEY, title TEXT NOT NULL UNIQUE, folder TEXT NOT NULL, place BIGINT NOT NULL, starred BOOLEAN NOT NULL);
         CREATE UNIQUE INDEX notes_folder_place ON notes (folder, place);",
    )],
};

async fn insert(db: &Db, id: i64, title: &str) -> Result<(), DbError> {
    let tx = db.begin().await?;
    insert_in(&tx, id, title).await?;
    tx.commit().await
}

async fn insert_in(tx: &Tx, id: i64, title: &str) -> Result<(), DbError> {
    let values = [id.into(), title.into(), "inbox".into(), id.into(), (id % 2 == 0).into()];
    tx.execute_raw(sql(tx, "INSERT INTO notes (id, title, folder, place, starred) VALUES ($1, $2, $3, $4, $5)", values)).await?;
    Ok(())
}

async fn count(db: &Db) -> i64 {
    let row = db.read().query_one_raw(sql(db.read(), "SELECT count(*) FROM notes", [])).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}
