//! What the requests of one core share.

use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use baluarte_kernel::{Clock, RequestMeta, Scheme, Timestamp};
use baluarte_telemetry::{AccessLog, AccessNote, AccessRecord};
use http::{HeaderValue, Method, Version, uri::PathAndQuery};

use crate::{
    Options,
    http1::{DateText, HeadLimits},
    proxy_protocol::Complaints,
    request_id::RequestIds,
    stats::Stats,
    wire::{Patience, Wire, Wires},
};

/// One core's part of the edge, apart from its door.
pub(crate) struct Core {
    pub(crate) options: Arc<Options>,
    pub(crate) limits: HeadLimits,
    pub(crate) patience: Patience,
    pub(crate) keep_underscores: bool,
    pub(crate) transport_security: Option<HeaderValue>,
    pub(crate) max_streams: u32,
    pub(crate) body_pause: std::time::Duration,
    pub(crate) header_timeout: std::time::Duration,
    pub(crate) wires: Rc<Wires>,
    pub(crate) ids: RequestIds,
    pub(crate) stats: Stats,
    pub(crate) access: AccessLog,
    pub(crate) complaints: Complaints,
    pub(crate) buffers: Buffers,
    /// Clients without a place that are being told so.
    pub(crate) turned_away: Cell<usize>,
    pub(crate) clock: Clock,
}

/// What one core reads and writes with. Connections have no buffers of their own: hundreds of them would push each other out of the
/// processor's cache.
pub(crate) struct Buffers {
    pub(crate) read: RefCell<Box<[u8]>>,
    outs: RefCell<Vec<Vec<u8>>>,
    pub(crate) date: DateText,
}

/// Read at once.
const READ: usize = 16 * 1_024;
/// Writing buffers that are kept, and the most that one of them keeps.
const OUTS: usize = 8;
const OUT: usize = 32 * 1_024;

impl Buffers {
    pub(crate) fn new() -> Self {
        Self { read: RefCell::new(vec![0; READ].into_boxed_slice()), outs: RefCell::default(), date: DateText::default() }
    }

    /// Something empty to write into; the one that was used last.
    pub(crate) fn take_out(&self) -> Vec<u8> {
        self.outs.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(OUT / 2))
    }

    pub(crate) fn give_back(&self, mut out: Vec<u8>) {
        let mut outs = self.outs.borrow_mut();
        if outs.len() < OUTS && out.capacity() <= OUT {
            out.clear();
            outs.push(out);
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) ip: IpAddr,
    /// One of `server.trusted_proxies`: what it writes into headers about its clients counts.
    pub(crate) trusted: bool,
    /// What the connection itself tells; a trusted peer's headers may tell something else.
    pub(crate) scheme: Scheme,
}

/// What is known of a request, until its answer has gone out; dropping it writes the access log.
pub(crate) struct Exchange {
    pub(crate) core: Rc<Core>,
    pub(crate) wire: Arc<Wire>,
    pub(crate) meta: RequestMeta,
    pub(crate) method: Method,
    /// Only the path is ever written down.
    pub(crate) target: Option<PathAndQuery>,
    pub(crate) version: Version,
    pub(crate) began: Instant,
    /// The same moment, by the calendar.
    pub(crate) at: Timestamp,
    pub(crate) note: AccessNote,
    /// 0 until there is an answer.
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    /// The whole answer was handed over.
    pub(crate) complete: bool,
    pub(crate) refused: Option<&'static str>,
    /// Method and path of a request that was never made into one.
    pub(crate) described: Option<(String, String)>,
}

/// The client left before there was an answer; nginx's number for it.
const CLIENT_LEFT: u16 = 499;
/// The server stopped before there was an answer.
const STOPPED: u16 = 503;
const SHUTDOWN: &str = "shutdown";

impl Drop for Exchange {
    fn drop(&mut self) {
        let core = &self.core;
        let latency = self.began.elapsed();
        let (status, refused) = match self.status {
            0 if core.wires.is_cut_off() => (STOPPED, Some(SHUTDOWN)),
            0 => (CLIENT_LEFT, self.refused),
            status => (status, self.refused),
        };
        self.wire.request_ends();
        core.stats.in_flight.add(-1);
        core.stats.answered(self.note.surface, &self.method, status, self.note.route.as_ref(), latency, self.bytes);
        let (method, path) = match &self.described {
            Some((method, path)) => (method.as_str(), path.as_str()),
            None => (self.method.as_str(), self.target.as_ref().map_or("*", PathAndQuery::path)),
        };
        let record = AccessRecord {
            at: self.at.plus(latency),
            request_id: &self.meta.request_id,
            client_ip: self.meta.client_ip,
            method,
            host: &self.meta.host,
            path,
            protocol: if self.version == Version::HTTP_2 {
                "HTTP/2"
            } else if self.version == Version::HTTP_10 {
                "HTTP/1.0"
            } else {
                "HTTP/1.1"
            },
            status,
            latency,
            bytes: self.bytes,
            aborted: !self.complete,
            note: &self.note,
            refused,
        };
        core.access.record(&record);
        if let Some(witness) = &self.note.witness {
            witness.answered(&record);
        }
    }
}
