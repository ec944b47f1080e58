//! What the parts of one connection (its bytes, its requests, its clock) tell each other, and the sweep that ends slow connections.
//!
//! Time is counted in ticks of the core's sweep: setting a timer per request would cost more than the request's own checks.

mod wires;

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
    time::Duration,
};

use futures::task::AtomicWaker;

pub(crate) use self::wires::Wires;
use crate::{
    config::EdgeConfig,
    listener::{Admission, Place},
    rules::Rule,
};

/// What a connection is doing, as far as its bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Between requests, or answering one.
    Idle = 0,
    /// Part of a head has come.
    Head = 1,
    /// Waiting for more of a body that somebody wants to read.
    Body = 2,
    /// No longer HTTP.
    Open = 3,
    /// A refusal was handed in: nothing more is read.
    Refused = 4,
}

/// What the sweep wants of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Order {
    None = 0,
    /// The head took too long.
    HeadTimeout = 1,
    /// The body took too long.
    BodyTimeout = 2,
    /// Finish what is being answered, then close.
    Finish = 3,
    /// Drop it.
    Cut = 4,
}

/// Why a connection's next request is refused, and what is known of it, for the log.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) rule: &'static Rule,
    /// It was the body that broke the rule, of a request that is being answered.
    pub(crate) in_body: bool,
    pub(crate) method: String,
    pub(crate) path: String,
}

/// Shared by the guard (which an upgrade may carry to another task), the requests and the sweep of one connection.
pub(crate) struct Wire {
    now: Arc<AtomicU32>,
    phase: AtomicU8,
    /// The tick of the last change of phase or progress.
    since: AtomicU32,
    /// How many ticks somebody has waited for this body, and its bytes until now.
    body_waited: AtomicU32,
    body_bytes: AtomicU64,
    /// Tick + 1 of when the socket stopped taking bytes; 0: it takes them.
    blocked_since: AtomicU32,
    written: AtomicU64,
    written_then: AtomicU64,
    /// Requests being answered.
    requests: AtomicU32,
    /// Tick + 1 of when the door of the current HTTP/1 request has to have answered; 0: no limit.
    answer_by: AtomicU32,
    order: AtomicU8,
    order_since: AtomicU32,
    /// Nobody waits for the socket: the client's leaving would go unnoticed.
    deaf: AtomicBool,
    /// The sweep wants to know whether the client is still there.
    look: AtomicBool,
    /// Wakes the connection's task, again and again; it stays the same one.
    task: OnceLock<Waker>,
    /// Who waits for the answer to an upgrade, inside the guard.
    pub(crate) decision: AtomicWaker,
    refused: Mutex<Option<Refused>>,
    pub(crate) upgrade_seen: AtomicBool,
    pub(crate) underscore_seen: AtomicBool,
    declined: AtomicBool,
    /// Part of the body of the request that was read last is still to come.
    body_open: AtomicBool,
    /// An answer broke off that only the connection's end delimits.
    broken_off: AtomicBool,
    closed: AtomicBool,
    admission: Arc<Admission>,
    place: Place,
}

