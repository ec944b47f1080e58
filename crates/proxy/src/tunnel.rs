//! Bytes both ways after an upgrade (WebSocket): half-close kept, silence bounded, ended when the server stops or its hold is
//! dropped.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{connect::Stream, headers::Upgrade};

/// A tunnel is mostly idle: two of these per tunnel.
const BUFFER: usize = 4 * 1_024;
/// How long the client's side may take to switch protocols after the 101.
const SWITCH: Duration = Duration::from_secs(10);

/// `first`: what the upstream has already said in the new protocol.
pub(crate) async fn run(upgrade: Upgrade, upstream: Stream, first: Bytes, longest_silence: Duration, stop: CancellationToken) {
    let Upgrade { client, let_go } = upgrade;
    let Ok(Ok(client)) = tokio::time::timeout(SWITCH, client).await else {
        tracing::debug!(target: "proxy", "a protocol switch did not come about");
        return;
    };
    let last = Rc::new(Cell::new(Instant::now()));
    let mut client = TokioIo::new(client);
    // Every byte in either direction passes the upstream's side, so watching that one is enough.
    let mut upstream = Watched { inner: upstream, first, last: Rc::clone(&last) };
    let copy = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER);
    let silence = async {
        loop {
            let deadline = last.get() + longest_silence;
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    };
    let let_go = async {
        match let_go {
            Some(let_go) => drop(let_go.await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = copy => if let Err(err) = ended {
            tracing::debug!(target: "proxy", error = %err, "an upgraded connection broke");
        },
        () = silence => tracing::debug!(target: "proxy", "an upgraded connection was silent for too long"),
        () = let_go => tracing::debug!(target: "proxy", "an upgraded connection was ended"),
        () = stop.cancelled() => {}
    }
}

struct Watched<T> {
    inner: T,
    first: Bytes,
    last: Rc<Cell<Instant>>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            let take = this.first.len().min(buf.remaining());
            buf.put_slice(&this.first[..take]);
            this.first.advance(take);
            return Poll::Ready(Ok(()));
        }
        let read = ready!(Pin::new(&mut this.inner).poll_read(cx, buf));
        this.last.set(Instant::now());
        Poll::Ready(read)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, buf));
        this.last.set(Instant::now());
        Poll::Ready(written)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
