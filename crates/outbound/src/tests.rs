//! Against a server on a real socket of this machine, which is itself a private address.

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

/// Answers each connection with the next text, then keeps giving the last one; counts the connections.
async fn serve(answers: Vec<String>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let n = counted.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let answer = answers[n].clone();
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(answer.as_bytes()).await;
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (address, count)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn found(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// A port of this machine where nobody listens.
async fn nobody() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

fn here() -> Policy {
    Policy { private: Private::Allowed, ..Policy::default() }
}

#[tokio::test]
async fn an_answer_comes_whole() {
    let (address, _) = serve(vec![ok(r#"{"a":1}"#)]).await;
    let answer = Outbound::new(here()).unwrap().post(&format!("http://{address}/x")).json(&[1]).send().await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json::<serde_json::Value>().unwrap()["a"], 1);
    assert!(matches!(answer.json::<Vec<u8>>(), Err(OutboundError::BadAnswer(_))));
}

#[tokio::test]
async fn a_private_address_is_never_connected_to() {
    let (address, connections) = serve(vec![ok("secret")]).await;
    let outbound = Outbound::new(Policy::default()).unwrap();
    let port = address.port();
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://2130706433:{port}/"),
    ] {
        assert!(matches!(outbound.get(&url).send().await, Err(OutboundError::Forbidden)), "{url}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_is_checked_where_it_is_used_and_private_answers_are_left_out() {
    let (address, connections) = serve(vec![ok("secret")]).await;
    // A rebinding name: whatever it said before, now it is this machine.
    let rebound = Outbound::with_names(Policy::default(), Names::from_fn(move |_| vec![address.ip()])).unwrap();
    let url = format!("http://rebound.example:{}/", address.port());
    assert!(matches!(rebound.get(&url).send().await, Err(OutboundError::Forbidden)));
    // One permitted address (of documentation, where nobody answers) among others: only that is tried.
    let permitted: IpAddr = "192.0.2.1".parse().unwrap();
    let only = Private::Only(vec!["192.0.2.0/24".parse().unwrap()]);
    let policy = Policy { connect_timeout: Duration::from_millis(200), private: only, ..Policy::default() };
    let mixed = Outbound::with_names(policy, Names::from_fn(move |_| vec![address.ip(), permitted])).unwrap();
    assert!(matches!(mixed.get(&url).send().await, Err(OutboundError::Timeout | OutboundError::Connect(_))));
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_redirect_is_held_to_the_same_rules() {
    let (target, reached) = serve(vec![ok("secret")]).await;
    let (address, _) = serve(vec![found(&format!("http://{target}/"))]).await;
    let url = format!("http://{address}/");

    let stays = Outbound::new(here()).unwrap().get(&url).send().await.unwrap();
    assert_eq!((stays.status, reached.load(Ordering::SeqCst)), (StatusCode::FOUND, 0));

    let follows = Outbound::new(Policy { redirects: 1, ..here() }).unwrap().get(&url).send().await.unwrap();
    assert_eq!((follows.text().as_str(), reached.load(Ordering::SeqCst)), ("secret", 1));

    // The first host is allowed, the one it points to is not.
    let (elsewhere, _) = serve(vec![found("http://169.254.169.254/latest/meta-data")]).await;
    let only = Private::Only(vec!["127.0.0.0/8".parse().unwrap()]);
    let guarded = Outbound::new(Policy { redirects: 3, private: only, ..Policy::default() }).unwrap();
    let refused = guarded.get(&format!("http://{elsewhere}/")).send().await;
    assert!(matches!(refused, Err(OutboundError::Forbidden)), "{refused:?}");
}

#[tokio::test]
async fn an_endless_or_huge_answer_is_cut_off_as_an_error() {
    let policy = Policy { max_response_bytes: 1000, ..here() };
    let outbound = Outbound::new(policy).unwrap();
    let (announced, _) = serve(vec![ok(&"x".repeat(1001))]).await;
    assert!(matches!(outbound.get(&format!("http://{announced}/")).send().await, Err(OutboundError::TooLarge(1000))));
    let (endless, _) = serve(vec![format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "x".repeat(5000))]).await;
    assert!(matches!(outbound.get(&format!("http://{endless}/")).send().await, Err(OutboundError::TooLarge(1000))));
    let (fits, _) = serve(vec![ok(&"x".repeat(1000))]).await;
    assert_eq!(outbound.get(&format!("http://{fits}/")).send().await.unwrap().body.len(), 1000);
}

/// The first answer passes the check a caller makes in advance; only what the connection itself is given counts.
#[tokio::test]
async fn a_name_that_answers_differently_the_second_time_gains_nothing() {
    let (address, connections) = serve(vec![ok("secret")]).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let names = Names::from_fn(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => vec!["192.0.2.1".parse().unwrap()],
        _ => vec![address.ip()],
    });
    let policy = Policy {
        connect_timeout: Duration::from_millis(200),
        private: Private::Only(vec!["192.0.2.0/24".parse().unwrap()]),
        ..Policy::default()
    };
    let outbound = Outbound::with_names(policy, names).unwrap();
    let url = format!("http://rebinding.example:{}/", address.port());
    outbound.permits(&url).unwrap();
    assert!(matches!(outbound.get(&url).send().await, Err(OutboundError::Timeout | OutboundError::Connect(_))));
    for _ in 0..3 {
        assert!(matches!(outbound.get(&url).send().await, Err(OutboundError::Forbidden)));
    }
    assert!(asked.load(Ordering::SeqCst) >= 4);
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_overlong_answer_is_cut_where_its_beginning_will_do() {
    let policy = Policy { max_response_bytes: 1000, overlong: Overlong::Cut, ..here() };
    let outbound = Outbound::new(policy).unwrap();
    for text in [ok(&"x".repeat(100_000)), format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "x".repeat(5000))] {
        let (address, _) = serve(vec![text]).await;
        let answer = outbound.get(&format!("http://{address}/")).send().await.unwrap();
        assert_eq!((answer.status, answer.body.len(), answer.cut), (StatusCode::OK, 1000, true));
    }
    let (fits, _) = serve(vec![ok(&"x".repeat(1000))]).await;
    let answer = outbound.get(&format!("http://{fits}/")).send().await.unwrap();
    assert_eq!((answer.body.len(), answer.cut), (1000, false));
}

#[tokio::test]
async fn passwords_in_addresses_and_ports_of_other_protocols_are_refused_and_not_repeated() {
    let outbound = Outbound::new(here()).unwrap();
    for url in ["http://user:hunter2@127.0.0.1/", "http://hunter2@127.0.0.1/", "http://:hunter2@127.0.0.1/"] {
        let refused = outbound.get(url).send().await.unwrap_err();
        assert!(matches!(refused, OutboundError::Credentials), "{url}");
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    }
    assert!(matches!(outbound.permits("http://mail.example.com:25/"), Err(OutboundError::BadPort(25))));
    let (elsewhere, _) = serve(vec![found("http://127.0.0.1:25/")]).await;
    let follows = Outbound::new(Policy { redirects: 3, ..here() }).unwrap();
    assert!(matches!(follows.get(&format!("http://{elsewhere}/")).send().await, Err(OutboundError::Failed(_))));
}

#[tokio::test]
async fn silence_and_absence_are_told_apart_and_no_error_shows_the_address() {
    let (silent, _) = serve(vec![String::new()]).await;
    let outbound = Outbound::new(Policy { timeout: Duration::from_millis(100), ..here() }).unwrap();
    assert!(matches!(outbound.get(&format!("http://{silent}/")).send().await, Err(OutboundError::Timeout)));
    let absent = outbound.get(&format!("http://127.0.0.1:{}/?token=hunter2", nobody().await)).send().await.unwrap_err();
    assert!(matches!(absent, OutboundError::Connect(_)));
    assert!(!format!("{absent} {absent:?}").contains("hunter2"));
}

#[tokio::test]
async fn other_schemes_are_refused() {
    let outbound = Outbound::new(Policy { https_only: true, ..here() }).unwrap();
    assert!(matches!(outbound.get("http://example.com/").send().await, Err(OutboundError::NotHttps)));
    for url in ["file:///etc/passwd", "ftp://example.com/", "gopher://x/", "/relative", ""] {
        assert!(matches!(outbound.get(url).send().await, Err(OutboundError::BadUrl)), "{url}");
    }
}
