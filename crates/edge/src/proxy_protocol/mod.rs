//! The PROXY protocol (HAProxy's `proxy-protocol.txt`, versions 1 and 2): a TCP load balancer tells whom it speaks for, in a few
//! bytes before the first request. Who may say so, and what becomes of everybody else, is in `docs/edge.md`.

mod header;

use std::{
    cell::Cell,
    io,
    net::IpAddr,
    time::{Duration, Instant},
};

use bytes::{Buf as _, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::stats::Stats;
use header::Parsed;
pub(crate) use header::Told;

/// Whether a TCP load balancer in front tells the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    #[default]
    Off,
    Optional,
    Required,
}

/// What a trusted peer's connection began with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// `None`: no header, which only `optional` allows.
    pub(crate) told: Option<Told>,
    /// The bytes behind the header, already read.
    pub(crate) rest: BytesMut,
}

/// Why a connection is closed before its first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It ended, or stayed, without a word: what health checks of load balancers do. Nobody's mistake.
    Silent,
    /// The rule in `baluarte_edge_refused_total`.
    Rule(&'static str),
}

/// Between two complaints in the log.
const SILENCE: Duration = Duration::from_secs(5);

/// Counts what is refused here and says so in the log, which connections must not be able to flood.
#[derive(Default)]
pub(crate) struct Complaints {
    said: Cell<Option<Instant>>,
}

impl Complaints {
    pub(crate) fn about(&self, stats: &Stats, rule: &'static str, peer: IpAddr) {
        stats.refused_by(rule);
        if self.said.get().is_none_or(|said| said.elapsed() > SILENCE) {
            self.said.set(Some(Instant::now()));
            tracing::warn!(target: "edge", rule, %peer, "a connection is closed: see server.proxy_protocol; more like it are only counted for a while");
        }
    }
}

pub(crate) const UNTRUSTED: &str = "proxy_untrusted";
const MALFORMED: Refusal = Refusal::Rule("proxy_header");
const MISSING: Refusal = Refusal::Rule("proxy_missing");
const TIMEOUT: Refusal = Refusal::Rule("proxy_timeout");

/// Reads the header, for at most `patience`. Never holds more than the longest header and one read.
pub(crate) async fn receive(stream: &mut (impl AsyncRead + Unpin), required: bool, patience: Duration) -> Result<Beginning, Refusal> {
    let mut bytes = BytesMut::new();
    let outcome = tokio::time::timeout(patience, read(stream, &mut bytes, required)).await;
    match outcome {
        Ok(outcome) => outcome.map(|told| Beginning { told, rest: bytes }),
        Err(_) if bytes.is_empty() => Err(Refusal::Silent),
        Err(_) => Err(TIMEOUT),
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin), bytes: &mut BytesMut, required: bool) -> Result<Option<Told>, Refusal> {
    loop {
        match header::parse(bytes) {
            Ok(Parsed::Header { length, told }) => {
                bytes.advance(length);
                return Ok(Some(told));
            }
            Ok(Parsed::Absent) if required => return Err(MISSING),
            Ok(Parsed::Absent) => return Ok(None),
            Ok(Parsed::Incomplete) => {}
            Err(header::Malformed) => return Err(MALFORMED),
        }
        bytes.reserve(header::MAX_LENGTH.saturating_sub(bytes.len()).clamp(1, 512));
        let read: io::Result<usize> = stream.read_buf(bytes).await;
        match read {
            Ok(1..) => {}
            Ok(0) if !bytes.is_empty() => return Err(MALFORMED),
            Ok(0) | Err(_) => return Err(Refusal::Silent),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    const HEADER: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";

    /// What is received when the bytes come in pieces of these lengths.
    fn received(bytes: &[u8], pieces: &[usize], required: bool) -> Result<Beginning, Refusal> {
        let mut pieces = script(bytes, pieces);
        let mut first = BytesMut::new();
        let told = read(&mut pieces, &mut first, required).now_or_never().expect("a script never waits")?;
        // What has not been read yet comes afterwards.
        pieces.read_to_end_into(&mut first);
        Ok(Beginning { told, rest: first })
    }

    struct Script(Vec<Vec<u8>>);

    fn script(mut bytes: &[u8], pieces: &[usize]) -> Script {
        let mut script = Vec::new();
        for length in pieces {
            let (piece, rest) = bytes.split_at((*length).clamp(1, bytes.len().max(1)).min(bytes.len()));
            script.push(piece.to_vec());
            bytes = rest;
        }
        script.push(bytes.to_vec());
        script.retain(|piece| !piece.is_empty());
        script.reverse();
        Script(script)
    }

    impl Script {
        fn read_to_end_into(&mut self, bytes: &mut BytesMut) {
            while let Some(piece) = self.0.pop() {
                bytes.extend_from_slice(&piece);
            }
        }
    }

    impl AsyncRead for Script {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _cx: &mut std::task::Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            if let Some(mut piece) = self.0.pop() {
                let taken = piece.len().min(buf.remaining());
                buf.put_slice(&piece[..taken]);
                piece.drain(..taken);
                if !piece.is_empty() {
                    self.0.push(piece);
                }
            }
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_comes_behind_the_header_stays_for_http() {
        let bytes = [HEADER, b"GET / HTTP/1.1\r\n\r\n"].concat();
        let beginning = received(&bytes, &[], true).expect("a header");
        assert_eq!(beginning.told.and_then(|told| told.client), "192.0.2.1".parse().ok());
        assert_eq!(&beginning.rest[..], b"GET / HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn without_a_header_it_depends_on_whether_one_is_required() {
        let beginning = received(b"GET / HTTP/1.1\r\n\r\n", &[], false).expect("HTTP");
        assert_eq!((beginning.told, &beginning.rest[..]), (None, &b"GET / HTTP/1.1\r\n\r\n"[..]));
        assert_eq!(received(b"GET / HTTP/1.1\r\n\r\n", &[], true), Err(MISSING));
        assert_eq!(received(b"", &[], true), Err(Refusal::Silent));
        assert_eq!(received(&HEADER[..20], &[], false), Err(MALFORMED), "it ended in the middle");
    }

    proptest! {
        #[test]
        fn pieces_change_nothing(
            start in prop_oneof![
                Just(HEADER.to_vec()),
                Just(b"PROXY UNKNOWN\r\n".to_vec()),
                Just(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\0\x02\x01\xc6\x33\x64\x01\0\x50\x01\xbb\x04\0\0".to_vec()),
                Just(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x20\0".to_vec()),
                Just(b"\r\n\r\nGET / HTTP/1.1\r\n".to_vec()),
                Just(b"PROXY TCP4 192.0.2.1".to_vec()),
                Just(b"PR".to_vec()),
            ],
            tail in proptest::collection::vec(any::<u8>(), 0..200),
            pieces in proptest::collection::vec(1_usize..40, 0..40),
            required: bool,
        ) {
            let bytes = [start, tail].concat();
            prop_assert_eq!(received(&bytes, &pieces, required), received(&bytes, &[], required));
        }
    }
}
