//! Where TLS will begin: between accepting a socket and reading its first bytes.
//!
//! [`accept`] gives what the rest of the edge reads and writes, whatever lies beneath.

use tokio::net::TcpStream;

/// A client's byte stream.
pub(crate) type ClientStream = TcpStream;

/// With `edge.tls.mode = "off"`, the only mode of this release, the socket itself.
pub(crate) fn accept(socket: TcpStream) -> ClientStream {
    socket
}
