//! Checking the whole chain: every link, every signature, every anchor. Streams in pages read by several connections at once, so
//! memory does not grow with the chain.

mod range;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, atomic::AtomicI64},
};

use baluarte_db::{Db, DbError};
use baluarte_kernel::Timestamp;
use baluarte_secrets::Secrets;
use tokio::task::JoinSet;

use crate::{
    link::{Hash, beginning},
    signed::{Checkpoint, Says, StoredKey},
    store,
};

/// Links in one page.
const PAGE: i64 = 1_024;
/// Checkpoints in one page.
const SIGNED: usize = 1_000;
/// More findings than this are only counted.
const FINDINGS: usize = 20;

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The link; absent where it is the chain as a whole, or a key.
    pub seq: Option<i64>,
    /// The entry's identifier, where there is an entry.
    pub id: Option<String>,
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.seq, &self.id) {
            (Some(seq), Some(id)) => write!(f, "entry {seq} ({id}) {}", self.what),
            (Some(seq), None) => write!(f, "entry {seq} {}", self.what),
            (None, _) => f.write_str(&self.what),
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    pub chain: String,
    pub entries: u64,
    /// Everything up to here was removed because of its age, as a signed pruning says; 0 for nothing.
    pub pruned_through: i64,
    /// Everything up to here was looked at.
    pub through: i64,
    /// Entries without their personal fields, as a later link says.
    pub erased: u64,
    /// Links that stand for many things kept elsewhere.
    pub batches: u64,
    /// Recorded calls in them.
    pub calls: u64,
    pub checkpoints: u64,
    /// The last entry that a checkpoint in the database covers; 0 for none. Those behind it are held together by hashes alone.
    pub signed_through: i64,
    pub anchors: u64,
    /// Nothing is wrong, and worth knowing.
    pub notices: Vec<String>,
    /// The first one first; at most twenty.
    pub broken: Vec<Broken>,
}

impl Verdict {
    pub fn holds(&self) -> bool {
        self.broken.is_empty()
    }

    fn add(&mut self, seq: Option<i64>, id: Option<String>, what: impl Into<String>) {
        self.broken.push(Broken { seq, id, what: what.into() });
    }
}

/// What every worker knows.
struct Plan {
    db: Db,
    /// Everything up to here was pruned.
    start: i64,
    start_hash: Hash,
    through: i64,
    /// By name.
    keys: HashMap<String, Hash>,
    /// By link.
    anchors: Vec<Checkpoint>,
    next: AtomicI64,
    /// The first link known to be broken: nobody looks behind it.
    broken_at: AtomicI64,
}

/// Checks the chain of this database. `anchors`: checkpoints that were kept elsewhere. `workers`: how many connections read.
///
/// # Errors
/// When the database does not answer; what is wrong with the chain is in the verdict.
pub async fn verify(db: &Db, secrets: &Secrets, anchors: Vec<Checkpoint>, workers: usize) -> Result<Verdict, DbError> {
    let mut verdict = Verdict::default();
    let Some(chain) = store::chain::find_chain(db.read()).await? else {
        verdict.add(None, None, "the end of the chain is missing: table audit_head is empty");
        return Ok(verdict);
    };
    verdict.chain.clone_from(&chain);
    // Pruning before the head: the chain only grows meanwhile.
    let keys = check_keys(db, secrets, &chain, &mut verdict).await?;
    let (start, start_hash) = check_prunings(db, &chain, &keys, &mut verdict).await?;
    verdict.pruned_through = start;
    let Some((head, last)) = store::chain::read_head(db.read()).await? else { return Ok(verdict) };
    let last = last.unwrap_or(start);
    if last > head.seq {
        verdict.add(Some(head.seq + 1), None, "stands behind the end of the chain");
    } else if last < head.seq {
        verdict.add(Some(last + 1), None, format!("is missing, and so is everything up to {}, where the chain ended", head.seq));
    }
    let through = last.min(head.seq);
    verdict.through = through;
    check_beyond(db, &chain, &keys, (start, through), &mut verdict).await?;
    let anchors = check_anchors(anchors, &chain, &keys, (start, through), &mut verdict);

    let plan = Arc::new(Plan {
        db: db.clone(),
        start,
        start_hash,
        through,
        keys,
        anchors,
        next: AtomicI64::new(start + 1),
        broken_at: AtomicI64::new(i64::MAX),
    });
    let mut running = JoinSet::new();
    for _ in 0..workers.max(1) {
        running.spawn(range::work(Arc::clone(&plan), chain.clone()));
    }
    let mut told = HashMap::new();
    let (mut anonymous, mut anonymised) = (None, None);
    while let Some(done) = running.join_next().await {
        let found = done.map_err(|err| DbError::unavailable(format!("a check ended early: {err}")))??;
        verdict.entries += found.entries;
        verdict.erased += found.erased;
        verdict.batches += found.batches;
        verdict.calls += found.calls;
        anonymous = anonymous.max(found.anonymous);
        anonymised = anonymised.max(found.anonymised);
        verdict.checkpoints += found.checkpoints;
        verdict.broken.extend(found.broken);
        told.extend(found.keys_made);
        if let Some(hash) = found.last_hash
            && hash != head.hash
            && through == head.seq
        {
            verdict.add(Some(through), None, "does not have the hash that the end of the chain has");
        }
    }
    check_told_keys(&told, &plan.keys, start, &mut verdict);
    check_calls(db, anonymous, anonymised, through, &mut verdict).await?;
    verdict.broken.sort_by_key(|broken| broken.seq.unwrap_or(i64::MAX));
    verdict.broken.truncate(FINDINGS);
    Ok(verdict)
}

