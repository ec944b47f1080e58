//! The names and forms of what lies in Redis. Keys carry a version: a later release with another form uses other keys.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::gcra::Want;

/// Marks the one refusal that is mended by sending the script along.
pub(super) const NO_SCRIPT: &str = "no script";

pub(super) fn is_no_script(err: &RedisError) -> bool {
    err.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// All topics share one channel: a subscription never races with a publication, and an access list in Redis needs one line.
pub(super) fn channel(prefix: &str) -> String {
    format!("{prefix}v1:hints")
}

pub(super) fn bucket(prefix: &str, want: &Want<'_>) -> String {
    format!("{prefix}v1:limit:{}:{:032x}", want.limit, want.subject)
}

pub(super) fn lease(prefix: &str, name: &str) -> String {
    format!("{prefix}v1:lease:{name}")
}

pub(super) fn probe(prefix: &str) -> String {
    format!("{prefix}v1:probe")
}

/// The sender, the topic, and the payload: a line each, the payload with whatever is in it. An empty topic: all topics
/// may have missed something.
pub(super) fn encode(instance: &str, topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(instance.len() + topic.len() + payload.len() + 2);
    for part in [instance, topic] {
        frame.extend_from_slice(part.as_bytes());
        frame.push(b'\n');
    }
    frame.extend_from_slice(payload);
    frame
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) instance: &'a str,
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
}

pub(super) fn decode(frame: &[u8]) -> Option<Frame<'_>> {
    let mut parts = frame.splitn(3, |byte| *byte == b'\n');
    let instance = std::str::from_utf8(parts.next()?).ok()?;
    let topic = std::str::from_utf8(parts.next()?).ok()?;
    Some(Frame { instance, topic, payload: parts.next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_carries_any_payload() {
        let frame = encode("me", "sessions", b"a\nb\0\n");
        assert_eq!(decode(&frame), Some(Frame { instance: "me", topic: "sessions", payload: b"a\nb\0\n" }));
        assert_eq!(decode(b"nonsense"), None);
    }
}
