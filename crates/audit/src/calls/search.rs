//! Reading recorded calls: one page, all of them as a stream, the proof of one.

use std::time::Duration;

use baluarte_db::{Db, DbError};
use baluarte_kernel::{BadCursor, Ctx, Page, PageQuery, Timestamp};
use serde::Serialize;

use super::{batch::Unpacked, call::Record, merkle};
use crate::{
    Audit, AuditError, Entry,
    actions::EXPORTED,
    store::{self, calls::StoredBatch},
};

/// Calls that one page looks at before it comes back with what it has.
const LOOKED_AT: i64 = 300_000;
/// Batches that are in memory at a time.
const AT_ONCE: i64 = 4;
/// After every batch's identifier.
const LAST: &str = "cal_~";

/// What is asked for; every part narrows it further.
#[derive(Debug, Clone, Default)]
pub struct CallFilter {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub user_id: Option<baluarte_kernel::UserId>,
    pub session_id: Option<baluarte_kernel::SessionId>,
    pub route: Option<String>,
    pub upstream: Option<String>,
    pub method: Option<String>,
    /// The beginning of the path.
    pub path: Option<String>,
    pub request_id: Option<String>,
    /// From the first to the second, both included.
    pub status: Option<(u16, u16)>,
}

/// A call as it is read back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordedCall {
    /// The batch and the place in it.
    pub id: String,
    pub at: Timestamp,
    pub latency_ms: f64,
    pub request_id: String,
    pub user_id: Option<String>,
    pub session_id: Option<String>,
    pub credential: Option<&'static str>,
    pub method: String,
    pub host: String,
    pub path: String,
    pub route: String,
    pub upstream: String,
    pub status: u16,
    pub bytes: u64,
    pub aborted: bool,
    /// A text was too long and is cut.
    pub cut: bool,
    /// Absent once it was erased.
    pub ip: Option<String>,
    pub user_agent: Option<String>,
}

/// That a call is in a batch whose roots a link of the chain holds.
#[derive(Debug, Clone, Serialize)]
pub struct CallProof {
    pub v: u8,
    pub call: RecordedCall,
    pub batch: String,
    pub index: usize,
    pub calls: usize,
    /// The bytes that are hashed, in hexadecimal.
    pub record: String,
    pub path: Vec<String>,
    pub root: String,
    /// Absent once it was erased.
    pub private: Option<String>,
    pub private_path: Vec<String>,
    /// The link of the chain that holds the roots.
    pub entry: Option<i64>,
}

impl CallFilter {
    fn takes(&self, record: &Record<'_>) -> bool {
        let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted == text);
        self.from.is_none_or(|from| record.at >= from)
            && self.to.is_none_or(|to| record.at <= to)
            && self.user_id.is_none_or(|id| record.user == Some(id.as_u128()))
            && self.session_id.is_none_or(|id| record.session == Some(id.as_u128()))
            && self.status.is_none_or(|(first, last)| (first..=last).contains(&record.status))
            && is(&self.method, record.method)
            && is(&self.route, record.route)
            && is(&self.upstream, record.upstream)
            && is(&self.request_id, record.request_id)
            && self.path.as_ref().is_none_or(|path| record.path.starts_with(path.as_str()))
    }

    fn times(&self) -> (i64, i64) {
        (self.from.map_or(i64::MIN, Timestamp::micros), self.to.map_or(i64::MAX, Timestamp::micros))
    }
}

impl Audit {
    /// Recorded calls, the newest first. A page may be short although there is a next one: each looks at a bounded number of calls.
    pub async fn list_calls(&self, ctx: &Ctx, filter: &CallFilter, page: &PageQuery) -> Result<Page<RecordedCall>, AuditError> {
        ctx.require_admin()?;
        list(&self.inner.db, filter, page).await
    }

    /// One recorded call with the proof that it is in the chain.
    pub async fn prove_call(&self, ctx: &Ctx, id: &str) -> Result<CallProof, AuditError> {
        ctx.require_admin()?;
        prove(&self.inner.db, id).await?.ok_or(AuditError::CallNotFound)
    }

    /// All recorded calls that are asked for, in order, a batch at a time. Says in an entry that somebody takes them away.
    pub async fn export_calls(&self, ctx: &Ctx, filter: CallFilter) -> Result<CallExport, AuditError> {
        self.begin_export_of_calls(ctx, &filter).await?;
        Ok(CallExport { db: self.inner.db.clone(), filter, after: String::new() })
    }

