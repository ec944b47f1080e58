//! A TCP forwarder that can be cut and opened again: how a database or Redis goes away in a test.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::backend::postgres_server;

/// Forwards a local port to a server. Closed, it resets what is open and refuses what is new, as a server that is gone.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    open: watch::Sender<bool>,
    accepting: Arc<Mutex<JoinHandle<()>>>,
    target: String,
}

impl Gate {
    /// To `HOST:PORT`.
    pub async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound socket has an address");
        let open = watch::Sender::new(true);
        let accepting = tokio::spawn(accept(listener, target.to_owned(), open.subscribe()));
        Self { address, open, accepting: Arc::new(Mutex::new(accepting)), target: target.to_owned() }
    }

    /// To the server of a `scheme://user@HOST:PORT/name` URL; use [`through`](Self::through) to get the URL that passes it.
    pub async fn to_url(url: &str) -> Self {
        Self::to(host_of(url)).await
    }

    /// To the PostgreSQL of the tests; see [`Builder::database_through`](crate::Builder::database_through).
    pub async fn to_postgres() -> Self {
        Self::to_url(&postgres_server()).await
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same URL with this gate's address instead of the server's.
    pub fn through(&self, url: &str) -> String {
        through(self.address, url)
    }

    /// The server is gone: nobody listens any more, connections that were open are cut.
    pub fn close(&self) {
        self.open.send_replace(false);
        self.accepting.lock().expect("never poisoned: nothing panics under this lock").abort();
    }

    /// It is back at the same address.
    pub async fn reopen(&self) {
        // The listener of before is dropped by an abort that may still be on its way.
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        self.open.send_replace(true);
        let accepting = tokio::spawn(accept(listener, self.target.clone(), self.open.subscribe()));
        *self.accepting.lock().expect("never poisoned: nothing panics under this lock") = accepting;
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.close();
    }
}

pub(crate) fn through(gate: SocketAddr, url: &str) -> String {
    url.replacen(host_of(url), &gate.to_string(), 1)
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

async fn accept(listener: TcpListener, target: String, open: watch::Receiver<bool>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let (target, mut open) = (target.clone(), open.clone());
        tokio::spawn(async move {
            let Ok(mut server) = TcpStream::connect(&target).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = open.wait_for(|open| !open) => {}
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn the_host_of_a_url_is_found_with_and_without_a_user() {
        assert_eq!(host_of("postgres://postgres@127.0.0.1:5432/test"), "127.0.0.1:5432");
        assert_eq!(host_of("redis://127.0.0.1:6379"), "127.0.0.1:6379");
    }
}
