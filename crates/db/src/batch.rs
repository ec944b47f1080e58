use std::{fmt, panic::AssertUnwindSafe, sync::Arc};

use baluarte_kernel::BoxFuture;
use futures::FutureExt as _;
use tokio::{
    sync::{Mutex, Notify, mpsc, oneshot},
    task::JoinHandle,
};

use crate::{Cause, Db, DbError, Tx};

/// How many groups may wait behind the one that is being written.
const GROUPS_WAITING: usize = 4;

type Write<T, R> = dyn for<'a> Fn(&'a Tx, &'a [T]) -> BoxFuture<'a, Result<Vec<R>, DbError>> + Send + Sync;

/// Group commit: rows of many callers in one transaction; each caller waits until its own is durable. Cheap to clone.
///
/// While one group is being written, the next one gathers; a lone item waits for nobody. What is waiting when the last
/// handle goes is still written.
pub struct Batch<T, R> {
    queue: mpsc::Sender<Entry<T, R>>,
    stop: Arc<Notify>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

struct Entry<T, R> {
    item: T,
    answer: Answer<R>,
}

type Answer<R> = oneshot::Sender<Result<R, DbError>>;

impl<T: Send + Sync + 'static, R: Send + 'static> Batch<T, R> {
    /// `write` stores all items of one group and returns one result for each, in order. When a group fails for another
    /// reason than an absent database, it is called again with each item alone, so that one bad row fails only its
    /// own caller: it must therefore do nothing outside the transaction.
    ///
    /// At most `max_items` go into one transaction, and four times as many wait. Call it on the control runtime.
    pub fn new(
        db: Db,
        max_items: usize,
        write: impl for<'a> Fn(&'a Tx, &'a [T]) -> BoxFuture<'a, Result<Vec<R>, DbError>> + Send + Sync + 'static,
    ) -> Self {
        let max_items = max_items.max(1);
        let (queue, waiting) = mpsc::channel(max_items.saturating_mul(GROUPS_WAITING));
        let stop = Arc::new(Notify::new());
        let writer = Writer { db, write: Box::new(write) };
        let task = tokio::spawn(writer.run(max_items, waiting, Arc::clone(&stop)));
        Self { queue, stop, task: Arc::new(Mutex::new(Some(task))) }
    }

    /// Resolves after the commit that contains the item. A caller that stops waiting does not take its item back.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] at once when too many are waiting already or the batch is closed; else whatever `write`
    /// came back with for this item.
    pub async fn submit(&self, item: T) -> Result<R, DbError> {
        let (answer, outcome) = oneshot::channel();
        self.queue.try_send(Entry { item, answer }).map_err(|err| {
            DbError::unavailable(match err {
                mpsc::error::TrySendError::Full(_) => "too many writes are waiting",
                mpsc::error::TrySendError::Closed(_) => "stopping",
            })
        })?;
        outcome.await.unwrap_or_else(|_| Err(DbError::unavailable("stopping")))
    }
}

impl<T, R> Batch<T, R> {
    /// Takes nothing more, and returns when everything that was waiting has been written or refused.
    pub async fn close(&self) {
        self.stop.notify_one();
        let mut task = self.task.lock().await;
        if let Some(running) = task.as_mut() {
            // It cannot panic: what `write` does is caught.
            let _ = running.await;
            *task = None;
        }
    }
}

impl<T, R> Clone for Batch<T, R> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), stop: Arc::clone(&self.stop), task: Arc::clone(&self.task) }
    }
}

impl<T, R> fmt::Debug for Batch<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("waiting", &(self.queue.max_capacity() - self.queue.capacity())).finish()
    }
}

struct Writer<T, R> {
    db: Db,
    write: Box<Write<T, R>>,
}

impl<T: Send + Sync + 'static, R: Send + 'static> Writer<T, R> {
    async fn run(self, max_items: usize, mut waiting: mpsc::Receiver<Entry<T, R>>, stop: Arc<Notify>) {
        let mut group = Vec::with_capacity(max_items);
        let mut stopping = false;
        loop {
            tokio::select! {
                biased;
                () = stop.notified(), if !stopping => {
                    // What is in the queue can still be received.
                    waiting.close();
                    stopping = true;
                }
                taken = waiting.recv_many(&mut group, max_items) => {
                    if taken == 0 {
                        return;
                    }
                    self.write_group(group.drain(..)).await;
                }
            }
        }
    }

    async fn write_group(&self, group: impl Iterator<Item = Entry<T, R>>) {
        let (items, answers): (Vec<_>, Vec<_>) = group.map(|entry| (entry.item, entry.answer)).unzip();
        match self.write_once(&items).await {
            Ok(results) => answers.into_iter().zip(results).for_each(|(answer, result)| tell(answer, Ok(result))),
            // Two replicas may lock the same rows in another order; item by item they cannot.
            Err(DbError::Unavailable(cause)) if !cause.is_lost_race() => refuse(answers.into_iter(), &cause),
            Err(_) if items.len() > 1 => self.write_each(&items, answers).await,
            Err(err) => answers.into_iter().zip([err]).for_each(|(answer, err)| tell(answer, Err(err))),
        }
    }

    /// One transaction for each item, until the database goes away.
    async fn write_each(&self, items: &[T], answers: Vec<Answer<R>>) {
        let mut answers = answers.into_iter();
        for item in items {
            let Some(answer) = answers.next() else { return };
            match self.write_once(std::slice::from_ref(item)).await {
                Ok(mut results) => tell(answer, results.pop().ok_or_else(wrong_count)),
                Err(DbError::Unavailable(cause)) if !cause.is_lost_race() => return refuse(std::iter::once(answer).chain(answers), &cause),
                Err(err) => tell(answer, Err(err)),
            }
        }
    }

    async fn write_once(&self, items: &[T]) -> Result<Vec<R>, DbError> {
        let tx = self.db.begin().await?;
        // A panic must not end the task, and with it everybody's writes.
        let written = AssertUnwindSafe(async { (self.write)(&tx, items).await }).catch_unwind().await;
        let results = written.unwrap_or_else(|_| Err(DbError::Driver(Cause::new("writing a group panicked"))))?;
        if results.len() != items.len() {
            return Err(wrong_count());
        }
        tx.commit().await?;
        Ok(results)
    }
}

fn wrong_count() -> DbError {
    DbError::Driver(Cause::new("writing a group gave another number of results than it was given items"))
}

fn refuse<R>(answers: impl Iterator<Item = Answer<R>>, cause: &Cause) {
    answers.for_each(|answer| tell(answer, Err(DbError::Unavailable(cause.clone()))));
}

/// Nobody listening means that the caller gave up; its row is written all the same.
fn tell<R>(answer: Answer<R>, result: Result<R, DbError>) {
    let _ = answer.send(result);
}
