//! Where to look for work.

use baluarte_db::{Db, DbError, Tx};

use crate::{
    registry::Registry,
    store::claim::{self, Claimed, Taker},
};

/// Jobs that are taken in order: those of all kinds without a limit, or those of one kind that has one.
pub(super) struct Lane {
    pub(super) name: &'static str,
    pub(super) kinds: Vec<&'static str>,
    at_once: Option<u32>,
    /// There may be something.
    marked: bool,
}

/// The shared lane first, the others in the order of their names, which is the order in which they are locked.
pub(super) struct Lanes(Vec<Lane>);

impl Lanes {
    pub(super) fn of(registry: &Registry) -> Self {
        let mut shared = Lane { name: "", kinds: Vec::new(), at_once: None, marked: true };
        let mut own = Vec::new();
        for (kind, handler) in &registry.handlers {
            match handler.policy.at_once {
                None => shared.kinds.push(kind),
                Some(_) => own.push(Lane { name: kind, kinds: vec![kind], at_once: handler.policy.at_once, marked: true }),
            }
        }
        own.insert(0, shared);
        Self(own)
    }

    pub(super) fn all(&self) -> &[Lane] {
        &self.0
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|lane| lane.name).collect()
    }

    /// The lane of a kind that has one of its own.
    pub(super) fn own_lane_of(&self, kind: &str) -> Option<&'static str> {
        self.0[1..].iter().find(|lane| lane.name == kind).map(|lane| lane.name)
    }

    pub(super) fn any(&self) -> bool {
        self.0.iter().any(|lane| lane.marked)
    }

    pub(super) fn mark(&mut self, name: &str) {
        if let Some(lane) = self.0.iter_mut().find(|lane| lane.name == name) {
            lane.marked = true;
        }
    }

    pub(super) fn look_everywhere(&mut self) {
        self.0.iter_mut().for_each(|lane| lane.marked = true);
    }

    pub(super) fn set(&mut self, ready: &[bool]) {
        self.0.iter_mut().zip(ready).for_each(|(lane, ready)| lane.marked |= ready);
    }

    /// Takes up to `limit` jobs from where there may be some. Lanes with a limit of their own come first: they hold few.
    pub(super) async fn claim(&mut self, tx: &Tx, db: &Db, taker: Taker<'_>, limit: usize) -> Result<Vec<Claimed>, DbError> {
        let mut claimed = Vec::new();
        let (shared, own) = self.0.split_at_mut(1);
        for lane in own.iter_mut().chain(shared).filter(|lane| lane.marked) {
            let free = limit - claimed.len();
            if free == 0 {
                break;
            }
            let room = match lane.at_once {
                Some(at_once) => claim::room(tx, db, lane.name, at_once).await?.min(free),
                None => free,
            };
            let found = if room > 0 { claim::claim(tx, db, taker, lane.name, &lane.kinds, room).await? } else { Vec::new() };
            // A lane that is full is looked at again when one of its jobs ends.
            lane.marked = found.len() == room && room == free;
            claimed.extend(found);
        }
        Ok(claimed)
    }
}
