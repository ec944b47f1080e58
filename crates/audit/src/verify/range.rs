//! One worker: takes the next page of links, and checks each against the one before.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use baluarte_db::{DbError, sea_orm::QueryResult};

use super::{Broken, PAGE, Plan, SIGNED, is_signed};
use crate::{
    actions::{KEY_MADE, PERSON_ERASED},
    calls::{
        actions::{CALLS_ANONYMISED, CALLS_RECORDED},
        check::check,
    },
    link::Hash,
    signed::{Checkpoint, Says},
    store::{
        self,
        pages::{Bulk, Stored, bulk, page, stored},
    },
};

/// Erasures that one worker remembers.
const REMEMBERED: usize = 10_000;

/// What one worker found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) entries: u64,
    pub(super) erased: u64,
    pub(super) batches: u64,
    /// Recorded calls in batches.
    pub(super) calls: u64,
    /// The latest calls without addresses, and their link.
    pub(super) anonymous: Option<(i64, i64)>,
    /// Up to which time addresses were erased, as a link says.
    pub(super) anonymised: Option<i64>,
    pub(super) checkpoints: u64,
    pub(super) broken: Option<Broken>,
    /// Keys that links tell of.
    pub(super) keys_made: HashMap<String, i64>,
    /// The hash of the last link of all, from whoever came across it.
    pub(super) last_hash: Option<Hash>,
}

impl Found {
    fn add(&mut self, more: Self) {
        self.entries += more.entries;
        self.erased += more.erased;
        self.batches += more.batches;
        self.calls += more.calls;
        self.anonymous = self.anonymous.max(more.anonymous);
        self.anonymised = self.anonymised.max(more.anonymised);
        self.checkpoints += more.checkpoints;
        self.keys_made.extend(more.keys_made);
        self.last_hash = more.last_hash.or(self.last_hash);
    }
}

struct Worker {
    plan: Arc<Plan>,
    chain: String,
    found: Found,
    /// Whom a link says was erased, by the link's number.
    erasures: HashMap<i64, Option<String>>,
    scratch: Vec<u8>,
}

pub(super) async fn work(plan: Arc<Plan>, chain: String) -> Result<Found, DbError> {
    let mut worker = Worker { plan, chain, found: Found::default(), erasures: HashMap::new(), scratch: Vec::with_capacity(1_024) };
    loop {
        let first = worker.plan.next.fetch_add(PAGE, Ordering::Relaxed);
        if first > worker.plan.through || first > worker.plan.broken_at.load(Ordering::Relaxed) {
            return Ok(worker.found);
        }
        let last = (first + PAGE - 1).min(worker.plan.through);
        if worker.holds(first, last).await? {
            continue;
        }
        if let Some(broken) = worker.check(first, last).await? {
            worker.plan.broken_at.fetch_min(broken.seq.unwrap_or(first), Ordering::Relaxed);
            worker.found.broken = Some(broken);
            return Ok(worker.found);
        }
    }
}

impl Worker {
    /// The quick way, for pages with which nothing is wrong. Whatever is out of the ordinary makes it say no, and the page is looked
    /// at again link by link.
    async fn holds(&mut self, first: i64, last: i64) -> Result<bool, DbError> {
        let begins = first == self.plan.start + 1;
        let Some(page) = bulk(&self.plan.db, if begins { first } else { first - 1 }, last).await? else { return Ok(false) };
        let checkpoints = self.checkpoints(first, last).await?;
        let mut found = std::mem::take(&mut self.found);
        let seen = self.look_through(&page, &checkpoints, (first, last)).await;
        if matches!(seen, Ok(true)) {
            found.add(std::mem::take(&mut self.found));
        }
        self.found = found;
        seen
    }

