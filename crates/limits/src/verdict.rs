//! What a decision looks like over HTTP: the fields of the IETF draft *RateLimit header fields for HTTP*, and the refusals.

use std::time::Duration;

use baluarte_web::Problem;
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

/// Writes both fields, one policy after the other, on the stack: this is done for every request.
pub(crate) struct FieldsWriter {
    policy: Line,
    limit: Line,
}

impl FieldsWriter {
    pub(crate) fn new() -> Self {
        Self { policy: Line::new(), limit: Line::new() }
    }

    /// `quoted`: the policy's name as a string of Structured Fields, with its quotes.
    pub(crate) fn push(&mut self, quoted: &str, quota: u64, window: u64, remaining: u64, seconds: u64) {
        self.policy.push(quoted, [(";q=", quota), (";w=", window)]);
        self.limit.push(quoted, [(";r=", remaining), (";t=", seconds)]);
    }

    pub(crate) fn finish(self) -> Fields {
        Fields { policy: self.policy.value(), limit: self.limit.value() }
    }
}

/// Room for as many policies as a request may have (8), each with the longest name (32 and the suffixes) and numbers.
const LINE: usize = 1_024;

struct Line {
    bytes: [u8; LINE],
    len: usize,
}

impl Line {
    fn new() -> Self {
        Self { bytes: [0; LINE], len: 0 }
    }

    fn push(&mut self, quoted: &str, parameters: [(&str, u64); 2]) {
        if self.len > 0 {
            self.write(", ");
        }
        self.write(quoted);
        let mut digits = itoa::Buffer::new();
        for (name, number) in parameters {
            self.write(name);
            self.write(digits.format(number));
        }
    }

    fn write(&mut self, text: &str) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + text.len()) {
            room.copy_from_slice(text.as_bytes());
            self.len += text.len();
        }
    }

    /// One allocation of the right size.
    fn value(&self) -> Option<HeaderValue> {
        let text = &self.bytes[..self.len];
        if text.is_empty() { None } else { HeaderValue::from_bytes(text).ok() }
    }
}

/// Rounded up: who waits as long as we say does not come too soon.
pub(crate) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}
