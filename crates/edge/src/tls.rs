//! Where TLS will begin: between accepting a socket and reading its first bytes.
//!
//! [`accept`] gives what the rest of the edge reads and writes, whatever lies beneath.

use futures::FutureExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest},
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

    /// Can the client still be reached, as far as is known without reading and without asking the kernel?
    fn presence(&self) -> Presence;
}

/// What is known of a client while nothing is read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Here,
    /// Behind what it has sent, and what was not read, nothing follows.
    SaidAll,
    /// It takes nothing any more.
    Gone,
}

impl ClientIo for TcpStream {
    fn reset_on_close(&self) {
        // When it fails the kernel says goodbye in its own time.
        drop(self.set_zero_linger());
    }

    fn presence(&self) -> Presence {
        // Ready at once, from what the runtime was last told: writing is possible, or has become impossible.
        match self.ready(Interest::READABLE | Interest::WRITABLE | Interest::ERROR).now_or_never() {
            Some(Ok(known)) if known.is_error() || known.is_write_closed() => Presence::Gone,
            Some(Ok(known)) if known.is_read_closed() => Presence::SaidAll,
            Some(Ok(_)) | None => Presence::Here,
            Some(Err(_)) => Presence::Gone,
        }
    }
}
