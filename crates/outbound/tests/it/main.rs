//! Nobody gets us to call a private address: every trick over real sockets, with a resolver that the test controls. For each one is
//! shown first that it would lead here, so that a refusal means something.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use baluarte_outbound::{Names, Outbound, OutboundError, Policy, Ports, Private};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// A server that answers everybody the same and counts who came.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(listen: &str, answer: String) -> Self {
        let listener = TcpListener::bind(listen).await.unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let _ = socket.read(&mut [0; 4096]).await;
                    let _ = socket.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { address, connections }
    }

    /// At every address of this machine, of both families where there are two.
    async fn with_a_secret() -> Self {
        let everywhere = if TcpListener::bind("[::]:0").await.is_ok() { "[::]:0" } else { "0.0.0.0:0" };
        Self::start(everywhere, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret".to_owned()).await
    }

    async fn redirecting(to: &str) -> Self {
        let answer = format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        Self::start("127.0.0.1:0", answer).await
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    fn visits(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn policy(private: Private, redirects: usize) -> Policy {
    Policy { private, redirects, connect_timeout: Duration::from_secs(2), ..Policy::default() }
}

/// Whatever name is asked for, it is this address.
fn client(private: Private, redirects: usize, ip: IpAddr) -> Outbound {
    Outbound::with_names(policy(private, redirects), Names::from_fn(move |_| vec![ip])).unwrap()
}

async fn body(outbound: &Outbound, url: &str) -> Option<String> {
    outbound.get(url).send().await.ok().map(|answer| answer.text())
}

fn is_forbidden(answer: &Result<baluarte_outbound::BoundedResponse, OutboundError>) -> bool {
    matches!(answer, Err(OutboundError::Forbidden))
}

/// Addresses that lead to this machine.
const HERE: [&str; 7] = ["127.0.0.1", "127.0.0.53", "127.255.255.254", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"];
/// Addresses that lead to others who believe us: refused before a packet is sent, or the answer would be another one.
const NEARBY: [&str; 17] = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "192.0.0.192",
    "255.255.255.255",
    "224.0.0.1",
    "fe80::1",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
];

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_not_connected_to() {
    let secret = Server::with_a_secret().await;
    let url = format!("http://customer.example:{}/", secret.port());
    let mut reached = 0;
    for ip in HERE {
        let ip: IpAddr = ip.parse().unwrap();
        reached += usize::from(body(&client(Private::Allowed, 0, ip), &url).await.as_deref() == Some("secret"));
        let before = secret.visits();
        let answer = client(Private::Refused, 0, ip).get(&url).send().await;
        assert!(is_forbidden(&answer), "{ip}: {answer:?}");
        assert_eq!(secret.visits(), before, "{ip}");
    }
    assert!(reached >= 4, "without the guard they lead here");
    for ip in NEARBY {
        let answer = client(Private::Refused, 0, ip.parse().unwrap()).get(&url).send().await;
        assert!(is_forbidden(&answer), "{ip}: {answer:?}");
    }
}

#[tokio::test]
async fn an_address_in_another_spelling_is_not_connected_to() {
    let secret = Server::with_a_secret().await;
    let names = || Names::from_fn(|_| Vec::new());
    let (open, guarded) = (
        Outbound::with_names(policy(Private::Allowed, 0), names()).unwrap(),
        Outbound::with_names(policy(Private::Refused, 0), names()).unwrap(),
    );
    let mut reached = 0;
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.01",
        "0",
        "0.0.0.0",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "１２７．０．０．１",
        "①②⑦.⓪.⓪.①",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:1]",
    ] {
        let url = format!("http://{host}:{}/", secret.port());
        reached += usize::from(body(&open, &url).await.as_deref() == Some("secret"));
        let before = secret.visits();
        let answer = guarded.get(&url).send().await;
        assert!(is_forbidden(&answer), "{host}: {answer:?}");
        assert_eq!(secret.visits(), before, "{host}");
    }
    assert!(reached >= 12, "without the guard they lead here: {reached}");
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://[fd00:ec2::254]/",
        "http://[64:ff9b::169.254.169.254]/",
    ] {
        assert!(is_forbidden(&guarded.get(url).send().await), "{url}");
    }
}

