//! What the upstream gets to see.

use std::{cell::RefCell, rc::Rc};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn connections_are_used_again() {
    run(async {
        let (app, heads) = answering(OK).await;
        let front = front(spec(&[app])).await;
        for _ in 0..5 {
            assert!(get(front.addr, "/a?b=c").await.ends_with("ok"));
        }
        assert!(heads.last().starts_with("GET /a?b=c HTTP/1.1\r\n"));
        assert_eq!(heads.connections(), [0, 0, 0, 0, 0]);
        assert_eq!(front.pool.idle(), 1);
        assert_eq!(front.pool.upstream().in_flight(), 0);
    });
}

#[test]
fn what_concerns_one_connection_stays_on_it() {
    run(async {
        let (app, heads) = answering(OK).await;
        let front = front(spec(&[app])).await;
        let request = "GET / HTTP/1.1\r\nhost: app.example\r\nconnection: close, X-Mine, te\r\nx-mine: 1\r\nkeep-alive: timeout=5\r\n\
            proxy-connection: keep-alive\r\nproxy-authorization: Basic x\r\nte: trailers, gzip\r\nupgrade: h2c\r\nhttp2-settings: x\r\nx-kept: 1\r\n\r\n";
        talk(front.addr, request).await;
        let head = heads.last();
        for gone in ["x-mine", "keep-alive", "proxy-", "upgrade", "http2-settings", "gzip"] {
            assert!(!head.contains(gone), "{gone} in {head}");
        }
        assert!(head.contains("\r\nx-kept: 1\r\n") && head.contains("\r\nte: trailers\r\n"), "{head}");
    });
}

