//! Whatever is done to the tables behind our back is found, and the first broken entry named.

use std::time::Duration;

use baluarte_audit::{Audit, AuditConfig, Checkpoint, Entry, Parts, Shown, Verdict, verify};
use baluarte_db::{Db, Dialect, sea_orm::ConnectionTrait as _};
use baluarte_kernel::{Clock, Ctx, Secret, UserId};
use baluarte_secrets::Secrets;
use baluarte_testkit::{TestDb, each_backend};

use crate::{TRIED, count, open, record::somebody, rows, secrets};

/// Entries from 2 on: the first one tells of the key.
async fn fill(db: &Db, audit: &Audit, clock: &Clock, entries: u32) {
    let (user, system) = (somebody(clock), Ctx::system(clock.clone()));
    for round in 0..entries {
        let ctx = if round % 2 == 0 { &user } else { &system };
        let tx = db.begin().await.unwrap();
        audit.record(ctx, &tx, Entry::new(&TRIED, "thing").of(round).detail("round", round).personal("owner", Shown("Ana")));
        tx.commit().await.unwrap();
        clock.advance(Duration::from_secs(1));
    }
}

/// As somebody does who has the database and knows its triggers.
pub(crate) async fn tamper(db: &Db, statements: &[&str]) {
    let tx = db.begin().await.unwrap();
    match db.dialect() {
        Dialect::Postgres => {
            tx.execute_unprepared("ALTER TABLE audit_entries DISABLE TRIGGER USER").await.unwrap();
            for table in ["audit_head", "audit_checkpoints", "audit_keys", "audit_prunings"] {
                tx.execute_unprepared(&format!("ALTER TABLE {table} DISABLE TRIGGER USER")).await.unwrap();
            }
        }
        Dialect::Sqlite => {
            let triggers =
                tx.query_all_raw(baluarte_db::sql(&tx, "SELECT name FROM sqlite_schema WHERE type = 'trigger'", [])).await.unwrap();
            for trigger in triggers {
                let name: String = trigger.try_get_by_index(0).unwrap();
                tx.execute_unprepared(&format!("DROP TRIGGER {name}")).await.unwrap();
            }
        }
    }
    for statement in statements {
        tx.execute_unprepared(statement).await.unwrap();
    }
    tx.commit().await.unwrap();
}

pub(crate) async fn check(db: &Db) -> Verdict {
    check_with(db, Vec::new()).await
}

async fn check_with(db: &Db, anchors: Vec<Checkpoint>) -> Verdict {
    verify(db, &secrets(), anchors, 3).await.unwrap()
}

/// The first thing that is wrong, in words.
pub(crate) fn first(verdict: &Verdict) -> String {
    verdict.broken.first().map(ToString::to_string).unwrap_or_default()
}