/// The first answer is what a check in advance would see, the second what the connection gets.
#[tokio::test]
async fn a_name_that_changes_its_answer_gains_nothing() {
    let secret = Server::with_a_secret().await;
    let url = format!("http://rebinding.example:{}/", secret.port());
    for private in ["127.0.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "169.254.169.254"] {
        let private: IpAddr = private.parse().unwrap();
        let asked = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&asked);
        // Of documentation: nobody answers there.
        let public: IpAddr = "192.0.2.1".parse().unwrap();
        let names = Names::from_fn(move |_| match counted.fetch_add(1, Ordering::SeqCst) % 3 {
            0 => vec![public],
            1 => vec![private],
            _ => vec![private, public],
        });
        let only = Private::Only(vec!["192.0.2.0/24".parse().unwrap()]);
        let policy = Policy { connect_timeout: Duration::from_millis(100), ..policy(only, 0) };
        let outbound = Outbound::with_names(policy, names).unwrap();
        outbound.permits(&url).unwrap();
        for _ in 0..6 {
            assert!(outbound.get(&url).send().await.is_err());
        }
        assert!(asked.load(Ordering::SeqCst) >= 6, "it is asked for every connection");
    }
    assert_eq!(secret.visits(), 0);
}

#[tokio::test]
async fn a_redirect_leads_to_no_private_address_however_it_is_written() {
    let secret = Server::with_a_secret().await;
    let port = secret.port();
    let elsewhere: IpAddr = "127.0.0.2".parse().unwrap();
    let mut reached = 0;
    for host in ["127.0.0.2", "127.2", "2130706434", "0x7f000002", "[::ffff:127.0.0.2]", "inside.example", "[::1]"] {
        let redirecting = Server::redirecting(&format!("http://{host}:{port}/")).await;
        let first = format!("http://{}/", redirecting.address);
        reached += usize::from(body(&client(Private::Allowed, 3, elsewhere), &first).await.as_deref() == Some("secret"));
        let before = (secret.visits(), redirecting.visits());
        // The first server may be reached, the second may not.
        let only = Private::Only(vec!["127.0.0.1/32".parse().unwrap()]);
        let answer = client(only, 3, elsewhere).get(&first).send().await;
        assert!(is_forbidden(&answer), "{host}: {answer:?}");
        assert_eq!((secret.visits(), redirecting.visits()), (before.0, before.1 + 1), "{host}");
    }
    assert!(reached >= 5, "without the guard they lead here: {reached}");
}

#[tokio::test]
async fn neither_a_request_nor_a_redirect_goes_to_a_port_of_another_protocol() {
    let open = client(Private::Allowed, 3, "127.0.0.1".parse().unwrap());
    for port in [0, 22, 25, 53, 110, 143, 465, 587, 2049, 6667] {
        let url = format!("http://127.0.0.1:{port}/");
        assert!(matches!(open.get(&url).send().await, Err(OutboundError::BadPort(refused)) if refused == port), "{port}");
        if port > 0 {
            let redirecting = Server::redirecting(&url).await;
            let answer = open.get(&format!("http://{}/", redirecting.address)).send().await;
            assert!(matches!(&answer, Err(OutboundError::Failed(why)) if why.contains("port of another protocol")), "{port}: {answer:?}");
        }
    }
    // The operator's own addresses may be anywhere.
    let any = Outbound::new(Policy { ports: Ports::Any, ..policy(Private::Allowed, 0) }).unwrap();
    assert!(matches!(any.get("http://127.0.0.1:1/").send().await, Err(OutboundError::Connect(_))));
}
