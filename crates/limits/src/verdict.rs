//! What a decision looks like over HTTP: the fields of the IETF draft *RateLimit header fields for HTTP*, and the refusals.

use std::time::Duration;

use baluarte_web::Problem;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

// Names and parameters stand here alone: the draft may still change.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

baluarte_web::problems! {
    EXCEEDED = TOO_MANY_REQUESTS "limits.exceeded" {
        title: "Too many requests", "Demasiadas peticiones", "Requisições demais";
        explanation: "More requests came in a short time than are allowed.", "Llegaron más peticiones en poco tiempo de las permitidas.", "Chegaram mais requisições em pouco tempo do que o permitido.";
        remedy: "Wait as long as the Retry-After header says, then try again.", "Espera lo que indica la cabecera Retry-After e inténtalo de nuevo.", "Espere o que indica o cabeçalho Retry-After e tente de novo.";
    }
    UNAVAILABLE = SERVICE_UNAVAILABLE "limits.unavailable" {
        title: "Not available right now", "No disponible en este momento", "Indisponível no momento";
        explanation: "Requests to this address are counted strictly, and the counter cannot be reached at the moment.", "Las peticiones a esta dirección se cuentan con rigor y el contador no responde en este momento.", "As requisições a este endereço são contadas com rigor e o contador não responde no momento.";
        remedy: "Try again in a few seconds.", "Inténtalo de nuevo en unos segundos.", "Tente de novo em alguns segundos.";
    }
}

/// How soon to try again while Redis is away.
const AWAY: Duration = Duration::from_secs(5);

/// May the request go on?
#[derive(Debug, Clone)]
pub enum Verdict {
    Allowed(Fields),
    Limited {
        /// Whole seconds, at least one.
        retry_after: Duration,
        /// The policies that refused, by the names they have in the fields.
        violated: Vec<String>,
        fields: Fields,
    },
    /// A limit with the policy `closed`, and Redis is away.
    StoreAway,
}

impl Verdict {
    /// `Ok` with the fields to set on the answer, or the refusal (429 `limits.exceeded`, 503 `limits.unavailable`) with its fields set.
    pub fn into_result(self) -> Result<Fields, Problem> {
        match self {
            Self::Allowed(fields) => Ok(fields),
            Self::Limited { retry_after, violated, fields } => {
                let mut problem = Problem::of(&EXCEEDED).retry_after(retry_after);
                problem.violated_policies = violated;
                fields.write(&mut problem.headers);
                Err(problem)
            }
            Self::StoreAway => Err(Problem::of(&UNAVAILABLE).retry_after(AWAY)),
        }
    }
}

/// The `RateLimit-Policy` and `RateLimit` header fields of a decision; set on every answer, allowed or not.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    policy: Option<HeaderValue>,
    limit: Option<HeaderValue>,
}

impl Fields {
    /// Sets the fields, in place of any that are there. Without limits it sets none.
    pub fn write(&self, headers: &mut HeaderMap) {
        for (name, value) in [(POLICY, &self.policy), (LIMIT, &self.limit)] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
    }

    /// As `write`, without a copy.
    pub fn move_into(self, headers: &mut HeaderMap) {
        for (name, value) in [(POLICY, self.policy), (LIMIT, self.limit)] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
    }
}

/// Writes both fields, one policy after the other: this is done for every request.
pub(crate) struct FieldsWriter {
    policy: Vec<u8>,
    limit: Vec<u8>,
}

/// Enough for the fields of one or two policies.
const LINE: usize = 96;

impl FieldsWriter {
    pub(crate) fn new() -> Self {
        Self { policy: Vec::with_capacity(LINE), limit: Vec::with_capacity(LINE) }
    }

    /// `quoted`: the policy's name as a string of Structured Fields, with its quotes.
    pub(crate) fn push(&mut self, quoted: &str, quota: u64, window: u64, remaining: u64, seconds: u64) {
        push(&mut self.policy, quoted, [(";q=", quota), (";w=", window)]);
        push(&mut self.limit, quoted, [(";r=", remaining), (";t=", seconds)]);
    }

    pub(crate) fn finish(self) -> Fields {
        Fields { policy: value(self.policy), limit: value(self.limit) }
    }
}

fn push(line: &mut Vec<u8>, quoted: &str, parameters: [(&str, u64); 2]) {
    if !line.is_empty() {
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(quoted.as_bytes());
    let mut digits = itoa::Buffer::new();
    for (name, number) in parameters {
        line.extend_from_slice(name.as_bytes());
        line.extend_from_slice(digits.format(number).as_bytes());
    }
}

fn value(line: Vec<u8>) -> Option<HeaderValue> {
    if line.is_empty() { None } else { HeaderValue::from_maybe_shared(Bytes::from(line)).ok() }
}

/// Rounded up: who waits as long as we say does not come too soon.
pub(crate) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}
