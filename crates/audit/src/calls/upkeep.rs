//! Addresses and user agents of old calls go; the calls stay.

use baluarte_kernel::Timestamp;

use super::actions::CALLS_ANONYMISED;
use crate::{Audit, AuditError, Entry, store};

/// Batches that one transaction changes.
const PIECE: i64 = 50;

impl Audit {
    /// Erases what is older than `audit.calls.keep_addresses`: first an entry that says up to which time, then the addresses.
    pub async fn anonymise_calls(&self) -> Result<(), AuditError> {
        let db = &self.inner.db;
        let keep = self.inner.config.calls.keep_addresses.get();
        let overdue = self.inner.clock.now().minus(keep);
        if store::calls::list_overdue(db, overdue, 1).await?.is_empty() {
            return Ok(());
        }
        // A little more than is due, so that it is due again only after a while.
        let until = overdue.plus(keep / 24);
        let said = store::calls::anonymised_after(db, 0).await?.map(Timestamp::from_micros);
        if said.is_none_or(|said| said < overdue) {
            let tx = db.begin().await?;
            self.record(&self.system(), &tx, Entry::new(&CALLS_ANONYMISED, "calls").of(until.micros()).detail("before", until));
            tx.commit().await?;
        }
        let until = said.filter(|said| *said >= overdue).unwrap_or(until);
        loop {
            let ids = store::calls::list_overdue(db, until, PIECE).await?;
            if ids.is_empty() {
                return Ok(());
            }
            let tx = db.begin().await?;
            store::calls::erase_private(&tx, &ids).await?;
            tx.commit().await?;
        }
    }
}
