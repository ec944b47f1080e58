use baluarte_kernel::BoxFuture;

use crate::{Db, DbError, Tx};

/// Group commit: rows of many callers in one transaction; each caller waits until its own is durable.
#[derive(Debug)]
pub struct Batch<T, R> {
    _marker: std::marker::PhantomData<fn(T) -> R>,
}

impl<T: Send + Sync + 'static, R: Send + 'static> Batch<T, R> {
    /// `write` stores all items of one group and returns one result for each, in order.
    pub fn new(
        _db: Db,
        _max_items: usize,
        _write: impl for<'a> Fn(&'a Tx, &'a [T]) -> BoxFuture<'a, Result<Vec<R>, DbError>> + Send + Sync + 'static,
    ) -> Self {
        unimplemented!("db")
    }

    /// Resolves after the commit that contains the item.
    pub async fn submit(&self, _item: T) -> Result<R, DbError> {
        unimplemented!("db")
    }
}
