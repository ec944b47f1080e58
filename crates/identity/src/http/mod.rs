//! The HTTP API of identity, and the only place where its errors meet status codes.

mod limits;
mod problems;

pub use limits::NamedLimit;
pub use problems::PROBLEMS;