    /// All batches, in order, with the bytes that were hashed. An entry says so, too.
    pub async fn export_batches(&self, ctx: &Ctx) -> Result<BatchExport, AuditError> {
        self.begin_export_of_calls(ctx, &CallFilter::default()).await?;
        Ok(BatchExport { db: self.inner.db.clone(), after: String::new() })
    }

    async fn begin_export_of_calls(&self, ctx: &Ctx, filter: &CallFilter) -> Result<(), AuditError> {
        ctx.require_admin()?;
        let tx = self.inner.db.begin().await?;
        self.record(ctx, &tx, Entry::new(&EXPORTED, "calls").detail("from", filter.from).detail("to", filter.to));
        Ok(tx.commit().await?)
    }
}

/// Batches as they were hashed, as NDJSON: what somebody needs who computes every root again. docs/audit-calls.md has the format.
#[derive(Debug)]
pub struct BatchExport {
    db: Db,
    after: String,
}

/// One line of it.
#[derive(Serialize)]
struct BatchLine<'a> {
    batch: &'a str,
    calls: i64,
    /// Absent once they were erased.
    private: Option<Vec<String>>,
    records: Vec<String>,
    v: u8,
}

impl BatchExport {
    /// The next line; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, AuditError> {
        let Some(batch) = store::calls::list_batches_after(&self.db, &self.after, i64::MIN, i64::MAX, 1).await?.pop() else {
            return Ok(None);
        };
        let hex = |packed: &[u8]| Unpacked::of(packed)?.items().map(|item| item.map(hex::encode)).collect::<Result<Vec<_>, _>>();
        let records = hex(&batch.records).map_err(DbError::from)?;
        let private = batch.private.as_deref().map(hex).transpose().map_err(DbError::from)?;
        let line = BatchLine { batch: &batch.id, calls: batch.calls, private, records, v: 1 };
        let mut line = serde_json::to_vec(&line).map_err(|err| AuditError::Internal(err.to_string()))?;
        line.push(b'\n');
        self.after = batch.id;
        Ok(Some(line))
    }
}

/// Recorded calls as NDJSON.
#[derive(Debug)]
pub struct CallExport {
    db: Db,
    filter: CallFilter,
    after: String,
}

impl CallExport {
    /// The next lines, perhaps none; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, AuditError> {
        let Some((calls, after)) = next_batch(&self.db, &self.filter, &self.after).await? else { return Ok(None) };
        self.after = after;
        let mut lines = Vec::new();
        for call in &calls {
            serde_json::to_writer(&mut lines, call).map_err(|err| AuditError::Internal(err.to_string()))?;
            lines.push(b'\n');
        }
        Ok(Some(lines))
    }
}

/// One page, the newest first: batch by batch, and by time within each. It may be short although there is a next one.
async fn list(db: &Db, filter: &CallFilter, query: &PageQuery) -> Result<Page<RecordedCall>, AuditError> {
    let (mut through, mut done) = match &query.cursor {
        None => (LAST.to_owned(), 0),
        Some(cursor) => place(cursor.key()).ok_or(BadCursor)?,
    };
    let (from, to) = filter.times();
    let (mut items, mut looked_at) = (Vec::new(), 0);
    loop {
        let batches = store::calls::list_batches(db, &through, from, to, AT_ONCE).await?;
        let Some(last) = batches.last() else { return Ok(Page { items, next_cursor: None }) };
        let (end, more) = (last.id.clone(), batches.len() == usize::try_from(AT_ONCE).unwrap_or(0));
        for batch in &batches {
            let skip = if batch.id == through { done } else { 0 };
            let room = query.limit() - items.len();
            if let Some(stopped) = read(batch, filter, skip, room, &mut items)? {
                return Ok(Page { items, next_cursor: Some(cursor(&batch.id, stopped)) });
            }
            looked_at += batch.calls;
        }
        if !more {
            return Ok(Page { items, next_cursor: None });
        }
        (through, done) = (end, usize::MAX);
        if looked_at >= LOOKED_AT {
            return Ok(Page { items, next_cursor: Some(cursor(&through, done)) });
        }
    }
}

