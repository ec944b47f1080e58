//! WebSockets and other upgrades: bytes both ways until either side, silence, or the server ends it.

use std::{rc::Rc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
};

use crate::harness::*;

const SWITCH: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\nhello";
const ASK: &[u8] = b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: k\r\n\r\n";

/// Switches, says hello, then echoes until the client's side ends, and says goodbye.
async fn echo() -> std::net::SocketAddr {
    upstream(|mut stream, _| async move {
        let head = read_head(&mut stream).await.unwrap();
        assert!(
            head.contains("connection: upgrade") && head.contains("upgrade: websocket") && head.contains("sec-websocket-key: k"),
            "{head}"
        );
        stream.write_all(SWITCH).await.unwrap();
        let mut piece = [0; 1024];
        while let Ok(n @ 1..) = stream.read(&mut piece).await {
            stream.write_all(&piece[..n]).await.unwrap();
        }
        let _ = stream.write_all(b"bye").await;
    })
    .await
}

async fn open(front: &Front) -> TcpStream {
    let mut client = connect(front.addr).await;
    client.write_all(ASK).await.unwrap();
    let head = read_head(&mut client).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("upgrade: websocket") && head.contains("sec-websocket-accept: x"), "{head}");
    let mut hello = [0; 5];
    client.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
    client
}

#[test]
fn bytes_pass_both_ways_and_a_half_close_is_kept() {
    run(async {
        let front = front(spec(&[echo().await])).await;
        let mut client = open(&front).await;
        assert_eq!(front.pool.upstream().tunnels(), 1);
        client.write_all(b"ping").await.unwrap();
        let mut pong = [0; 4];
        client.read_exact(&mut pong).await.unwrap();
        assert_eq!(&pong, b"ping");
        client.shutdown().await.unwrap();
        assert_eq!(rest(&mut client).await, "bye");
        until(|| front.pool.upstream().tunnels() == 0).await;
    });
}

#[test]
fn silence_and_the_servers_end_close_a_tunnel() {
    run(async {
        let mut short = spec(&[echo().await]);
        short.tunnel_idle_timeout = Duration::from_millis(50);
        let quiet = front(short).await;
        let mut client = open(&quiet).await;
        assert_eq!(rest(&mut client).await, "");
        until(|| quiet.pool.upstream().tunnels() == 0).await;

        let stopping = front(spec(&[echo().await])).await;
        let mut client = open(&stopping).await;
        stopping.stop.cancel();
        assert_eq!(rest(&mut client).await, "");
        until(|| stopping.pool.upstream().tunnels() == 0).await;
    });
}

#[test]
fn an_upstream_may_decline_the_switch() {
    run(async {
        let (app, _) = answering(b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 2\r\n\r\nno").await;
        let front = front(spec(&[app])).await;
        let mut client = connect(front.addr).await;
        client.write_all(ASK).await.unwrap();
        assert!(read_head(&mut client).await.unwrap().starts_with("HTTP/1.1 426"));
        until(|| front.pool.idle() == 1).await;
    });
}

#[test]
fn tunnels_are_bounded() {
    run(async {
        let mut spec = spec(&[echo().await]);
        spec.max_connections = 1;
        let front = front(spec).await;
        let _open = open(&front).await;
        let mut second = connect(front.addr).await;
        second.write_all(ASK).await.unwrap();
        assert!(read_head(&mut second).await.unwrap().starts_with("HTTP/1.1 599"));
    });
}

#[test]
fn http_2_cannot_be_smuggled_inside_an_upgrade() {
    run(async {
        let told = Rc::new(Notify::new());
        let tell = Rc::clone(&told);
        let app = upstream(move |mut stream, _| {
            let tell = Rc::clone(&tell);
            async move {
                let head = read_head(&mut stream).await.unwrap();
                assert!(!head.contains("upgrade") && !head.contains("http2-settings"), "{head}");
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                tell.notify_one();
            }
        })
        .await;
        let front = front(spec(&[app])).await;
        let ask = "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n";
        assert!(talk(front.addr, ask).await.starts_with("HTTP/1.1 200"));
        told.notified().await;
    });
}
