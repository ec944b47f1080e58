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

/// Lanes with a limit of their own, in the order of their names, which is the order in which they are locked; the shared one last.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// Where the next claim begins: the one before had no room left for it.
    next: usize,
}

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
        own.push(shared);
        Self { lanes: own, next: 0 }
    }

    pub(super) fn all(&self) -> &[Lane] {
        &self.lanes
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.lanes.iter().map(|lane| lane.name).collect()
    }

    /// The lane of a kind that has one of its own.
    pub(super) fn own_lane_of(&self, kind: &str) -> Option<&'static str> {
        self.lanes.iter().find(|lane| lane.at_once.is_some() && lane.name == kind).map(|lane| lane.name)
    }

    pub(super) fn any(&self) -> bool {
        self.lanes.iter().any(|lane| lane.marked)
    }

    pub(super) fn mark(&mut self, name: &str) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.name == name) {
            lane.marked = true;
        }
    }

    pub(super) fn look_everywhere(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.marked = true);
    }

    pub(super) fn set(&mut self, ready: &[bool]) {
        self.lanes.iter_mut().zip(ready).for_each(|(lane, ready)| lane.marked |= ready);
    }

    /// Takes up to `limit` jobs from where there may be some. Each lane gets its share before another one gets more, so that a
    /// flood in one keeps none of the others waiting; where there is no room for all, the next claim goes on from there.
    pub(super) async fn claim(&mut self, tx: &Tx, db: &Db, taker: Taker<'_>, limit: usize) -> Result<Vec<Claimed>, DbError> {
        let marked = |lanes: &[Lane]| lanes.iter().filter(|lane| lane.marked).count();
        if marked(&self.lanes[self.next..]) == 0 {
            self.next = 0;
        }
        let first = std::mem::take(&mut self.next);
        let mut left = marked(&self.lanes[first..]);
        let mut claimed = Vec::new();
        for at in first..self.lanes.len() {
            let lane = &mut self.lanes[at];
            if !lane.marked {
                continue;
            }
            if claimed.len() >= limit {
                self.next = at;
                break;
            }
            let share = (limit - claimed.len()).div_ceil(left);
            left -= 1;
            let room = match lane.at_once {
                Some(at_once) => claim::room(tx, db, lane.name, at_once).await?.min(share),
                None => share,
            };
            let found = if room > 0 { claim::claim(tx, db, taker, lane.name, &lane.kinds, room).await? } else { Vec::new() };
            // A lane that is full is looked at again when one of its jobs ends.
            lane.marked = found.len() == room && room == share;
            claimed.extend(found);
        }
        Ok(claimed)
    }
}
