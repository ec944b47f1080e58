//! A TCP load balancer in front tells whom it speaks for.

use baluarte_edge::{EdgeConfig, Options, ProxyProtocol};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::rig::{PATIENCE, Rig, config, impatient, options, read_to_end, read_until, statuses};

const GET: &str = "GET /a HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
/// To HTTP `PROXY` is a method that nobody registered.
const NO_METHOD: u16 = 501;
const V1: &str = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";

fn rig(mode: ProxyProtocol, trusted: &[&str], config: EdgeConfig) -> Rig {
    let trusted_proxies = trusted.iter().map(|network| network.parse().expect("a network")).collect();
    Rig::with(Options { proxy_protocol: mode, trusted_proxies, ..options() }, config)
}

fn behind_a_balancer(mode: ProxyProtocol) -> Rig {
    rig(mode, &["127.0.0.0/8"], config())
}

fn says(answer: &str, facts: &[&str]) {
    for fact in facts {
        assert!(answer.contains(&format!("\n{fact}\n")), "{fact:?} in {answer}");
    }
}

/// Version 2 from 192.0.2.1, with these extensions.
fn v2(extensions: &[u8]) -> Vec<u8> {
    let length = u8::try_from(12 + extensions.len()).expect("short");
    let addresses = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb];
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0", &[length][..], &addresses, extensions].concat()
}

fn refused(rig: &Rig, rule: &str) -> Option<f64> {
    rig.metric(&format!("baluarte_edge_refused_total{{rule=\"{rule}\"}}"))
}

#[tokio::test]
async fn a_trusted_balancer_tells_who_the_client_is() {
    for mode in [ProxyProtocol::Optional, ProxyProtocol::Required] {
        let rig = behind_a_balancer(mode);
        for header in [V1.as_bytes().to_vec(), v2(&[])] {
            let answer = rig.exchange([&header, GET.as_bytes()].concat()).await;
            says(&answer, &["client_ip=192.0.2.1", "trusted_peer=None", "scheme=http", "target=/a"]);
        }
        assert_eq!(rig.log_lines()[1]["client_ip"], "192.0.2.1");
    }
}

#[tokio::test]
async fn the_header_may_come_byte_by_byte() {
    let rig = behind_a_balancer(ProxyProtocol::Required);
    let mut stream = rig.connect().await;
    stream.set_nodelay(true).expect("a socket");
    for byte in [&v2(&[]), GET.as_bytes()].concat() {
        stream.write_all(&[byte]).await.expect("sent");
        tokio::task::yield_now().await;
    }
    says(&read_to_end(&mut stream).await, &["client_ip=192.0.2.1"]);
}

#[tokio::test]
async fn the_balancer_tells_whether_the_client_spoke_tls() {
    let rig = behind_a_balancer(ProxyProtocol::Required);
    let answer = rig.exchange([&v2(&[0x20, 0, 5, 1, 0, 0, 0, 0]), GET.as_bytes()].concat()).await;
    says(&answer, &["client_ip=192.0.2.1", "scheme=https"]);
}

