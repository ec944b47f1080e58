//! Hints between processes.

use baluarte_db::Db;
use baluarte_testkit::{Dialect, each_backend, run_on};

each_backend! {
    async fn another_process_hears_what_is_announced(test: TestDb) {
        let (here, there) = (test.open(&[]).await, Db::open(&test.config).await.unwrap());
        let mut listener = there.listen("a_channel");
        assert_eq!(listener.next().await, None, "there may have been something before");
        for _ in 0..3 {
            here.announce("a_channel", "hello").await.unwrap();
            let heard = listener.next().await;
            assert_eq!(heard.as_deref(), here.per_dialect(None, Some("hello")));
        }
    }
}

#[test]
fn on_sqlite_a_process_does_not_hear_itself_and_a_lost_doorbell_is_found_again() {
    run_on(Dialect::Sqlite, |test| async move {
        let (here, there) = (test.open(&[]).await, Db::open(&test.config).await.unwrap());
        let mut listener = here.listen("a_channel");
        listener.next().await;
        here.announce("a_channel", "ours").await.unwrap();
        {
            let heard = std::pin::pin!(listener.next());
            // What is written is read in the same order: once theirs is heard, ours has been passed over.
            let heard = futures::future::join(heard, async { there.announce("a_channel", "theirs").await.unwrap() });
            assert_eq!(heard.await.0, None);
        }
        let bell = test.config.place().replace("sqlite:", "") + "-bell";
        std::fs::remove_file(&bell).unwrap();
        // Noticed at once, and told as something that may have been missed.
        listener.next().await;
        there.announce("a_channel", "theirs").await.unwrap();
        listener.next().await;
    });
}
