use baluarte_db::{Db, DbError, Migration, Migrations, sea_orm::ConnectionTrait as _, sql};
use baluarte_kernel::Secret;
use baluarte_testkit::{Dialect, TestDb, each_backend};

use crate::{NOTES, count, insert};

const MORE: Migrations = Migrations {
    component: "notes",
    steps: &[
        NOTES.steps[0],
        Migration::common("0002_colour", "ALTER TABLE notes ADD COLUMN colour TEXT"),
        Migration::common("0003_tags", "CREATE TABLE tags (id BIGINT PRIMARY KEY, note BIGINT NOT NULL REFERENCES notes (id))"),
    ],
};

/// Its second statement fails, so the first must go too.
const BROKEN: Migrations = Migrations {
    component: "notes",
    steps: &[NOTES.steps[0], Migration::common("0002_broken", "CREATE TABLE half (id BIGINT); INSERT INTO nowhere VALUES (1)")],
};

each_backend! {
    async fn steps_are_applied_once_and_in_order(test: TestDb) {
        let first = Db::migrate(&test.config, &test.clock, &[NOTES]).await.unwrap();
        assert_eq!(first, ["notes/0001_notes"]);
        let second = Db::migrate(&test.config, &test.clock, &[MORE]).await.unwrap();
        assert_eq!(second, ["notes/0002_colour", "notes/0003_tags"]);
        assert!(Db::migrate(&test.config, &test.clock, &[MORE]).await.unwrap().is_empty());
    }

    async fn an_older_program_refuses_a_newer_database(test: TestDb) {
        Db::migrate(&test.config, &test.clock, &[MORE]).await.unwrap();
        let refused = Db::migrate(&test.config, &test.clock, &[NOTES]).await;
        assert!(matches!(refused, Err(DbError::Newer(step)) if step == "notes/0002_colour"));
    }

    async fn an_edited_step_is_refused(test: TestDb) {
        const EDITED: Migrations = Migrations { component: "notes", steps: &[Migration::common("0001_notes", "CREATE TABLE notes (id TEXT)")] };
        Db::migrate(&test.config, &test.clock, &[NOTES]).await.unwrap();
        let refused = Db::migrate(&test.config, &test.clock, &[EDITED]).await;
        assert!(matches!(refused, Err(DbError::ChangedMigration(step)) if step == "notes/0001_notes"));
    }

    async fn a_failing_step_leaves_the_database_as_it_was(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        insert(&db, 1, "one").await.unwrap();
        let failed = Db::migrate(&test.config, &test.clock, &[BROKEN]).await;
        assert!(matches!(failed, Err(DbError::MigrationFailed { step, .. }) if step == "notes/0002_broken"));
        assert!(db.read().query_one_raw(sql(db.read(), "SELECT 1 FROM half", [])).await.is_err());
        assert_eq!(count(&db).await, 1);
        // And the way forward is open.
        assert_eq!(Db::migrate(&test.config, &test.clock, &[MORE]).await.unwrap().len(), 2);
    }

    async fn eight_replicas_that_start_at_once_apply_each_step_once(test: TestDb) {
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (config, clock) = (test.config.clone(), test.clock.clone());
            all.spawn(async move { Db::migrate(&config, &clock, &[MORE]).await });
        }
        let applied: usize = all.join_all().await.into_iter().map(|result| result.unwrap().len()).sum();
        assert_eq!(applied, 3);
    }
}

