//! Where TLS will begin: between accepting a socket and reading its first bytes.
//!
//! [`accept`] gives what the rest of the edge reads and writes, whatever lies beneath.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// A client's byte stream.
pub(crate) type ClientStream = TcpStream;

/// With `edge.tls.mode = "off"`, the only mode of this release, the socket itself.
pub(crate) fn accept(socket: TcpStream) -> ClientStream {
    socket
}

/// A byte stream that can be ended without ceremony.
pub(crate) trait ClientIo: AsyncRead + AsyncWrite + Unpin {
    /// Closing from now on drops what the client has not yet taken, and tells it so: its memory and ours are free at once.
    fn reset_on_close(&self);
}

impl ClientIo for TcpStream {
    fn reset_on_close(&self) {
        // When it fails the kernel says goodbye in its own time.
        drop(self.set_zero_linger());
    }
}