/// Appends up to `room` calls of a batch, by time, without the first `skip`. Says how far it came if there may be more.
fn read(
    batch: &StoredBatch,
    filter: &CallFilter,
    skip: usize,
    room: usize,
    items: &mut Vec<RecordedCall>,
) -> Result<Option<usize>, DbError> {
    if skip == usize::MAX {
        return Ok(None);
    }
    let unpacked = Unpacked::of(&batch.records)?;
    let records = unpacked.records()?;
    let private = batch.private.as_deref().map(Unpacked::of).transpose()?;
    let private = private.as_ref().map(Unpacked::private).transpose()?;
    let mut order: Vec<usize> = (0..records.len()).collect();
    order.sort_unstable_by_key(|index| std::cmp::Reverse((records[*index].at, *index)));
    let before = items.len();
    for (rank, index) in order.into_iter().enumerate().skip(skip) {
        if filter.takes(&records[index]) {
            if items.len() - before == room {
                return Ok(Some(rank));
            }
            items.push(shown(&batch.id, index, &records[index], private.as_ref().and_then(|all| all.get(index)).copied()));
        }
    }
    Ok(None)
}

/// All calls of the next batch after `after` that are asked for, in order of time, and where to go on; `None` at the end.
async fn next_batch(db: &Db, filter: &CallFilter, after: &str) -> Result<Option<(Vec<RecordedCall>, String)>, DbError> {
    let (from, to) = filter.times();
    let Some(batch) = store::calls::list_batches_after(db, after, from, to, 1).await?.pop() else { return Ok(None) };
    let mut items = Vec::new();
    read(&batch, filter, 0, usize::MAX, &mut items)?;
    items.reverse();
    Ok(Some((items, batch.id)))
}

fn shown(batch: &str, index: usize, record: &Record<'_>, private: Option<(std::net::IpAddr, &[u8])>) -> RecordedCall {
    RecordedCall {
        id: format!("{batch}.{index}"),
        at: record.at,
        latency_ms: millis(record.latency),
        request_id: record.request_id.to_owned(),
        user_id: record.user.map(|id| format!("usr_{id:032x}")),
        session_id: record.session.map(|id| format!("ses_{id:032x}")),
        credential: record.credential,
        method: record.method.to_owned(),
        host: record.host.to_owned(),
        path: record.path.to_owned(),
        route: record.route.to_owned(),
        upstream: record.upstream.to_owned(),
        status: record.status,
        bytes: record.bytes,
        aborted: record.aborted,
        cut: record.cut,
        ip: private.map(|(ip, _)| ip.to_string()),
        user_agent: private.map(|(_, agent)| String::from_utf8_lossy(agent).into_owned()),
    }
}

fn millis(latency: Duration) -> f64 {
    latency.as_secs_f64() * 1e3
}

/// `cal_….17`
fn place(id: &str) -> Option<(String, usize)> {
    let (batch, index) = id.split_once('.')?;
    batch.parse::<baluarte_kernel::Id<super::batch::BatchKind>>().ok()?;
    Some((batch.to_owned(), if index == "end" { usize::MAX } else { index.parse().ok()? }))
}

fn cursor(batch: &str, rank: usize) -> baluarte_kernel::Cursor {
    baluarte_kernel::Cursor::of(if rank == usize::MAX { format!("{batch}.end") } else { format!("{batch}.{rank}") })
}

/// The proof of one call by its identifier; `None` when there is none of that name.
async fn prove(db: &Db, id: &str) -> Result<Option<CallProof>, DbError> {
    let Some((batch, index)) = place(id) else { return Ok(None) };
    let Some(batch) = store::calls::find_batch(db, &batch).await? else { return Ok(None) };
    let unpacked = Unpacked::of(&batch.records)?;
    let records = unpacked.records()?;
    let (Some(record), Some(bytes)) = (records.get(index), unpacked.items().nth(index)) else { return Ok(None) };
    let leaves = unpacked.leaves()?;
    let private = batch.private.as_deref().map(Unpacked::of).transpose()?;
    let (mut secret, mut private_path, mut address) = (None, Vec::new(), None);
    if let Some(private) = &private {
        secret = private.items().nth(index).transpose()?.map(hex::encode);
        private_path = merkle::path(private.leaves()?, index);
        address = private.private()?.get(index).copied();
    }
    let text = |path: Vec<crate::link::Hash>| path.into_iter().map(hex::encode).collect();
    Ok(Some(CallProof {
        v: 1,
        call: shown(&batch.id, index, record, address),
        index,
        calls: leaves.len(),
        record: hex::encode(bytes?),
        path: text(merkle::path(leaves.clone(), index)),
        root: hex::encode(merkle::root(leaves)),
        private: secret,
        private_path: text(private_path),
        entry: store::calls::find_link(db, &batch.id).await?,
        batch: batch.id,
    }))
}
