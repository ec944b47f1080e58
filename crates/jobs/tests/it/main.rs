//! The queue on both databases.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod http_job;
mod operator;
mod queue;
mod shift;
mod turns;
mod worker;
