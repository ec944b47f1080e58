//! Connections from accept to close, and the edge from start to stop.

use std::time::Duration;

use baluarte_edge::{EdgeConfig, Options};
use baluarte_kernel::Period;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

use crate::rig::{PATIENCE, Rig, config, impatient, options, read_to_end, read_until, statuses};

#[tokio::test]
async fn a_connection_is_kept_and_let_go_when_idle() {
    let rig = Rig::with(options(), impatient());
    let mut stream = rig.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET /ignore-body HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
        assert_eq!(statuses(&read_until(&mut stream, "ignored").await), [200]);
    }
    assert_eq!(read_to_end(&mut stream).await, "", "closed without a word");
}

#[tokio::test]
async fn a_connection_that_never_says_anything_is_closed() {
    let rig = Rig::with(options(), impatient());
    assert_eq!(read_to_end(&mut rig.connect().await).await, "");
}

#[tokio::test]
async fn a_slow_door_is_not_a_slow_client() {
    let rig = Rig::with(options(), impatient());
    let mut stream = rig.connect().await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("sent");
    rig.called.notified().await;
    // Who has said nothing since then is closed: so every limit of the slow one's connection has passed too.
    assert_eq!(read_to_end(&mut rig.connect().await).await, "");
    rig.go.notify_one();
    assert!(read_to_end(&mut stream).await.ends_with("waited"));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let rig = Rig::with(options(), impatient());
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small window");
    let mut stream = socket.connect(rig.edge.address()).await.expect("a connection");
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    rig.eventually("the edge gives up", |rig| !rig.log_lines().is_empty()).await;
    let line = &rig.log_lines()[0];
    assert_eq!((line["status"].as_u64(), line["aborted"].as_bool()), (Some(200), Some(true)), "{line}");
}

