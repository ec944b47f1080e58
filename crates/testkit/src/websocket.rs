//! As much of RFC 6455 as tests need: small messages, no extensions, no fragments.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

const CLOSE: u8 = 8;
const TEXT: u8 = 1;
/// 16 bytes in base64; what it is does not matter to a test.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A client's end.
#[derive(Debug)]
pub struct WebSocket {
    io: TokioIo<Upgraded>,
    /// Of the answer that switched protocols.
    pub headers: HeaderMap,
}

impl WebSocket {
    /// Connects to `http://HOST:PORT/path`. The error is the status of a server that did not switch protocols.
    pub async fn connect(url: &str, headers: &[(&str, &str)]) -> Result<Self, StatusCode> {
        let rest = url.strip_prefix("http://").expect("an http:// URL");
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let stream = TcpStream::connect(host).await.expect("the server accepts connections");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a new connection is ready");
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::get(format!("/{path}"))
            .header(header::HOST, host)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, KEY);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).expect("the test's headers are valid");
        let response = sender.send_request(request).await.expect("the server answers");
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(response.status());
        }
        let headers = response.headers().clone();
        assert_eq!(headers[header::SEC_WEBSOCKET_ACCEPT], accept_value(KEY));
        let io = TokioIo::new(hyper::upgrade::on(response).await.expect("the connection switches protocols"));
        Ok(Self { io, headers })
    }

    pub async fn send(&mut self, text: &str) {
        // A mask of zeros is a mask: the payload stays readable.
        write_frame(&mut self.io, TEXT, text.as_bytes(), true).await.expect("the connection is open");
    }

    /// The next message; `None` when the other side has closed.
    pub async fn receive(&mut self) -> Option<String> {
        let (opcode, payload) = read_frame(&mut self.io).await.ok()?;
        (opcode != CLOSE).then(|| String::from_utf8_lossy(&payload).into_owned())
    }

    pub async fn close(mut self) {
        write_frame(&mut self.io, CLOSE, &1_000_u16.to_be_bytes(), true).await.ok();
    }
}

/// Switches protocols and sends every message back until the client closes. `None`: not a WebSocket handshake.
pub(crate) fn echo(request: &mut Request<Incoming>) -> Option<Response<Empty<Bytes>>> {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY)?.to_str().ok()?;
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept_value(key))
        .body(Empty::new())
        .ok()?;
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let mut io = TokioIo::new(upgraded);
        while let Ok((opcode, payload)) = read_frame(&mut io).await {
            if write_frame(&mut io, opcode, &payload, false).await.is_err() || opcode == CLOSE {
                return;
            }
        }
    });
    Some(response)
}

fn accept_value(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

async fn read_frame(io: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(u8, Vec<u8>)> {
    let (first, second) = (io.read_u8().await?, io.read_u8().await?);
    let length = match second & 0x7f {
        126 => u64::from(io.read_u16().await?),
        127 => io.read_u64().await?,
        short => u64::from(short),
    };
    let mut mask = [0; 4];
    if second & 0x80 != 0 {
        io.read_exact(&mut mask).await?;
    }
    let length = usize::try_from(length).ok().filter(|length| *length <= 16 << 20).ok_or(std::io::ErrorKind::InvalidData)?;
    let mut payload = vec![0; length];
    io.read_exact(&mut payload).await?;
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    Ok((first & 0x0f, payload))
}

async fn write_frame(io: &mut (impl AsyncWrite + Unpin), opcode: u8, payload: &[u8], masked: bool) -> std::io::Result<()> {
    let mut frame = vec![0x80 | opcode];
    let mask_bit = if masked { 0x80 } else { 0 };
    match payload.len() {
        short @ 0..=125 => frame.push(mask_bit | short as u8),
        medium @ 126..=0xffff => {
            frame.push(mask_bit | 126);
            frame.extend((medium as u16).to_be_bytes());
        }
        long => {
            frame.push(mask_bit | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    if masked {
        frame.extend([0; 4]);
    }
    frame.extend(payload);
    io.write_all(&frame).await?;
    io.flush().await
}
