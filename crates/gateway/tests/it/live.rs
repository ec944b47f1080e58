//! What was opened in somebody's name goes on as long as they may.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::*;

const CONFIG: &str = r#"
[gateway.upstreams.shop]
servers = ["http://APP"]
[[gateway.routes]]
upstream = "shop"
limits = []
[[gateway.routes]]
path = "/members"
upstream = "shop"
strip_prefix = true
access = "signed-in"
limits = []
"#;

const ANA: &str = "authorization: Bearer ana";
const EVA: &str = "authorization: Bearer eva";
const ROOT: &str = "authorization: Bearer root";
const SESSION: &str = "cookie: baluarte=ana\r\nsec-fetch-site: same-origin";

async fn ask(world: &World, path: &str, headers: &str) -> (TcpStream, String) {
    let mut client = TcpStream::connect(world.addr).await.unwrap();
    client.write_all(format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n{headers}\r\n\r\n").as_bytes()).await.unwrap();
    let head = read_head(&mut client).await.unwrap();
    (client, head)
}

async fn tunnel(world: &World, path: &str, who: &str) -> TcpStream {
    let (mut client, head) = ask(world, path, &format!("connection: upgrade\r\nupgrade: websocket\r\n{who}")).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(is_open(&mut client).await);
    client
}

async fn is_open(tunnel: &mut TcpStream) -> bool {
    let mut pong = [0; 4];
    tunnel.write_all(b"ping").await.is_ok() && tunnel.read_exact(&mut pong).await.is_ok() && &pong == b"ping"
}

/// What comes until the connection ends, however it ends. If it does not, the test hangs.
async fn rest(client: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = client.read_to_end(&mut all).await;
    all
}

#[test]
fn an_upgraded_connection_ends_with_the_session_it_was_opened_with() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        let mut of_ana = Vec::new();
        for (path, who) in [("/members/ws", ANA), ("/members/ws", SESSION), ("/ws", ANA)] {
            of_ana.push(tunnel(&world, path, who).await);
        }
        let mut of_root = tunnel(&world, "/members/ws", ROOT).await;
        let mut of_nobody = tunnel(&world, "/ws", "x: y").await;
        world.identity.revoke("ana");
        for tunnel in &mut of_ana {
            assert_eq!(rest(tunnel).await, b"");
        }
        assert!(is_open(&mut of_root).await && is_open(&mut of_nobody).await, "it was not about them");
        // All of them gone and the next one come, revocations are still looked for.
        world.identity.revoke("root");
        assert_eq!(rest(&mut of_root).await, b"");
        let later = world.clock.now().plus(Duration::from_secs(3_600));
        world.identity.add("eva", "user", None, later);
        let mut of_eva = tunnel(&world, "/members/ws", "authorization: Bearer eva").await;
        world.identity.revoke("eva");
        assert_eq!(rest(&mut of_eva).await, b"");
        assert!(is_open(&mut of_nobody).await);
    });
}

#[test]
fn a_stream_ends_with_the_session_it_was_opened_with() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        for (path, chunk) in [("/events", &b"9\r\ndata: 0\n\n\r\n"[..]), ("/lines", b"9\r\n{\"n\": 0}\n\r\n")] {
            let later = world.clock.now().plus(Duration::from_secs(3_600));
            world.identity.add("eva", "user", None, later);
            let mut streams = Vec::new();
            for (path, who) in [(format!("/members{path}"), EVA), (format!("/members{path}"), ROOT), (path.to_owned(), "x: y")] {
                let (mut client, head) = ask(&world, &path, who).await;
                assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                let mut first = [0; 14];
                client.read_exact(&mut first).await.unwrap();
                assert_eq!(first, chunk);
                streams.push(client);
            }
            world.identity.revoke("eva");
            assert_eq!(rest(&mut streams[0]).await, b"", "broken off, not ended");
            world.identity.forgive("eva");
            for other in &streams[1..] {
                let nothing = other.try_read(&mut [0; 1]).unwrap_err();
                assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock, "it was not about them");
            }
        }
    });
}

#[test]
fn what_was_opened_ends_with_the_time_of_a_credential_that_is_not_good_for_longer() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        let soon = world.clock.now().plus(Duration::from_millis(500));
        world.identity.add("eva", "user", None, soon);
        world.identity.add("zoe", "user", None, soon);
        let mut of_eva = tunnel(&world, "/members/ws", EVA).await;
        let (mut events_of_eva, _) = ask(&world, "/members/events", EVA).await;
        let mut of_zoe = tunnel(&world, "/members/ws", "cookie: baluarte=zoe\r\nsec-fetch-site: same-origin").await;
        // A session goes on while it is used, a token does not.
        world.identity.add("zoe", "user", None, soon.plus(Duration::from_secs(3_600)));
        assert_eq!(rest(&mut of_eva).await, b"");
        rest(&mut events_of_eva).await;
        assert!(world.clock.now() >= soon);
        assert!(is_open(&mut of_zoe).await);
        // It is looked after as before.
        world.identity.revoke("zoe");
        assert_eq!(rest(&mut of_zoe).await, b"");
    });
}

#[test]
fn what_was_opened_goes_on_while_nobody_can_tell_whether_its_credential_is_good_for_longer() {
    run(|control| async move {
        let world = world(control, CONFIG).await;
        let soon = world.clock.now().plus(Duration::from_millis(300));
        world.identity.add("eva", "user", None, soon);
        let mut of_eva = tunnel(&world, "/members/ws", EVA).await;
        world.identity.away.store(true, Ordering::SeqCst);
        let asked = world.identity.asked.load(Ordering::SeqCst);
        while world.identity.asked.load(Ordering::SeqCst) < asked + 2 {
            assert!(is_open(&mut of_eva).await);
            tokio::task::yield_now().await;
        }
        assert!(is_open(&mut of_eva).await);
        world.identity.away.store(false, Ordering::SeqCst);
        assert_eq!(rest(&mut of_eva).await, b"");
    });
}
