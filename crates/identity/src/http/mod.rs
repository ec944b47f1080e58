//! The HTTP API of identity, and the only place where its errors meet status codes.

mod limits;

pub use limits::NamedLimit;
