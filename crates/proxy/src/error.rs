//! Why a request could not be forwarded. Status codes are the caller's business.

use std::{io, time::Duration};

use crate::BodyError;

#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// No server could be connected to (refused, no route, unknown name, TLS failure).
    #[error("cannot connect to {server}")]
    Unreachable {
        server: String,
        #[source]
        source: io::Error,
    },
    /// Connecting, or the head of the answer, took longer than allowed.
    #[error("{server} did not answer within {limit:?}")]
    Timeout { server: String, limit: Duration },
    /// The server closed the connection before any byte of an answer, and the request could not be repeated.
    #[error("{server} closed the connection without an answer")]
    Broken {
        server: String,
        #[source]
        source: io::Error,
    },
    /// What the server sent is not HTTP, or contradicts itself.
    #[error("{server} sent an invalid answer: {why}")]
    InvalidAnswer { server: String, why: String },
    /// As many requests as allowed are under way and waiting.
    #[error("too many requests are under way to this upstream")]
    Busy,
    /// The client's own body failed while it was being forwarded.
    #[error("the client's request broke off")]
    Client(ClientFault),
}

/// What was wrong with the body that the client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFault {
    TooLarge,
    TooSlow,
    /// Went away or broke the protocol.
    Gone,
}

impl From<&BodyError> for ClientFault {
    fn from(err: &BodyError) -> Self {
        match err {
            BodyError::TooLarge => Self::TooLarge,
            BodyError::TooSlow => Self::TooSlow,
            BodyError::Client(_) | BodyError::Upstream(_) | BodyError::Other(_) => Self::Gone,
        }
    }
}
