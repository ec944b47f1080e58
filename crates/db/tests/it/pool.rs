use std::{
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use baluarte_db::{
    DbError, Tx, placeholders,
    sea_orm::{ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, DbErr, EntityTrait as _, QueryFilter as _},
    sql,
};
use baluarte_testkit::each_backend;

use crate::{NOTES, count, insert, insert_in};

mod note {
    use baluarte_db::sea_orm;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "notes")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub title: String,
        pub folder: String,
        pub place: i64,
        pub starred: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

each_backend! {
    async fn an_entity_is_written_in_a_transaction_and_read_back_outside(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        let tx = db.begin().await.unwrap();
        let row = note::ActiveModel { id: Set(1), title: Set("Olá".into()), folder: Set("inbox".into()), place: Set(1), starred: Set(true) };
        let stored = row.insert(&tx).await.unwrap();
        tx.commit().await.unwrap();
        let found = note::Entity::find().filter(note::Column::Starred.eq(true)).one(db.read()).await.unwrap();
        assert_eq!(found, Some(stored));
    }

    async fn a_dropped_transaction_leaves_nothing_and_the_next_one_can_begin(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        for _ in 0..3 {
            let tx = db.begin().await.unwrap();
            tx.execute_unprepared("INSERT INTO notes VALUES (1, 'a', 'b', 1, true)").await.unwrap();
        }
        assert_eq!(count(&db).await, 0);
    }

    async fn what_is_left_for_last_is_done_once_inside_the_transaction(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        let leave = |tx: &Tx, id: i64| {
            tx.before_commit(id, |tx, ids| Box::pin(async move {
                assert_eq!(ids, [1, 2], "all at once, in order");
                for id in ids {
                    insert_in(tx, id, &id.to_string()).await?;
                }
                Ok(())
            }));
        };
        let tx = db.begin().await.unwrap();
        leave(&tx, 1);
        leave(&tx, 2);
        drop(tx);
        let tx = db.begin().await.unwrap();
        leave(&tx, 1);
        leave(&tx, 2);
        tx.rollback().await.unwrap();
        assert_eq!(count(&db).await, 0, "without a commit it is not done at all");
        let tx = db.begin().await.unwrap();
        leave(&tx, 1);
        leave(&tx, 2);
        tx.commit().await.unwrap();
        assert_eq!(count(&db).await, 2);
    }

    async fn when_what_is_left_for_last_fails_nothing_happened(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        let hinted = Arc::new(AtomicUsize::new(0));
        let tx = db.begin().await.unwrap();
        insert_in(&tx, 1, "first").await.unwrap();
        let hint = Arc::clone(&hinted);
        tx.after_commit(move || {
            hint.fetch_add(1, Ordering::SeqCst);
        });
        tx.before_commit((), |tx, _| Box::pin(async move {
            insert_in(tx, 2, "last").await?;
            insert_in(tx, 2, "again").await
        }));
        let refused = tx.commit().await.unwrap_err();
        assert!(matches!(refused, DbError::Unique(_)), "{refused:?}");
        assert_eq!((count(&db).await, hinted.load(Ordering::SeqCst)), (0, 0));
        // The connection is free for the next one.
        let tx = db.begin().await.unwrap();
        insert_in(&tx, 1, "next").await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn a_hint_is_given_after_the_commit_and_never_without_one(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        let given = Arc::new(AtomicUsize::new(0));
        let hint = |tx: &Tx| {
            let given = Arc::clone(&given);
            tx.after_commit(move || {
                given.fetch_add(1, Ordering::SeqCst);
            });
        };
        let tx = db.begin().await.unwrap();
        hint(&tx);
        tx.rollback().await.unwrap();
        let tx = db.begin().await.unwrap();
        hint(&tx);
        drop(tx);
        assert_eq!(given.load(Ordering::SeqCst), 0);
        let tx = db.begin().await.unwrap();
        hint(&tx);
        hint(&tx);
        tx.commit().await.unwrap();
        assert_eq!(given.load(Ordering::SeqCst), 2);
    }

    async fn a_refused_duplicate_names_its_constraint(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        insert(&db, 1, "one").await.unwrap();
        let by_title = insert(&db, 2, "one").await.unwrap_err();
        assert!(by_title.is_unique("notes", &["title"]), "{by_title}");
        assert!(!by_title.is_unique("notes", &["id"]));
        let tx = db.begin().await.unwrap();
        let by_id = tx.execute_unprepared("INSERT INTO notes VALUES (1, 'two', 'inbox', 2, true)").await.unwrap_err();
        let by_id = DbError::from(by_id);
        assert!(by_id.is_unique("notes", &["id"]), "{by_id}");
        drop(tx);
        let tx = db.begin().await.unwrap();
        let by_index = tx.execute_unprepared("INSERT INTO notes VALUES (9, 'nine', 'inbox', 1, true)").await.unwrap_err();
        let by_index = DbError::from(by_index);
        assert!(by_index.is_unique("notes", &["folder", "place"]), "{by_index}");
    }

    async fn an_error_never_shows_a_value(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        insert(&db, 1, "hunter2").await.unwrap();
        let mut errors = vec![insert(&db, 2, "hunter2").await.unwrap_err()];
        let tx = db.begin().await.unwrap();
        let statement = db.per_dialect("SELECT * FROM nowhere WHERE x = $1", "SELECT CAST($1 AS BIGINT)");
        errors.push(tx.query_one_raw(sql(&tx, statement, ["hunter2".into()])).await.unwrap_err().into());
        drop(tx);
        let tx = db.begin().await.unwrap();
        let nothing: Option<i64> = None;
        errors.push(tx.execute_raw(sql(&tx, "INSERT INTO notes VALUES ($1, $2, $2, 1, true)", [nothing.into(), "hunter2x".into()])).await.map(|_| ()).map_err(DbError::from).err().unwrap_or(DbError::NotFound));
        errors.push(DbErr::Type("bad value hunter2".into()).into());
        for err in errors {
            let mut shown = format!("{err} {err:?}");
            let mut source = std::error::Error::source(&err);
            while let Some(cause) = source {
                shown.push_str(&format!(" {cause} {cause:?}"));
                source = cause.source();
            }
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    async fn four_hundred_read_then_write_transactions_at_once_lose_no_update(test: TestDb) {
        // Two, as a server and an operator's command have: each queues its own writers, the file those of both.
        let both = [test.open(&[NOTES]).await, test.open(&[NOTES]).await];
        let db = &both[0];
        insert(db, 1, "one").await.unwrap();
        let mut all = tokio::task::JoinSet::new();
        for n in 0..400 {
            let db = both[n % 2].clone();
            all.spawn(async move {
                let tx = db.begin().await?;
                // The lock on PostgreSQL is the statement's, on SQLite the transaction's.
                let read = db.per_dialect("SELECT place FROM notes WHERE id = 1", "SELECT place FROM notes WHERE id = 1 FOR UPDATE");
                let place: i64 = tx.query_one_raw(sql(&tx, read, [])).await?.unwrap().try_get_by_index(0)?;
                tx.execute_raw(sql(&tx, "UPDATE notes SET place = $1 WHERE id = 1", [(place + 1).into()])).await?;
                tx.commit().await
            });
        }
        for result in all.join_all().await {
            result.unwrap();
        }
        let row = db.read().query_one_raw(sql(db.read(), "SELECT place FROM notes", [])).await.unwrap().unwrap();
        assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 401);
    }

    async fn a_list_is_asked_for_in_one_statement(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        for id in 1..=5 {
            insert(&db, id, &format!("note {id}")).await.unwrap();
        }
        for (wanted, found) in [(vec![1_i64, 3, 9], 2), (vec![], 0)] {
            let statement = format!("SELECT id FROM notes WHERE folder = $1 AND id IN ({})", placeholders(2, wanted.len()));
            let values = std::iter::once("inbox".into()).chain(wanted.into_iter().map(Into::into));
            assert_eq!(db.read().query_all_raw(sql(db.read(), &statement, values)).await.unwrap().len(), found);
        }
    }

    async fn a_closed_database_answers_unavailable(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        db.ping().await.unwrap();
        db.close().await;
        assert!(matches!(db.ping().await, Err(DbError::Unavailable(_))));
        assert!(matches!(db.begin().await, Err(DbError::Unavailable(_))));
    }
}

#[tokio::test]
async fn sqlite_refuses_writes_through_the_reading_side_and_keeps_its_files_private() {
    let test = baluarte_testkit::TestDb::create(baluarte_testkit::Dialect::Sqlite).await;
    let db = test.open(&[NOTES]).await;
    insert(&db, 1, "one").await.unwrap();
    let err = db.read().execute_unprepared("DELETE FROM notes").await.unwrap_err();
    assert!(matches!(DbError::from(err), DbError::Driver(cause) if cause.code() == Some("8")));
    for file in std::fs::read_dir(test.folder().unwrap()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    for (pragma, expected) in [("foreign_keys", 1), ("synchronous", 2)] {
        let tx = db.begin().await.unwrap();
        let row = tx.query_one_raw(sql(&tx, &format!("PRAGMA {pragma}"), [])).await.unwrap().unwrap();
        assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), expected, "{pragma}");
    }
}
