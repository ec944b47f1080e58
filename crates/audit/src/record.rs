//! From an entry and its context to a link at the end of the chain.

use baluarte_db::{DbError, Tx};
use baluarte_kernel::{Actor, Ctx, Id, Kind};

use crate::{
    Entry,
    actions::PERSON_ERASED,
    entry::{Person, shortened},
    link::{Hash, Link, Personal},
    store,
};

pub(crate) enum EntryKind {}
impl Kind for EntryKind {
    const PREFIX: &'static str = "aud";
}

/// A link that has no place in the chain yet.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) at: i64,
    pub(crate) action: &'static str,
    pub(crate) severity: &'static str,
    pub(crate) status: &'static str,
    pub(crate) actor_kind: &'static str,
    pub(crate) actor_id: Option<String>,
    pub(crate) actor_session: Option<String>,
    pub(crate) resource_kind: &'static str,
    pub(crate) resource_id: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) details: String,
    pub(crate) personal: Option<Hash>,
    pub(crate) private: Option<Private>,
}

/// The personal fields.
#[derive(Debug)]
pub(crate) struct Private {
    pub(crate) salt: String,
    pub(crate) actor: Option<String>,
    pub(crate) ip: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) details: String,
}

impl Pending {
    pub(crate) fn new(ctx: &Ctx, entry: Entry) -> Self {
        let person = entry.actor.clone().or_else(|| Person::of(&ctx.actor));
        let actor_kind = match (&person, &ctx.actor) {
            (Some(_), _) | (None, Actor::User(_)) => "user",
            (None, Actor::Operator) => "operator",
            (None, Actor::System) => "system",
            (None, Actor::Anonymous) => "anonymous",
        };
        let private = Private::of(ctx, &entry, person.as_ref());
        Self {
            id: Id::<EntryKind>::generate().to_string(),
            kind: if entry.batch { "batch" } else { "entry" },
            at: ctx.now().micros(),
            action: entry.action.name,
            severity: entry.severity.as_str(),
            status: entry.status.as_str(),
            actor_kind,
            actor_id: person.as_ref().map(|person| person.user.to_string()),
            actor_session: person.and_then(|person| person.session).map(|id| id.to_string()),
            resource_kind: entry.resource_kind,
            resource_id: entry.resource_id,
            request_id: ctx.request.as_ref().map(|meta| shortened(&meta.request_id)),
            details: entry.details.into_json(),
            personal: private.as_ref().map(|private| private.borrow().commitment(&mut Vec::new())),
            private,
        }
    }

    pub(crate) fn link(&self, seq: i64) -> Link<'_> {
        Link {
            seq,
            id: &self.id,
            kind: self.kind,
            at: self.at,
            action: self.action,
            severity: self.severity,
            status: self.status,
            actor_kind: self.actor_kind,
            actor_id: self.actor_id.as_deref(),
            actor_session: self.actor_session.as_deref(),
            resource_kind: self.resource_kind,
            resource_id: self.resource_id.as_deref(),
            request_id: self.request_id.as_deref(),
            details: &self.details,
            personal: self.personal,
        }
    }
}

impl Private {
    fn of(ctx: &Ctx, entry: &Entry, person: Option<&Person>) -> Option<Self> {
        let actor = person.map(|person| person.name.clone());
        let ip = ctx.client_ip().map(|ip| ip.to_string());
        let user_agent = ctx.user_agent.as_deref().map(shortened);
        if actor.is_none() && ip.is_none() && user_agent.is_none() && entry.personal.is_empty() {
            return None;
        }
        let salt = hex::encode(rand::random::<[u8; 16]>());
        Some(Self { salt, actor, ip, user_agent, details: entry.personal.clone().into_json() })
    }

    pub(crate) fn borrow(&self) -> Personal<'_> {
        Personal {
            salt: &self.salt,
            actor: self.actor.as_deref(),
            ip: self.ip.as_deref(),
            user_agent: self.user_agent.as_deref(),
            details: &self.details,
        }
    }
}

/// Writes everything recorded in this transaction to the end of the chain. Called once, directly before the commit: the end
/// of the chain is locked from here until the commit, which is what makes one chain of many transactions.
pub(crate) async fn append(tx: &Tx, pending: Vec<Pending>) -> Result<(), DbError> {
    let head = store::chain::lock_head(tx).await?;
    let (mut seq, mut hash, mut scratch) = (head.seq, head.hash, Vec::with_capacity(512));
    let mut links = Vec::with_capacity(pending.len());
    for pending in pending {
        seq += 1;
        hash = pending.link(seq).hash(&hash, &mut scratch);
        links.push((seq, pending, hash));
    }
    store::chain::insert_links(tx, &links).await?;
    for (seq, pending, _) in &links {
        if pending.action == PERSON_ERASED.name
            && let Some(subject) = &pending.resource_id
        {
            store::upkeep::insert_erasure(tx, *seq, subject, pending.at).await?;
        }
    }
    Ok(())
}
