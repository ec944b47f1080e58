//! Opening a connection to a server.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::upstream::{ServerAddress, UpstreamSpec};

/// The caller bounds the time.
pub(crate) async fn connect(spec: &UpstreamSpec, server: &ServerAddress) -> io::Result<Stream> {
    let tcp = match server.host.parse::<IpAddr>() {
        Ok(ip) => TcpStream::connect((ip, server.port)).await?,
        Err(_) => TcpStream::connect((server.host.as_str(), server.port)).await?,
    };
    tcp.set_nodelay(true)?;
    if !server.tls {
        return Ok(Stream::Plain(tcp));
    }
    let tls = spec.tls.as_ref().ok_or_else(|| io::Error::other("no certificate authorities for an https upstream"))?;
    let name = ServerName::try_from(server.host.clone()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(tls.0.clone()).connect(name, tcp).await?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// How many bytes a connection may still read before the head of an answer is complete. Interim answers (1xx) are skipped
/// without coming back to us, so a flood of them has to be stopped where it is read. Used by one thread; an upgraded
/// connection has to be `Send`, though.
#[derive(Clone)]
pub(crate) struct HeadBudget(Arc<AtomicUsize>);

impl HeadBudget {
    const UNLIMITED: usize = usize::MAX;

    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(Self::UNLIMITED)))
    }

    pub(crate) fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// The head has come: what follows is bounded elsewhere.
    pub(crate) fn lift(&self) {
        self.set(Self::UNLIMITED);
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.left() == 0
    }

    fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection that reads no more than its budget (and the rest of the last piece).
pub(crate) struct Budgeted {
    pub(crate) stream: Stream,
    pub(crate) budget: HeadBudget,
}

impl AsyncRead for Budgeted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let left = this.budget.left();
        if left == HeadBudget::UNLIMITED {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        if left == 0 {
            return Poll::Ready(Err(io::Error::other("too much came before the answer")));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.budget.set(left.saturating_sub(buf.filled().len() - before));
        read
    }
}

impl AsyncWrite for Budgeted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }
    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }
    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }
    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