#[tokio::test]
async fn http2_goes_on_behind_the_header() {
    let rig = behind_a_balancer(ProxyProtocol::Required);
    let mut stream = rig.connect().await;
    stream.write_all(V1.as_bytes()).await.expect("sent");
    let (mut send, connection) = hyper::client::conn::http2::handshake::<_, _, http_body_util::Empty<bytes::Bytes>>(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .expect("HTTP/2");
    tokio::spawn(connection);
    let request = http::Request::get("http://shop.example/a").body(http_body_util::Empty::new()).expect("a request");
    let answer = send.send_request(request).await.expect("an answer");
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.expect("a body").to_bytes();
    says(&String::from_utf8_lossy(&body), &["client_ip=192.0.2.1"]);
}

#[tokio::test]
async fn a_client_behind_the_balancer_cannot_speak_for_others_by_headers() {
    let rig = behind_a_balancer(ProxyProtocol::Required);
    let spoofed = GET.replace("\r\n\r\n", "\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\r\n");
    says(&rig.exchange(format!("{V1}{spoofed}")).await, &["client_ip=192.0.2.1", "trusted_peer=None", "scheme=http"]);
    // Nor one whose address the balancer does not know.
    says(&rig.exchange(format!("PROXY UNKNOWN\r\n{spoofed}")).await, &["client_ip=127.0.0.1", "trusted_peer=None", "scheme=http"]);
    // And a second header is no HTTP.
    assert_eq!(statuses(&rig.exchange(format!("{V1}{V1}{GET}")).await), [NO_METHOD]);
}

#[tokio::test]
async fn an_http_proxy_between_the_balancer_and_the_client_counts_if_it_is_trusted_itself() {
    let rig = rig(ProxyProtocol::Required, &["127.0.0.1/32", "192.0.2.1/32"], config());
    let forwarded = GET.replace("\r\n\r\n", "\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\r\n");
    let answer = rig.exchange(format!("{V1}{forwarded}")).await;
    says(&answer, &["client_ip=203.0.113.9", "trusted_peer=Some(192.0.2.1)", "scheme=https"]);
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let rig = rig(ProxyProtocol::Optional, &["10.0.0.0/8"], config());
    for (header, status) in [(V1.as_bytes().to_vec(), NO_METHOD), (v2(&[]), 400)] {
        let answer = rig.exchange([&header, GET.as_bytes()].concat()).await;
        assert_eq!(statuses(&answer), [status], "{answer}");
        assert!(!answer.contains("client_ip="), "{answer}");
    }
    says(&rig.exchange(GET).await, &["client_ip=127.0.0.1", "trusted_peer=None"]);
    assert!(rig.log_lines().iter().all(|line| line["client_ip"] == "127.0.0.1"));
}

#[tokio::test]
async fn where_it_is_off_a_trusted_peers_header_is_no_http() {
    let rig = behind_a_balancer(ProxyProtocol::Off);
    assert_eq!(statuses(&rig.exchange(format!("{V1}{GET}")).await), [NO_METHOD]);
}

#[tokio::test]
async fn a_required_header_that_is_missing_closes_the_connection() {
    let rig = behind_a_balancer(ProxyProtocol::Required);
    assert_eq!(rig.exchange(GET).await, "");
    assert_eq!(refused(&rig, "proxy_missing"), Some(1.0));
    let rig = behind_a_balancer(ProxyProtocol::Optional);
    says(&rig.exchange(GET).await, &["client_ip=127.0.0.1", "trusted_peer=Some(127.0.0.1)"]);
}

#[tokio::test]
async fn where_it_is_required_strangers_are_refused_whatever_they_say() {
    let rig = rig(ProxyProtocol::Required, &["10.0.0.0/8"], config());
    for bytes in [GET.to_owned(), format!("{V1}{GET}"), String::new()] {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.2:0".parse().expect("an address")).expect("all of 127.0.0.0/8 is this machine");
        let mut stream = socket.connect(rig.edge.address()).await.expect("a connection");
        // It may have been closed before.
        drop(stream.write_all(bytes.as_bytes()).await);
        assert_eq!(read_to_end(&mut stream).await, "", "{bytes:?}");
    }
    assert_eq!(refused(&rig, "proxy_untrusted"), Some(3.0));
    assert_eq!((rig.edge.connections(), rig.log_lines().len()), (0, 0));
}

#[tokio::test]
async fn this_machine_may_ask_without_the_balancer() {
    let rig = rig(ProxyProtocol::Required, &["10.0.0.0/8"], config());
    says(&rig.exchange(GET).await, &["client_ip=127.0.0.1", "trusted_peer=None"]);
    assert_eq!(statuses(&rig.exchange(format!("{V1}{GET}")).await), [NO_METHOD], "but not speak for others");
}

#[tokio::test]
async fn a_malformed_header_closes_the_connection_and_no_request_is_answered() {
    for mode in [ProxyProtocol::Optional, ProxyProtocol::Required] {
        let rig = behind_a_balancer(mode);
        for bad in ["PROXY TCP4 192.0.2.1\r\n", "PROXY TCP4 192.0.2.999 198.51.100.1 1 2\r\n", "\r\n\r\n\0\r\nQUIT\n\x21\x11\x7f\x7f"] {
            assert_eq!(rig.exchange(format!("{bad}{GET}")).await, "", "{bad:?}");
        }
        assert_eq!(refused(&rig, "proxy_header"), Some(3.0));
        assert!(rig.log_lines().is_empty());
        assert_eq!(rig.edge.connections(), 0, "its place is free again");
    }
}

#[tokio::test]
async fn a_header_that_does_not_end_is_hung_up_on() {
    let rig = rig(ProxyProtocol::Required, &["127.0.0.0/8"], impatient());
    assert_eq!(rig.exchange("PROXY TCP4 192.0.2.1").await, "");
    assert_eq!(refused(&rig, "proxy_timeout"), Some(1.0));
    assert_eq!(rig.exchange("").await, "");
    assert_eq!(refused(&rig, "proxy_timeout"), Some(1.0), "saying nothing is what health checks do");
    assert_eq!(rig.edge.connections(), 0);
}

#[tokio::test]
async fn connections_are_counted_by_the_client_that_was_told() {
    let rig = rig(ProxyProtocol::Required, &["127.0.0.0/8"], EdgeConfig { max_connections_per_client: 1, ..config() });
    let keep = GET.replace("Connection: close\r\n", "");
    let mut first = rig.connect().await;
    first.write_all(format!("{V1}{keep}").as_bytes()).await.expect("sent");
    assert!(read_until(&mut first, "body=\n").await.contains("client_ip=192.0.2.1"));
    assert_eq!(statuses(&rig.exchange(format!("{V1}{GET}")).await), [503]);
    assert_eq!(refused(&rig, "connections_per_client"), Some(1.0));
    let other = V1.replace("192.0.2.1", "192.0.2.2");
    assert_eq!(statuses(&rig.exchange(format!("{other}{GET}")).await), [200], "another client of the same balancer");
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_header() {
    let rig = behind_a_balancer(ProxyProtocol::Required);
    let mut stream = rig.connect().await;
    stream.write_all(b"PROXY ").await.expect("sent");
    tokio::time::timeout(PATIENCE / 4, rig.edge.stop()).await.expect("at once, not after the grace");
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_header_that_ends_while_the_edge_stops_is_too_late_for_a_request() {
    let Rig { edge, go, called, .. } = behind_a_balancer(ProxyProtocol::Required);
    let address = edge.address();
    let mut working = TcpStream::connect(address).await.expect("a connection");
    working.write_all(format!("{V1}{}", GET.replace("/a", "/wait")).as_bytes()).await.expect("sent");
    called.notified().await;
    let mut late = TcpStream::connect(address).await.expect("a connection");
    late.write_all(b"PROXY ").await.expect("sent");
    while edge.connections() < 2 {
        tokio::task::yield_now().await;
    }
    let stopping = tokio::spawn(edge.stop());
    while TcpStream::connect(address).await.is_ok() {}
    late.write_all(format!("{}{GET}", &V1["PROXY ".len()..]).as_bytes()).await.expect("sent");
    assert_eq!(read_to_end(&mut late).await, "");
    go.notify_one();
    assert_eq!(statuses(&read_to_end(&mut working).await), [200], "what was under way is finished");
    stopping.await.expect("stopped");
}
