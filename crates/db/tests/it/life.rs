//! Who lives, of the processes on one SQLite file.

use baluarte_db::Db;
use baluarte_testkit::{Dialect, run_on};

#[test]
fn a_process_lives_for_the_others_as_long_as_it_says_so_or_runs() {
    run_on(Dialect::Sqlite, |test| async move {
        let (here, there) = (test.open(&[]).await, Db::open(&test.config).await.unwrap());
        assert!(!there.lives("wrk_1"));
        let life = here.live_as("wrk_1").unwrap();
        // It needs no writer: somebody else has it.
        let tx = there.begin().await.unwrap();
        let second = here.live_as("wrk_2").unwrap();
        assert!(there.lives("wrk_1") && there.lives("wrk_2") && here.lives("wrk_1") && !there.lives("wrk_3"));
        assert!(there.live_as("wrk_1").is_none(), "the name is taken");
        tx.rollback().await.unwrap();
        drop(life);
        assert!(!there.lives("wrk_1") && there.lives("wrk_2"));
        drop(second);
    });
}

#[test]
fn what_killed_processes_leave_is_cleared_away_and_means_nobody() {
    run_on(Dialect::Sqlite, |test| async move {
        let db = test.open(&[]).await;
        let folder = test.config.place().replace("sqlite:", "") + "-alive";
        let life = db.live_as("wrk_here").unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH;
        for name in ["wrk_old", "wrk_here"] {
            std::fs::File::create(format!("{folder}/{name}")).unwrap().set_modified(old).unwrap();
        }
        std::fs::File::create(format!("{folder}/wrk_young")).unwrap();
        assert!(!db.lives("wrk_old") && !db.lives("wrk_young") && db.lives("wrk_here"));
        let another = db.live_as("wrk_new").unwrap();
        let mut left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["wrk_here", "wrk_new", "wrk_young"]);
        drop((life, another));
    });
}
