//! HTTP/1 as RFC 9112 wants it, checked on the bytes before hyper sees them.
//!
//! `head` judges one complete request head, `chunked` one chunk-size line at a time, `framing` knows where in a connection's bytes heads,
//! bodies and trailers begin, and `guard` stands between the socket and hyper. `plain` answers requests that need no hyper, `answer` writes
//! their answers.

mod answer;
mod chunked;
mod framing;
mod guard;
mod head;
mod plain;

pub(crate) use answer::DateText;
pub(crate) use guard::{Guard, REFUSED_METHOD};
pub(crate) use head::{HeadLimits, host_is_valid, method_rule, number, says_upgrade, target_is_clean};
pub(crate) use plain::{Left, serve as serve_plain};
