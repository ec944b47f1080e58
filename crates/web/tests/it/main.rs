//! The words of HTTP, seen from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod extractors;
mod pages;
mod problems;
