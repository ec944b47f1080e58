//! What the audit log promises, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod calls;
mod record;
mod search;
mod upkeep;
mod verify;

use baluarte_audit::{Audit, AuditConfig, MIGRATIONS, Parts};
use baluarte_db::{
    Db, Migration, Migrations,
    sea_orm::{ConnectionTrait as _, QueryResult},
    sql,
};
use baluarte_kernel::Secret;
use baluarte_secrets::Secrets;
use baluarte_testkit::TestDb;

const THINGS: Migrations =
    Migrations { component: "things", steps: &[Migration::common("0001_things", "CREATE TABLE things (id BIGINT NOT NULL PRIMARY KEY)")] };

fn secrets() -> Secrets {
    Secrets::new(&Secret::new("a secret key for tests, longer than 32 bytes"), &Secret::new("salt"))
}

/// A database of its own with a chain of which the first entry tells of the key.
async fn open(test: &TestDb) -> (Db, Audit) {
    open_with(test, |_| {}).await
}

async fn open_with(test: &TestDb, change: impl FnOnce(&mut AuditConfig)) -> (Db, Audit) {
    let db = test.open(&[MIGRATIONS, THINGS]).await;
    let mut config = AuditConfig::default();
    change(&mut config);
    let audit = Audit::start(&config, Parts::new(&db, &secrets(), &test.clock)).await.unwrap();
    (db, audit)
}

async fn rows(db: &Db, text: &str) -> Vec<QueryResult> {
    db.read().query_all_raw(sql(db.read(), text, [])).await.unwrap()
}

async fn count(db: &Db, table: &str) -> i64 {
    rows(db, &format!("SELECT count(*) FROM {table}")).await[0].try_get_by_index(0).unwrap()
}

baluarte_audit::actions! {
    TRIED = "test.thing.tried", Info, "A thing was tried.";
    BROKEN = "test.thing.broken", Warning, "A thing broke.";
}
