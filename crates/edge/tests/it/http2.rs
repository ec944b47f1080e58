//! HTTP/2 with prior knowledge: raw frames, so that nothing between the test and the edge corrects them.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::rig::{PATIENCE, Rig, config, impatient, options};
use baluarte_edge::EdgeConfig;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("small").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// HPACK: literals, never indexed, not Huffman coded.
pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let length = text.len();
            if length < 127 {
                block.push(u8::try_from(length).expect("small"));
            } else {
                block.push(127);
                let mut rest = length - 127;
                while rest >= 128 {
                    block.push(u8::try_from(rest % 128).expect("small") | 128);
                    rest /= 128;
                }
                block.push(u8::try_from(rest).expect("small"));
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

pub(crate) const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];

pub(crate) async fn open(rig: &Rig) -> TcpStream {
    let mut stream = rig.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.expect("sent");
    stream
}

/// The next frame; `None` when the connection is closed.
pub(crate) async fn next(stream: &mut TcpStream) -> Option<Frame> {
    let read = async {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await.ok()?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
        Some(Frame { kind: header[3], stream, payload })
    };
    tokio::time::timeout(PATIENCE, read).await.expect("a frame or the end in time")
}

/// Status of the answer on stream 1 and its body; `None` when the stream or connection was reset.
async fn ask(rig: &Rig, head: &[(&str, &str)]) -> Option<(u16, String)> {
    let mut stream = open(rig).await;
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields(head))).await.expect("sent");
    let mut status = None;
    let mut body = Vec::new();
    loop {
        let next = next(&mut stream).await?;
        match next.kind {
            HEADERS => {
                // The static table of HPACK, or a literal whose value is the three digits.
                status = match next.payload[0] {
                    0x88 => Some(200),
                    0x8c => Some(400),
                    0x8d => Some(404),
                    0x8e => Some(500),
                    _ => Some(0),
                };
                if next.payload.is_empty() {
                    break;
                }
            }
            DATA => {
                body.extend_from_slice(&next.payload);
                if next.payload.is_empty()
                    || String::from_utf8_lossy(&body).ends_with('}')
                    || String::from_utf8_lossy(&body).ends_with("body=\n")
                {
                    break;
                }
            }
            RST_STREAM | GOAWAY => return None,
            _ => {}
        }
    }
    Some((status?, String::from_utf8_lossy(&body).into_owned()))
}

#[tokio::test]
async fn http2_is_spoken_with_prior_knowledge() {
    let rig = Rig::start();
    let (status, body) =
        ask(&rig, &[&GET[..3], &[(":path", "/a?b"), ("cookie", "a=1"), ("cookie", "b=2")]].concat()).await.expect("an answer");
    assert_eq!(status, 200);
    for fact in ["target=/a?b\n", "\nhost=a\n", "\nhost: a\n", "\ncookie: a=1; b=2\n", "\nrequest_id="] {
        assert!(body.contains(fact), "{fact:?} in {body}");
    }
    let lines = rig.log_lines();
    assert_eq!((lines[0]["protocol"].as_str(), lines[0]["path"].as_str()), (Some("HTTP/2"), Some("/a")));
}

#[tokio::test]
async fn pseudo_headers_are_judged_like_a_request_line() {
    let rig = Rig::start();
    let [method, scheme, authority, path] = GET;
    for (head, rule) in [
        (vec![method, scheme, path], "host_missing"),
        (vec![method, scheme, authority, path, ("host", "b")], "host_mismatch"),
        (vec![method, scheme, authority, path, ("host", "a"), ("host", "a")], "host_duplicate"),
        (vec![method, scheme, (":authority", "user@a"), path], "host_invalid"),
        (vec![method, scheme, authority, (":path", "/a\\b")], "pseudo_path"),
        (vec![method, scheme, authority, (":path", "*")], "pseudo_path"),
        (vec![method, (":scheme", "ftp"), authority, path], "pseudo_scheme"),
    ] {
        let (status, body) = ask(&rig, &head).await.unwrap_or_else(|| panic!("{rule}: an answer"));
        assert_eq!(status, 400, "{rule}: {body}");
        assert!(body.contains("edge.bad_request"), "{rule}: {body}");
        assert!(rig.metric(&format!("baluarte_edge_refused_total{{rule=\"{rule}\"}}")).is_some(), "{rule}");
    }
    let (_, body) = ask(&rig, &[(":method", "FOO"), scheme, authority, path]).await.expect("an answer");
    assert!(body.contains("edge.not_implemented"), "{body}");
    let (status, body) = ask(&rig, &[method, scheme, authority, path, ("host", "A"), ("remote_user", "admin")]).await.expect("an answer");
    assert_eq!(status, 200);
    assert!(!body.contains("remote_user"), "{body}");
}