each_backend! {
    async fn an_honest_chain_holds(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 40).await;
        let checkpoint = audit.checkpoint().await.unwrap().unwrap();
        assert_eq!(checkpoint.seq, 41);
        fill(&db, &audit, &test.clock, 3).await;
        let verdict = check_with(&db, vec![checkpoint]).await;
        assert_eq!(verdict.broken, []);
        assert_eq!((verdict.entries, verdict.through, verdict.checkpoints, verdict.anchors, verdict.erased), (44, 44, 1, 1, 0));
        assert_eq!(verdict.notices, [] as [&str; 0]);
    }

    async fn it_is_told_up_to_where_entries_are_signed(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 5).await;
        assert_eq!(check(&db).await.signed_through, 0);
        audit.checkpoint().await.unwrap();
        fill(&db, &audit, &test.clock, 5).await;
        audit.checkpoint().await.unwrap();
        fill(&db, &audit, &test.clock, 5).await;
        let verdict = check(&db).await;
        assert_eq!((verdict.signed_through, verdict.through), (11, 16));
        // Without anchors nothing contradicts a chain whose checkpoints were taken away; but this much is seen.
        tamper(&db, &["DELETE FROM audit_checkpoints WHERE seq = 11"]).await;
        assert_eq!(check(&db).await.signed_through, 6);
        tamper(&db, &["UPDATE audit_checkpoints SET signature = '00'"]).await;
        assert_eq!(check(&db).await.signed_through, 0);
    }

    async fn a_command_that_was_given_another_secret_key_leaves_no_key_behind(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 3).await;
        let other = Secrets::new(&Secret::new("another secret key for tests, longer than 32 bytes"), &Secret::new("salt"));
        let mistaken = Audit::start(&AuditConfig::default(), Parts::new(&db, &other, &test.clock)).await.unwrap();
        fill(&db, &mistaken, &test.clock, 1).await;
        assert_eq!((count(&db, "audit_keys").await, check(&db).await.broken), (1, vec![]));
        // Who signs needs one.
        mistaken.checkpoint().await.unwrap();
        assert_eq!(count(&db, "audit_keys").await, 2);
    }

    async fn a_change_of_any_column_is_found_and_the_entry_named(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 8).await;
        let id: String = rows(&db, "SELECT id FROM audit_entries WHERE seq = 4").await[0].try_get_by_index(0).unwrap();
        for (column, value) in [
            ("id", "'aud_x'"), ("kind", "'batch'"), ("at", "at + 1"), ("action", "'test.thing.broken'"), ("severity", "'alert'"),
            ("status", "'failure'"), ("actor_kind", "'system'"), ("actor_id", "'usr_x'"), ("actor_session", "NULL"),
            ("resource_kind", "'user'"), ("resource_id", "NULL"), ("request_id", "'x'"), ("details", "'{\"round\":3}'"),
            ("personal", "NULL"), ("salt", "'00'"), ("actor_name", "'x'"), ("ip", "'192.0.2.1'"), ("ip", "NULL"), ("user_agent", "'x'"),
            ("personal_details", "'{}'"), ("salt", "NULL"), ("hash", "personal"), ("erased_by", "8"),
        ] {
            let table = format!("CREATE TABLE before AS SELECT {column} AS it FROM audit_entries WHERE seq = 4");
            let change = format!("UPDATE audit_entries SET {column} = {value} WHERE seq = 4");
            tamper(&db, &[&table, &change]).await;
            let verdict = check(&db).await;
            let broken = verdict.broken.first().unwrap_or_else(|| panic!("{column} = {value} was not noticed"));
            assert_eq!(broken.seq, Some(4), "{column}: {broken}");
            assert!(column == "id" || broken.id.as_deref() == Some(&*id), "{column}: {broken}");
            let back = format!("UPDATE audit_entries SET {column} = (SELECT it FROM before) WHERE seq = 4");
            tamper(&db, &[&back, "DROP TABLE before"]).await;
            assert_eq!(check(&db).await.broken, [], "{column} is back");
        }
    }

    async fn what_looks_the_same_when_it_is_put_together_is_not_taken_for_the_same(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 8).await;
        // Pages are read in one piece, with characters between values; PostgreSQL refuses NUL and text of another type by itself.
        let mut changes = vec![
            ("actor_name", "actor_name || chr(31)"), ("personal_details", "personal_details || chr(30)"), ("request_id", "request_id || chr(31) || 'x'"),
            ("details", "details || chr(30) || details"), ("id", "id || chr(31) || kind"), ("action", "chr(31) || action"),
        ];
        let sqlite = [
            ("actor_id", "CAST(actor_id AS BLOB)"), ("action", "CAST(action AS BLOB)"), ("salt", "CAST(salt AS BLOB)"), ("details", "CAST(details AS BLOB)"),
            ("actor_name", "actor_name || char(0)"), ("ip", "ip || char(0) || 'x'"), ("kind", "kind || char(0)"), ("at", "at || 'x'"), ("at", "at + 0.25"),
            ("personal", "personal || x'1f'"), ("user_agent", "x''"), ("erased_by", "''"),
        ];
        if db.dialect() == Dialect::Sqlite {
            changes.extend(sqlite);
        }
        for (column, value) in changes {
            let value = if db.dialect() == Dialect::Sqlite { value.replace("chr(", "char(") } else { value.to_owned() };
            let table = format!("CREATE TABLE before AS SELECT {column} AS it FROM audit_entries WHERE seq = 4");
            tamper(&db, &[&table, &format!("UPDATE audit_entries SET {column} = {value} WHERE seq = 4")]).await;
            let verdict = check(&db).await;
            assert_eq!(verdict.broken.first().and_then(|broken| broken.seq), Some(4), "{column} = {value}: {:?}", verdict.broken);
            let back = format!("UPDATE audit_entries SET {column} = (SELECT it FROM before) WHERE seq = 4");
            tamper(&db, &[&back, "DROP TABLE before"]).await;
            assert_eq!(check(&db).await.broken, [], "{column} is back");
        }
    }

    async fn an_entry_missing_in_the_middle_is_found(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 8).await;
        tamper(&db, &["DELETE FROM audit_entries WHERE seq IN (5, 6)"]).await;
        assert_eq!(first(&check(&db).await), "entry 5 is missing");
    }

    async fn entries_in_another_order_are_found(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 8).await;
        tamper(&db, &[
            "UPDATE audit_entries SET seq = 100 WHERE seq = 5",
            "UPDATE audit_entries SET seq = 5 WHERE seq = 6",
            "UPDATE audit_entries SET seq = 6 WHERE seq = 100",
        ]).await;
        assert!(first(&check(&db).await).starts_with("entry 5 (aud_"), "{}", first(&check(&db).await));
    }

    async fn an_entry_put_in_is_found(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 8).await;
        let forge = |seq: i64, id: &str| format!(
            "INSERT INTO audit_entries (seq, id, kind, at, action, severity, status, actor_kind, resource_kind, details, hash)
             SELECT {seq}, '{id}', kind, at, action, severity, status, actor_kind, resource_kind, details, hash FROM audit_entries WHERE seq = 3");
        tamper(&db, &[&forge(10, "aud_forged")]).await;
        assert_eq!(first(&check(&db).await), "entry 10 stands behind the end of the chain");
        tamper(&db, &["UPDATE audit_head SET seq = 10"]).await;
        assert!(first(&check(&db).await).starts_with("entry 10 (aud_forged)"), "{}", first(&check(&db).await));
        // In the middle, with everything behind it moved on.
        tamper(&db, &["DELETE FROM audit_entries WHERE seq = 10", "UPDATE audit_entries SET seq = seq + 1000 WHERE seq > 4",
            "UPDATE audit_entries SET seq = seq - 999 WHERE seq > 1000", &forge(5, "aud_middle")]).await;
        assert!(first(&check(&db).await).starts_with("entry 5 (aud_middle)"), "{}", first(&check(&db).await));
    }

    async fn removing_the_newest_is_found_by_the_end_of_the_chain_by_a_checkpoint_or_by_an_anchor(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 8).await;
        let anchor = audit.checkpoint().await.unwrap().unwrap();
        tamper(&db, &["DELETE FROM audit_entries WHERE seq > 6"]).await;
        assert_eq!(first(&check(&db).await), "entry 7 is missing, and so is everything up to 9, where the chain ended");
        tamper(&db, &["UPDATE audit_head SET seq = 6, hash = (SELECT hash FROM audit_entries WHERE seq = 6)"]).await;
        assert!(first(&check(&db).await).starts_with("entry 7 is missing: a checkpoint of "), "{}", first(&check(&db).await));
        tamper(&db, &["DELETE FROM audit_checkpoints"]).await;
        assert_eq!(first(&check(&db).await), "", "nothing in the database tells any more");
        let told = first(&check_with(&db, vec![anchor]).await);
        assert!(told.starts_with("entry 7 is missing: a checkpoint of ") && told.ends_with("names entry 9, and the chain ends at 6"), "{told}");
    }

    async fn a_chain_made_anew_contradicts_its_checkpoints_and_anchors(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 8).await;
        let anchor = audit.checkpoint().await.unwrap().unwrap();
        // The same entries but one, every hash right: what only our own program can write without effort.
        let another = TestDb::create(db.dialect()).await;
        let (other, elsewhere) = open(&another).await;
        fill(&other, &elsewhere, &test.clock, 9).await;
        let foreign = elsewhere.checkpoint().await.unwrap().unwrap();
        assert!(first(&check_with(&db, vec![foreign]).await).contains("is of another chain"));
        // A checkpoint in the table that signs another hash.
        tamper(&db, &["UPDATE audit_checkpoints SET hash = (SELECT hash FROM audit_entries WHERE seq = 3)"]).await;
        assert!(first(&check(&db).await).contains("has a checkpoint that is not signed by a key of this chain"), "{}", first(&check(&db).await));
        tamper(&db, &["DELETE FROM audit_checkpoints"]).await;
        let exchanged = Checkpoint { hash: [7; 32], ..anchor };
        assert!(first(&check_with(&db, vec![exchanged]).await).contains("has another hash than the anchor of"));
    }

    async fn entries_written_anew_with_hashes_that_are_right_contradict_the_checkpoint(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 8).await;
        assert_eq!(audit.checkpoint().await.unwrap().unwrap().seq, 9);
        tamper(&db, &[
            "DELETE FROM audit_entries WHERE seq > 5",
            "UPDATE audit_head SET seq = 5, hash = (SELECT hash FROM audit_entries WHERE seq = 5)",
        ]).await;
        // As the server itself would write them; one transaction, for nothing moves the end of the chain any more.
        let tx = db.begin().await.unwrap();
        for round in 0..4_u32 {
            audit.record(&Ctx::system(test.clock.clone()), &tx, Entry::new(&TRIED, "thing").of(round));
        }
        tx.commit().await.unwrap();
        tamper(&db, &["UPDATE audit_head SET seq = 9, hash = (SELECT hash FROM audit_entries WHERE seq = 9)"]).await;
        let verdict = check(&db).await;
        assert!(first(&verdict).starts_with("entry 9 ") && first(&verdict).contains("has another hash than the checkpoint of"), "{}", first(&verdict));
    }

    async fn personal_fields_that_are_gone_without_a_later_word_about_that_person_are_found(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 6).await;
        let tx = db.begin().await.unwrap();
        audit.erase_person(&Ctx::system(test.clock.clone()), &tx, UserId::generate());
        tx.commit().await.unwrap();
        // An entry of another kind, one about somebody else, one that there is not, and one from before.
        for by in [5, 8, 99, 2] {
            let strip = "UPDATE audit_entries SET salt = NULL, actor_name = NULL, ip = NULL, user_agent = NULL, personal_details = NULL";
            tamper(&db, &[&format!("{strip}, erased_by = {by} WHERE seq = 4")]).await;
            let said = first(&check(&db).await);
            assert!(said.starts_with("entry 4 ") && said.ends_with(&format!("lost its personal fields, and entry {by} does not tell of that")), "{said}");
        }
    }

    async fn an_end_of_the_chain_that_is_not_its_last_entry_is_found(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 4).await;
        tamper(&db, &["UPDATE audit_head SET hash = (SELECT hash FROM audit_entries WHERE seq = 3)"]).await;
        assert_eq!(first(&check(&db).await), "entry 5 does not have the hash that the end of the chain has");
    }

    async fn a_key_or_a_pruning_that_nobody_vouches_for_is_found(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 6).await;
        audit.checkpoint().await.unwrap();
        tamper(&db, &[
            "CREATE TABLE before AS SELECT signature FROM audit_keys",
            "UPDATE audit_keys SET signature = '00'",
        ]).await;
        assert!(check(&db).await.broken.iter().any(|it| it.what.contains("is not vouched for by the one before")));
        tamper(&db, &["UPDATE audit_keys SET signature = (SELECT signature FROM before)"]).await;
        assert_eq!(check(&db).await.broken, []);
        tamper(&db, &[
            "INSERT INTO audit_prunings (seq, hash, at, kid, signature) SELECT 3, hash, 0, (SELECT kid FROM audit_keys), '00' FROM audit_entries WHERE seq = 3",
            "DELETE FROM audit_entries WHERE seq <= 3",
        ]).await;
        assert!(check(&db).await.broken.iter().any(|it| it.what.contains("the pruning up to entry 3 is not signed by a key of this chain")));
    }

    async fn a_key_that_was_exchanged_is_found(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 2).await;
        let anchor = audit.checkpoint().await.unwrap().unwrap();
        // Somebody with another SECRET_KEY runs our own program on the database.
        let theirs = Secrets::new(&Secret::new("another secret key, also longer than 32 bytes"), &Secret::new("salt"));
        let parts = Parts::new(&db, &theirs, &test.clock);
        let forger = Audit::start(&AuditConfig::default(), parts).await.unwrap();
        fill(&db, &forger, &test.clock, 2).await;
        forger.checkpoint().await.unwrap();
        assert!(first(&check(&db).await).contains("is not sealed with this SECRET_KEY"), "{}", first(&check(&db).await));
        let after_a_change = verify(&db, &theirs, Vec::new(), 1).await.unwrap();
        assert_eq!(after_a_change.broken, [], "whoever changed SECRET_KEY on purpose knows");
        assert!(after_a_change.notices[0].contains("begins anew") && after_a_change.notices.len() == 2, "{:?}", after_a_change.notices);
        tamper(&db, &["DELETE FROM audit_keys WHERE generation = 1"]).await;
        let told = verify(&db, &theirs, vec![anchor], 1).await.unwrap();
        assert!(told.broken.iter().any(|it| it.what.contains("which is missing")), "{:?}", told.broken);
        assert!(told.broken.iter().any(|it| it.what.contains("is anchored with the key")), "{:?}", told.broken);
    }

    async fn the_database_refuses_changes_and_deletions(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 4).await;
        audit.checkpoint().await.unwrap();
        let mut refused = vec![
            "UPDATE audit_entries SET action = 'x' WHERE seq = 2",
            "UPDATE audit_entries SET ip = NULL WHERE seq = 2",
            "UPDATE audit_entries SET salt = NULL, actor_name = NULL, ip = NULL, user_agent = NULL, personal_details = NULL, erased_by = 3",
            "DELETE FROM audit_entries WHERE seq = 2",
            "DELETE FROM audit_entries",
            "INSERT INTO audit_entries SELECT 9, 'aud_x', kind, at, action, severity, status, actor_kind, actor_id, actor_session, resource_kind,
                resource_id, request_id, details, personal, salt, actor_name, ip, user_agent, personal_details, erased_by, hash
                FROM audit_entries WHERE seq = 2",
            "UPDATE audit_head SET seq = 1",
            "UPDATE audit_head SET chain = 'chn_x'",
            "DELETE FROM audit_head",
            "INSERT INTO audit_head SELECT 'chn_x', seq, hash FROM audit_head",
            "UPDATE audit_checkpoints SET seq = 1",
            "DELETE FROM audit_checkpoints",
            "UPDATE audit_keys SET public_key = ''",
            "DELETE FROM audit_keys",
        ];
        if db.dialect() == Dialect::Postgres {
            refused.extend(["TRUNCATE audit_entries", "TRUNCATE audit_head", "TRUNCATE audit_checkpoints", "TRUNCATE audit_keys", "TRUNCATE audit_prunings"]);
        }
        for statement in refused {
            let tx = db.begin().await.unwrap();
            assert!(tx.execute_unprepared(statement).await.is_err(), "{statement}");
            tx.rollback().await.unwrap();
        }
        assert_eq!((count(&db, "audit_entries").await, check(&db).await.broken), (5, vec![]));
    }

    async fn a_clock_that_is_put_back_breaks_nothing(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 4).await;
        let early = Clock::fixed(test.clock.now().minus(Duration::from_secs(86_400)));
        fill(&db, &audit, &early, 4).await;
        audit.checkpoint().await.unwrap();
        assert_eq!((check(&db).await.broken, check(&db).await.entries), (vec![], 9));
    }

    async fn the_check_while_serving_keeps_what_it_found_and_tells_once(test: TestDb) {
        let (db, audit) = open(&test).await;
        fill(&db, &audit, &test.clock, 4).await;
        assert!(audit.check(1).await.unwrap().holds());
        tamper(&db, &["UPDATE audit_entries SET status = 'failure' WHERE seq = 3"]).await;
        for _ in 0..2 {
            assert!(!audit.check(1).await.unwrap().holds());
        }
        let alarms = rows(&db, "SELECT details, severity FROM audit_entries WHERE action = 'audit.chain.broken'").await;
        assert_eq!(alarms.len(), 1);
        assert!(alarms[0].try_get_by_index::<String>(0).unwrap().contains("\"seq\":3"));
    }
}
