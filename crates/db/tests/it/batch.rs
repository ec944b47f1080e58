use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use baluarte_db::{Batch, Db, DbError, Tx, sea_orm::ConnectionTrait as _, sql};
use baluarte_kernel::BoxFuture;
use baluarte_testkit::each_backend;
use tokio::sync::Semaphore;

use crate::{NOTES, count, insert};

#[derive(Debug, Clone)]
struct Note(i64, String);

/// Inserts each note and answers with its id; `boom` panics.
fn insert_notes<'a>(tx: &'a Tx, notes: &'a [Note]) -> BoxFuture<'a, Result<Vec<i64>, DbError>> {
    Box::pin(async move {
        let mut ids = Vec::new();
        for Note(id, title) in notes {
            assert_ne!(title, "boom");
            let values = [(*id).into(), title.clone().into(), (*id).into()];
            tx.execute_raw(sql(tx, "INSERT INTO notes VALUES ($1, $2, 'inbox', $3, false)", values)).await?;
            ids.push(*id);
        }
        Ok(ids)
    })
}

fn star<'a>(tx: &'a Tx, ids: &'a [i64]) -> BoxFuture<'a, Result<Vec<()>, DbError>> {
    Box::pin(async move {
        for id in ids {
            tx.execute_raw(sql(tx, "UPDATE notes SET starred = NOT starred WHERE id = $1", [(*id).into()])).await?;
        }
        Ok(vec![(); ids.len()])
    })
}

async fn submit_all(batch: &Batch<Note, i64>, notes: Vec<Note>) -> Vec<Result<i64, DbError>> {
    futures::future::join_all(notes.into_iter().map(|note| batch.submit(note))).await
}

/// Writers wait at the gate; counts the groups.
fn gated(db: &Db, max_items: usize) -> (Batch<Note, i64>, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (gate, groups) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (at_gate, counted) = (Arc::clone(&gate), Arc::clone(&groups));
    // Written in place: only there does the compiler see that it works for every lifetime.
    let batch = Batch::new(db.clone(), max_items, move |tx, notes| {
        let (gate, groups) = (Arc::clone(&at_gate), Arc::clone(&counted));
        Box::pin(async move {
            groups.fetch_add(1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            insert_notes(tx, notes).await
        })
    });
    (batch, gate, groups)
}

each_backend! {
    async fn many_callers_share_few_transactions_and_each_gets_its_own_answer(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        let (batch, gate, groups) = gated(&db, 64);
        gate.add_permits(100);
        let results = submit_all(&batch, (0..200).map(|n| Note(n, format!("note {n}"))).collect()).await;
        let ids: Vec<_> = results.into_iter().map(Result::unwrap).collect();
        assert_eq!(ids, (0..200).collect::<Vec<_>>());
        assert_eq!(count(&db).await, 200);
        assert!(groups.load(Ordering::SeqCst) <= 8, "{groups:?} transactions for 200 rows");
    }

    async fn one_bad_row_fails_its_own_caller_only(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        let batch = Batch::new(db.clone(), 64, insert_notes);
        let notes = vec![Note(1, "a".into()), Note(2, "a".into()), Note(3, "boom".into()), Note(4, "b".into())];
        let results = submit_all(&batch, notes).await;
        assert!(matches!(results[0], Ok(1)));
        assert!(results[1].as_ref().unwrap_err().is_unique("notes", &["title"]));
        assert!(matches!(results[2], Err(DbError::Driver(_))));
        assert!(matches!(results[3], Ok(4)));
        assert_eq!(count(&db).await, 2);
    }

    async fn groups_of_two_replicas_that_lock_each_others_rows_both_succeed(test: TestDb) {
        let both = [test.open(&[NOTES]).await, test.open(&[NOTES]).await];
        for id in 1..=20 {
            insert(&both[0], id, &id.to_string()).await.unwrap();
        }
        let batches = both.map(|db| Batch::<i64, ()>::new(db, 64, star));
        for _ in 0..3 {
            let up = futures::future::join_all((1..=20).map(|id| batches[0].submit(id)));
            let down = futures::future::join_all((1..=20).rev().map(|id| batches[1].submit(id)));
            let (up, down) = tokio::join!(up, down);
            for result in up.into_iter().chain(down) {
                result.unwrap();
            }
        }
    }

    async fn a_full_queue_refuses_at_once(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        let (batch, gate, groups) = gated(&db, 1);
        let mut waiting = tokio::task::JoinSet::new();
        // The first is being written, four wait; on a current-thread view each submit is queued before the next.
        for n in 0..5 {
            let mine = batch.clone();
            waiting.spawn(async move { mine.submit(Note(n, n.to_string())).await });
            while groups.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        }
        while !format!("{batch:?}").contains("waiting: 4") {
            tokio::task::yield_now().await;
        }
        assert!(matches!(batch.submit(Note(9, "late".into())).await, Err(DbError::Unavailable(_))));
        gate.add_permits(10);
        assert!(waiting.join_all().await.into_iter().all(|result| result.is_ok()));
        assert_eq!(count(&db).await, 5);
    }

    async fn closing_writes_what_was_waiting_and_takes_nothing_more(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        let (batch, gate, groups) = gated(&db, 2);
        let mine = batch.clone();
        let submitted = tokio::spawn(async move { submit_all(&mine, (0..6).map(|n| Note(n, n.to_string())).collect()).await });
        while groups.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let closing = { let batch = batch.clone(); tokio::spawn(async move { batch.close().await }) };
        gate.add_permits(10);
        closing.await.unwrap();
        assert!(submitted.await.unwrap().into_iter().all(|result| result.is_ok()));
        assert_eq!(count(&db).await, 6);
        assert!(matches!(batch.submit(Note(9, "late".into())).await, Err(DbError::Unavailable(_))));
        batch.close().await;
    }

    async fn an_absent_database_refuses_the_whole_group(test: TestDb) {
        let db = test.open(&[NOTES]).await;
        let batch = Batch::new(db.clone(), 64, insert_notes);
        db.close().await;
        let results = submit_all(&batch, (0..3).map(|n| Note(n, n.to_string())).collect()).await;
        assert!(results.iter().all(|result| matches!(result, Err(DbError::Unavailable(_)))));
    }
}
