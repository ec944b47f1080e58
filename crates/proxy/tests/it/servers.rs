//! Several servers, failing ones, full ones.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Notify,
};

use crate::harness::*;

const A: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na";
const B: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb";

#[test]
fn equals_take_turns() {
    run(async {
        let ((a, heads_a), (b, heads_b)) = (answering(A).await, answering(B).await);
        let front = front(spec(&[a, b])).await;
        for _ in 0..10 {
            get(front.addr, "/").await;
        }
        assert_eq!((heads_a.0.borrow().len(), heads_b.0.borrow().len()), (5, 5));
    });
}

#[test]
fn the_least_busy_server_is_taken() {
    run(async {
        let busy = upstream(|mut stream, _| async move {
            read_head(&mut stream).await;
            std::future::pending::<()>().await;
        })
        .await;
        let (free, heads) = answering(B).await;
        let front = front(spec(&[busy, free])).await;
        let mut hanging = connect(front.addr).await;
        hanging.write_all(b"GET /hang HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        until(|| front.pool.upstream().in_flight() == 1).await;
        for _ in 0..6 {
            assert!(get(front.addr, "/").await.ends_with('b'));
        }
        assert_eq!(heads.0.borrow().len(), 6);
    });
}

#[test]
fn a_server_that_refuses_connections_is_passed_over_even_for_unsafe_requests() {
    run(async {
        let (app, _) = answering(A).await;
        let front = front(spec(&[nobody().await, app])).await;
        for _ in 0..8 {
            let seen = talk(front.addr, "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
            assert!(seen.ends_with('a'), "{seen}");
        }
        assert_eq!(front.pool.upstream().available(), 1, "it was not ejected");
    });
}

#[test]
fn when_all_servers_are_out_the_least_bad_is_tried() {
    run(async {
        let gone = nobody().await;
        let front = front(spec(&[gone])).await;
        for _ in 0..5 {
            assert!(get(front.addr, "/").await.ends_with("unreachable"));
        }
        assert_eq!(front.pool.upstream().available(), 0);
        let listener = tokio::net::TcpListener::bind(gone).await.unwrap();
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            stream.write_all(A).await.unwrap();
        });
        assert!(get(front.addr, "/").await.ends_with('a'));
        assert_eq!(front.pool.upstream().available(), 1, "one success did not clear it");
    });
}

/// Answers the first request of each connection and closes it when the second has come, without an answer.
async fn closes_on_reuse() -> (std::net::SocketAddr, Rc<Cell<usize>>) {
    let requests = Rc::new(Cell::new(0));
    let counter = Rc::clone(&requests);
    let app = upstream(move |mut stream, _| {
        let counter = Rc::clone(&counter);
        async move {
            read_head(&mut stream).await;
            counter.set(counter.get() + 1);
            stream.write_all(A).await.unwrap();
            read_head(&mut stream).await;
            counter.set(counter.get() + 1);
        }
    })
    .await;
    (app, requests)
}

#[test]
fn a_repeatable_request_survives_a_connection_that_went_stale() {
    run(async {
        let (app, requests) = closes_on_reuse().await;
        let front = front(spec(&[app])).await;
        for _ in 0..3 {
            assert!(get(front.addr, "/").await.ends_with('a'));
        }
        assert_eq!(requests.get(), 5);
        assert_eq!(front.pool.upstream().available(), 1);
    });
}

#[test]
fn a_request_that_may_have_acted_is_not_sent_twice() {
    run(async {
        let (app, requests) = closes_on_reuse().await;
        let front = front(spec(&[app])).await;
        assert!(get(front.addr, "/").await.ends_with('a'));
        let seen = talk(front.addr, "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
        assert!(seen.ends_with("broken"), "{seen}");
        let seen = talk(front.addr, "PUT / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx").await;
        assert!(seen.ends_with('a'), "{seen}");
        assert_eq!(requests.get(), 3);
    });
}

#[test]
fn a_request_that_may_have_acted_does_not_begin_on_a_connection_that_was_closed_a_moment_ago() {
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let app = listener.local_addr().unwrap();
        let (close, closing) = std::sync::mpsc::channel();
        let (say_closed, closed) = std::sync::mpsc::channel();
        // On a thread of its own, which goes on while ours stands still.
        std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if std::io::Read::read(&mut stream, &mut byte).unwrap() == 0 {
                        return;
                    }
                    head.push(byte[0]);
                }
                std::io::Write::write_all(&mut stream, A).unwrap();
                closing.recv().unwrap();
                drop(stream);
                say_closed.send(()).unwrap();
            }
        });
        let front = front(spec(&[app])).await;
        assert!(get(front.addr, "/").await.ends_with('a'));
        until(|| front.pool.idle() == 1).await;

        let mut request = http::Request::post("/").header("host", "a").body(baluarte_proxy::RequestBody::empty()).unwrap();
        let origin = baluarte_proxy::Origin {
            client_ip: [127, 0, 0, 1].into(),
            trusted_peer: None,
            scheme: baluarte_kernel::Scheme::Http,
            host: "a",
        };
        let prepared = baluarte_proxy::prepare(&mut request, &origin, |_| false);
        // Between here and the request this thread looks at no socket.
        close.send(()).unwrap();
        closed.recv().unwrap();
        let answer = front.pool.forward(Box::new(request), prepared, None).await;
        assert_eq!(answer.map(|answer| answer.status()).map_err(|err| err.to_string()), Ok(http::StatusCode::OK));
        close.send(()).unwrap();
    });
}

