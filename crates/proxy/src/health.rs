//! The active check: one task for all cores asks each server regularly and shares what it found through atomics.

use std::{io, sync::Arc, sync::Weak, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;

use crate::{Upstream, connect, upstream::ServerAddress};

/// Longer than this, and a check counts as failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Consecutive failed checks after which a server is out; one good check brings it back.
const STRIKES: u32 = 2;

/// Asks every server of `upstream` for `path`, again and again, until the upstream is no longer used. Runs on any runtime.
pub async fn watch(upstream: Weak<Upstream>, path: String, every: Duration) {
    let mut strikes = Vec::new();
    loop {
        {
            let Some(upstream) = upstream.upgrade() else { return };
            strikes.resize(upstream.servers.len(), 0_u32);
            let checks = upstream.spec.servers.iter().map(|server| check(&upstream, server, &path, every.min(PATIENCE)));
            for (index, healthy) in futures::future::join_all(checks).await.into_iter().enumerate() {
                strikes[index] = if healthy { 0 } else { strikes[index].saturating_add(1) };
                if healthy || strikes[index] >= STRIKES {
                    upstream.checked(index, healthy);
                }
            }
        }
        tokio::time::sleep(every).await;
    }
}

async fn check(upstream: &Arc<Upstream>, server: &ServerAddress, path: &str, patience: Duration) -> bool {
    match tokio::time::timeout(patience, ask(upstream, server, path)).await {
        Ok(Ok(status)) => status.is_success() || status.is_redirection(),
        Ok(Err(err)) => {
            tracing::debug!(target: "proxy", upstream = %upstream.spec.name, server = %server, error = %err, "health check failed");
            false
        }
        Err(_) => false,
    }
}

async fn ask(upstream: &Upstream, server: &ServerAddress, path: &str) -> io::Result<http::StatusCode> {
    let stream = connect::connect(&upstream.spec, server).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get(path)
        .header(header::HOST, upstream.spec.host.as_ref().unwrap_or(&server.authority))
        .header(header::USER_AGENT, "Baluarte-health-check")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let answer = sender.send_request(request);
    tokio::pin!(connection, answer);
    // The connection is driven here, so that giving up on the check closes it.
    let mut open = true;
    loop {
        tokio::select! {
            answer = &mut answer => return answer.map(|answer| answer.status()).map_err(io::Error::other),
            _ = &mut connection, if open => open = false,
        }
    }
}