#[test]
fn a_client_cannot_claim_where_it_came_from_or_who_it_is() {
    run(async {
        let (app, heads) = answering(OK).await;
        let front = front(spec(&[app])).await;
        let request = "GET / HTTP/1.1\r\nhost: app.example\r\nconnection: close\r\nx-forwarded-for: 6.6.6.6\r\nx-forwarded-proto: https\r\n\
            x-forwarded-host: evil\r\nx-forwarded-port: 1\r\nforwarded: for=6.6.6.6\r\nx-real-ip: 6.6.6.6\r\nx-original-url: /admin\r\n\
            client-ip: 6.6.6.6\r\ncf-connecting-ip: 6.6.6.6\r\nfastly-client-ip: 6.6.6.6\r\nx-envoy-external-address: 6.6.6.6\r\n\
            x-proxyuser-ip: 6.6.6.6\r\nx-original-forwarded-for: 6.6.6.6\r\nx-forwarded: for=6.6.6.6\r\n\
            x-rewrite-url: /admin\r\nremote-user: root\r\nRemote_User: root\r\nREMOTE.USER: root\r\nx_forwarded_for: 6.6.6.6\r\n\r\n";
        talk(front.addr, request).await;
        let head = heads.last();
        for gone in ["6.6.6.6", "evil", "admin", "root", "port"] {
            assert!(!head.contains(gone), "{gone} in {head}");
        }
        assert!(head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{head}");
        assert!(head.contains("\r\nx-forwarded-proto: http\r\n") && head.contains("\r\nx-forwarded-host: app.example\r\n"), "{head}");
        assert!(head.contains("\r\nforwarded: for=127.0.0.1;host=\"app.example\";proto=http\r\n"), "{head}");
    });
}

#[test]
fn a_client_cannot_say_in_a_trailer_what_it_may_not_say_in_a_header() {
    run(async {
        let seen = Rc::new(RefCell::new(String::new()));
        let bytes = Rc::clone(&seen);
        let app = upstream(move |mut stream, _| {
            let bytes = Rc::clone(&bytes);
            async move {
                let mut all = read_head(&mut stream).await.unwrap();
                while !all.ends_with("\r\n\r\n") || !all.contains("\r\n0\r\n") {
                    all.push(char::from(stream.read_u8().await.unwrap()));
                }
                bytes.replace(all);
                stream.write_all(OK).await.unwrap();
            }
        })
        .await;
        let front = front(spec(&[app])).await;
        let request = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
            trailer: Remote-User, x-sum, remote_user\r\ntrailer: X-Forwarded-For\r\n\r\n\
            3\r\nabc\r\n0\r\nremote-user: root\r\nremote_user: root\r\nx-forwarded-for: 6.6.6.6\r\nx-sum: 1\r\n\r\n";
        talk(front.addr, request).await;
        let seen = seen.borrow();
        assert!(!seen.contains("root") && !seen.contains("6.6.6.6"), "{seen}");
        assert!(seen.contains("trailer: x-sum\r\n") && seen.ends_with("\r\nx-sum: 1\r\n\r\n"), "{seen}");
    });
}

#[test]
fn a_request_without_host_gets_one_on_its_way() {
    run(async {
        let (app, heads) = answering(OK).await;
        let front = front(spec(&[app])).await;
        talk(front.addr, "GET / HTTP/1.0\r\nproxy: http://evil.example\r\n\r\n").await;
        let head = heads.last();
        assert!(head.starts_with("GET / HTTP/1.1\r\n") && head.contains(&format!("\r\nhost: {app}\r\n")), "{head}");
        assert!(!head.contains("evil"), "{head}");
    });
}

#[test]
fn a_trusted_proxy_is_believed_from_the_client_on_and_added() {
    run(async {
        let (app, heads) = answering(OK).await;
        let front = front(spec(&[app])).await;
        front.via.set(Some(["10.0.0.1", "2001:db8::7"]));
        let request = "GET / HTTP/1.1\r\nhost: app.example\r\nconnection: close\r\nx-forwarded-for: 6.6.6.6, 2001:db8::7\r\nx-forwarded-for: 10.0.0.9\r\nx-forwarded-port: 443\r\n\r\n";
        talk(front.addr, request).await;
        let head = heads.last();
        assert!(head.contains("\r\nx-forwarded-for: 2001:db8::7, 10.0.0.9, 10.0.0.1\r\n"), "{head}");
        assert!(
            head.contains("forwarded: for=\"[2001:db8::7]\";host=\"app.example\";proto=http, for=10.0.0.9, for=10.0.0.1\r\n"),
            "{head}"
        );
        assert!(head.contains("x-forwarded-port: 443"), "{head}");
    });
}

#[test]
fn the_host_is_the_clients_unless_the_upstream_has_its_own() {
    run(async {
        let (app, heads) = answering(OK).await;
        let front_as_is = front(spec(&[app])).await;
        get(front_as_is.addr, "/").await;
        assert!(heads.last().contains("\r\nhost: app.example\r\n"));
        let mut own = spec(&[app]);
        own.host = Some("inner.example".parse().unwrap());
        let front_own = front(own).await;
        talk(front_own.addr, "GET http://other.example/x HTTP/1.1\r\nhost: other.example\r\nconnection: close\r\n\r\n").await;
        let head = heads.last();
        assert!(head.starts_with("GET /x HTTP/1.1") && head.contains("\r\nhost: inner.example\r\n"), "{head}");
        assert!(head.contains("\r\nx-forwarded-host: app.example\r\n"), "{head}");
    });
}

#[test]
fn a_body_is_asked_for_with_100_continue_when_the_upstream_gets_it() {
    run(async {
        let app = upstream(|mut stream, _| async move {
            let head = read_head(&mut stream).await.unwrap();
            assert!(!head.contains("expect"), "{head}");
            let mut body = [0; 5];
            stream.read_exact(&mut body).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await.unwrap();
            stream.write_all(&body).await.unwrap();
        })
        .await;
        let front = front(spec(&[app])).await;
        let mut client = connect(front.addr).await;
        client
            .write_all(b"PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        assert!(read_head(&mut client).await.unwrap().starts_with("HTTP/1.1 100 "));
        client.write_all(b"hello").await.unwrap();
        assert!(rest(&mut client).await.ends_with("hello"));
    });
}

#[test]
fn a_length_is_forwarded_without_leading_zeros() {
    run(async {
        let (app, heads) = answering(OK).await;
        let front = front(spec(&[app])).await;
        for (said, sent) in [("0000000000000005", "5"), ("5", "5")] {
            talk(front.addr, &format!("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {said}\r\n\r\nabcde")).await;
            assert!(heads.last().contains(&format!("\r\ncontent-length: {sent}\r\n")), "{}", heads.last());
        }
        talk(front.addr, "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 000\r\n\r\n").await;
        assert!(heads.last().contains("\r\ncontent-length: 0\r\n"), "{}", heads.last());
    });
}