/// The keys that may be believed: the first, and each that one before vouches for.
async fn check_keys(db: &Db, secrets: &Secrets, chain: &str, verdict: &mut Verdict) -> Result<HashMap<String, Hash>, DbError> {
    let keys = store::signed::list_keys(db.read()).await?;
    let mut believed: HashMap<String, Hash> = HashMap::new();
    for key in &keys {
        let own = key.endorsed_by == key.kid;
        let endorser = if own { Some(key.public_key) } else { believed.get(&key.endorsed_by).copied() };
        if !endorser.is_some_and(|endorser| key.is_endorsed_with(chain, &endorser)) {
            verdict.add(None, None, format!("the key {} is not vouched for by the one before", short(&key.kid)));
            continue;
        }
        if own && !believed.is_empty() {
            let notice = "begins anew: SECRET_KEY was changed, or somebody put a key of theirs in; anchors from before and after tell";
            verdict.notices.push(format!("the key {} of {} {notice}", short(&key.kid), key.at));
        }
        believed.insert(key.kid.clone(), key.public_key);
    }
    check_opening(&keys, secrets, verdict);
    Ok(believed)
}

/// Whoever can write to the database but does not know SECRET_KEY cannot seal a key of theirs.
fn check_opening(keys: &[StoredKey], secrets: &Secrets, verdict: &mut Verdict) {
    let closed: Vec<_> = keys.iter().filter(|key| key.open(secrets).is_none()).collect();
    if let Some(last) = keys.last()
        && closed.iter().any(|key| key.kid == last.kid)
    {
        let what = "which signs now, is not sealed with this SECRET_KEY: it is not ours, or this is not the server's configuration";
        verdict.add(None, None, format!("the key {}, {what}", short(&last.kid)));
    } else if !closed.is_empty() {
        verdict.notices.push(format!("{} earlier keys are sealed with another SECRET_KEY", closed.len()));
    }
}

/// Where the chain begins now: after the last pruning, or at its beginning.
async fn check_prunings(db: &Db, chain: &str, keys: &HashMap<String, Hash>, verdict: &mut Verdict) -> Result<(i64, Hash), DbError> {
    let Some(last) = store::signed::last(db.read(), Says::Pruning, chain).await? else { return Ok((0, beginning(chain))) };
    if !is_signed(&last, keys) {
        verdict.add(None, None, format!("the pruning up to entry {} is not signed by a key of this chain", last.seq));
    }
    Ok((last.seq, last.hash))
}