#[tokio::test]
async fn malformed_heads_reset_the_stream_or_are_refused() {
    let rig = Rig::start();
    let [method, scheme, authority, path] = GET;
    for bad in [
        vec![method, scheme, authority, path, ("connection", "close")],
        vec![method, scheme, authority, path, ("transfer-encoding", "chunked")],
        vec![method, scheme, authority, path, ("upgrade", "websocket")],
        vec![method, scheme, authority, path, ("te", "gzip")],
        vec![method, scheme, authority, path, ("Upper", "case")],
        vec![method, scheme, authority, path, ("x", "a\r\nb: c")],
        vec![method, scheme, authority, path, path],
        vec![method, scheme, authority],
        vec![scheme, authority, path],
        vec![method, scheme, authority, ("x", "y"), path],
        vec![method, scheme, authority, path, (":unknown", "y")],
        vec![method, scheme, authority, (":path", "no-slash")],
        vec![method, scheme, authority, (":path", "/a b")],
        vec![(":method", "CONNECT"), authority],
        vec![method, scheme, authority, path, ("content-length", "+0")],
    ] {
        let answer = ask(&rig, &bad).await;
        assert!(answer.as_ref().is_none_or(|(status, _)| *status != 200), "{bad:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_broken_preface_is_refused() {
    let rig = Rig::start();
    for broken in [&b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\n\r\n\r\n", b"PRI / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let answer = rig.exchange(broken).await;
        assert!(answer.starts_with("HTTP/1.1 50"), "{answer}");
    }
    // The preface is right, the first frame is not SETTINGS.
    let mut stream = rig.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");
    stream.write_all(&frame(6, 0, 0, b"12345678")).await.expect("sent");
    while let Some(frame) = next(&mut stream).await {
        assert_ne!(frame.kind, HEADERS);
    }
}

#[tokio::test]
async fn a_header_block_that_does_not_end_ends_the_connection() {
    let rig = Rig::with(options(), impatient());
    let mut stream = open(&rig).await;
    stream.write_all(&frame(HEADERS, END_STREAM, 1, &fields(&GET))).await.expect("sent");
    while let Some(frame) = next(&mut stream).await {
        assert_ne!(frame.kind, HEADERS);
    }
}

#[tokio::test]
async fn an_idle_connection_is_let_go_although_it_answers_pings() {
    let rig = Rig::with(options(), impatient());
    let mut stream = open(&rig).await;
    let mut said_goodbye = false;
    while let Some(frame) = next(&mut stream).await {
        said_goodbye |= frame.kind == GOAWAY;
    }
    assert!(said_goodbye);
}

#[tokio::test]
async fn a_body_that_stalls_ends_its_request() {
    let rig = Rig::with(options(), EdgeConfig { body_timeout: baluarte_kernel::Period::from_millis(200), ..config() });
    let mut stream = open(&rig).await;
    let head = fields(&[&[(":method", "POST")], &GET[1..]].concat());
    stream.write_all(&frame(HEADERS, END_HEADERS, 1, &head)).await.expect("sent");
    stream.write_all(&frame(DATA, 0, 1, b"he")).await.expect("sent");
    loop {
        let frame = next(&mut stream).await.expect("an answer");
        if frame.kind == HEADERS {
            assert!(String::from_utf8_lossy(&frame.payload).contains("408") || frame.payload.len() > 1);
            assert_eq!(frame.stream, 1);
            break;
        }
    }
    assert_eq!(rig.log_lines().first().map(|line| line["status"].clone()), Some(serde_json::json!(408)));
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_let_go_although_the_connection_lives() {
    let rig = Rig::with(options(), impatient());
    let mut stream = open(&rig).await;
    let head = fields(&[&GET[..3], &[(":path", "/large")]].concat());
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)).await.expect("sent");
    // The window is never widened, so most of the answer stays where it comes from.
    tokio::time::timeout(PATIENCE, rig.freed.notified()).await.expect("its source is let go");
}

#[tokio::test]
async fn two_lengths_are_refused_and_never_forwarded() {
    let rig = Rig::start();
    let post = [&[(":method", "POST")], &GET[1..], &[("content-length", "0"), ("content-length", "0")]].concat();
    let (status, body) = ask(&rig, &post).await.expect("an answer");
    assert!(status == 400 && body.contains("more than one Content-Length"), "{body}");
}

#[tokio::test]
async fn http2_has_no_more_headers_than_http1() {
    let rig = Rig::start();
    let many: Vec<String> = (0..120).map(|n| format!("x-{n}")).collect();
    let head: Vec<_> = GET.into_iter().chain(many.iter().map(|name| (name.as_str(), "y"))).collect();
    let (_, body) = ask(&rig, &head).await.expect("an answer");
    assert!(body.contains("too many headers"), "{body}");
}
