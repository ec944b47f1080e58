//! Bodies: streamed, never silently short, given up when the other side is gone.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Notify,
};

use crate::harness::*;

#[test]
fn events_arrive_as_they_are_sent() {
    run(async {
        let seen_first = Rc::new(Notify::new());
        let gate = Rc::clone(&seen_first);
        let app = upstream(move |mut stream, _| {
            let gate = Rc::clone(&gate);
            async move {
                read_head(&mut stream).await;
                stream
                    .write_all(
                        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n",
                    )
                    .await
                    .unwrap();
                gate.notified().await;
                stream.write_all(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n").await.unwrap();
            }
        })
        .await;
        let front = front(spec(&[app])).await;
        let mut client = connect(front.addr).await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut seen = String::new();
        while !seen.contains("data: 1") {
            seen.push(client.read_u8().await.unwrap() as char);
        }
        seen_first.notify_one();
        assert!(rest(&mut client).await.contains("data: 2"));
    });
}

#[test]
fn an_answer_cut_short_breaks_the_clients_connection() {
    run(async {
        for (answer, whole) in [
            (&b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"[..], "content-length: 10"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", "0\r\n\r\n"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n", "0\r\n\r\n"),
        ] {
            let app = upstream(move |mut stream, _| async move {
                read_head(&mut stream).await;
                stream.write_all(answer).await.unwrap();
            })
            .await;
            let front = front(spec(&[app])).await;
            let seen = get(front.addr, "/").await;
            assert!(!seen.ends_with("0\r\n\r\n"), "a whole chunked body: {seen}");
            assert!(body(&seen).len() < 10 || whole == "0\r\n\r\n", "{seen}");
            assert_eq!(front.pool.idle(), 0);
            until(|| front.pool.upstream().in_flight() == 0).await;
        }
    });
}

#[test]
fn silence_in_the_middle_of_an_answer_ends_it() {
    run(async {
        let app = upstream(|mut stream, _| async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
            std::future::pending::<()>().await;
        })
        .await;
        let mut spec = spec(&[app]);
        spec.idle_timeout = Duration::from_millis(50);
        let front = front(spec).await;
        let seen = get(front.addr, "/").await;
        assert!(seen.contains("content-length: 10") && !body(&seen).ends_with("0123456789"), "{seen}");
    });
}

#[test]
fn a_client_that_leaves_ends_the_upstreams_work() {
    run(async {
        let (started, ended) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let (start, end) = (Rc::clone(&started), Rc::clone(&ended));
        let app = upstream(move |mut stream, _| {
            let (start, end) = (Rc::clone(&start), Rc::clone(&end));
            async move {
                read_head(&mut stream).await;
                start.notify_one();
                // Ends when the other side closes.
                let _ = stream.read_u8().await;
                end.notify_one();
            }
        })
        .await;
        let front = front(spec(&[app])).await;
        let mut client = connect(front.addr).await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        started.notified().await;
        drop(client);
        ended.notified().await;
        until(|| front.pool.upstream().in_flight() == 0).await;
    });
}

#[test]
fn trailers_pass_in_both_directions() {
    run(async {
        let got = Rc::new(std::cell::RefCell::new(String::new()));
        let seen = Rc::clone(&got);
        let app = upstream(move |mut stream, _| {
            let seen = Rc::clone(&seen);
            async move {
                let mut all = String::new();
                while !all.ends_with("x-sum: 1\r\n\r\n") {
                    all.push(stream.read_u8().await.unwrap() as char);
                }
                *seen.borrow_mut() = all;
                stream
                    .write_all(
                        b"HTTP/1.1 200 OK\r\ntrailer: x-check\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-check: 2\r\n\r\n",
                    )
                    .await
                    .unwrap();
            }
        })
        .await;
        let front = front(spec(&[app])).await;
        let request = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close, te\r\nte: trailers\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n";
        let answer = talk(front.addr, request).await;
        assert!(got.borrow().contains("3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"), "{}", got.borrow());
        assert!(answer.ends_with("0\r\nx-check: 2\r\n\r\n"), "{answer}");
    });
}

#[test]
fn an_answer_before_the_request_was_read_is_delivered_and_its_connection_not_used_again() {
    run(async {
        let (app, heads) = answering(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
        let front = front(spec(&[app])).await;
        let mut client = connect(front.addr).await;
        client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nbeginning").await.unwrap();
        let head = read_head(&mut client).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 403"), "{head}");
        until(|| front.pool.upstream().in_flight() == 0).await;
        assert_eq!(front.pool.idle(), 0);
        assert!(get(front.addr, "/").await.contains("403"));
        assert_eq!(heads.connections(), [0, 1]);
    });
}

#[test]
fn the_time_for_an_answer_begins_when_the_request_has_been_sent() {
    run(async {
        let app = upstream(|mut stream, _| async move {
            read_head(&mut stream).await;
            let mut body = [0; 8];
            stream.read_exact(&mut body).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        })
        .await;
        let mut spec = spec(&[app]);
        spec.timeout = Duration::from_millis(300);
        spec.idle_timeout = Duration::from_secs(5);
        let front = front(spec).await;
        let mut client = connect(front.addr).await;
        client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 8\r\n\r\n").await.unwrap();
        // In sum longer than the time for an answer, each pause shorter.
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            client.write_all(b"x").await.unwrap();
        }
        assert!(rest(&mut client).await.ends_with("ok"));
    });
}

#[test]
fn a_large_body_passes_with_the_client_setting_the_pace() {
    run(async {
        const SIZE: usize = 64 << 20;
        let sent = Rc::new(Cell::new(0_usize));
        let counter = Rc::clone(&sent);
        let app = upstream(move |mut stream, _| {
            let counter = Rc::clone(&counter);
            async move {
                read_head(&mut stream).await;
                stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n").as_bytes()).await.unwrap();
                let piece = vec![b'x'; 1 << 16];
                while counter.get() < SIZE && stream.write_all(&piece).await.is_ok() {
                    counter.set(counter.get() + piece.len());
                }
            }
        })
        .await;
        let front = front(spec(&[app])).await;
        let mut client = connect(front.addr).await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        read_head(&mut client).await.unwrap();
        // Nothing is read: what is under way is what sockets and one buffer hold, far from all of it.
        let mut before = usize::MAX;
        while sent.get() != before {
            before = sent.get();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(sent.get() < SIZE / 2, "{} bytes were taken from the upstream for a client that reads nothing", sent.get());
        let mut left = SIZE;
        let mut piece = vec![0; 1 << 16];
        while left > 0 {
            left -= client.read(&mut piece).await.unwrap();
        }
    });
}

#[test]
fn a_client_that_pauses_within_its_body_is_no_fault_of_the_server() {
    run(async {
        // Before any answer, and within one.
        for (early, late) in
            [("", "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nyes ok"), ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nyes ", "ok")]
        {
            let app = upstream(move |mut stream, _| async move {
                read_head(&mut stream).await;
                stream.write_all(early.as_bytes()).await.unwrap();
                let mut body = [0; 8];
                if stream.read_exact(&mut body).await.is_ok() {
                    stream.write_all(late.as_bytes()).await.unwrap();
                }
            })
            .await;
            let mut spec = spec(&[app]);
            (spec.timeout, spec.idle_timeout) = (Duration::from_millis(50), Duration::from_millis(50));
            let front = front(spec).await;
            let mut clients = Vec::new();
            for _ in 0..4 {
                let mut client = connect(front.addr).await;
                client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 8\r\n\r\nhalf").await.unwrap();
                clients.push(client);
            }
            // Much longer than the upstream may be silent.
            tokio::time::sleep(Duration::from_millis(400)).await;
            assert_eq!(front.pool.upstream().available(), 1, "the server is blamed, {early:?}");
            for mut client in clients {
                client.write_all(b"half").await.unwrap();
                let seen = rest(&mut client).await;
                assert!(seen.starts_with("HTTP/1.1 200") && seen.ends_with("yes ok"), "{early:?} gave {seen}");
            }
        }
    });
}

#[test]
fn a_server_that_takes_no_more_of_a_body_is_given_up() {
    run(async {
        let app = upstream(|mut stream, _| async move {
            read_head(&mut stream).await;
            std::future::pending::<()>().await;
        })
        .await;
        let mut spec = spec(&[app]);
        (spec.timeout, spec.idle_timeout) = (Duration::from_millis(50), Duration::from_millis(50));
        let front = front(spec).await;
        let mut client = connect(front.addr).await;
        client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 100000000\r\n\r\n").await.unwrap();
        let (mut read, mut write) = client.into_split();
        tokio::task::spawn_local(async move { while write.write_all(&[b'x'; 1 << 16]).await.is_ok() {} });
        let mut seen = [0; 12];
        read.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"HTTP/1.1 599");
    });
}

#[test]
fn trailers_that_concern_a_connection_or_frame_a_body_stay_behind() {
    run(async {
        let (app, heads) = answering(
            b"HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nConnection: close\r\nx-sum: 1\r\n\
            Keep-Alive: timeout=5\r\nUpgrade: h2c\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .await;
        let front = front(spec(&[app])).await;
        for _ in 0..2 {
            let answer = talk(front.addr, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close, te\r\nte: trailers\r\n\r\n").await;
            assert!(answer.ends_with("\r\n0\r\nx-sum: 1\r\n\r\n"), "{answer}");
        }
        assert_eq!(heads.connections(), [0, 0]);
    });
}

#[test]
fn trailers_whose_lines_end_badly_are_noticed_at_once() {
    run(async {
        let (app, _) = answering(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\n\n").await;
        let front = front(spec(&[app])).await;
        // Otherwise this would take the minute for which an upstream may be silent.
        let answer = get(front.addr, "/").await;
        assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
        until(|| front.pool.upstream().in_flight() == 0).await;
    });
}
