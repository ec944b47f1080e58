//! Does a batch still hold what its link says?

use baluarte_db::{Db, DbError};
use serde::Deserialize;

use super::{
    batch::{Damaged, Unpacked},
    merkle,
};
use crate::{json, store};

/// What a batch's link says of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Told {
    calls: u64,
    private_root: String,
    root: String,
    first_at: String,
    last_at: String,
}

/// A batch that holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked {
    pub(crate) calls: u64,
    /// Addresses and user agents are gone; a link must say so of this time, in microseconds.
    pub(crate) erased: Option<i64>,
}

/// The inner error is a sentence about the link.
pub(crate) async fn check(db: &Db, id: Option<&str>, details: &str) -> Result<Result<Checked, String>, DbError> {
    let Ok(told) = serde_json::from_str::<Told>(details) else {
        return Ok(Err("tells of calls in a way that this program does not know".to_owned()));
    };
    let Some(id) = id else { return Ok(Err("tells of calls and does not say which".to_owned())) };
    let batch = match store::calls::find_batch(db, id).await {
        Ok(Some(batch)) => batch,
        Ok(None) => return Ok(Err(format!("tells of the calls {id}, which are missing"))),
        Err(err @ DbError::Unavailable(_)) => return Err(err),
        Err(_) => return Ok(Err(format!("tells of the calls {id}, which cannot be read"))),
    };
    let hashed = |packed: &[u8]| Unpacked::of(packed).and_then(|it| it.leaves());
    let unpacked = Unpacked::of(&batch.records);
    let Ok(leaves) = unpacked.as_ref().map_err(|damaged| *damaged).and_then(Unpacked::leaves) else {
        return Ok(Err(format!("tells of the calls {id}, whose records are damaged")));
    };
    let mut said = (Vec::new(), Vec::new());
    json::moment(&mut said.0, batch.first_at);
    json::moment(&mut said.1, batch.last_at);
    let same = |said: &[u8], told: &str| said.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\"")) == Some(told.as_bytes());
    let count = leaves.len() as u64;
    if count != told.calls || u64::try_from(batch.calls) != Ok(count) {
        return Ok(Err(format!("tells of {} calls, and {id} holds {count}", told.calls)));
    }
    if !same(&said.0, &told.first_at) || !same(&said.1, &told.last_at) {
        return Ok(Err(format!("tells of the calls {id}, whose times were changed")));
    }
    if hex::encode(merkle::root(leaves)) != told.root {
        // A root tells that something was changed, not what; a record that is none any more does.
        let which = unpacked.ok().and_then(|it| it.first_unreadable()).map(|at| format!(" (the first is {id}.{at}, which cannot be read)"));
        return Ok(Err(format!("tells of the calls {id}, whose records were changed{}", which.unwrap_or_default())));
    }
    let erased = match &batch.private {
        None => Some(batch.last_at),
        Some(packed) => {
            let private: Result<_, Damaged> = hashed(packed);
            if private.map(|leaves| hex::encode(merkle::root(leaves))) != Ok(told.private_root) {
                return Ok(Err(format!("tells of the calls {id}, whose addresses or user agents were changed")));
            }
            None
        }
    };
    Ok(Ok(Checked { calls: count, erased }))
}
