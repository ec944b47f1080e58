//! Every reason for which the edge itself refuses a request, each in one place: its status, its problem code, its words.

use baluarte_web::{Problem, ProblemDoc};
use http::{HeaderValue, header};

use crate::problems;

/// Why a request is refused.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Status, code and words.
    pub(crate) doc: &'static ProblemDoc,
    /// The label in `baluarte_edge_refused_total{rule}`.
    pub(crate) name: &'static str,
    /// What the client did wrong, in one sentence.
    detail: &'static str,
}

const fn rule(doc: &'static ProblemDoc, name: &'static str, detail: &'static str) -> Rule {
    Rule { doc, name, detail }
}
const fn bad(name: &'static str, detail: &'static str) -> Rule {
    rule(&problems::BAD_REQUEST, name, detail)
}
const fn too_large(name: &'static str, detail: &'static str) -> Rule {
    rule(&problems::HEADERS_TOO_LARGE, name, detail)
}
const fn not_implemented(name: &'static str, detail: &'static str) -> Rule {
    rule(&problems::NOT_IMPLEMENTED, name, detail)
}

impl Rule {
    /// The answer, which also ends the connection: after a broken request nobody knows where the next one begins.
    pub(crate) fn problem(&self) -> Problem {
        Problem::of(self.doc).detail(self.detail).header(header::CONNECTION, HeaderValue::from_static("close"))
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for Rule {}

// The request line
pub(crate) static NOT_HTTP: Rule = bad("not_http", "This is not an HTTP request; for HTTPS use the port that speaks it.");
pub(crate) static REQUEST_LINE: Rule = bad("request_line", "The request line is not `METHOD target HTTP/1.1` with single spaces.");
pub(crate) static BLANK_LINES: Rule = bad("blank_lines", "Too many empty lines before the request.");
pub(crate) static METHOD: Rule = not_implemented("method", "The method is not one that is registered for HTTP.");
pub(crate) static CONNECT: Rule = not_implemented("connect", "CONNECT is not supported: this is no forward proxy.");
pub(crate) static TRACE: Rule = not_implemented("trace", "TRACE is not supported.");
pub(crate) static TARGET: Rule = bad("target", "The request target is neither a path nor an absolute http or https address.");
pub(crate) static TARGET_CHARACTER: Rule = bad("target_character", "The request target holds a character that must be percent-encoded.");
pub(crate) static TARGET_ASTERISK: Rule = bad("target_asterisk", "The target * belongs to OPTIONS only.");
pub(crate) static TARGET_LENGTH: Rule =
    rule(&problems::TARGET_TOO_LONG, "target_length", "The request target is longer than this server accepts.");
pub(crate) static VERSION: Rule = rule(&problems::VERSION_NOT_SUPPORTED, "version", "Only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here.");

// Lines and fields
pub(crate) static BARE_LF: Rule = bad("bare_lf", "A line ends without a carriage return.");
pub(crate) static CONTROL: Rule = bad("control_character", "A line holds a control character.");
pub(crate) static FOLDED: Rule = bad("folded_line", "A header is continued on the next line.");
pub(crate) static FIELD_NAME: Rule = bad("field_name", "A header's name is empty or holds a character that names cannot have.");
pub(crate) static SPACE_BEFORE_COLON: Rule = bad("space_before_colon", "There is white space between a header's name and its colon.");
pub(crate) static HEAD_SIZE: Rule = too_large("head_size", "The request line and headers together are too large.");
pub(crate) static FIELD_SIZE: Rule = too_large("field_size", "A header is too large.");
pub(crate) static FIELD_COUNT: Rule = too_large("field_count", "There are too many headers.");
pub(crate) static EXPECT: Rule = rule(&problems::EXPECTATION_FAILED, "expect", "The only expectation understood is 100-continue.");

// Host
pub(crate) static HOST_MISSING: Rule = bad("host_missing", "The Host header is missing.");
pub(crate) static HOST_DUPLICATE: Rule = bad("host_duplicate", "There is more than one Host header.");
pub(crate) static HOST_INVALID: Rule = bad("host_invalid", "The Host is not a name or address with an optional port.");
pub(crate) static HOST_MISMATCH: Rule = bad("host_mismatch", "The Host header and :authority differ.");

// Framing
pub(crate) static LENGTH_INVALID: Rule = bad("length_invalid", "Content-Length is not a number.");
pub(crate) static LENGTH_DUPLICATE: Rule = bad("length_duplicate", "There is more than one Content-Length.");
pub(crate) static LENGTH_AND_CODING: Rule = bad("length_and_coding", "Content-Length and Transfer-Encoding exclude each other.");
pub(crate) static CODING_IN_1_0: Rule = bad("coding_in_1_0", "HTTP/1.0 has no Transfer-Encoding.");
pub(crate) static CODING_INVALID: Rule = bad("coding_invalid", "Transfer-Encoding does not end with chunked, or is given twice.");
pub(crate) static CODING_UNKNOWN: Rule = not_implemented("coding_unknown", "The only transfer coding understood is chunked.");
pub(crate) static CHUNK_SIZE: Rule = bad("chunk_size", "A chunk's size is not a hexadecimal number of acceptable size.");
pub(crate) static CHUNK_EXTENSION: Rule = bad("chunk_extension", "A chunk's extension is malformed or too long.");
pub(crate) static CHUNK_END: Rule = bad("chunk_end", "A chunk does not end where its size says.");
pub(crate) static TRAILER: Rule = bad("trailer", "A trailer is malformed, too large, or of a kind that may not come after the body.");

// HTTP/2
pub(crate) static PSEUDO_PATH: Rule = bad("pseudo_path", "The :path does not begin with a slash or holds an invalid character.");
pub(crate) static PSEUDO_SCHEME: Rule = bad("pseudo_scheme", "The :scheme is neither http nor https.");

// Time and size
pub(crate) static HEAD_TIMEOUT: Rule = rule(&problems::REQUEST_TIMEOUT, "head_timeout", "The request's head took too long to arrive.");
pub(crate) static BODY_TIMEOUT: Rule = rule(&problems::REQUEST_TIMEOUT, "body_timeout", "The request's body took too long to arrive.");
pub(crate) static BODY_SIZE: Rule = rule(&problems::BODY_TOO_LARGE, "body_size", "The request's body is larger than this server accepts.");
pub(crate) static ANSWER_TIMEOUT: Rule = rule(&problems::ANSWER_TIMEOUT, "answer_timeout", "The answer took too long; try again later.");
