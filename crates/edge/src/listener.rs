//! Sockets: one listener per core on the same address, and who may connect.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::EdgeError;

/// Connections that the kernel keeps until a core takes them.
const BACKLOG: i32 = 4_096;
/// A browser has six connections to a host; a house full of people rarely more than this.
pub(crate) const CROWD: usize = 64;

/// Binds `count` listeners to one address; the kernel spreads connections over them. Gives the address with its real port.
pub(crate) fn bind(address: SocketAddr, count: usize) -> Result<(SocketAddr, Vec<std::net::TcpListener>), EdgeError> {
    let failed = |reason: io::Error| match reason.kind() {
        io::ErrorKind::AddrInUse => EdgeError::InUse { address },
        _ => EdgeError::Listen { address, reason },
    };
    // Two programs of one user could share a port without noticing. A socket that shares with nobody finds out.
    let probe = socket(address, false).map_err(failed)?;
    let bound = probe.local_addr().map_err(failed)?.as_socket().unwrap_or(address);
    drop(probe);
    let listeners = (0..count)
        .map(|_| {
            let socket = socket(bound, true)?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect::<io::Result<Vec<_>>>()
        .map_err(failed)?;
    Ok((bound, listeners))
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Else the port is taken for a minute after a restart.
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Counts connections: of the whole edge, and of each client.
pub(crate) struct Admission {
    max: usize,
    max_per_client: usize,
    open: AtomicUsize,
    clients: Mutex<HashMap<u64, usize>>,
}

/// What a connection holds: give it back with [`Admission::leave`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    client: Option<u64>,
}

impl Admission {
    pub(crate) fn new(max: usize, max_per_client: usize) -> Self {
        Self { max, max_per_client, open: AtomicUsize::new(0), clients: Mutex::default() }
    }

    /// A place, or the name of the limit that is reached. Trusted proxies speak for many clients, so they are not counted.
    pub(crate) fn enter(&self, ip: IpAddr, trusted: bool) -> Result<Place, &'static str> {
        if self.open.fetch_add(1, Relaxed) >= self.max {
            self.open.fetch_sub(1, Relaxed);
            return Err("connections");
        }
        if trusted {
            return Ok(Place { client: None });
        }
        let client = network(ip);
        let mut clients = self.clients();
        let count = clients.entry(client).or_default();
        if *count >= self.max_per_client {
            drop(clients);
            self.open.fetch_sub(1, Relaxed);
            return Err("connections_per_client");
        }
        *count += 1;
        Ok(Place { client: Some(client) })
    }

    pub(crate) fn leave(&self, place: Place) {
        self.open.fetch_sub(1, Relaxed);
        let Some(client) = place.client else { return };
        let mut clients = self.clients();
        if let Some(count) = clients.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&client);
            }
        }
    }

    /// The client has so many connections that it may not leave them idle for long.
    pub(crate) fn is_crowding(&self, place: Place) -> bool {
        place.client.is_some_and(|client| self.clients().get(&client).is_some_and(|count| *count > CROWD))
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One person usually has a whole /64 of IPv6; IPv4 addresses lie where no IPv6 network of the internet is.
fn network(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_has_a_bounded_number_of_connections_and_others_are_not_hurt() {
        let admission = Admission::new(100, 2);
        let first = admission.enter(ip("2001:db8::1"), false).expect("room");
        admission.enter(ip("2001:db8::2"), false).expect("room");
        assert_eq!(admission.enter(ip("2001:db8::3"), false).err(), Some("connections_per_client"), "the same /64");
        assert!(admission.enter(ip("2001:db8:0:1::3"), false).is_ok());
        assert!(admission.enter(ip("2001:db8::9"), true).is_ok(), "a trusted proxy is not counted");
        admission.leave(first);
        assert!(admission.enter(ip("2001:db8::3"), false).is_ok());
    }

    #[test]
    fn all_clients_together_are_bounded_and_leaving_makes_room() {
        let admission = Admission::new(1, 9);
        let place = admission.enter(ip("192.0.2.1"), false).expect("room");
        assert_eq!(admission.enter(ip("192.0.2.2"), false).err(), Some("connections"));
        admission.leave(place);
        assert_eq!(admission.open(), 0);
        assert!(admission.clients().is_empty(), "nobody is remembered");
        assert!(admission.enter(ip("192.0.2.2"), false).is_ok());
    }

    #[test]
    fn a_port_in_use_is_said_in_one_sentence() {
        let (address, _listeners) = bind("127.0.0.1:0".parse().expect("an address"), 2).expect("a free port");
        let err = bind(address, 1).expect_err("taken, although both would share");
        assert_eq!(err.to_string(), format!("cannot listen on {address}: another program already does (stop it, or change server.listen)"));
    }
}