    async fn look_through(
        &mut self,
        page: &Bulk,
        checkpoints: &HashMap<i64, Checkpoint>,
        (first, last): (i64, i64),
    ) -> Result<bool, DbError> {
        let mut prev = if first == self.plan.start + 1 { Some(self.plan.start_hash) } else { None };
        let mut expected = if prev.is_some() { first } else { first - 1 };
        let Ok(mut links) = page.links() else { return Ok(false) };
        loop {
            let link = match links.next() {
                Ok(Some(link)) => link,
                Ok(None) => return Ok(expected == last + 1),
                Err(_) => return Ok(false),
            };
            if link.link.seq != expected {
                return Ok(false);
            }
            if expected >= first {
                if self.wrong_at_all(&link, prev.as_ref(), checkpoints).await?.is_some() {
                    return Ok(false);
                }
                self.note(&link);
            }
            prev = Some(link.hash);
            expected += 1;
        }
    }

    async fn check(&mut self, first: i64, last: i64) -> Result<Option<Broken>, DbError> {
        let begins = first == self.plan.start + 1;
        // The link before is read for its hash; where it is missing, the page before says so.
        let rows = page(&self.plan.db, if begins { first } else { first - 1 }, last).await?;
        let checkpoints = self.checkpoints(first, last).await?;
        let mut prev = if begins { Some(self.plan.start_hash) } else { None };
        let mut expected = first;
        for row in &rows {
            let link = match stored(row) {
                Ok(link) => link,
                Err(_) if expected == first && prev.is_none() => continue,
                Err(_) => return Ok(broken(expected, id(row), "cannot be read: a column holds what does not belong there")),
            };
            let seq = link.link.seq;
            if seq == first - 1 {
                prev = Some(link.hash);
                continue;
            }
            if seq != expected {
                match self.pruned_since(expected, seq).await? {
                    Some(hash) => prev = hash,
                    None => return Ok(broken(expected, None, "is missing")),
                }
            }
            if let Some(what) = self.wrong_at_all(&link, prev.as_ref(), &checkpoints).await? {
                return Ok(broken(seq, Some(link.link.id.to_owned()), what));
            }
            self.note(&link);
            prev = Some(link.hash);
            expected = seq + 1;
        }
        if expected <= last && self.pruned_since(expected, last + 1).await?.is_none() {
            return Ok(broken(expected, None, "is missing"));
        }
        Ok(None)
    }

    /// All checkpoints of this page's links.
    async fn checkpoints(&self, first: i64, last: i64) -> Result<HashMap<i64, Checkpoint>, DbError> {
        let (mut all, mut after) = (HashMap::new(), first - 1);
        loop {
            let page = store::signed::list(self.plan.db.read(), Says::Checkpoint, &self.chain, after, last, SIGNED).await?;
            let Some(end) = page.last() else { return Ok(all) };
            after = end.seq;
            all.extend(page.into_iter().map(|checkpoint| (checkpoint.seq, checkpoint)));
        }
    }

    /// Links from `from` to before `to` are gone: because of a pruning that began after we did? Then the hash to follow on, as far as
    /// it is known.
    async fn pruned_since(&self, from: i64, to: i64) -> Result<Option<Option<Hash>>, DbError> {
        let Some(pruning) = store::signed::last(self.plan.db.read(), Says::Pruning, &self.chain).await? else { return Ok(None) };
        if pruning.seq < to - 1 || from <= self.plan.start || pruning.seq == self.plan.start || !is_signed(&pruning, &self.plan.keys) {
            return Ok(None);
        }
        Ok(Some((pruning.seq == to - 1).then_some(pruning.hash)))
    }

    /// What is wrong with this link by itself, and after the one before.
    async fn wrong(&mut self, it: &Stored<'_>, prev: Option<&Hash>) -> Result<Option<String>, DbError> {
        if let Some(prev) = prev
            && it.link.hash(prev, &mut self.scratch) != it.hash
        {
            return Ok(Some("was changed, or does not follow the one before it".to_owned()));
        }
        let changed = || Ok(Some("has other personal fields than were recorded".to_owned()));
        match (&it.link.personal, &it.private, it.erased_by) {
            (None, None, None) if !it.torn => Ok(None),
            (Some(kept), Some(private), None) if private.commitment(&mut self.scratch) == *kept => Ok(None),
            (Some(_), None, Some(by)) if !it.torn => {
                let whose = self.erased_person(by).await?;
                let erased = whose.is_some_and(|whose| [it.link.actor_id, it.link.resource_id].contains(&Some(whose.as_str())));
                if erased && by >= it.link.seq {
                    return Ok(None);
                }
                Ok(Some(format!("lost its personal fields, and entry {by} does not tell of that")))
            }
            _ => changed(),
        }
    }

