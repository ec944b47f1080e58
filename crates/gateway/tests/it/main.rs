//! The gateway over real sockets, with identity faked: it is another component's.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod access;
mod configuration;
mod directories;
mod forward_auth;
mod forwarding;
mod harness;
mod live;