/// Checkpoints of links that are not there any more: those that were pruned, and those that were taken away.
async fn check_beyond(
    db: &Db,
    chain: &str,
    keys: &HashMap<String, Hash>,
    (start, through): (i64, i64),
    verdict: &mut Verdict,
) -> Result<(), DbError> {
    let mut after = 0;
    loop {
        let page = store::signed::list(db.read(), Says::Checkpoint, chain, after, start, SIGNED).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for checkpoint in &page {
            verdict.checkpoints += 1;
            if !is_signed(checkpoint, keys) {
                verdict.add(Some(checkpoint.seq), None, "has a checkpoint that is not signed by a key of this chain");
            }
        }
    }
    if let Some(last) = store::signed::last(db.read(), Says::Checkpoint, chain).await?.filter(|last| is_signed(last, keys)) {
        verdict.signed_through = last.seq.min(through);
    }
    for checkpoint in store::signed::list(db.read(), Says::Checkpoint, chain, through, i64::MAX, 1).await? {
        // Written after we looked where the chain ends.
        let now = store::chain::read_head(db.read()).await?.map_or(0, |(head, _)| head.seq);
        if checkpoint.seq > now {
            verdict.add(Some(through + 1), None, missing(&checkpoint, through));
        }
    }
    Ok(())
}

/// Sorted by link; those that no link can answer for are judged here.
fn check_anchors(
    mut anchors: Vec<Checkpoint>,
    chain: &str,
    keys: &HashMap<String, Hash>,
    (start, through): (i64, i64),
    verdict: &mut Verdict,
) -> Vec<Checkpoint> {
    anchors.sort_by_key(|anchor| anchor.seq);
    verdict.anchors = anchors.len() as u64;
    let mut pruned = 0;
    anchors.retain(|anchor| {
        if anchor.chain != chain {
            verdict.add(
                None,
                None,
                format!("the anchor of entry {} is of another chain, {}; this one is {chain}", anchor.seq, anchor.chain),
            );
        } else if !keys.contains_key(&anchor.kid) {
            let what = "which is not among the keys of this chain: the chain was made anew, or the keys were exchanged";
            verdict.add(Some(anchor.seq), None, format!("is anchored with the key {}, {what}", short(&anchor.kid)));
        } else if anchor.seq > through {
            verdict.add(Some(through + 1), None, missing(anchor, through));
        } else if anchor.seq < start {
            pruned += 1;
        } else {
            return true;
        }
        false
    });
    if pruned > 0 {
        verdict.notices.push(format!("{pruned} anchors are of entries that were pruned since"));
    }
    anchors
}

/// Each key is told of by a link, so that the chain vouches for the keys as the keys vouch for the chain.
fn check_told_keys(told: &HashMap<String, i64>, keys: &HashMap<String, Hash>, start: i64, verdict: &mut Verdict) {
    for (kid, seq) in told {
        if !keys.contains_key(kid) {
            verdict.add(Some(*seq), None, format!("tells of the key {}, which is missing", short(kid)));
        }
    }
    for kid in keys.keys() {
        // What told of it may have been pruned.
        if start == 0 && verdict.broken.is_empty() && !told.contains_key(kid) {
            verdict.add(None, None, format!("no entry tells of the key {}: somebody put it in", short(kid)));
        }
    }
}

/// That only calls lost their addresses of which a link says so, and that there are none which no link tells of.
async fn check_calls(
    db: &Db,
    anonymous: Option<(i64, i64)>,
    anonymised: Option<i64>,
    through: i64,
    verdict: &mut Verdict,
) -> Result<(), DbError> {
    if let Some((last_at, seq)) = anonymous
        && anonymised.is_none_or(|until| last_at >= until)
        // Perhaps while we were looking.
        && store::calls::anonymised_after(db, through).await?.is_none_or(|until| last_at >= until)
    {
        verdict.add(Some(seq), None, "tells of calls that lost their addresses and user agents, and no entry tells of that");
    }
    if verdict.broken.is_empty()
        && let Some(id) = store::calls::find_orphan(db).await?
    {
        verdict.add(None, None, format!("no entry tells of the recorded calls {id}: somebody put them in"));
    }
    Ok(())
}

fn is_signed(checkpoint: &Checkpoint, keys: &HashMap<String, Hash>) -> bool {
    keys.get(&checkpoint.kid).is_some_and(|key| checkpoint.is_signed_with(key))
}

fn missing(checkpoint: &Checkpoint, through: i64) -> String {
    let (seq, at): (i64, Timestamp) = (checkpoint.seq, checkpoint.at);
    format!("is missing: a checkpoint of {at} names entry {seq}, and the chain ends at {through}")
}

fn short(kid: &str) -> &str {
    kid.get(..16).unwrap_or(kid)
}