#[tokio::test]
async fn a_timed_door_has_a_time_limit() {
    let rig = Rig::with(Options { request_timeout: Duration::from_millis(300), ..options() }, impatient());
    let answer = rig.exchange("GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(statuses(&answer), [503], "{answer}");
    assert!(answer.contains("edge.answer_timeout"), "{answer}");
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request() {
    let rig = Rig::start();
    let mut stream = rig.connect().await;
    stream.write_all(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\nGET").await.expect("sent");
    drop(stream);
    // Idle it is, too, before the request has come.
    rig.eventually("the request ends", |rig| !rig.log_lines().is_empty()).await;
    assert_eq!(rig.log_lines()[0]["status"], 499);
    rig.eventually("nothing is left of it", Rig::is_idle).await;
}

#[tokio::test]
async fn a_client_that_leaves_a_silent_answer_frees_what_it_holds() {
    let rig = Rig::start();
    let mut stream = rig.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    read_until(&mut stream, "and so on").await;
    drop(stream);
    tokio::time::timeout(PATIENCE, rig.freed.notified()).await.expect("the answer is let go");
}

#[tokio::test]
async fn more_connections_than_allowed_are_told_to_come_back() {
    let rig = Rig::with(options(), EdgeConfig { max_connections_per_client: 2, ..config() });
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = rig.connect().await;
        stream.write_all(b"GET /ignore-body HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
        read_until(&mut stream, "ignored").await;
        kept.push(stream);
    }
    let answer = read_to_end(&mut rig.connect().await).await;
    assert_eq!(statuses(&answer), [503], "{answer}");
    assert_eq!(rig.metric("baluarte_edge_refused_total{rule=\"connections_per_client\"}"), Some(1.0));
    kept.clear();
    let served = async {
        loop {
            let mut stream = rig.connect().await;
            // Refused while the edge has not yet seen the others leave.
            let _ = stream.write_all(b"GET /ignore-body HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
            if statuses(&read_to_end(&mut stream).await) == [200] {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, served).await.expect("room again");
}

#[tokio::test]
async fn stopping_finishes_what_was_begun_and_accepts_nothing_new() {
    let rig = Rig::start();
    let mut busy = rig.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    rig.called.notified().await;
    let mut idle = rig.connect().await;
    idle.write_all(b"GET /ignore-body HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    read_until(&mut idle, "ignored").await;
    let address = rig.edge.address();
    let go = rig.go.clone();
    let stopping = tokio::spawn(rig.edge.stop());
    assert_eq!(read_to_end(&mut idle).await, "", "the idle one is closed");
    go.notify_one();
    let answer = read_to_end(&mut busy).await;
    assert!(answer.contains("connection: close") && answer.ends_with("waited"), "{answer}");
    tokio::time::timeout(PATIENCE, stopping).await.expect("stopped in time").expect("stopped");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn stopping_cuts_what_does_not_end_within_the_grace() {
    let rig = Rig::with(Options { shutdown_grace: Duration::from_millis(200), ..options() }, config());
    let mut stream = rig.connect().await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    rig.called.notified().await;
    let (telemetry, log) = (rig.telemetry.clone(), rig.log.clone());
    tokio::time::timeout(PATIENCE, rig.edge.stop()).await.expect("stopped in time");
    assert!(matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    let line = &log.lines(&telemetry)[0];
    assert_eq!((line["status"].as_u64(), line["refused"].as_str()), (Some(503), Some("shutdown")), "it was us, not the client: {line}");
}

#[tokio::test]
async fn every_core_serves() {
    let rig = Rig::with(options(), EdgeConfig { cores: 3, header_timeout: Period::from_secs(10), ..config() });
    for _ in 0..32 {
        assert_eq!(statuses(&rig.exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await), [200]);
    }
    rig.edge.stop().await;
}

#[tokio::test]
async fn a_client_with_many_connections_may_not_leave_them_idle_for_long() {
    let config = EdgeConfig { header_timeout: Period::from_millis(300), idle_timeout: Period::from_secs(75), ..config() };
    let rig = Rig::with(options(), config);
    let mut streams = Vec::new();
    for _ in 0..80 {
        let mut stream = rig.connect().await;
        stream.write_all(b"GET /ignore-body HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
        assert_eq!(statuses(&read_until(&mut stream, "ignored").await), [200]);
        streams.push(stream);
    }
    rig.eventually("the crowd is thinned out", |rig| rig.edge.connections() <= 64).await;
}

#[tokio::test]
async fn a_client_that_leaves_a_silent_answer_is_noticed_although_it_had_sent_more_than_is_read() {
    let ahead = |count| "GET /z HTTP/1.1\r\nHost: a\r\n\r\n".repeat(count);
    for (what, sent) in [
        ("more than is read ahead", format!("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n{}", ahead(1_000))),
        ("one behind a body", format!("POST /endless HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx{}", ahead(1))),
        ("one behind HTTP/1.0", format!("GET /endless HTTP/1.0\r\n\r\n{}", ahead(1))),
    ] {
        for reset in [true, false] {
            let rig = Rig::start();
            let mut stream = rig.connect().await;
            stream.write_all(sent.as_bytes()).await.expect("sent");
            read_until(&mut stream, "and so on").await;
            if reset {
                stream.set_zero_linger().expect("a reset");
            }
            drop(stream);
            let freed = tokio::time::timeout(PATIENCE, rig.freed.notified()).await;
            assert!(freed.is_ok(), "{what}, reset: {reset}");
            rig.eventually(&format!("{what}, reset: {reset}"), Rig::is_idle).await;
        }
    }
}

#[tokio::test]
async fn a_body_that_panics_leaves_no_connection_behind() {
    let rig = Rig::start();
    for request in ["GET /panic-later HTTP/1.1\r\nHost: a\r\n\r\n", "GET /panic-later HTTP/1.0\r\n\r\n"] {
        rig.exchange(request).await;
        rig.eventually(request, Rig::is_idle).await;
    }
    tokio::time::timeout(PATIENCE / 4, rig.edge.stop()).await.expect("nothing is waited for");
}

#[tokio::test]
async fn who_is_turned_away_hears_it_although_a_request_was_sent() {
    let rig = Rig::with(options(), EdgeConfig { max_connections_per_client: 1, ..config() });
    let mut kept = rig.connect().await;
    kept.write_all(b"GET /ignore-body HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    read_until(&mut kept, "ignored").await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut stream = rig.connect().await;
        stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await.expect("sent");
        clients.push(stream);
    }
    for mut stream in clients {
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed in time");
        assert!(read.is_ok(), "{read:?}");
        assert_eq!(statuses(&String::from_utf8_lossy(&answer)), [503]);
    }
}