fn copies(test: &TestDb) -> Vec<String> {
    let entries = std::fs::read_dir(test.folder().unwrap()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut copies: Vec<_> = names.filter(|name| name.contains(".before-") || name.contains("copying")).collect();
    copies.sort();
    copies
}

#[tokio::test]
async fn sqlite_is_copied_before_its_data_is_migrated_and_three_copies_are_kept() {
    let test = TestDb::create(Dialect::Sqlite).await;
    let db = test.open(&[NOTES]).await;
    assert!(copies(&test).is_empty(), "there was nothing to lose");
    insert(&db, 1, "one").await.unwrap();
    test.open(&[MORE]).await;
    assert_eq!(copies(&test), ["test.db.before-notes-0002_colour"]);

    let mut config = test.config.clone();
    config.url = Secret::new(format!("sqlite:{}/test.db.before-notes-0002_colour", test.folder().unwrap().display()));
    let copy = Db::open(&config).await.unwrap();
    assert_eq!(count(&copy).await, 1);
    copy.close().await;

    let mut steps = MORE.steps.to_vec();
    for name in ["0004_a", "0005_b", "0006_c", "0007_d"] {
        steps.push(Migration::common(name, "CREATE INDEX IF NOT EXISTS notes_colour ON notes (colour)"));
        let all = Migrations { component: "notes", steps: steps.clone().leak() };
        test.open(&[all]).await;
    }
    assert_eq!(copies(&test).iter().filter(|name| name.ends_with("db")).count(), 0, "copies only");
    assert_eq!(copies(&test), ["test.db.before-notes-0005_b", "test.db.before-notes-0006_c", "test.db.before-notes-0007_d"]);
}

#[tokio::test]
async fn whoever_has_copies_elsewhere_may_do_without() {
    let mut test = TestDb::create(Dialect::Sqlite).await;
    insert(&test.open(&[NOTES]).await, 1, "one").await.unwrap();
    test.config.backup_before_migrate = false;
    test.open(&[MORE]).await;
    assert!(copies(&test).is_empty());
}

each_backend! {
    async fn a_newer_database_is_known_without_changing_it(test: TestDb) {
        test.open(&[MORE]).await;
        Db::check_version(&test.config, &[MORE]).await.unwrap();
        assert!(matches!(Db::check_version(&test.config, &[NOTES]).await, Err(DbError::Newer(_))));
    }
}

#[tokio::test]
async fn a_new_sqlite_file_is_not_copied_however_many_steps_make_it() {
    let test = TestDb::create(Dialect::Sqlite).await;
    test.open(&[MORE]).await;
    assert_eq!(copies(&test), [] as [&str; 0]);
}

#[tokio::test]
async fn a_sqlite_step_may_rebuild_a_table_but_not_orphan_rows() {
    const REBUILD: &str = "CREATE TABLE notes2 (id BIGINT PRIMARY KEY, title TEXT); INSERT INTO notes2 SELECT id, title FROM notes;
        DROP TABLE notes; ALTER TABLE notes2 RENAME TO notes;";
    const REBUILT: Migrations = Migrations {
        component: "notes",
        steps: &[MORE.steps[0], MORE.steps[1], MORE.steps[2], Migration::common("0004_rebuild", REBUILD)],
    };
    const ORPHANED: Migrations = Migrations {
        component: "notes",
        steps: &[MORE.steps[0], MORE.steps[1], MORE.steps[2], REBUILT.steps[3], Migration::common("0005_orphans", "DELETE FROM notes")],
    };
    let test = TestDb::create(Dialect::Sqlite).await;
    let db = test.open(&[MORE]).await;
    insert(&db, 1, "one").await.unwrap();
    let tx = db.begin().await.unwrap();
    tx.execute_unprepared("INSERT INTO tags VALUES (1, 1)").await.unwrap();
    tx.commit().await.unwrap();
    db.close().await;

    let db = test.open(&[REBUILT]).await;
    assert_eq!(count(&db).await, 1);
    let refused = Db::migrate(&test.config, &test.clock, &[ORPHANED]).await;
    assert!(matches!(refused, Err(DbError::Setup(why)) if why.contains("0005_orphans") && why.contains("tags")));
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn what_keeps_a_server_from_starting_is_said_in_one_sentence() {
    let postgres = TestDb::create(Dialect::Postgres).await;
    let mut missing = postgres.config.clone();
    missing.url = Secret::new(missing.url.expose().replace("/baluarte_test", "/baluarte_nowhere"));
    let said = Db::migrate(&missing, &postgres.clock, &[NOTES]).await.unwrap_err().to_string();
    assert!(said.contains("does not exist; create it first"), "{said}");

    let sqlite = TestDb::create(Dialect::Sqlite).await;
    std::fs::write(sqlite.folder().unwrap().join("test.db"), "certainly not a database, but long enough to be looked at as one".repeat(20))
        .unwrap();
    let said = Db::migrate(&sqlite.config, &sqlite.clock, &[NOTES]).await.unwrap_err().to_string();
    assert!(said.ends_with("test.db is not a SQLite database"), "{said}");

    let mut nowhere = sqlite.config.clone();
    nowhere.url = Secret::new("sqlite:/proc/nowhere/x.db");
    let said = Db::migrate(&nowhere, &sqlite.clock, &[NOTES]).await.unwrap_err().to_string();
    assert!(said.starts_with("/proc/nowhere cannot be created"), "{said}");

    let mut refused = postgres.config.clone();
    refused.url = Secret::new("postgres://shop:hunter2@127.0.0.1:1/shop");
    let err = Db::migrate(&refused, &postgres.clock, &[NOTES]).await.unwrap_err();
    let DbError::Unavailable(cause) = err else { panic!("{err:?}") };
    assert!(cause.to_string().starts_with("postgres://shop@127.0.0.1:1/shop: "), "{cause}");
}