#[test]
fn a_connection_closed_while_it_rested_is_not_used() {
    run(async {
        let closed = Rc::new(Notify::new());
        let say = Rc::clone(&closed);
        let app = upstream(move |mut stream, _| {
            let say = Rc::clone(&say);
            async move {
                read_head(&mut stream).await;
                stream.write_all(A).await.unwrap();
                drop(stream);
                say.notify_one();
            }
        })
        .await;
        let front = front(spec(&[app])).await;
        for _ in 0..4 {
            let seen = talk(front.addr, "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
            assert!(seen.ends_with('a'), "{seen}");
            closed.notified().await;
        }
    });
}

#[test]
fn slow_servers_time_out_and_are_not_asked_again() {
    run(async {
        let asked = Rc::new(Cell::new(0));
        let counter = Rc::clone(&asked);
        let app = upstream(move |mut stream, _| {
            let counter = Rc::clone(&counter);
            async move {
                read_head(&mut stream).await;
                counter.set(counter.get() + 1);
                std::future::pending::<()>().await;
            }
        })
        .await;
        let mut spec = spec(&[app]);
        spec.timeout = Duration::from_millis(50);
        let front = front(spec).await;
        assert!(get(front.addr, "/").await.ends_with("timeout"));
        assert_eq!(asked.get(), 1);
        until(|| front.pool.upstream().in_flight() == 0).await;
    });
}

#[test]
fn a_full_upstream_lets_some_wait_and_refuses_the_rest() {
    run(async {
        let go = Rc::new(Notify::new());
        let gate = Rc::clone(&go);
        let app = upstream(move |mut stream, _| {
            let gate = Rc::clone(&gate);
            async move {
                while read_head(&mut stream).await.is_some() {
                    gate.notified().await;
                    stream.write_all(A).await.unwrap();
                }
            }
        })
        .await;
        let mut spec = spec(&[app]);
        (spec.max_connections, spec.max_waiting) = (1, 1);
        let front = front(spec).await;
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let mut first = connect(front.addr).await;
        first.write_all(request).await.unwrap();
        until(|| front.pool.upstream().in_flight() == 1).await;
        let mut second = connect(front.addr).await;
        second.write_all(request).await.unwrap();
        until(|| front.pool.upstream().waiting() == 1).await;
        let third = get(front.addr, "/").await;
        assert!(third.ends_with("busy"), "{third}");
        go.notify_one();
        assert!(rest(&mut first).await.ends_with('a'));
        go.notify_one();
        assert!(rest(&mut second).await.ends_with('a'));
    });
}

#[test]
fn unused_connections_are_closed_in_time() {
    run(async {
        let ended = Rc::new(Notify::new());
        let end = Rc::clone(&ended);
        let app = upstream(move |mut stream, _| {
            let end = Rc::clone(&end);
            async move {
                read_head(&mut stream).await;
                stream.write_all(A).await.unwrap();
                let _ = stream.read_u8().await;
                end.notify_one();
            }
        })
        .await;
        let mut spec = spec(&[app]);
        spec.keep_alive = Duration::from_millis(100);
        let front = front(spec).await;
        get(front.addr, "/").await;
        ended.notified().await;
        assert_eq!(front.pool.idle(), 0);
    });
}

#[test]
fn a_server_that_fails_its_health_check_gets_no_requests_until_it_passes() {
    run(async {
        let healthy = Rc::new(Cell::new(false));
        let state = Rc::clone(&healthy);
        let sick = upstream(move |mut stream, _| {
            let state = Rc::clone(&state);
            async move {
                while let Some(head) = read_head(&mut stream).await {
                    let answer = if head.starts_with("GET /healthz") && !state.get() {
                        &b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"[..]
                    } else {
                        A
                    };
                    let _ = stream.write_all(answer).await;
                }
            }
        })
        .await;
        let (fine, _) = answering(B).await;
        let front = front(spec(&[sick, fine])).await;
        let watch = baluarte_proxy::watch(Arc::downgrade(front.pool.upstream()), "/healthz".into(), Duration::from_millis(20));
        tokio::task::spawn_local(watch);
        until_slowly(|| front.pool.upstream().available() == 1).await;
        for _ in 0..4 {
            assert!(get(front.addr, "/").await.ends_with('b'));
        }
        healthy.set(true);
        until_slowly(|| front.pool.upstream().available() == 2).await;
    });
}

async fn until_slowly(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_server_that_throws_fresh_connections_out_is_passed_over() {
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let thrower = listener.local_addr().unwrap();
        // On a thread of its own: what it does falls before, between and after what we do.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    drop(stream.set_zero_linger());
                }
            });
        });
        let (app, _) = answering(A).await;
        for n in 0..300 {
            // Anew each time: it would rest after the third.
            let front = front(spec(&[thrower, app])).await;
            let seen = get(front.addr, "/").await;
            assert!(seen.ends_with('a'), "the {n}th time: {seen}");
        }
    });
}
