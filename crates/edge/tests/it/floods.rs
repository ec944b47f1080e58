//! What costs a client nothing: each flood ends its connection, and the next client is served.

use tokio::io::AsyncWriteExt as _;

use crate::{
    http2::{DATA, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, RST_STREAM, fields, frame, next, open},
    rig::{Rig, statuses},
};

const CONTINUATION: u8 = 9;
const PRIORITY: u8 = 2;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

/// Sends the frames until the edge hangs up; then somebody else asks.
async fn is_limited(name: &str, frames: impl Iterator<Item = Vec<u8>>) -> Rig {
    let rig = Rig::start();
    let mut stream = open(&rig).await;
    let (mut read, mut write) = stream.split();
    let flood = async {
        for frame in frames {
            // The edge has hung up: that is what is hoped for.
            if write.write_all(&frame).await.is_err() {
                return;
            }
        }
    };
    // What comes back is read, so that nobody waits for anybody.
    let drain = async {
        let mut sink = vec![0; 16 * 1024];
        while matches!(tokio::io::AsyncReadExt::read(&mut read, &mut sink).await, Ok(1..)) {}
    };
    let ended = tokio::time::timeout(crate::rig::PATIENCE, async { tokio::join!(flood, drain) }).await;
    assert!(ended.is_ok(), "{name}: the connection goes on");
    let answer = rig.exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(statuses(&answer), [200], "{name}: the edge goes on");
    rig
}

fn counted(rig: &Rig, rule: &str) -> bool {
    rig.metric(&format!("baluarte_edge_refused_total{{rule=\"{rule}\"}}")).is_some()
}

fn request(stream: u32, flags: u8) -> Vec<u8> {
    frame(HEADERS, flags, stream, &fields(&GET))
}

#[tokio::test]
async fn rapid_reset() {
    let reset = |i: u32| [request(2 * i + 1, END_HEADERS | END_STREAM), frame(RST_STREAM, 0, 2 * i + 1, &8_u32.to_be_bytes())].concat();
    is_limited("rapid reset", (0..5_000).map(reset)).await;
}

#[tokio::test]
async fn a_reset_that_the_client_makes_us_send() {
    let made = |i: u32| {
        [request(2 * i + 1, END_HEADERS | END_STREAM), frame(WINDOW_UPDATE, 0, 2 * i + 1, &0x7fff_ffff_u32.to_be_bytes())].concat()
    };
    is_limited("made you reset", (0..5_000).map(made)).await;
}

#[tokio::test]
async fn continuation() {
    let more = |i: u32| frame(CONTINUATION, 0, 1, &fields(&[(&format!("x-{i}"), &"a".repeat(900))]));
    is_limited("continuation", std::iter::once(request(1, END_STREAM)).chain((0..5_000).map(more))).await;
}

#[tokio::test]
async fn empty_continuation() {
    let empty = std::iter::repeat_n(frame(CONTINUATION, 0, 1, &[]), 10_000);
    let rig = is_limited("empty continuation", std::iter::once(request(1, END_STREAM)).chain(empty)).await;
    assert!(counted(&rig, "h2_continuation"));
}

#[tokio::test]
async fn settings() {
    let rig = is_limited("settings", std::iter::repeat_n(frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]), 10_000)).await;
    assert!(counted(&rig, "h2_settings"));
}

#[tokio::test]
async fn ping() {
    let rig = is_limited("ping", std::iter::repeat_n(frame(PING, 0, 0, b"12345678"), 10_000)).await;
    assert!(counted(&rig, "h2_ping"));
}

#[tokio::test]
async fn empty_data() {
    let post = frame(HEADERS, END_HEADERS, 1, &fields(&[&[(":method", "POST")], &GET[1..]].concat()));
    let rig = is_limited("empty data", std::iter::once(post).chain(std::iter::repeat_n(frame(DATA, 0, 1, &[]), 10_000))).await;
    assert!(counted(&rig, "h2_empty_data"));
}

#[tokio::test]
async fn priority() {
    let rig = is_limited("priority", (0..10_000).map(|i| frame(PRIORITY, 0, 1 + 2 * (i % 100), &[0, 0, 0, 0, 1]))).await;
    assert!(counted(&rig, "h2_priority"));
}

#[tokio::test]
async fn window_update() {
    let rig = is_limited("window update", std::iter::repeat_n(frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()), 10_000)).await;
    assert!(counted(&rig, "h2_window_update"));
}

#[tokio::test]
async fn unknown_frames() {
    let rig = is_limited("unknown", std::iter::repeat_n(frame(0xbe, 0, 0, &[]), 10_000)).await;
    assert!(counted(&rig, "h2_other"));
}

#[tokio::test]
async fn hpack_bomb() {
    let rig = Rig::start();
    let mut stream = open(&rig).await;
    // The first request puts a long value into the table (literal with indexing), the second names it thousands of times.
    let mut first = fields(&GET);
    first.extend_from_slice(&[0x40, 5]);
    first.extend_from_slice(b"x-big");
    first.extend_from_slice(&[127, 0xbd, 29]);
    first.extend_from_slice(&[b'a'; 127 + 0x3d + 29 * 128]);
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &first)).await.expect("sent");
    let bomb = [fields(&GET), vec![0xbe; 12_000]].concat();
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &bomb)).await.expect("sent");
    let mut statuses = Vec::new();
    while statuses.len() < 2 {
        let Some(frame) = next(&mut stream).await else { break };
        match frame.kind {
            HEADERS => statuses.push((frame.stream, frame.payload[0])),
            RST_STREAM | GOAWAY => break,
            _ => {}
        }
    }
    assert!(!statuses.contains(&(3, 0x88)), "the bomb is not served: {statuses:?}");
    assert_eq!(crate::rig::statuses(&rig.exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await), [200]);
}
