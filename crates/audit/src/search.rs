//! Reading the log: one page, one entry, all of it as a stream.

use baluarte_db::DbError;
use baluarte_kernel::{BadCursor, Ctx, Page, PageQuery, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    Audit, AuditError, Checkpoint, Entry, Severity, Status,
    actions::EXPORTED,
    link::Hash,
    signed::Says,
    store::{
        self,
        pages::{Stored, chosen, page, stored},
        upkeep::AnchorState,
    },
};

/// What is asked for; every part narrows it further.
#[derive(Debug, Clone, Default)]
pub struct EntryFilter {
    /// `usr_…`
    pub actor_id: Option<String>,
    /// `user`, `system`, `operator`, `anonymous`
    pub actor_kind: Option<String>,
    /// An action, or the first parts of one: `identity`, `identity.user`, `identity.user.disabled`.
    pub action: Option<String>,
    pub resource_kind: Option<String>,
    pub resource_id: Option<String>,
    pub status: Option<Status>,
    /// This one or worse.
    pub severity: Option<Severity>,
    pub ip: Option<String>,
    pub request_id: Option<String>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// Part of the details, of the actor's name, of the user agent.
    pub text: Option<String>,
}

/// An entry as it is read back.
#[derive(Debug, Clone, Serialize)]
pub struct Recorded {
    pub seq: i64,
    pub id: String,
    pub kind: String,
    pub at: Timestamp,
    pub action: String,
    pub severity: String,
    pub status: String,
    pub actor: RecordedActor,
    pub resource: RecordedResource,
    pub request_id: Option<String>,
    pub details: Box<RawValue>,
    /// Absent once it was erased.
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub personal: Option<Box<RawValue>>,
    /// The entry that tells of the erasure of the personal fields.
    pub erased_by: Option<i64>,
    pub hash: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct RecordedActor {
    pub kind: String,
    pub id: Option<String>,
    pub session: Option<String>,
    /// What they were known by; gone once it was erased.
    pub name: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct RecordedResource {
    pub kind: String,
    pub id: Option<String>,
}

/// How the log is doing: what the badge shows.
#[derive(Debug, Clone)]
pub struct AuditStatus {
    pub chain: String,
    /// The last entry.
    pub seq: i64,
    pub checkpoint: Option<Checkpoint>,
    /// Entries up to here were removed because of their age.
    pub pruned_through: i64,
    pub checked: Option<Checked>,
    pub anchors: Vec<AnchorStatus>,
}

/// What the last check of the whole chain found.
#[derive(Debug, Clone)]
pub struct Checked {
    pub at: Timestamp,
    pub through: i64,
    pub entries: i64,
    pub took_ms: i64,
    /// `None`: the chain holds.
    pub broken: Option<String>,
    pub broken_seq: Option<i64>,
}

/// A place that checkpoints are sent to.
#[derive(Debug, Clone)]
pub struct AnchorStatus {
    pub name: String,
    /// The last checkpoint that arrived covers the entries up to here.
    pub seq: i64,
    pub arrived_at: Option<Timestamp>,
    pub failures: i64,
    pub last_error: Option<String>,
}

impl Audit {
    /// The newest first. A page may be short although there is a next one: each looks at a bounded number of entries.
    pub async fn list_entries(&self, ctx: &Ctx, filter: &EntryFilter, page: &PageQuery) -> Result<Page<Recorded>, AuditError> {
        ctx.require_admin()?;
        let db = &self.inner.db;
        let before = page.cursor.as_ref().map(|cursor| cursor.key().parse::<i64>().map_err(|_| BadCursor)).transpose()?;
        let mut range = (1, before.map_or(i64::MAX, |before| before - 1));
        // A moment's place in the chain bounds the search; the moment itself is asked for besides.
        if let Some(from) = filter.from {
            range.0 = store::search::seq_at(db, from.micros(), false).await?.unwrap_or(i64::MAX);
        }
        if let Some(to) = filter.to {
            range.1 = range.1.min(store::search::seq_at(db, to.micros(), true).await?.unwrap_or(0));
        }
        let actions = self.matching_actions(filter).await?;
        let found = store::search::find(db, filter, actions.as_deref(), range, page.limit()).await?;
        let rows = chosen(db, &found.seqs).await?;
        let items = rows
            .iter()
            .map(|row| recorded(&stored(row).map_err(|_| DbError::Corrupt("audit_entries"))?))
            .collect::<Result<_, AuditError>>()?;
        let next_cursor = found.next.map(|next| baluarte_kernel::Cursor::of(next.to_string()));
        Ok(Page { items, next_cursor })
    }

    /// The actions that occur and that the filter's word stands for.
    async fn matching_actions(&self, filter: &EntryFilter) -> Result<Option<Vec<String>>, AuditError> {
        let Some(wanted) = &filter.action else { return Ok(None) };
        let wanted = wanted.trim_end_matches(['.', '*']);
        let mut all = store::search::list_actions(&self.inner.db).await?;
        all.retain(|action| action.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')));
        Ok(Some(all))
    }

    pub async fn find_entry(&self, ctx: &Ctx, seq: i64) -> Result<Recorded, AuditError> {
        ctx.require_admin()?;
        let rows = page(&self.inner.db, seq, seq).await?;
        let row = rows.first().ok_or(AuditError::EntryNotFound)?;
        recorded(&stored(row).map_err(|_| DbError::Corrupt("audit_entries"))?)
    }

    /// Says in an entry that somebody takes entries away in bulk, before they do.
    pub async fn begin_export(&self, ctx: &Ctx, from: i64, format: &'static str) -> Result<(), AuditError> {
        ctx.require_admin()?;
        let tx = self.inner.db.begin().await?;
        self.record(ctx, &tx, Entry::new(&EXPORTED, "entry").detail("from", from).detail("format", format));
        Ok(tx.commit().await?)
    }

    /// How the log is doing.
    pub async fn status(&self, ctx: &Ctx) -> Result<AuditStatus, AuditError> {
        ctx.require_admin()?;
        let (db, chain) = (&self.inner.db, &self.inner.chain);
        let (head, _) = store::chain::read_head(db.read()).await?.ok_or(DbError::NotFound)?;
        let anchors = store::upkeep::list_anchors(db).await?;
        // Those that were taken out of the configuration are of no interest.
        let anchors = anchors.into_iter().filter(|it| self.inner.config.anchors.contains_key(&it.place)).map(anchor).collect();
        let checked = store::upkeep::find_check(db.read()).await?.map(|it| Checked {
            at: it.at,
            through: it.through,
            entries: it.entries,
            took_ms: it.took_ms,
            broken: it.broken,
            broken_seq: it.broken_seq,
        });
        Ok(AuditStatus {
            chain: chain.clone(),
            seq: head.seq,
            checkpoint: store::signed::last(db.read(), Says::Checkpoint, chain).await?,
            pruned_through: store::signed::last(db.read(), Says::Pruning, chain).await?.map_or(0, |last| last.seq),
            checked,
            anchors,
        })
    }

    /// Checkpoints after a link, in order, each as a line with everything needed to check it.
    pub async fn list_checkpoints(&self, ctx: &Ctx, after: i64, limit: usize) -> Result<Vec<(Checkpoint, Hash)>, AuditError> {
        ctx.require_admin()?;
        let keys = store::signed::list_keys(self.inner.db.read()).await?;
        let found = store::signed::list(self.inner.db.read(), Says::Checkpoint, &self.inner.chain, after, i64::MAX, limit).await?;
        let key = |kid: &str| keys.iter().find(|key| key.kid == kid).map(|key| key.public_key);
        Ok(found.into_iter().filter_map(|checkpoint| Some((key(&checkpoint.kid)?, checkpoint))).map(|(key, it)| (it, key)).collect())
    }

    /// The public keys, one line of JSON each: signed by the key before, the first by itself.
    pub async fn key_lines(&self) -> Result<Vec<String>, AuditError> {
        let keys = store::signed::list_keys(self.inner.db.read()).await?;
        Ok(keys.iter().map(|key| key.to_line(&self.inner.chain)).collect())
    }

    /// The last pruning as a line with everything needed to check it.
    pub async fn pruning_line(&self) -> Result<Option<String>, AuditError> {
        let Some(last) = store::signed::last(self.inner.db.read(), Says::Pruning, &self.inner.chain).await? else { return Ok(None) };
        Ok(self.public_key(&last.kid).await?.map(|key| last.to_line(&key)))
    }

    /// The name of the chain.
    pub fn chain(&self) -> &str {
        &self.inner.chain
    }
}

fn anchor(it: AnchorState) -> AnchorStatus {
    AnchorStatus { name: it.place, seq: it.seq, arrived_at: it.arrived_at, failures: it.failures, last_error: it.last_error }
}

pub(crate) fn recorded(it: &Stored<'_>) -> Result<Recorded, AuditError> {
    let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
    let raw = |text: &str| RawValue::from_string(text.to_owned()).map_err(|_| DbError::Corrupt("audit_entries.details"));
    let link = &it.link;
    Ok(Recorded {
        seq: link.seq,
        id: link.id.to_owned(),
        kind: link.kind.to_owned(),
        at: Timestamp::from_micros(link.at),
        action: link.action.to_owned(),
        severity: link.severity.to_owned(),
        status: link.status.to_owned(),
        actor: RecordedActor {
            kind: link.actor_kind.to_owned(),
            id: owned(link.actor_id),
            session: owned(link.actor_session),
            name: owned(it.private.and_then(|it| it.actor)),
        },
        resource: RecordedResource { kind: link.resource_kind.to_owned(), id: owned(link.resource_id) },
        request_id: owned(link.request_id),
        details: raw(link.details)?,
        ip: owned(it.private.and_then(|it| it.ip)),
        user_agent: owned(it.private.and_then(|it| it.user_agent)),
        personal: it.private.map(|it| raw(it.details)).transpose()?,
        erased_by: it.erased_by,
        hash: hex::encode(it.hash),
    })
}
