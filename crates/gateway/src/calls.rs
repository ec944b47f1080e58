//! Calls on their way into the audit log: which ones go there, and what is kept of them once their answer has gone out.

use std::sync::Arc;

use baluarte_audit::{Call, Lane};
use baluarte_telemetry::{AccessNote, AccessRecord, Witness};
use http::{HeaderValue, Method, Request, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which calls of a route go into the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Audited {
    All,
    /// Those that may change something: every method but GET, HEAD, OPTIONS and TRACE.
    #[default]
    Writes,
    None,
}

impl Audited {
    fn takes(self, method: &Method) -> bool {
        match self {
            Self::All => true,
            Self::Writes => !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE),
            Self::None => false,
        }
    }
}

/// Who records the calls of a route. One for each route and core, so that no core disturbs another by counting.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) audited: Audited,
    pub(crate) lane: Arc<Lane>,
    pub(crate) route: Box<str>,
    /// Empty for routes without one.
    pub(crate) upstream: Box<str>,
}

impl Recorded {
    /// From here on the call is recorded however it ends: answered, refused, or left by its client.
    pub(crate) fn watch<B>(self: &Arc<Self>, request: &Request<B>, note: &mut AccessNote) {
        if self.audited.takes(request.method()) {
            note.user_agent = request.headers().get(header::USER_AGENT).cloned();
            note.witness = Some(Arc::clone(self) as Arc<dyn Witness>);
        }
    }
}

impl Witness for Recorded {
    fn answered(&self, record: &AccessRecord<'_>) {
        let note = record.note;
        self.lane.record(&Call {
            at: record.at,
            latency: record.latency,
            request_id: record.request_id,
            user_id: note.user_id,
            session_id: note.session_id,
            credential: note.credential,
            method: record.method,
            host: record.host,
            path: record.path,
            route: &self.route,
            upstream: &self.upstream,
            status: record.status,
            bytes: record.bytes,
            aborted: record.aborted,
            ip: record.client_ip,
            user_agent: note.user_agent.as_ref().map_or(&[], HeaderValue::as_bytes),
        });
    }
}
