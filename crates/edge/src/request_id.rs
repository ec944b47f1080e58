//! The name of a request, the same on every log line, to the upstream and back to the client.

use std::{cell::RefCell, sync::Arc};

use baluarte_kernel::Timestamp;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

pub(crate) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What others call it. Taken, and returned, where there is no `X-Request-ID`.
pub(crate) static X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const MAX_INCOMING: usize = 128;
/// 128 bits in hexadecimal: milliseconds, then randomness, as a UUID version 7.
const LENGTH: usize = 32;
/// Identifiers are cut from blocks of this many bytes, so that most need no allocation of their own.
const BLOCK: usize = 64 * LENGTH;

/// Makes the identifiers of one core.
pub(crate) struct RequestIds {
    state: RefCell<(SmallRng, BytesMut)>,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        Self { state: RefCell::new((SmallRng::from_rng(&mut rand::rng()), BytesMut::new())) }
    }

    /// The client's own identifier when it is harmless, else a new one.
    pub(crate) fn of(&self, headers: &HeaderMap, now: Timestamp) -> RequestId {
        if let Some(value) = headers.get(&X_REQUEST_ID).or_else(|| headers.get(&X_CORRELATION_ID))
            && let Some(text) = harmless(value)
        {
            let is_correlation = !headers.contains_key(&X_REQUEST_ID);
            return RequestId { text: text.into(), value: value.clone(), is_correlation };
        }
        let bytes = self.create(now);
        // Hexadecimal digits are both text and a header's value.
        let text = std::str::from_utf8(&bytes).unwrap_or_default().into();
        let value = HeaderValue::from_maybe_shared(bytes).unwrap_or_else(|_| HeaderValue::from_static("0"));
        RequestId { text, value, is_correlation: false }
    }

    fn create(&self, now: Timestamp) -> Bytes {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let (rng, block) = &mut *self.state.borrow_mut();
        if block.capacity() - block.len() < LENGTH {
            *block = BytesMut::with_capacity(BLOCK);
        }
        let millis = u128::try_from(now.micros() / 1_000).unwrap_or(0);
        let random: u128 = rng.random();
        // The version (7) and the variant (binary 10) of RFC 9562.
        let bits = millis << 80 | 0x7 << 76 | (random >> 52 & 0xfff) << 64 | 0b10 << 62 | random & ((1 << 62) - 1);
        let bytes = bits.to_be_bytes();
        let digits: [u8; LENGTH] =
            std::array::from_fn(|i| HEX[usize::from(if i % 2 == 0 { bytes[i / 2] >> 4 } else { bytes[i / 2] & 15 })]);
        block.extend_from_slice(&digits);
        block.split().freeze()
    }
}

/// The identifier of one request, as text and as a header's value.
pub(crate) struct RequestId {
    pub(crate) text: Arc<str>,
    pub(crate) value: HeaderValue,
    /// The client called it `X-Correlation-ID` and looks for it under that name.
    pub(crate) is_correlation: bool,
}

/// Letters, digits, `.`, `_`, `-`, `:`: nothing that means something in a log, a page or a shell.
fn harmless(value: &HeaderValue) -> Option<&str> {
    let bytes = value.as_bytes();
    let fine = (1..=MAX_INCOMING).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':'));
    if fine { std::str::from_utf8(bytes).ok() } else { None }
}

pub(crate) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A malformed `traceparent`, or more than one, is dropped with its `tracestate` (W3C Trace Context, 3.2 and 4.3); a valid one passes.
pub(crate) fn keep_valid_trace(headers: &mut HeaderMap) {
    let mut parents = headers.get_all(&TRACEPARENT).iter();
    let valid = match (parents.next(), parents.next()) {
        (None, _) => return,
        (Some(one), None) => is_trace_parent(one.as_bytes()),
        (Some(_), Some(_)) => false,
    };
    if !valid {
        headers.remove(&TRACEPARENT);
        headers.remove(&TRACESTATE);
    }
}

fn is_trace_parent(value: &[u8]) -> bool {
    let hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |part: &[u8]| part.iter().all(|b| *b == b'0');
    let Some((version, rest)) = value.split_at_checked(2) else { return false };
    let [b'-', trace @ ..] = rest else { return false };
    let Some((trace, [b'-', parent @ ..])) = trace.split_at_checked(32) else { return false };
    let Some((parent, [b'-', flags @ ..])) = parent.split_at_checked(16) else { return false };
    // A later version may append more after another dash.
    let flags_fit = match flags {
        [a, b] => hex(&[*a, *b]),
        [a, b, b'-', ..] => version != b"00" && hex(&[*a, *b]),
        _ => false,
    };
    hex(version) && version != b"ff" && hex(trace) && !zero(trace) && hex(parent) && !zero(parent) && flags_fit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        headers
    }

    #[test]
    fn a_new_id_is_32_digits_and_none_comes_twice() {
        let ids = RequestIds::new();
        let now = Timestamp::from_micros(1_763_769_600_123_456);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            let RequestId { text, value, .. } = ids.of(&HeaderMap::new(), now);
            assert_eq!(text.as_bytes(), value.as_bytes());
            assert!(text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) && &text[12..13] == "7", "{text}");
            assert!(seen.insert(text));
        }
    }

    #[test]
    fn a_sane_incoming_id_is_kept_and_any_other_is_replaced() {
        let ids = RequestIds::new();
        for good in ["a", "0190a2b4-77aa-7c31-9f31-000000000001", &"x".repeat(128)] {
            assert_eq!(&*ids.of(&with(&X_REQUEST_ID, &[good]), Timestamp::default()).text, good);
            assert_eq!(&*ids.of(&with(&X_CORRELATION_ID, &[good]), Timestamp::default()).text, good);
        }
        for bad in ["", "a b", "<script>", "a\"b", "a;b", &"x".repeat(129), "${jndi:x}"] {
            assert_ne!(&*ids.of(&with(&X_REQUEST_ID, &[bad]), Timestamp::default()).text, bad);
            assert_ne!(&*ids.of(&with(&X_CORRELATION_ID, &[bad]), Timestamp::default()).text, bad);
        }
        let mut both = with(&X_CORRELATION_ID, &["theirs"]);
        both.insert(&X_REQUEST_ID, HeaderValue::from_static("ours"));
        assert_eq!(&*ids.of(&both, Timestamp::default()).text, "ours");
    }

    #[test]
    fn a_valid_trace_passes_and_a_malformed_one_is_dropped_with_its_state() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (values, kept) in [
            (&[good][..], true),
            (&["01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"], true),
            (&[good, good], false),
            (&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"], false),
            (&["ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"], false),
            (&["00-00000000000000000000000000000000-b7ad6b7169203331-01"], false),
            (&["00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"], false),
            (&["nonsense"], false),
        ] {
            let mut headers = with(&TRACEPARENT, values);
            headers.insert(&TRACESTATE, HeaderValue::from_static("a=b"));
            keep_valid_trace(&mut headers);
            assert_eq!(headers.contains_key(&TRACEPARENT), kept, "{values:?}");
            assert_eq!(headers.contains_key(&TRACESTATE), kept, "{values:?}");
        }
    }
}