impl Wire {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Body,
            3 => Phase::Open,
            _ => Phase::Refused,
        }
    }

    /// Enters a phase; staying in one keeps its clock running.
    pub(crate) fn enter(&self, phase: Phase) {
        let before = self.phase.load(Relaxed);
        if before != phase as u8 {
            let now = self.now.load(Relaxed);
            if before == Phase::Body as u8 {
                let waited = now.wrapping_sub(self.since.load(Relaxed));
                self.body_waited.store(self.body_waited.load(Relaxed).saturating_add(waited), Relaxed);
            }
            self.phase.store(phase as u8, Relaxed);
            self.since.store(now, Relaxed);
        }
    }

    /// Bytes came.
    pub(crate) fn progress(&self) {
        self.since.store(self.now.load(Relaxed), Relaxed);
    }

    pub(crate) fn body_begins(&self) {
        self.body_waited.store(0, Relaxed);
        self.body_bytes.store(0, Relaxed);
    }

    pub(crate) fn body_is_open(&self, open: bool) {
        self.body_open.store(open, Relaxed);
    }

    /// Has the client more of a body to send?
    pub(crate) fn awaits_body(&self) -> bool {
        self.body_open.load(Relaxed)
    }

    /// The connection is not to end as if its last answer were whole.
    pub(crate) fn break_off(&self) {
        self.broken_off.store(true, Relaxed);
    }

    pub(crate) fn is_broken_off(&self) -> bool {
        self.broken_off.load(Relaxed)
    }

    /// Body bytes came: nobody waits for them any more.
    pub(crate) fn body_progress(&self, bytes: usize) {
        self.body_bytes.store(self.body_bytes.load(Relaxed).saturating_add(bytes as u64), Relaxed);
        self.enter(Phase::Idle);
    }

    /// The socket took `bytes`, or took none and will tell when it does.
    pub(crate) fn wrote(&self, bytes: Option<usize>) {
        match bytes {
            Some(bytes) => {
                self.written.store(self.written.load(Relaxed).wrapping_add(bytes as u64), Relaxed);
            }
            None if self.blocked_since.load(Relaxed) == 0 => {
                self.blocked_since.store(self.now.load(Relaxed).wrapping_add(1).max(1), Relaxed);
                self.written_then.store(self.written.load(Relaxed), Relaxed);
            }
            None => {}
        }
    }

    /// Everything that was to be written has been.
    pub(crate) fn flushed(&self) {
        if self.blocked_since.load(Relaxed) != 0 {
            self.blocked_since.store(0, Relaxed);
        }
    }

    /// The core's clock.
    pub(crate) fn tick(&self) -> u32 {
        self.now.load(Relaxed)
    }

    /// Bytes that the socket took until now.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    pub(crate) fn request_begins(&self) {
        self.requests.store(self.requests.load(Relaxed) + 1, Relaxed);
    }

    pub(crate) fn request_ends(&self) {
        self.requests.store(self.requests.load(Relaxed).saturating_sub(1), Relaxed);
        self.progress();
    }

    /// While nobody waits for the socket, the sweep wakes the connection again and again, to see whether its client is still there.
    pub(crate) fn listens(&self, listens: bool) {
        self.deaf.store(!listens, Relaxed);
    }

    /// Whether the sweep has come by since the last call and found that nobody waits for the socket.
    pub(crate) fn take_look(&self) -> bool {
        self.look.load(Relaxed) && self.look.swap(false, Relaxed)
    }

    /// The current request has to be answered within `ticks`.
    pub(crate) fn answer_within(&self, ticks: u32) {
        self.answer_by.store(self.now.load(Relaxed).wrapping_add(ticks).max(1), Relaxed);
    }

    pub(crate) fn answered(&self) {
        self.answer_by.store(0, Relaxed);
    }

    pub(crate) fn answer_overdue(&self) -> bool {
        let by = self.answer_by.load(Relaxed);
        by != 0 && self.now.load(Relaxed) >= by
    }

    /// Called by the connection's task, before anybody can want to wake it.
    pub(crate) fn is_driven_by(&self, task: &Waker) {
        self.task.get_or_init(|| task.clone());
    }

    fn wake(&self) {
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }

    pub(crate) fn order(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::None,
            1 => Order::HeadTimeout,
            2 => Order::BodyTimeout,
            3 => Order::Finish,
            _ => Order::Cut,
        }
    }

    /// Orders only get stricter.
    pub(crate) fn command(&self, order: Order) {
        if self.order() < order {
            self.order.store(order as u8, Relaxed);
            self.order_since.store(self.now.load(Relaxed), Relaxed);
            self.wake();
            self.decision.wake();
        }
    }

    pub(crate) fn refuse(&self, refused: Refused) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
    }

    pub(crate) fn take_refused(&self) -> Option<Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Only one that concerns the request being answered, not one that waits behind it.
    pub(crate) fn take_body_refused(&self) -> Option<Refused> {
        if self.phase() != Phase::Refused {
            return None;
        }
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take_if(|refused| refused.in_body)
    }

    /// The answer to a request for an upgrade is known.
    pub(crate) fn decide(&self, open: bool) {
        if open {
            self.enter(Phase::Open);
        } else {
            self.declined.store(true, Relaxed);
        }
        self.decision.wake();
    }

    /// Whether a request for an upgrade was answered with something else, since the last call.
    pub(crate) fn take_declined(&self) -> bool {
        self.declined.swap(false, Relaxed)
    }

    /// The socket is gone.
    pub(crate) fn close(&self) {
        if !self.closed.swap(true, Relaxed) {
            self.admission.leave(self.place);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }
}

/// How long things may take, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    tick: Duration,
    head: u32,
    idle: u32,
    body: u32,
    pub(crate) write: u32,
    pub(crate) answer: u32,
    /// Bytes per tick, times 1024.
    min_rate: u64,
    /// For a timed-out connection to have its refusal written, before it is cut.
    last_words: u32,
}

impl Patience {
    pub(crate) fn new(config: &EdgeConfig, answer: Duration) -> Self {
        let shortest = [config.header_timeout, config.idle_timeout, config.body_timeout, config.write_timeout].into_iter().min();
        let shortest = shortest.map_or(Duration::from_secs(1), |period| period.get());
        let tick = (shortest / 8).clamp(Duration::from_millis(10), Duration::from_millis(250));
        // Rounded up, and one more, since the current tick is already under way.
        let ticks = |span: Duration| u32::try_from(span.as_millis().div_ceil(tick.as_millis()) + 1).unwrap_or(u32::MAX);
        Self {
            tick,
            head: ticks(config.header_timeout.get()),
            idle: ticks(config.idle_timeout.get()),
            body: ticks(config.body_timeout.get()),
            write: ticks(config.write_timeout.get()),
            answer: ticks(answer),
            min_rate: config.body_min_rate.get().saturating_mul(u64::try_from(tick.as_millis()).unwrap_or(250)) * 1_024 / 1_000,
            last_words: ticks(Duration::from_secs(2).min(config.write_timeout.get())),
        }
    }

    pub(crate) fn enough(&self, bytes: u64, ticks: u32) -> bool {
        bytes.saturating_mul(1_024) >= self.min_rate.saturating_mul(u64::from(ticks))
    }
}
