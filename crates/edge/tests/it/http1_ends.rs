//! Where HTTP/1 connections end: slow requests, and answers whose end is the connection's.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    http1::{chunked, post},
    rig::{PATIENCE, Rig, impatient, options, read_until, statuses},
};

#[tokio::test]
async fn a_slow_head_is_answered_with_408() {
    let rig = Rig::with(options(), impatient());
    let answer = rig.exchange("GET / HTTP/1.1\r\nHost: a\r\nX: ").await;
    assert_eq!(statuses(&answer), [408], "{answer}");
    assert_eq!(rig.metric("baluarte_edge_refused_total{rule=\"head_timeout\"}"), Some(1.0));
}

#[tokio::test]
async fn a_slow_body_is_answered_with_408() {
    let rig = Rig::with(options(), impatient());
    let answer = rig.exchange(post("Content-Length: 5\r\n", "he")).await;
    assert_eq!(statuses(&answer), [408], "{answer}");
    let answer = rig.exchange(chunked("5\r\nhe")).await;
    assert_eq!(statuses(&answer), [408], "{answer}");
    assert_eq!(rig.metric("baluarte_edge_refused_total{rule=\"body_timeout\"}"), Some(2.0));
}

#[tokio::test]
async fn a_body_that_drips_is_too_slow_although_it_never_pauses() {
    let rig = Rig::with(options(), impatient());
    let mut stream = rig.connect().await;
    stream.write_all(post("Content-Length: 60000\r\n", "").as_bytes()).await.expect("sent");
    let (mut read, mut write) = stream.split();
    let drip = async {
        // Ends when the edge does not take bytes any more.
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(40)).await;
        }
    };
    let mut answer = [0; 12];
    let answered = async {
        tokio::io::AsyncReadExt::read_exact(&mut read, &mut answer).await.expect("an answer");
    };
    let raced = tokio::time::timeout(PATIENCE, futures::future::select(Box::pin(drip), Box::pin(answered))).await;
    drop(raced.expect("in time"));
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn an_http_1_0_client_notices_an_answer_that_breaks_off() {
    let rig = Rig::start();
    for (path, whole) in [("/broken-off", false), ("/unsized", true)] {
        for keep_alive in ["", "Connection: keep-alive\r\n"] {
            let mut stream = rig.connect().await;
            stream.write_all(format!("GET {path} HTTP/1.0\r\n{keep_alive}\r\n").as_bytes()).await.expect("sent");
            let mut answer = Vec::new();
            let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed in time");
            let answer = String::from_utf8_lossy(&answer);
            assert_eq!(read.is_ok(), whole, "{path} {keep_alive:?}: {read:?} {answer}");
            assert!(!answer.contains("keep-alive"), "{answer}");
        }
    }
}

#[tokio::test]
async fn an_answer_after_which_the_connection_closes_says_so() {
    let rig = Rig::start();
    for unread in ["Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", "Content-Length: 50\r\n\r\nbeginning"] {
        let answer = rig.exchange(format!("POST /ignore-body HTTP/1.1\r\nHost: a\r\n{unread}")).await;
        assert_eq!(statuses(&answer), [200], "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{unread:?}: {answer}");
    }
    // What has come whole is thrown away, and the connection goes on.
    let mut stream = rig.connect().await;
    for _ in 0..2 {
        stream.write_all(b"POST /ignore-body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nwhole").await.expect("sent");
        let answer = read_until(&mut stream, "ignored").await;
        assert!(statuses(&answer) == [200] && !answer.contains("connection: close"), "{answer}");
    }
}
