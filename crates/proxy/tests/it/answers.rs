//! What the client gets to see.

use std::{cell::Cell, rc::Rc};

use tokio::io::AsyncWriteExt as _;

use crate::harness::*;

async fn answer_to(request: &str, answer: &'static [u8]) -> String {
    let (app, _) = answering(answer).await;
    let front = front(spec(&[app])).await;
    talk(front.addr, request).await
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[test]
fn contradictory_framing_is_refused() {
    run(async {
        for answer in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
            b"SSH-2.0-OpenSSH\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        ] {
            let seen = answer_to(GET, answer).await;
            assert!(seen.starts_with("HTTP/1.1 599") && seen.ends_with("invalid"), "{:?} gave {seen}", String::from_utf8_lossy(answer));
        }
    });
}

#[test]
fn a_huge_head_is_refused() {
    run(async {
        let app = upstream(|mut stream, _| async move {
            read_head(&mut stream).await;
            let _ =
                stream.write_all(format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(200_000)).as_bytes()).await;
        })
        .await;
        let front = front(spec(&[app])).await;
        assert!(get(front.addr, "/").await.ends_with("invalid"));
    });
}

#[test]
fn answers_without_a_body_have_none() {
    run(async {
        let seen = answer_to(HEAD, b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
        assert!(seen.contains("content-length: 1000") && body(&seen).is_empty(), "{seen}");
        let seen = answer_to(GET, b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n").await;
        assert!(seen.starts_with("HTTP/1.1 304") && body(&seen).is_empty(), "{seen}");
        let seen = answer_to(GET, b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n").await;
        assert!(seen.starts_with("HTTP/1.1 204") && !seen.contains("content-length"), "{seen}");
    });
}

/// What a client saw of the first of two answers, and over which of the upstream's connections each request came.
async fn twice(method: &str, answer: &'static [u8]) -> (String, Vec<usize>) {
    let (app, heads) = answering(answer).await;
    let front = front(spec(&[app])).await;
    let request = format!("{method} / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let seen = talk(front.addr, &request).await;
    talk(front.addr, &request).await;
    (seen, heads.connections())
}

#[test]
fn what_comes_behind_an_answer_reaches_nobody_and_ends_the_connection() {
    const NEXT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstolen";
    run(async {
        for (method, answer) in [
            // Longer than announced.
            ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
            ("GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n"),
            // A body where there is none, whatever the head says.
            ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 73\r\n\r\n"),
            ("HEAD", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            ("GET", "HTTP/1.1 204 No Content\r\ncontent-length: 73\r\n\r\n"),
            ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 73\r\n\r\n"),
            ("GET", "HTTP/1.1 103 Early Hints\r\ncontent-length: 9\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        ] {
            let whole: &'static str = format!("{answer}{NEXT}").leak();
            let (seen, connections) = twice(method, whole.as_bytes()).await;
            assert!(!seen.contains("stolen") && !seen.contains("599"), "{method} {answer:?} gave {seen}");
            assert_eq!(connections, [0, 1], "{method} {answer:?}: its connection was used again");
            // The same without anything behind it is good for more, unless its head speaks of a body that may still be on its way.
            let (seen, connections) = twice(method, answer.as_bytes()).await;
            assert!(!seen.contains("599"), "{method} {answer:?} gave {seen}");
            let last = usize::from(method == "HEAD" || answer.contains("204 ") || answer.contains("304 "));
            assert_eq!(connections, [0, last], "{method} {answer:?}");
        }
    });
}

#[test]
fn informational_answers_are_passed_over() {
    run(async {
        let seen = answer_to(GET, b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        assert!(seen.starts_with("HTTP/1.1 200") && seen.ends_with("ok"), "{seen}");
    });
}

#[test]
fn a_flood_of_informational_answers_is_cut_off() {
    run(async {
        let asked = Rc::new(Cell::new(0));
        let counted = Rc::clone(&asked);
        let app = upstream(move |mut stream, _| {
            let asked = Rc::clone(&counted);
            async move {
                read_head(&mut stream).await;
                asked.set(asked.get() + 1);
                let many = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000);
                while stream.write_all(&many).await.is_ok() {}
            }
        })
        .await;
        let front = front(spec(&[app])).await;
        let seen = get(front.addr, "/").await;
        assert!(seen.starts_with("HTTP/1.1 599") && seen.ends_with("invalid"), "{seen}");
        assert_eq!(asked.get(), 1, "it would only flood again");
    });
}

#[test]
fn a_long_answer_may_follow_informational_ones() {
    run(async {
        let long = "x".repeat(1 << 20);
        let text =
            format!("{}HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{long}", "HTTP/1.1 102 Processing\r\n\r\n".repeat(100), long.len());
        let (app, heads) = answering(Box::leak(text.into_boxed_str()).as_bytes()).await;
        let front = front(spec(&[app])).await;
        for _ in 0..3 {
            assert_eq!(body(&get(front.addr, "/").await).len(), long.len());
        }
        assert_eq!(heads.connections(), [0, 0, 0], "the connection is good for more");
    });
}

#[test]
fn a_body_may_have_as_many_padded_chunk_sizes_as_it_likes() {
    run(async {
        for size in ["1 ", "1       ", "1;name=value"] {
            let text =
                format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", format!("{size}\r\nx\r\n").repeat(70_000));
            let (app, heads) = answering(Box::leak(text.into_boxed_str()).as_bytes()).await;
            let front = front(spec(&[app])).await;
            for _ in 0..2 {
                let seen = get(front.addr, "/").await;
                assert!(seen.ends_with("\r\n0\r\n\r\n"), "{size:?} is cut off");
                assert_eq!(body(&seen).matches('x').count(), 70_000, "{size:?}");
            }
            assert_eq!(heads.connections(), [0, 0], "{size:?}");
        }
    });
}

#[test]
fn hop_by_hop_headers_of_an_answer_stay_behind() {
    run(async {
        let seen = answer_to(
            GET,
            b"HTTP/1.1 200 OK\r\nconnection: keep-alive, x-inner\r\nx-inner: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: x\r\nx-kept: 1\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
        assert!(
            !seen.contains("x-inner") && !seen.contains("keep-alive") && !seen.contains("proxy-") && seen.contains("x-kept: 1"),
            "{seen}"
        );
    });
}

#[test]
fn an_http_1_0_answer_ends_with_its_connection() {
    run(async {
        let app = upstream(|mut stream, _| async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nold but fine").await.unwrap();
        })
        .await;
        let front = front(spec(&[app])).await;
        let seen = get(front.addr, "/").await;
        assert!(seen.starts_with("HTTP/1.1 200") && seen.contains("old but fine"), "{seen}");
    });
}

#[test]
fn what_comes_behind_an_answer_that_has_no_body_is_never_anybodys_answer() {
    run(async {
        for (request, head) in [
            ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n"),
            ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 50\r\n\r\n"),
            ("GET", "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n"),
        ] {
            let app = upstream(move |mut stream, n| async move {
                read_head(&mut stream).await;
                if n == 0 {
                    stream.write_all(head.as_bytes()).await.unwrap();
                    // As if it had written a body with the next request's time.
                    if read_head(&mut stream).await.is_some() {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nPOISON").await.unwrap();
                    }
                } else {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nreal").await.unwrap();
                }
            })
            .await;
            let front = front(spec(&[app])).await;
            talk(front.addr, &format!("{request} / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
            let seen = get(front.addr, "/").await;
            assert!(seen.ends_with("real"), "{request} {head:?}: {seen}");
        }
    });
}

#[test]
fn a_head_a_little_larger_than_allowed_is_refused() {
    run(async {
        for (size, fits) in [(127 * 1_024, true), (135_000, false)] {
            let text = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 2\r\n\r\nok", "x".repeat(size));
            let (app, _) = answering(Box::leak(text.into_boxed_str()).as_bytes()).await;
            let front = front(spec(&[app])).await;
            let seen = get(front.addr, "/").await;
            assert_eq!(seen.ends_with("ok"), fits, "{size}");
        }
    });
}

#[test]
fn a_request_that_was_begun_on_is_not_sent_twice() {
    run(async {
        for (begun, reset) in [("HTTP/1.1 102 Processing\r\n\r\n", false), ("HTTP/1.1 102 Processing\r\n\r\n", true), ("HTTP/1.1 2", true)]
        {
            let asked = Rc::new(Cell::new(0));
            let counted = Rc::clone(&asked);
            let app = upstream(move |mut stream, _| {
                let asked = Rc::clone(&counted);
                async move {
                    read_head(&mut stream).await;
                    asked.set(asked.get() + 1);
                    stream.write_all(begun.as_bytes()).await.unwrap();
                    if reset {
                        // Once the other side has read it.
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                        stream.set_zero_linger().unwrap();
                    }
                }
            })
            .await;
            let front = front(spec(&[app])).await;
            let seen = talk(front.addr, "DELETE / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
            assert!(seen.ends_with("invalid"), "{begun:?} {reset} gave {seen}");
            assert_eq!(asked.get(), 1, "{begun:?} {reset}");
        }
    });
}
