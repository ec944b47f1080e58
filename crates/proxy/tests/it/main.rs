//! The engine over real sockets, against upstreams written by hand, well-behaved and not.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod answers;
mod bodies;
mod harness;
mod requests;
mod servers;
mod tls_upstream;
mod upgrades;