    /// Whom the link `seq` says was erased.
    async fn erased_person(&mut self, seq: i64) -> Result<Option<String>, DbError> {
        if let Some(known) = self.erasures.get(&seq) {
            return Ok(known.clone());
        }
        let rows = page(&self.plan.db, seq, seq).await?;
        let person = rows.first().and_then(|row| stored(row).ok()).filter(|it| it.link.action == PERSON_ERASED.name);
        let person = person.and_then(|it| it.link.resource_id.map(ToOwned::to_owned));
        if self.erasures.len() >= REMEMBERED {
            self.erasures.clear();
        }
        self.erasures.insert(seq, person.clone());
        Ok(person)
    }

    /// What a checkpoint or an anchor has against it.
    fn contradicted(&mut self, it: &Stored<'_>, checkpoints: &HashMap<i64, Checkpoint>) -> Option<String> {
        let seq = it.link.seq;
        if let Some(checkpoint) = checkpoints.get(&seq) {
            self.found.checkpoints += 1;
            if !is_signed(checkpoint, &self.plan.keys) {
                return Some("has a checkpoint that is not signed by a key of this chain".to_owned());
            }
            if checkpoint.hash != it.hash {
                return Some(format!("has another hash than the checkpoint of {} signed", checkpoint.at));
            }
        }
        let from = self.plan.anchors.partition_point(|anchor| anchor.seq < seq);
        let differing = self.plan.anchors[from..].iter().take_while(|anchor| anchor.seq == seq).find(|anchor| anchor.hash != it.hash);
        differing.map(|anchor| format!("has another hash than the anchor of {}: it or something before it was exchanged", anchor.at))
    }

    async fn wrong_at_all(
        &mut self,
        it: &Stored<'_>,
        prev: Option<&Hash>,
        checkpoints: &HashMap<i64, Checkpoint>,
    ) -> Result<Option<String>, DbError> {
        let wrong = self.wrong(it, prev).await?.or_else(|| self.contradicted(it, checkpoints));
        if wrong.is_none() && it.link.action == CALLS_RECORDED.name { self.wrong_calls(it).await } else { Ok(wrong) }
    }

    /// The calls that a link stands for.
    async fn wrong_calls(&mut self, it: &Stored<'_>) -> Result<Option<String>, DbError> {
        match check(&self.plan.db, it.link.resource_id, it.link.details).await? {
            Ok(checked) => {
                self.found.calls += checked.calls;
                self.found.anonymous = self.found.anonymous.max(checked.erased.map(|last_at| (last_at, it.link.seq)));
                Ok(None)
            }
            // They go before their link does.
            Err(_) if self.pruned_since(it.link.seq, it.link.seq + 1).await?.is_some() => Ok(None),
            Err(what) => Ok(Some(what)),
        }
    }

    fn note(&mut self, it: &Stored<'_>) {
        self.found.entries += 1;
        self.found.erased += u64::from(it.erased_by.is_some());
        self.found.batches += u64::from(it.link.kind == "batch");
        if it.link.action == KEY_MADE.name
            && let Some(kid) = it.link.resource_id
        {
            self.found.keys_made.insert(kid.to_owned(), it.link.seq);
        }
        if it.link.action == CALLS_ANONYMISED.name {
            let until = it.link.resource_id.and_then(|until| until.parse().ok());
            self.found.anonymised = self.found.anonymised.max(until);
        }
        if it.link.seq == self.plan.through {
            self.found.last_hash = Some(it.hash);
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what `check` comes back with")]
fn broken(seq: i64, id: Option<String>, what: impl Into<String>) -> Option<Broken> {
    Some(Broken { seq: Some(seq), id, what: what.into() })
}

fn id(row: &QueryResult) -> Option<String> {
    row.try_get_by_index(1).ok()
}
