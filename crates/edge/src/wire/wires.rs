//! The connections of one core, and the sweep that ends slow ones.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use futures::task::AtomicWaker;
use tokio::sync::Notify;

use super::{Order, Patience, Phase, Wire};
use crate::{
    listener::{Admission, Place},
    unread::Unread,
};

/// The connections of one core.
pub(crate) struct Wires {
    now: Arc<AtomicU32>,
    patience: Patience,
    list: RefCell<List>,
    arrived: Notify,
    /// What new connections are told as well: those whose PROXY header was still being read when the others were told.
    standing: Cell<Order>,
    admission: Arc<Admission>,
    pub(crate) unread: Unread,
}

#[derive(Default)]
struct List {
    wires: Vec<Option<Arc<Wire>>>,
    free: Vec<usize>,
}

impl Wires {
    pub(crate) fn new(patience: Patience, admission: Arc<Admission>) -> Rc<Self> {
        Rc::new(Self {
            now: Arc::default(),
            patience,
            list: RefCell::default(),
            arrived: Notify::new(),
            standing: Cell::new(Order::None),
            admission,
            unread: Unread::default(),
        })
    }

    /// A new connection, which gives `place` back when it closes.
    pub(crate) fn add(&self, place: Place) -> (usize, Arc<Wire>) {
        let now = self.now.load(Relaxed);
        let wire = Arc::new(Wire {
            now: Arc::clone(&self.now),
            phase: AtomicU8::new(Phase::Head as u8),
            since: AtomicU32::new(now),
            body_waited: AtomicU32::new(0),
            body_bytes: AtomicU64::new(0),
            blocked_since: AtomicU32::new(0),
            written: AtomicU64::new(0),
            written_then: AtomicU64::new(0),
            requests: AtomicU32::new(0),
            answer_by: AtomicU32::new(0),
            order: AtomicU8::new(self.standing.get() as u8),
            order_since: AtomicU32::new(now),
            deaf: AtomicBool::new(false),
            look: AtomicBool::new(false),
            task: OnceLock::new(),
            decision: AtomicWaker::new(),
            refused: Mutex::new(None),
            upgrade_seen: AtomicBool::new(false),
            underscore_seen: AtomicBool::new(false),
            declined: AtomicBool::new(false),
            body_open: AtomicBool::new(false),
            broken_off: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            admission: Arc::clone(&self.admission),
            place,
        });
        let mut list = self.list.borrow_mut();
        let slot = list.free.pop().unwrap_or(list.wires.len());
        if slot == list.wires.len() {
            list.wires.push(Some(Arc::clone(&wire)));
        } else {
            list.wires[slot] = Some(Arc::clone(&wire));
        }
        drop(list);
        self.arrived.notify_one();
        (slot, wire)
    }

    /// The connection's task has ended. A connection that became something else stays until its socket closes.
    pub(crate) fn remove(&self, slot: usize) {
        let mut list = self.list.borrow_mut();
        if list.wires[slot].as_ref().is_some_and(|wire| wire.is_closed()) {
            list.wires[slot] = None;
            list.free.push(slot);
        }
    }

    /// Connections still speaking HTTP, and those that became something else.
    pub(crate) fn count(&self) -> (usize, usize) {
        let list = self.list.borrow();
        let live = || list.wires.iter().flatten().filter(|wire| !wire.is_closed());
        let open = live().filter(|wire| wire.phase() == Phase::Open).count();
        (live().count() - open, open)
    }

    /// Tells every connection, and those to come.
    pub(crate) fn command_all(&self, order: Order) {
        self.standing.set(order);
        let wires: Vec<_> = self.list.borrow().wires.iter().flatten().cloned().collect();
        wires.iter().for_each(|wire| wire.command(order));
    }

    /// The time to stop is over: what is under way ends because of us.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.standing.get() == Order::Cut
    }

    /// Looks after the connections for ever; sleeps while there are none.
    pub(crate) async fn sweep(&self) {
        loop {
            if self.list.borrow().wires.len() == self.list.borrow().free.len() {
                self.arrived.notified().await;
            }
            tokio::time::sleep(self.patience.tick).await;
            let now = self.now.load(Relaxed).wrapping_add(1);
            self.now.store(now, Relaxed);
            self.look(now);
            self.unread.let_go(&self.patience);
        }
    }

    fn look(&self, now: u32) {
        let mut list = self.list.borrow_mut();
        let List { wires, free } = &mut *list;
        for (slot, entry) in wires.iter_mut().enumerate() {
            let Some(wire) = entry else { continue };
            if wire.is_closed() && wire.phase() == Phase::Open {
                *entry = None;
                free.push(slot);
                continue;
            }
            let unheard = wire.deaf.load(Relaxed) && wire.requests.load(Relaxed) > 0;
            if unheard {
                wire.look.store(true, Relaxed);
            }
            if unheard || wire.answer_overdue() {
                wire.wake();
            }
            if let Some(order) = self.judge(wire, now) {
                wire.command(order);
            }
        }
    }

    fn judge(&self, wire: &Wire, now: u32) -> Option<Order> {
        let patience = &self.patience;
        let age = |since: u32| now.wrapping_sub(since);
        if wire.phase() == Phase::Open {
            return None;
        }
        let answering = wire.requests.load(Relaxed) > 0;
        let told = age(wire.order_since.load(Relaxed)) > patience.last_words;
        match wire.order() {
            // HTTP/2 says goodbye in a round trip, which a client can refuse to take part in.
            Order::HeadTimeout | Order::Finish if told && !answering => return Some(Order::Cut),
            Order::BodyTimeout if told => return Some(Order::Cut),
            _ => {}
        }
        let blocked = wire.blocked_since.load(Relaxed);
        if blocked != 0 && age(blocked) > patience.write {
            let written = wire.written.load(Relaxed);
            let taken = written.wrapping_sub(wire.written_then.load(Relaxed));
            if taken == 0 || !patience.enough(taken, age(blocked)) {
                return Some(Order::Cut);
            }
            wire.blocked_since.store(now.max(1), Relaxed);
            wire.written_then.store(written, Relaxed);
        }
        let since = age(wire.since.load(Relaxed));
        match wire.phase() {
            Phase::Head if since > patience.head => Some(Order::HeadTimeout),
            Phase::Idle if !answering && since > patience.idle => Some(Order::Finish),
            // Who reads an answer slowly, or not at all, looks the same as who is idle: what counts is how often.
            Phase::Idle if !answering && since > patience.head && since % 4 == 0 && self.admission.is_crowding(wire.place) => {
                Some(Order::Finish)
            }
            Phase::Body if since > patience.body => Some(Order::BodyTimeout),
            Phase::Body => {
                let waited = wire.body_waited.load(Relaxed).saturating_add(since);
                (waited > patience.body && !patience.enough(wire.body_bytes.load(Relaxed), waited)).then_some(Order::BodyTimeout)
            }
            Phase::Refused if !answering && since > patience.last_words => Some(Order::Cut),
            Phase::Head | Phase::Idle | Phase::Open | Phase::Refused => None,
        }
    }
}
